//! Requests that mean nothing, or two things at once: refused, never forwarded, never charged, never a 5xx.

use serde_json::json;
use tollgate_testkit::client::{Call, Connection, raw};
use tollgate_testkit::gateway::Gateway;
use tollgate_testkit::upstream::Upstream;

use crate::support::{PASSWORD, join, launch, new_key, preset, rate_limit};

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

/// As [`sent`], and whether the gateway then closes the connection.
fn ended(gateway: &Gateway, bytes: &[u8]) -> (u16, bool) {
    let (status, mut connection) = sent(gateway, bytes);
    (status, connection.is_closed_by_peer())
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

#[test]
fn a_credential_that_is_sent_twice_is_400_and_names_no_secret() {
    let gateway = preset("random-number");
    let ann = join(&gateway, "ann");
    let key = new_key(&gateway, "ann", &[]);
    let token = format!("Bearer {}", ann.token);
    for call in [
        ann.get("/call_api").field("authorization", &token),
        ann.get("/call_api").field("Authorization", "Bearer other"),
        key.get("/call_api").field("x-api-key", &key.secret),
        key.get("/call_api").bearer(&ann.token),
        ann.with_cookie(ann.with_cookie(Call::get("/call_api"))),
        Call::get("/call_api").field("cookie", &format!("session=x; session={}", ann.session)),
    ] {
        let answer = gateway.call(&call);
        assert_eq!(answer.status, 400, "{call:?}");
        for secret in [&ann.token, &ann.session, &key.secret] {
            assert!(!answer.text().contains(secret.as_str()));
        }
    }
    let left = gateway.call(&ann.get("/see_remaining_limits")).json();
    assert_eq!(left["minute"]["used"], 0);
}

#[test]
fn credentials_of_every_bad_shape_are_refused_as_credentials() {
    let gateway = preset("random-number");
    let ann = join(&gateway, "ann");
    let parts: Vec<&str> = ann.token.split('.').collect();
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let shapes = [
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}.{}.{}.x", parts[0], parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], parts[1], &parts[2][1..]),
        format!("{}=", ann.token),
        "a.b.c".to_owned(),
        "...".to_owned(),
        "'; DROP TABLE sessions; --".to_owned(),
        "x".repeat(9_000),
    ];
    for shape in shapes {
        let answer = gateway.call(&Call::get("/call_api").bearer(&shape));
        assert_eq!(answer.status, 403, "{shape}");
        assert_eq!(
            answer.json()["type"],
            crate::support::BAD_CREDENTIALS,
            "{shape}"
        );
    }
    let binary = gateway.call(&Call::get("/call_api").field("x-api-key", "tg_\u{e9}"));
    assert_eq!(binary.status, 403);
    assert_eq!(gateway.call(&ann.get("/call_api")).status, 200);
}

#[test]
fn bodies_that_a_form_cannot_read_are_4xx_and_repeat_nothing() {
    let gateway = preset("random-number");
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let nested = format!("{{\"username\":{deep},\"password\":\"{PASSWORD}\"}}");
    let cases: [(&str, Vec<u8>, u16); 12] = [
        ("application/json", b"".to_vec(), 400),
        ("application/json", b"{".to_vec(), 400),
        ("application/json", b"null".to_vec(), 400),
        ("application/json", b"[1,2]".to_vec(), 400),
        (
            "application/json",
            b"{\"username\":\"\\ud800\",\"password\":\"x\"}".to_vec(),
            400,
        ),
        ("application/json", b"\xff\xfe".to_vec(), 400),
        ("application/json", nested.into_bytes(), 400),
        ("application/json", vec![b' '; 70_000], 413),
        (
            "application/x-www-form-urlencoded",
            b"username=%zz&password=%ff".to_vec(),
            422,
        ),
        (
            "text/plain",
            b"username=ann&password=secret-word".to_vec(),
            400,
        ),
        ("multipart/form-data; boundary=x", b"--x--".to_vec(), 400),
        ("", b"username=ann&password=secret-word".to_vec(), 400),
    ];
    for (content_type, body, expected) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let answer = gateway.call(&Call::post("/signup").body(content_type, body));
        assert_eq!(answer.status, expected, "{content_type} {shown}");
        assert!(!answer.text().contains("secret-word") && answer.body.len() < 4_096);
    }
    let get_with_body = Call::get("/see_remaining_limits").body("text/plain", "x");
    assert_eq!(gateway.call(&get_with_body).status, 403);
}

