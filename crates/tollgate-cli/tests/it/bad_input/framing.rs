//! What breaks HTTP's framing: where a body ends, and what may stand behind it.

use tollgate_testkit::client::Connection;
use tollgate_testkit::gateway::Gateway;
use tollgate_testkit::upstream::Upstream;

use super::{HOST, proxy, sent};
use crate::support::{launch, rate_limit};

/// As [`sent`], and whether the gateway then closes the connection.
fn ended(gateway: &Gateway, bytes: &[u8]) -> (u16, bool) {
    let (status, mut connection) = sent(gateway, bytes);
    (status, connection.is_closed_by_peer())
}

/// What an attacker wants to be read as a request of its own.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n";

#[test]
fn a_body_whose_length_cannot_be_told_is_400_and_the_connection_ends() {
    let upstream = Upstream::recording();
    let gateway = launch()
        .upstream(&upstream.url())
        .limit("9 per minute")
        .start();
    let framings = [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: 5, 6\r\n",
        "content-length: +5\r\n",
        "content-length: 5 5\r\n",
        "content-length: -1\r\n",
        "content-length: 0x5\r\n",
        "content-length: 18446744073709551616\r\n",
        "content-length:\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: identity\r\n",
        "transfer-encoding: chunked, gzip\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked, chunked\r\n",
        "transfer-encoding : chunked\r\n",
        "transfer-encoding:\u{b}chunked\r\n",
    ];
    for framing in framings {
        let bytes = format!("POST / HTTP/1.1\r\n{HOST}{framing}\r\n0\r\n\r\n{SMUGGLED}");
        let (status, mut connection) = sent(&gateway, bytes.as_bytes());
        assert_eq!(status, 400, "{framing:?}");
        let next = connection.try_answer_to("GET");
        assert!(
            next.is_err(),
            "what follows {framing:?} is read as a request"
        );
    }
    assert_eq!(upstream.count(), 0);
    let left = rate_limit(&gateway.get("/"))
        .into_values()
        .next()
        .unwrap()
        .0;
    assert_eq!(left, 8, "nothing was charged");
}

/// RFC 9112, section 6.3: chunked overrides the length, and the connection ends. hyper takes the length away before
/// anybody sees it, so this is what can be promised; a plain 400 cannot.
#[test]
fn a_length_beside_chunks_is_ignored_never_forwarded_and_the_connection_ends() {
    for framing in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        "content-length: 0\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 60\r\n",
    ] {
        let upstream = Upstream::recording();
        let gateway = launch().upstream(&upstream.url()).start();
        let bytes =
            format!("POST / HTTP/1.1\r\n{HOST}{framing}\r\n3\r\nabc\r\n0\r\n\r\n{SMUGGLED}");
        let (status, mut connection) = sent(&gateway, bytes.as_bytes());
        assert!([200, 400].contains(&status), "{framing:?}: {status}");
        let next = connection.try_answer_to("GET");
        assert!(
            next.is_err(),
            "what follows {framing:?} is read as a request"
        );
        let received = upstream.received();
        assert_eq!(received.len(), usize::from(status == 200), "{received:?}");
        for received in received {
            assert_eq!(received.body, b"abc");
            assert!(
                received
                    .field("content-length")
                    .is_none_or(|length| length == "3")
            );
        }
    }
}

#[test]
fn chunks_that_are_none_end_the_connection_and_nothing_after_them_is_a_request() {
    let (gateway, upstream) = &proxy();
    for chunks in [
        "-1\r\nx\r\n",
        "0x5\r\nhello\r\n",
        "zz\r\n",
        "10000000000000000\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "\r\n\r\n",
    ] {
        let bytes = format!(
            "POST /chunks HTTP/1.1\r\n{HOST}transfer-encoding: chunked\r\n\r\n{chunks}{SMUGGLED}"
        );
        // The upstream may have seen the beginning of the request, but it never sees its end.
        let mut connection = Connection::open(gateway.address());
        connection.write(bytes).unwrap();
        let answers: Vec<u16> = std::iter::from_fn(|| connection.try_answer_to("GET").ok())
            .map(|answer| answer.status)
            .take(5)
            .collect();
        assert!(answers.len() <= 1, "{chunks:?}: {answers:?}");
        assert!(
            answers.iter().all(|status| (400..=502).contains(status)),
            "{chunks:?}: {answers:?}"
        );
    }
    assert!(
        upstream
            .received()
            .iter()
            .all(|received| received.target != "/smuggled")
    );
}

