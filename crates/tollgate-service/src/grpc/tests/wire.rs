//! What a connection and its calls must keep, whatever comes over them.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::frames::MESSAGE_BYTES_MAX;
use super::line::{ASKED, Fields, Line, METHOD, begin, call, ended, framed, left, passes, run};
use super::*;

#[tokio::test]
async fn calls_that_come_at_once_are_each_answered() {
    run(async {
        let (client, _greeted) = Line::open().greeted(65_535).await;
        let all = (0..200).map(|_| passes(&client));
        let passed = futures_util::future::join_all(all).await;
        assert_eq!(passed.iter().filter(|passed| **passed).count(), 5);
    })
    .await;
}

#[tokio::test]
async fn a_message_may_come_in_any_pieces_and_an_answer_goes_in_those_that_its_reader_takes() {
    run(async {
        let (client, _greeted) = Line::open().greeted(7).await;
        let (response, mut sending) = begin(&client, &[]).await;
        for byte in framed(ASKED).chunks(1) {
            sending
                .send_data(Bytes::copy_from_slice(byte), false)
                .unwrap();
            tokio::task::yield_now().await;
        }
        sending.send_trailers(HeaderMap::new()).unwrap();
        let (status, answer) = ended(response.await.unwrap()).await;
        assert_eq!((status.as_str(), &answer[5..7]), ("0", &[8, 1][..]));
        let length = u32::from_be_bytes(answer[1..5].try_into().unwrap());
        assert_eq!((answer[0], length as usize), (0, answer.len() - 5));
    })
    .await;
}

