//! What a connection keeps while it waits, and how it ends.

use std::pin::pin;

use futures_util::future::{Either, select};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::tests::{connected, question};
use super::*;

/// Reads so many answers, all of which say yes.
async fn answers(client: &mut TcpStream, count: usize) {
    let mut read = Vec::new();
    let begun = |read: &[u8]| {
        String::from_utf8_lossy(read)
            .matches("HTTP/1.1 200")
            .count()
    };
    while begun(&read) < count || !read.ends_with(b"}") {
        assert!(client.read_buf(&mut read).await.unwrap() > 0, "{read:?}");
    }
}

/// Lets others have their turns until they wait.
async fn turns() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_connection_that_waits_keeps_no_large_buffer_whatever_was_asked() {
    let padded = |framed: bool| {
        let body = format!(r#"{{"limit":"tokens","key":"ann"{:60000}}}"#, "");
        let head = "POST /v1/check HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
        match framed {
            true => format!("{head}content-length: {}\r\n\r\n{body}", body.len()),
            false => format!(
                "{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                body.len()
            ),
        }
    };
    let (small, begun) = (question(""), "POST /v1/check HT".to_owned());
    for (name, asked, count) in [
        ("a length", vec![padded(true)], 1),
        ("chunks", vec![padded(false)], 1),
        ("one by one", vec![padded(true), small.clone()], 2),
        ("more behind", vec![padded(true), begun.clone()], 1),
        ("more behind chunks", vec![padded(false), begun], 1),
        ("many at once", vec![small.repeat(300)], 300),
    ] {
        let (worker, mut client, stream) = connected().await;
        let (_stop, signal) = watch::channel(false);
        let mut connection = Connection::new(&worker, stream, signal.clone());
        {
            let mut run = pin!(connection.run(signal));
            let asks = pin!(async {
                client.write_all(asked.concat().as_bytes()).await.unwrap();
                answers(&mut client, count).await;
                turns().await;
            });
            match select(asks, &mut run).await {
                Either::Left(_) => {}
                Either::Right((ended, _)) => panic!("{name}: {ended:?}"),
            }
        }
        // Only an allocation that is so large can give so much.
        let room = KEPT_BYTES + 1 - connection.read.len();
        assert!(!connection.read.try_reclaim(room), "{name}");
        assert!(connection.out.capacity() <= KEPT_BYTES, "{name}");
    }
}

/// More answers than their reader's system takes before it reads.
const ANSWERS: usize = 200;

/// What is left to read, up to an end that is no error.
async fn rest(mut client: TcpStream) -> usize {
    let mut read = String::new();
    client.read_to_string(&mut read).await.unwrap();
    read.matches("HTTP/1.1 200 OK").count()
}

#[tokio::test]
async fn all_answers_arrive_whatever_is_sent_behind_the_last_request() {
    let (worker, mut client, stream) = connected().await;
    let (_stop, signal) = watch::channel(false);
    let last = question("connection: close\r\n");
    let asked = question("").repeat(ANSWERS - 1) + &last + &question("").repeat(500);
    client.write_all(asked.as_bytes()).await.unwrap();
    // It reads when the service has closed its side.
    let reads = async {
        turns().await;
        rest(client).await
    };
    let (count, ()) = tokio::join!(reads, serve(worker, stream, signal));
    assert_eq!(count, ANSWERS);
}

#[tokio::test]
async fn all_answers_arrive_whatever_is_sent_when_the_service_stops() {
    let (worker, mut client, stream) = connected().await;
    let (stop, signal) = watch::channel(false);
    let asked = question("").repeat(ANSWERS);
    let reads = async {
        client.write_all(asked.as_bytes()).await.unwrap();
        turns().await;
        stop.send(true).unwrap();
        turns().await;
        client.write_all(question("").as_bytes()).await.unwrap();
        rest(client).await
    };
    let (count, ()) = tokio::join!(reads, serve(worker, stream, signal));
    assert_eq!(count, ANSWERS);
}