#[test]
fn a_streamed_body_is_413_when_it_turns_out_to_be_too_large() {
    let (gateway, _upstream) = &proxy();
    let chunk = format!("64\r\n{}\r\n", "x".repeat(100));
    for (chunks, expected) in [(10, 200), (11, 413), (1_000, 413)] {
        let bytes = format!(
            "POST / HTTP/1.1\r\n{HOST}transfer-encoding: chunked\r\n\r\n{}0\r\n\r\n",
            chunk.repeat(chunks)
        );
        let (status, _) = sent(gateway, bytes.as_bytes());
        assert_eq!(status, expected, "{chunks} chunks of 100 bytes");
    }
}

#[test]
fn the_body_of_a_denied_request_is_never_read_as_the_next_request() {
    let upstream = Upstream::recording();
    let gateway = launch()
        .upstream(&upstream.url())
        .limit("1 per minute")
        .start();
    assert_eq!(gateway.get("/first").status, 200);
    let inner = "GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n";
    let bytes = format!(
        "POST / HTTP/1.1\r\n{HOST}content-length: {}\r\n\r\n{inner}",
        inner.len()
    );
    let mut connection = Connection::open(gateway.address());
    // Denied at once, and then a request of its own on the same connection if it is still there.
    for _ in 0..3 {
        if connection.write(&bytes).is_err() {
            break;
        }
        match connection.try_answer_to("POST") {
            Ok(answer) => assert_eq!(answer.status, 429),
            Err(_) => break,
        }
    }
    gateway.advance(60.0);
    assert_eq!(gateway.get("/last").status, 200);
    let targets: Vec<String> = upstream
        .received()
        .into_iter()
        .map(|received| received.target)
        .collect();
    assert_eq!(targets, ["/first", "/last"]);
}

#[test]
fn pipelined_requests_are_answered_in_order_and_each_is_charged() {
    let upstream = Upstream::recording();
    let gateway = launch()
        .upstream(&upstream.url())
        .limit("2 per minute")
        .start();
    let mut connection = Connection::open(gateway.address());
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    connection
        .write([one("/1"), one("/2"), one("/3")].concat())
        .unwrap();
    let answers: Vec<u16> = (0..3).map(|_| connection.answer().status).collect();
    assert_eq!(answers, [200, 200, 429]);
}

#[test]
fn a_transfer_encoding_in_http_1_0_is_refused_and_a_plain_1_0_request_is_served_once() {
    let (gateway, _upstream) = &proxy();
    let bytes = format!("POST / HTTP/1.0\r\n{HOST}transfer-encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_eq!(ended(gateway, bytes.as_bytes()), (400, true));
    assert_eq!(ended(gateway, b"GET /old HTTP/1.0\r\n\r\n"), (200, true));
}

#[test]
fn an_upgrade_goes_nowhere_and_no_early_bytes_reach_the_upstream() {
    let upstream = Upstream::recording();
    let gateway = launch().upstream(&upstream.url()).start();
    let bytes = "GET /chat HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nEARLY BYTES\r\n\r\n";
    let mut connection = Connection::open(gateway.address());
    connection.write(bytes).unwrap();
    assert_eq!(
        connection.answer().status,
        200,
        "answered as the plain request that it is"
    );
    let received = upstream.received();
    assert_eq!(received.len(), 1);
    assert!(received[0].field("upgrade").is_none() && received[0].body.is_empty());
}
