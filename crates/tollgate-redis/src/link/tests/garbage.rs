//! A server that sends what is no reply.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Speaks RESP until the first `EVALSHA`, and answers that with `answer`; then it is silent, or closes.
async fn server(answer: Vec<u8>, closes: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut bytes = vec![0; 64 << 10];
                while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                    let heard = String::from_utf8_lossy(&bytes[..count]).into_owned();
                    let reply: &[u8] = match &heard {
                        heard if heard.contains("EVALSHA") => &answer,
                        heard if heard.contains("EVAL") => b"*2\r\n$1\r\n1\r\n$1\r\n2\r\n",
                        heard if heard.contains("INFO") => b"$20\r\nredis_version:7.0.0\n\r\n",
                        _ => b"+OK\r\n",
                    };
                    if stream.write_all(reply).await.is_err()
                        || (closes && heard.contains("EVALSHA"))
                    {
                        return;
                    }
                }
            });
        }
    });
    format!("redis://{address}")
}

#[tokio::test]
async fn what_is_no_reply_is_named_and_ends_the_connection() {
    let junk: [&[u8]; 8] = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"$1000000000000\r\n",
        b"*1000000000\r\n",
        b"*2000000000000000000\r\n",
        b":12x\r\n",
        b"%1\r\n+a\r\n+b\r\n",
        b"$3\r\nabcdef\r\n",
    ];
    for answer in junk {
        let link = linked(&server(answer.to_vec(), false).await, patient()).await;
        let error = link.add("a").await.unwrap_err();
        assert!(
            matches!(error, LinkError::Garbage(_)),
            "{:?}: {error:?}",
            String::from_utf8_lossy(answer)
        );
        until("the connection is replaced", || async {
            link.stats().reconnects() > 0
        })
        .await;
    }
}

#[tokio::test]
async fn arrays_within_arrays_without_end_are_no_reply() {
    let link = linked(&server(b"*1\r\n".repeat(100_000), false).await, patient()).await;
    assert!(matches!(link.add("a").await, Err(LinkError::Garbage(_))));
}

#[tokio::test]
async fn half_a_reply_is_waited_for_no_longer_than_the_deadline() {
    for half in ["$10\r\nabc", "*2\r\n:1\r\n", ":1", "$"] {
        let link = linked(&server(half.into(), false).await, impatient()).await;
        assert_eq!(
            link.add("a").await,
            Err(LinkError::Timeout(impatient().deadline)),
            "{half}"
        );
        let link = linked(&server(half.into(), true).await, patient()).await;
        let error = link.add("a").await.unwrap_err();
        assert!(
            matches!(error, LinkError::Broken | LinkError::Garbage(_)),
            "{half}: {error:?}"
        );
    }
}

#[tokio::test]
async fn redirects_without_a_place_are_no_reply() {
    for answer in [
        "-MOVED\r\n",
        "-MOVED 1\r\n",
        "-ASK 1 host\r\n",
        "-MOVED 1 host:70000\r\n",
    ] {
        let link = linked(&server(answer.into(), false).await, patient()).await;
        assert!(
            matches!(link.add("a").await, Err(LinkError::Garbage(_))),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn what_servers_of_old_say_of_commands_within_scripts_is_understood() {
    let answer =
        "-ERR Error running script (call to f_0): @user_script:1: -READONLY You can't write\r\n";
    let link = linked(&server(answer.into(), false).await, patient()).await;
    assert_eq!(link.add("a").await, Err(LinkError::ReadOnly));
}

/// Says that it is of this version, and answers probes with `probed`.
async fn starting(version: &'static str, probed: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut bytes = vec![0; 64 << 10];
                while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                    let heard = String::from_utf8_lossy(&bytes[..count]).into_owned();
                    let text = format!("redis_version:{version}\r\n");
                    let reply = match heard.contains("EVAL") {
                        true => probed.to_owned(),
                        false => format!("${}\r\n{text}\r\n", text.len()),
                    };
                    stream.write_all(reply.as_bytes()).await.unwrap();
                }
            });
        }
    });
    url
}

#[tokio::test]
async fn a_server_that_is_too_old_is_named_at_the_start() {
    let error = refused(&starting("6.0.16", "$-1\r\n").await).await;
    assert_eq!(error, LinkError::TooOld("6.0.16".to_owned()));
}

#[tokio::test]
async fn a_server_whose_scripts_cannot_write_instants_is_named_at_the_start() {
    let error = refused(&starting("7.0.0", "$-1\r\n").await).await;
    assert_eq!(error, LinkError::IsNarrow);
}
