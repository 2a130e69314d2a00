//! Requests that mean nothing, or two things at once: refused, never forwarded, never charged, never a 5xx.

mod clients;
mod credentials;
mod framing;

use tollgate_testkit::client::{Call, Connection, raw};
use tollgate_testkit::gateway::Gateway;
use tollgate_testkit::upstream::Upstream;

use crate::support::{launch, rate_limit};

const HOST: &str = "host: x\r\n";

/// A limited proxy, and the upstream that nothing bad may reach. Each test has its own: what is shared by all would
/// outlive them.
fn proxy() -> (Gateway, Upstream) {
    let upstream = Upstream::recording();
    let rules = format!(
        "[server]\nbody_bytes_max = 1000\n\
         [[routes]]\nmatch = \"/{{*rest}}\"\nlimits = [\"1000 per minute\"]\nupstream = \"{}\"\n",
        upstream.url()
    );
    (launch().rules(&rules).start(), upstream)
}

/// Sends these bytes; the status of the answer, and the connection.
fn sent(gateway: &Gateway, bytes: &[u8]) -> (u16, Connection) {
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
    let (answer, connection) =
        raw(gateway.address(), bytes).unwrap_or_else(|error| panic!("{error}: {shown:?}"));
    (answer.status, connection)
}

/// A gateway of one's own, where nothing may reach the upstream and nothing may be charged.
fn refuses(cases: &[(&str, u16)]) {
    let upstream = Upstream::recording();
    let gateway = launch()
        .upstream(&upstream.url())
        .limit("9 per minute")
        .start();
    for (bytes, expected) in cases {
        let (status, _) = sent(&gateway, bytes.as_bytes());
        assert_eq!(status, *expected, "{:?}", &bytes[..bytes.len().min(200)]);
    }
    let reached = upstream.received();
    assert!(reached.is_empty(), "{reached:?}");
    let answer = gateway.get("/");
    let (left, _) = rate_limit(&answer).into_values().next().unwrap();
    assert_eq!(
        (answer.status, left),
        (200, 8),
        "it lives, and nothing was charged"
    );
}

#[test]
fn a_head_that_breaks_the_grammar_is_400() {
    refuses(&[
        ("GET / HTTP/1.1\r\nhost: x\r\n folded: 1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: x\r\nna me: 1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: x\r\nname : 1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: x\r\nn: a\0b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: x\r\nn: a\rb\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: x\r\nnonsense\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: x\r\n: 1\r\n\r\n", 400),
        ("GET /a b HTTP/1.1\r\nhost: x\r\n\r\n", 400),
        ("GET / HTTP/3.0\r\nhost: x\r\n\r\n", 400),
        ("G@T / HTTP/1.1\r\nhost: x\r\n\r\n", 400),
        (
            "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}\r\n\r\n",
            400,
        ),
        ("nonsense\r\n\r\n", 400),
    ]);
}

#[test]
fn a_request_names_one_host_and_its_line_agrees() {
    refuses(&[
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a, b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost:\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a/b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: u@a\r\n\r\n", 400),
        ("GET http://other/ HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        ("CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n", 400),
        ("TRACE / HTTP/1.1\r\nhost: a\r\n\r\n", 405),
        ("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", 204),
    ]);
}

#[test]
fn a_path_that_servers_read_differently_is_400() {
    let paths = [
        "/a%2Fb",
        "/a%2fb",
        "/a%5Cb",
        "/a\\b",
        "/a;b",
        "/a%3Bb",
        "/a%00",
        "/a%0d%0aX:%20y",
        "/a%0A",
        "/a%7F",
        "/%zz",
        "/%",
        "/%4",
        "/%c0%ae",
        "/%ff",
        "/..",
        "/a/../..",
        "/%2e%2e/",
    ];
    let cases: Vec<String> = paths
        .iter()
        .map(|path| format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"))
        .collect();
    let cases: Vec<(&str, u16)> = cases.iter().map(|bytes| (bytes.as_str(), 400)).collect();
    refuses(&cases);
}

#[test]
fn what_is_too_large_is_431_414_or_413_and_costs_no_memory() {
    let fields = |count: usize| {
        (0..count)
            .map(|n| format!("x-{n}: 1\r\n"))
            .collect::<String>()
    };
    let (gateway, upstream) = &proxy();
    let before = upstream.count();
    let long = "x".repeat(64 << 10);
    let longer = "x".repeat(1 << 20);
    for (bytes, expected) in [
        (
            format!("GET / HTTP/1.1\r\n{HOST}{}\r\n", fields(101)),
            &[431][..],
        ),
        (format!("GET / HTTP/1.1\r\n{HOST}x: {long}\r\n\r\n"), &[431]),
        (
            format!("GET / HTTP/1.1\r\n{HOST}{long}: x\r\n\r\n"),
            &[431, 400],
        ),
        (
            format!(
                "GET / HTTP/1.1\r\n{HOST}cookie: {}\r\n\r\n",
                "a=b; ".repeat(20_000)
            ),
            &[431],
        ),
        (format!("GET /{longer} HTTP/1.1\r\n{HOST}\r\n"), &[414, 431]),
        (format!("{long} / HTTP/1.1\r\n{HOST}\r\n"), &[400, 431]),
        (
            format!("POST / HTTP/1.1\r\n{HOST}content-length: 1001\r\n\r\n"),
            &[413],
        ),
        (
            format!("POST / HTTP/1.1\r\n{HOST}content-length: 9223372036854775807\r\n\r\n"),
            &[413],
        ),
    ] {
        let (status, _) = sent(gateway, bytes.as_bytes());
        assert!(
            expected.contains(&status),
            "{status} for {:?}",
            &bytes[..80]
        );
    }
    assert_eq!(upstream.count(), before);
    let at_most = Call::post("/").body("text/plain", "x".repeat(1_000));
    assert_eq!(gateway.call(&at_most).status, 200);
    assert_eq!(
        gateway
            .call(&Call::get("/").field("x", &"x".repeat(8_000)))
            .status,
        200
    );
}

#[test]
fn nothing_that_was_sent_made_the_gateway_panic_or_answer_500() {
    let upstream = Upstream::recording();
    let mut gateway = launch()
        .upstream(&upstream.url())
        .limit("100000 per minute")
        .start();
    let mut random = tollgate_testkit::Random::new();
    let whole = b"POST /a/b?c=d HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\naccept: text/html\r\ncookie: session=x; a=b\r\n\r\nhello";
    let mut answered = 0;
    for _ in 0..1_500 {
        let mut bytes = whole.to_vec();
        for _ in 0..1 + random.below(3) {
            let at = random.below(bytes.len() as u64) as usize;
            match random.below(4) {
                0 => bytes[at] = random.below(256) as u8,
                1 if bytes.len() > 1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, b"\r\n\0 :;%/\\\xff"[random.below(10) as usize]),
                _ => bytes.truncate(at.max(1)),
            }
        }
        // An end of what is sent, so that a request that lacks something is not waited for.
        let mut connection = Connection::open(gateway.address());
        connection.write(&bytes).unwrap();
        connection.finish();
        if let Ok(answer) = connection.try_answer_to("POST") {
            assert!(
                answer.status < 500 || answer.status == 502,
                "{} for {:?}",
                answer.status,
                String::from_utf8_lossy(&bytes)
            );
            answered += 1;
        }
    }
    assert!(answered > 500, "{answered} of 1,500 were answered");
    assert_eq!(gateway.get("/").status, 200);
    let log = gateway.process().log();
    assert!(!log.contains("panicked"), "{log}");
}
