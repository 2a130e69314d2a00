//! What calls hold while they wait, and callers that do not read their answers.

use std::time::Duration;

use bytes::{BufMut, Bytes};
use futures_util::future::{join_all, poll_immediate, select_all};
use h2::SendStream;
use h2::client::{ResponseFuture, SendRequest};
use http::Request;
use tokio::time::Instant;

use super::super::peer::{CALL_BYTES, HELD_BYTES_MAX};
use super::far::{A_DAY, Distant, fixture};
use super::line::{ASKED, Line, begin, call, ended, framed, passes, run};
use super::*;

/// So much of a message that does not come whole.
const PART: usize = 60_000;
/// Calls with that, as many as a connection may have.
const PARTS: usize = HELD_BYTES_MAX / (CALL_BYTES + PART);

/// Questions whose answers together are longer than what is on its way to a client that does not read.
const ASKS: usize = 150;

/// A call of which so many bytes come, and no more.
async fn begin_with(
    client: &SendRequest<Bytes>,
    bytes: usize,
) -> (ResponseFuture, SendStream<Bytes>) {
    let (response, mut sending) = begin(client, &[]).await;
    sending.send_data(unfinished(bytes), false).unwrap();
    (response, sending)
}

fn unfinished(bytes: usize) -> Bytes {
    let mut begun = vec![0];
    begun.put_u32(200_000);
    begun.resize(bytes, b'v');
    begun.into()
}