#[tokio::test]
async fn what_is_no_message_is_told_and_charges_nothing() {
    run(async {
        let (client, greeted) = Line::open().greeted(65_535).await;
        let gzip = [("grpc-encoding", "gzip")];
        let compressed = [&[1, 0, 0, 0, ASKED.len() as u8], ASKED].concat();
        let long = [&[0, 0, 4, 0, 1], &[b'v'; MESSAGE_BYTES_MAX + 1][..]].concat();
        let cases: [(&str, Fields<'_>, &[u8], &str); 9] = [
            ("nothing", &[], b"", "13"),
            ("less than a length", &[], &[0, 0, 0], "13"),
            ("less than its length says", &[], &framed(ASKED)[..9], "13"),
            ("two messages", &[], &framed(ASKED).repeat(2), "12"),
            ("a length beyond the bound", &[], &[0, 255, 0, 0, 0], "8"),
            ("more than the bound", &[], &long, "8"),
            ("compressed", &gzip, &compressed, "12"),
            ("compressed, and nobody knows how", &[], &compressed, "13"),
            ("bytes", &[], &framed(&[0xff; 20]), "13"),
        ];
        for (name, fields, body, code) in cases {
            let body = Bytes::copy_from_slice(body);
            let (status, answer) = call(&client, fields, body).await;
            assert_eq!((status.as_str(), answer.len()), (code, 0), "{name}");
        }
        let errors = greeted.fixture.grpc.service.metrics.encode();
        assert!(
            errors.contains("errors_total{protocol=\"grpc\"} 9"),
            "{errors}"
        );
        // What says how it would be compressed, and is not, is a message like any other.
        let (status, answer) = call(&client, &gzip, framed(ASKED)).await;
        assert_eq!((status.as_str(), &answer[5..7]), ("0", &[8, 1][..]));
        assert_eq!(left(&greeted).await, 4);
    })
    .await;
}

#[tokio::test]
async fn a_call_that_is_taken_back_leaves_the_connection_and_the_counters_as_they_were() {
    run(async {
        let (client, greeted) = Line::open().greeted(65_535).await;
        // Not so many that the connection is taken for an attack.
        for _ in 0..10 {
            let (response, mut sending) = begin(&client, &[]).await;
            let asked = framed(ASKED);
            sending.send_data(asked.slice(..9), false).unwrap();
            tokio::task::yield_now().await;
            sending.send_reset(h2::Reason::CANCEL);
            assert!(response.await.is_err());
        }
        assert!(passes(&client).await);
        assert_eq!(left(&greeted).await, 4);
        let errors = greeted.fixture.grpc.service.metrics.encode();
        assert!(
            errors.contains("errors_total{protocol=\"grpc\"} 0"),
            "{errors}"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_message_does_not_come_is_ended_and_others_go_on_meanwhile() {
    run(async {
        let (client, _greeted) = Line::open().greeted(65_535).await;
        let (response, mut sending) = begin(&client, &[]).await;
        sending.send_data(framed(ASKED).slice(..9), false).unwrap();
        assert!(passes(&client).await);
        let (status, _) = ended(response.await.unwrap()).await;
        assert_eq!(status, "4");
        assert!(passes(&client).await);
    })
    .await;
}

#[tokio::test]
async fn a_call_that_has_begun_when_the_service_stops_is_answered_and_then_the_connection_ends() {
    run(async {
        let (client, greeted) = Line::open().greeted(65_535).await;
        let (response, mut sending) = begin(&client, &[]).await;
        let asked = framed(ASKED);
        sending.send_data(asked.slice(..9), false).unwrap();
        assert!(passes(&client).await);
        greeted.stop.send(true).unwrap();
        while client.clone().ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
        sending.send_data(asked.slice(9..), true).unwrap();
        let (status, answer) = ended(response.await.unwrap()).await;
        assert_eq!((status.as_str(), &answer[5..7]), ("0", &[8, 1][..]));
        drop(client);
        greeted.served.await.unwrap();
        greeted.closed.await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_does_not_greet_is_let_go() {
    run(async {
        let mut line = Line::open();
        line.client.write_all(b"PRI * HT").await.unwrap();
        let mut told = Vec::new();
        let _ = line.client.read_to_end(&mut told).await;
        line.served.await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_is_let_go_and_who_does_stays() {
    run(async {
        // A greeting and empty settings: nobody is there who would answer a ping.
        let mut line = Line::open();
        let greeting = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        line.client.write_all(greeting).await.unwrap();
        let mut told = Vec::new();
        let _ = line.client.read_to_end(&mut told).await;
        line.served.await.unwrap();
        const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0";
        assert!(told.windows(PING.len()).any(|frame| frame == PING));

        let (client, _greeted) = Line::open().greeted(65_535).await;
        tokio::time::sleep(Duration::from_secs(500)).await;
        assert!(passes(&client).await);
    })
    .await;
}

#[tokio::test]
async fn a_stream_goes_on_until_its_client_takes_it_back() {
    run(async {
        let (client, greeted) = Line::open().greeted(65_535).await;
        // A stream that goes on waits for the service to stop.
        let waiting = || greeted.stop.receiver_count();
        assert!(passes(&client).await);
        let before = waiting();
        let uri = "http://d/grpc.health.v1.Health/Watch";
        let request = Request::post(uri).header("content-type", "application/grpc");
        let mut ready = client.clone().ready().await.unwrap();
        let watch = ready.send_request(request.body(()).unwrap(), false);
        let (response, mut sending) = watch.unwrap();
        sending.send_data(framed(b""), true).unwrap();
        let mut body = response.await.unwrap().into_body();
        let serving = body.data().await.unwrap().unwrap();
        assert_eq!(serving, framed(&[8, 1]));
        assert!(passes(&client).await);
        assert!(waiting() > before, "it goes on");
        sending.send_reset(h2::Reason::CANCEL);
        assert!(passes(&client).await);
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(waiting(), before, "it goes on for nobody");
    })
    .await;
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused_and_the_connection_goes_on() {
    run(async {
        let (client, _greeted) = Line::open().greeted(65_535).await;
        let long = "v".repeat(20 << 10);
        let (response, mut sending) = begin(&client, &[("x", &long)]).await;
        let _ = sending.send_data(framed(ASKED), true);
        let response = response.await;
        assert!(response.is_err() || response.is_ok_and(|r| r.status() == 431));
        assert!(passes(&client).await);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_makes_no_room_does_not_hold_the_stop() {
    run(async {
        let (client, greeted) = Line::open().greeted(0).await;
        let watch = Request::post("http://d/grpc.health.v1.Health/Watch");
        let watch = watch.header("content-type", "application/grpc");
        let mut client = client.ready().await.unwrap();
        let (response, mut sending) = client.send_request(watch.body(()).unwrap(), false).unwrap();
        sending.send_data(framed(b""), true).unwrap();
        let _unread = response.await.unwrap();
        greeted.stop.send(true).unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(5), greeted.served).await;
        ended.expect("it holds the stop").unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_is_no_call_of_grpc_is_refused_and_charges_nothing() {
    run(async {
        let (client, greeted) = Line::open().greeted(65_535).await;
        let before = left(&greeted).await;
        for (method, media_type) in [
            ("POST", Some("text/plain")),
            ("POST", Some("application/json")),
            ("POST", None),
            ("GET", Some("application/grpc")),
        ] {
            let mut request = Request::builder().method(method).uri(METHOD);
            if let Some(media_type) = media_type {
                request = request.header("content-type", media_type);
            }
            let mut ready = client.clone().ready().await.unwrap();
            let sent = ready.send_request(request.body(()).unwrap(), false);
            let (response, mut sending) = sent.unwrap();
            let _ = sending.send_data(framed(ASKED), true);
            assert_eq!(response.await.unwrap().status(), 415, "{method}");
        }
        assert_eq!(left(&greeted).await, before);
        assert!(passes(&client).await);
    })
    .await;
}

#[tokio::test]
async fn a_question_of_health_has_only_so_many_bytes() {
    run(async {
        let (client, _greeted) = Line::open().greeted(65_535).await;
        let uri = "http://d/grpc.health.v1.Health/Check";
        let asked = async |bytes: usize| {
            let request = Request::post(uri).header("content-type", "application/grpc");
            let mut ready = client.clone().ready().await.unwrap();
            let sent = ready.send_request(request.body(()).unwrap(), false);
            let (response, mut sending) = sent.unwrap();
            // An unknown field of so many bytes.
            let mut message = vec![0x7a];
            prost::encoding::encode_varint(bytes as u64, &mut message);
            message.resize(message.len() + bytes, 0);
            sending.send_data(framed(&message), true).unwrap();
            match response.await {
                Ok(response) => ended(response).await.0,
                Err(_) => "reset".to_owned(),
            }
        };
        assert_eq!(asked(1_000).await, "0");
        assert_ne!(asked(40_000).await, "0");
        assert!(passes(&client).await);
    })
    .await;
}