#[test]
fn names_that_would_be_code_elsewhere_are_stored_as_names_and_shown_as_text() {
    let gateway = preset("random-number");
    for (number, name) in [
        "<script>alert(1)</script>",
        "'; DROP TABLE users; --",
        "=cmd|'/C calc'!A0",
        "élodie ☃",
        "a\"b&c",
        "${jndi:ldap://x}",
    ]
    .into_iter()
    .enumerate()
    {
        let person = join(&gateway, name);
        let left = gateway.call(&person.get("/see_remaining_limits"));
        assert_eq!(left.json()["user"], json!(name));
        let page = gateway.call(&person.with_cookie(Call::get("/").browser()));
        assert_eq!(page.status, 200);
        assert!(
            !page.text().contains("<script>alert"),
            "it is markup on a page"
        );
        assert!(number > 10 || gateway.call(&person.get("/call_api")).status == 200);
    }
}

#[test]
fn a_request_that_another_site_makes_a_browser_send_changes_nothing() {
    let gateway = preset("random-number");
    let ann = join(&gateway, "ann");
    for fields in [
        [("sec-fetch-site", "cross-site")],
        [("origin", "http://evil.example")],
        [("origin", "null")],
    ] {
        let call = fields
            .iter()
            .fold(Call::post("/logout"), |call, (name, value)| {
                call.field(name, value)
            });
        assert_eq!(
            gateway.call(&ann.with_cookie(call)).status,
            403,
            "{fields:?}"
        );
        let call = fields
            .iter()
            .fold(Call::post("/login"), |call, (name, value)| {
                call.field(name, value)
            });
        let answer = gateway.call(&call.form(&[("username", "ann"), ("password", PASSWORD)]));
        assert_eq!(
            (answer.status, answer.cookie("session")),
            (403, None),
            "{fields:?}"
        );
    }
    assert_eq!(
        gateway
            .call(&ann.with_cookie(Call::get("/see_remaining_limits")))
            .status,
        200
    );
    let own = Call::post("/logout").field("origin", &format!("http://{}", gateway.address()));
    assert_eq!(gateway.call(&ann.with_cookie(own)).status, 204);
}

#[test]
fn a_client_that_never_ends_its_head_is_cut_off_while_others_are_served() {
    let upstream = Upstream::recording();
    let rules = format!(
        "[server]\nheader_timeout_s = 1\nread_timeout_s = 1\n[[routes]]\nmatch = \"/{{*rest}}\"\nupstream = \"{}\"\n",
        upstream.url()
    );
    let gateway = launch().rules(&rules).start();
    let mut slow: Vec<Connection> = (0..50)
        .map(|_| Connection::open(gateway.address()))
        .collect();
    for connection in &mut slow {
        connection
            .write("GET / HTTP/1.1\r\nhost: x\r\nx-slow: ")
            .unwrap();
    }
    let mut silent = Connection::open(gateway.address());
    silent
        .write(format!(
            "POST / HTTP/1.1\r\n{HOST}content-length: 10\r\n\r\nhalf"
        ))
        .unwrap();
    assert_eq!(gateway.get("/").status, 200);
    for connection in &mut slow {
        let answer = connection.try_answer_to("GET").map(|answer| answer.status);
        assert!(answer.is_err() || answer.is_ok_and(|status| status == 408));
    }
    let answer = silent.try_answer_to("POST").map(|answer| answer.status);
    assert!(
        answer
            .as_ref()
            .is_ok_and(|status| [400, 408, 504].contains(status)),
        "{answer:?}"
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

#[test]
fn one_address_holds_only_so_many_connections_and_others_are_served() {
    let gateway = launch()
        .rules("[server]\nconnections_per_address_max = 10\n[[routes]]\nmatch = \"GET /\"\nrespond = { text = \"x\" }\n")
        .start();
    let mut held: Vec<Connection> = (0..10)
        .map(|_| Connection::open(gateway.address()))
        .collect();
    for connection in &mut held {
        assert_eq!(Call::get("/").over(connection).status, 200);
    }
    let refused = Call::get("/").try_send(gateway.address());
    assert!(refused.is_err(), "{refused:?}");
    let elsewhere = Call::get("/").from(std::net::Ipv4Addr::new(127, 0, 0, 2));
    assert_eq!(gateway.call(&elsewhere).status, 200);
    drop(held);
    tollgate_testkit::process::eventually("a place to be free again", || {
        Call::get("/").try_send(gateway.address()).ok()
    });
}