#[tokio::test]
async fn messages_that_do_not_come_whole_take_so_much_of_a_connection_and_others_go_on() {
    run(async {
        let (client, _greeted) = Line::open().greeted(65_535).await;
        let (mut responses, mut sendings) = (Vec::new(), Vec::new());
        for _ in 0..=PARTS {
            let (response, sending) = begin_with(&client, PART).await;
            responses.push(response);
            sendings.push(sending);
        }
        let (first, refused, rest) = select_all(responses).await;
        assert_eq!(ended(first.unwrap()).await.0, "8");
        assert!(passes(&client).await, "what comes whole holds nothing");
        drop(sendings.remove(refused));
        for mut sending in sendings {
            sending.send_reset(h2::Reason::CANCEL);
        }
        drop(rest);
        assert!(passes(&client).await);
        // What they held is given back.
        let mut again = Vec::new();
        for _ in 0..PARTS {
            again.push(begin_with(&client, PART).await);
        }
        assert_eq!(in_two_parts(&client).await, "0");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn calls_of_which_nothing_comes_but_their_heads_take_of_a_connection_too() {
    run(async {
        const HEADS: usize = 900;
        let (client, _greeted) = Line::open().greeted(65_535).await;
        let mut heads = Vec::new();
        for _ in 0..HEADS {
            heads.push(begin(&client, &[]).await);
        }
        let fit = (HELD_BYTES_MAX - HEADS * CALL_BYTES) / (CALL_BYTES + PART);
        let (mut responses, mut sendings) = (Vec::new(), Vec::new());
        for _ in 0..=fit {
            let (response, sending) = begin_with(&client, PART).await;
            responses.push(response);
            sendings.push(sending);
        }
        let (refused, _, _) = select_all(responses).await;
        assert_eq!(ended(refused.unwrap()).await.0, "8");
        assert!(passes(&client).await, "what comes whole holds nothing");
    })
    .await;
}

/// The status of a call that holds something until its end has come.
async fn in_two_parts(client: &SendRequest<Bytes>) -> String {
    let (response, mut sending) = begin(client, &[]).await;
    let asked = framed(ASKED);
    sending.send_data(asked.slice(..9), false).unwrap();
    tokio::task::yield_now().await;
    sending.send_data(asked.slice(9..), true).unwrap();
    ended(response.await.unwrap()).await.0
}

#[tokio::test(start_paused = true)]
async fn messages_that_wait_for_a_store_take_so_much_of_a_connection() {
    run(async {
        let line = Line::to(fixture(Arc::new(Distant(Duration::from_millis(10))), A_DAY));
        let (client, _greeted) = line.greeted(65_535).await;
        // With an unknown field, and yet in one frame.
        let mut message = ASKED.to_vec();
        message.extend_from_slice(&[0x7a, 0x80, 0x7d]);
        message.resize(message.len() + 16_000, 0);
        let asked = framed(&message);
        let most = HELD_BYTES_MAX / (CALL_BYTES + message.len());
        let calls = (0..=most).map(|_| call(&client, &[], asked.clone()));
        let ended = join_all(calls).await;
        let of = |code: &str| ended.iter().filter(|(status, _)| status == code).count();
        assert_eq!((of("8"), of("0")), (1, ended.len() - 1));
    })
    .await;
}

#[tokio::test]
async fn streams_of_health_which_need_no_token_are_bounded_and_take_nothing_from_calls() {
    run(async {
        let (client, _greeted) = Line::open().greeted(65_535).await;
        let mut watches = Vec::new();
        for _ in 0..257 {
            let watch = Request::post("http://d/grpc.health.v1.Health/Watch");
            let watch = watch.header("content-type", "application/grpc").body(());
            let mut ready = client.clone().ready().await.unwrap();
            let (response, mut sending) = ready.send_request(watch.unwrap(), false).unwrap();
            sending.send_data(framed(b""), true).unwrap();
            watches.push(response.await.unwrap());
        }
        let refused = watches
            .iter()
            .map(|watch| watch.headers().get("grpc-status"));
        let refused: Vec<_> = refused.flatten().collect();
        assert_eq!(refused, ["8"; 257 - 32], "all behind the first 32");
        assert_eq!(in_two_parts(&client).await, "0");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_an_answer_is_let_go_though_pings_are_answered() {
    run(async {
        let (client, greeted) = Line::open().greeted(0).await;
        let asked = Instant::now();
        let (response, mut sending) = begin(&client, &[]).await;
        sending.send_data(framed(ASKED), true).unwrap();
        let _unread = response.await.unwrap();
        greeted.served.await.unwrap();
        let took = asked.elapsed();
        let limit = greeted.fixture.grpc.service.write_timeout();
        assert!((limit..2 * limit).contains(&took), "{took:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_holds_all_that_a_connection_may_and_does_not_read_is_let_go_at_once() {
    run(async {
        let (client, greeted) = Line::open().greeted(0).await;
        let mut begun = Vec::new();
        for _ in 0..PARTS {
            begun.push(begin_with(&client, PART).await);
        }
        let rest = HELD_BYTES_MAX % (CALL_BYTES + PART) - CALL_BYTES;
        begun.push(begin_with(&client, rest).await);
        // All that is on its way arrives before a timer fires.
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(!greeted.served.is_finished());
        let asked = Instant::now();
        let (_response, mut sending) = begin(&client, &[]).await;
        sending.send_data(framed(ASKED), true).unwrap();
        greeted.served.await.unwrap();
        assert!(asked.elapsed() < Duration::from_secs(1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_a_stream_is_sent_and_does_not_read_is_bounded_whatever_it_says_it_has_room_for() {
    run(async {
        let Line {
            client,
            served,
            fixture,
            stop: _goes_on,
        } = Line::open();
        let mut builder = h2::client::Builder::new();
        let most = (1 << 31) - 1;
        builder.initial_window_size(most);
        builder.initial_connection_window_size(most);
        let (client, mut connection) = builder.handshake::<_, Bytes>(client).await.unwrap();
        let _response = asks_of_reflection(client).await;
        // It sends that, and nobody looks at what comes.
        for _ in 0..3 {
            assert!(poll_immediate(&mut connection).await.is_none());
        }
        let limit = fixture.grpc.service.write_timeout();
        let in_time = tokio::time::timeout(limit + Duration::from_secs(1), served);
        in_time.await.expect("it keeps all of it").unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_reads_is_sent_all_of_a_long_answer() {
    run(async {
        let (client, _greeted) = Line::open().greeted((1 << 31) - 1).await;
        let (response, mut sending) = asks_of_reflection(client).await;
        sending.send_data(Bytes::new(), true).unwrap();
        let (status, answers) = ended(response.await.unwrap()).await;
        assert_eq!(status, "0");
        assert!(answers.len() > 100_000, "{}", answers.len());
    })
    .await;
}

async fn asks_of_reflection(client: SendRequest<Bytes>) -> (ResponseFuture, SendStream<Bytes>) {
    let path = "http://d/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let request = Request::post(path).header("content-type", "application/grpc");
    let mut client = client.ready().await.unwrap();
    let request = request.body(()).unwrap();
    let (response, mut sending) = client.send_request(request, false).unwrap();
    // For the file with this symbol.
    let mut asked = b"\x22\x2b".to_vec();
    asked.extend_from_slice(b"envoy.service.ratelimit.v3.RateLimitService");
    let asked = framed(&asked).repeat(ASKS);
    sending.send_data(asked.into(), false).unwrap();
    (response, sending)
}
