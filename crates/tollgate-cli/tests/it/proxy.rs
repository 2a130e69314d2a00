//! A proxy: what goes on to the upstream, what comes back, and what stays here.

mod limits;

use std::io;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use serde_json::json;
use tollgate_testkit::client::{Answer, Call, Connection};
use tollgate_testkit::process::{eventually, free_address};
use tollgate_testkit::upstream::Upstream;

use crate::support::{launch, open_proxy, rate_limit};

#[test]
fn fields_of_one_hop_stay_on_it_in_both_directions() {
    let upstream = Upstream::answering(
        "200 OK",
        "connection: x-hop, keep-alive\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nproxy-authenticate: Basic\r\n\
         upgrade: h2c\r\nx-end: 1\r\n",
        "x",
    );
    let gateway = open_proxy(&upstream.url());
    let call = Call::get("/")
        .field("connection", "x-hop, x-forwarded-for, x-request-id, host")
        .field("x-hop", "1")
        .field("keep-alive", "timeout=5")
        .field("proxy-authorization", "Basic YTpi")
        .field("proxy-connection", "keep-alive")
        .field("te", "trailers")
        .field("upgrade", "websocket")
        .field("x-end", "1");
    let mut connection = Connection::open(gateway.address());
    let answer = call.over(&mut connection);
    assert_eq!(answer.status, 200);
    let received = upstream.last();
    let hop = [
        "connection",
        "x-hop",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "proxy-authenticate",
        "te",
        "trailer",
        "upgrade",
        "transfer-encoding",
    ];
    for name in hop {
        assert_eq!(received.field(name), None, "to the upstream");
    }
    // Nobody takes away what the gateway says.
    assert_eq!(received.field("x-forwarded-for"), Some("127.0.0.1"));
    assert!(received.field("x-request-id").is_some() && received.field("host").is_some());
    assert_eq!(received.field("x-end"), Some("1"));
    for name in ["x-hop", "keep-alive", "proxy-authenticate", "upgrade"] {
        assert_eq!(answer.field(name), None, "to the client");
    }
    assert_eq!(answer.field("x-end"), Some("1"));
}

#[test]
fn an_answer_streams_through_as_it_comes() {
    let (next, wanted) = channel::<&'static str>();
    let wanted = Mutex::new(wanted);
    let upstream = Upstream::scripted(move |exchange| {
        exchange.body()?;
        exchange.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: text/event-stream\r\n\r\n")?;
        let wanted = wanted.lock().unwrap();
        while let Ok(part) = wanted.recv() {
            exchange.write(format!("{:x}\r\n{part}\r\n", part.len()))?;
        }
        exchange.write("0\r\n\r\n")
    });
    let gateway = open_proxy(&upstream.url());
    let mut connection = Connection::open(gateway.address());
    connection.send(&Call::get("/"));
    assert_eq!(connection.head().unwrap().status, 200);
    for part in ["one", "two", "three"] {
        // Each part is there before the next is even written.
        next.send(part).unwrap();
        assert_eq!(connection.chunk().unwrap(), part.as_bytes());
    }
    drop(next);
    assert_eq!(connection.chunk().unwrap(), b"");
}

#[test]
fn a_request_streams_through_as_it_comes() {
    let (seen, parts) = channel::<Vec<u8>>();
    let seen = Mutex::new(seen);
    let upstream = Upstream::scripted(move |exchange| {
        loop {
            let part = exchange.part()?;
            seen.lock().unwrap().send(part.clone()).unwrap();
            if part.is_empty() {
                return exchange.answer("200 OK", "", "thanks");
            }
        }
    });
    let gateway = open_proxy(&upstream.url());
    let mut connection = Connection::open(gateway.address());
    connection
        .write("POST /up HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        .unwrap();
    for part in ["one", "two", "three"] {
        connection
            .write(format!("{:x}\r\n{part}\r\n", part.len()))
            .unwrap();
        assert_eq!(
            parts
                .recv_timeout(std::time::Duration::from_secs(10))
                .unwrap(),
            part.as_bytes()
        );
    }
    connection.write("0\r\n\r\n").unwrap();
    let answer = connection.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "thanks"));
}

#[test]
fn a_large_body_passes_whole_in_both_directions() {
    let upstream = Upstream::scripted(|exchange| {
        let body = exchange.body()?;
        exchange.write(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
            body.len()
        ))?;
        exchange.write(body)
    });
    let gateway = open_proxy(&upstream.url());
    let body: Vec<u8> = (0..3_000_000_u32).map(|byte| (byte % 251) as u8).collect();
    let answer = gateway.call(&Call::post("/").body("application/octet-stream", body.clone()));
    assert_eq!(answer.status, 200);
    assert!(answer.body == body, "{} bytes came back", answer.body.len());
}

#[test]
fn an_upstream_that_refuses_resets_or_speaks_nonsense_is_502() {
    let closed = open_proxy(&format!("http://{}", free_address()));
    let resetting = Upstream::resetting();
    let nonsense = Upstream::saying("SSH-2.0-OpenSSH_9.2\r\n\r\n");
    let closing = Upstream::saying("");
    let endless = Upstream::saying(format!(
        "HTTP/1.1 200 OK\r\nx: {}\r\n\r\n",
        "x".repeat(2 << 20)
    ));
    let twice =
        Upstream::saying("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab");
    let gateways = [&resetting, &nonsense, &closing, &endless, &twice]
        .map(|upstream| open_proxy(&upstream.url()));
    // As `tollgate_upstream_errors_total` calls them.
    let why = [
        "unreachable",
        "closed",
        "malformed",
        "closed",
        "malformed",
        "malformed",
    ];
    for (mut gateway, why) in [closed].into_iter().chain(gateways).zip(why) {
        let answer = gateway.get("/x");
        assert_eq!(answer.status, 502);
        assert_eq!(answer.expect("content-type"), "application/problem+json");
        let body = answer.json();
        assert_eq!(
            (&body["status"], &body["instance"]),
            (&json!(502), &json!("/x"))
        );
        assert_eq!(body["request_id"], answer.expect("x-request-id"));
        assert!(
            !answer.text().contains("127.0.0.1"),
            "where the upstream is stays here"
        );
        eventually("the log to say why", || {
            let log = gateway.process().log();
            let says = |line: &str| line.contains("upstream_error") && line.contains(why);
            log.lines().any(says).then_some(())
        });
    }
}

#[test]
fn at_level_debug_the_log_has_the_words_of_the_system_too() {
    for level in ["info", "debug"] {
        let mut gateway = launch()
            .upstream(&format!("http://{}", free_address()))
            .option("--log-level", level)
            .start();
        assert_eq!(gateway.get("/x").status, 502);
        // They are written before the request's own line is.
        let log = eventually("the request's line", || {
            let log = gateway.process().log();
            log.contains("upstream_error").then_some(log)
        });
        assert_eq!(
            log.contains("Connection refused"),
            level == "debug",
            "{log}"
        );
    }
}

#[test]
fn an_upstream_that_hangs_is_504_after_the_time_that_the_rules_give_it() {
    let upstream = Upstream::hanging();
    let rules = format!(
        "[server]\nread_timeout_s = 1\n[[routes]]\nmatch = \"/{{*rest}}\"\nlimits = [\"1 per minute\"]\nupstream = \"{}\"\n",
        upstream.url()
    );
    let gateway = launch().rules(&rules).start();
    let answer = gateway.call(&Call::post("/x").body("text/plain", "body"));
    assert_eq!(
        (answer.status, &answer.json()["status"]),
        (504, &json!(504))
    );
    // It was charged when it was let through, and says so.
    assert_eq!(
        rate_limit(&answer).into_values().next(),
        Some((0, Some(60)))
    );
    eventually("the upstream to have read it", || {
        (upstream.count() > 0).then_some(())
    });
    assert_eq!(
        upstream.count(),
        1,
        "what may have had an effect is not repeated"
    );
}

#[test]
fn an_answer_that_breaks_off_breaks_off_for_the_client_as_well() {
    let upstream = Upstream::saying("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort");
    let gateway = open_proxy(&upstream.url());
    let mut connection = Connection::open(gateway.address());
    connection.send(&Call::get("/"));
    let broken: io::Result<Answer> = connection.try_answer_to("GET");
    assert!(
        broken.is_err_and(|error| error.kind() == io::ErrorKind::UnexpectedEof),
        "half an answer passed as a whole"
    );
}

#[test]
fn connections_to_the_upstream_are_kept_and_one_that_was_closed_is_replaced_unseen() {
    let upstream = Upstream::recording();
    let gateway = open_proxy(&upstream.url());
    let mut connection = Connection::open(gateway.address());
    for _ in 0..20 {
        assert_eq!(Call::get("/").over(&mut connection).status, 200);
    }
    assert_eq!((upstream.count(), upstream.connections()), (20, 1));

    let fickle = Upstream::scripted(|exchange| {
        let body = exchange.body()?;
        exchange.close();
        exchange.answer("200 OK", "", &String::from_utf8_lossy(&body))
    });
    let gateway = open_proxy(&fickle.url());
    let mut connection = Connection::open(gateway.address());
    for number in 0..20 {
        let text = format!("number {number}");
        let answer = Call::post("/")
            .body("text/plain", text.clone())
            .over(&mut connection);
        assert_eq!((answer.status, answer.text()), (200, text));
        // A request that is on its way when the other end closes is lost, for any proxy: this is about the next one.
        eventually("the upstream to close", || {
            (fickle.closed() == number + 1).then_some(())
        });
    }
    assert_eq!(fickle.count(), 20, "nothing was sent twice");
}

#[test]
fn what_is_forwarded_is_what_was_matched() {
    let upstream = Upstream::recording();
    let url = upstream.url();
    let gateway = launch()
        .rules(&format!(
            "[[routes]]\nmatch = \"/Admin/users\"\nlimits = [\"4 per minute by global\"]\nupstream = \"{url}\"\n\
             [[routes]]\nmatch = \"/moved/{{*rest}}\"\nupstream = \"{url}/base\"\n\
             [[routes]]\nmatch = \"/{{*rest}}\"\nupstream = \"{url}\"\n"
        ))
        .start();
    let spellings = [
        "/Admin/users",
        "//admin//users",
        "/%41dmin/users/?q=%2e%2e/",
        "/x/../ADMIN/./users",
    ];
    for spelling in spellings {
        assert_eq!(gateway.get(spelling).status, 200);
        let target = upstream.last().target;
        assert_eq!(target.split('?').next(), Some("/Admin/users"), "{spelling}");
    }
    for spelling in spellings
        .into_iter()
        .chain(["/admin/users/", "/admin/users/."])
    {
        assert_eq!(
            gateway.get(spelling).status,
            429,
            "{spelling} is another limit's"
        );
    }
    for refused in [
        "/admin%2Fusers",
        "/admin%5cusers",
        "/Admin/users;x=1",
        "/admin/users%00",
        "/admin/%zz",
        "/../admin/users",
    ] {
        let answer = gateway.get(refused);
        assert_eq!(answer.status, 400, "{refused}");
    }
    assert_eq!(upstream.count(), 4);
    // A query goes on as it is; a path of the upstream's URL stands in place of the literal part.
    gateway.get("/other/a%20b?x=%2F&y=a+b&&=;");
    assert_eq!(upstream.last().target, "/other/a%20b?x=%2F&y=a+b&&=;");
    gateway.get("/MOVED/a/b?x=1");
    assert_eq!(upstream.last().target, "/base/a/b?x=1");
    gateway.get("/moved");
    assert_eq!(upstream.last().target, "/base");
}

#[test]
fn another_methods_name_in_a_field_changes_nothing() {
    let upstream = Upstream::recording();
    let url = upstream.url();
    let gateway = launch()
        .rules(&format!(
            "[[routes]]\nmatch = \"GET /a\"\nupstream = \"{url}\"\n"
        ))
        .start();
    let trick = Call::post("/a")
        .field("x-http-method-override", "GET")
        .field("x-method-override", "GET");
    let answer = gateway.call(&trick);
    assert_eq!(
        (answer.status, answer.expect("allow")),
        (405, "GET, HEAD, OPTIONS")
    );
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_client_that_goes_away_ends_its_call_to_the_upstream() {
    let (gone, told) = channel::<bool>();
    let (here, arrived) = channel::<()>();
    let (gone, here) = (Mutex::new(gone), Mutex::new(here));
    let patience = std::time::Duration::from_secs(60);
    let upstream = Upstream::scripted(move |exchange| {
        exchange.body()?;
        here.lock().unwrap().send(()).unwrap();
        let closed = exchange.is_closed_by_peer();
        gone.lock().unwrap().send(closed).unwrap();
        Ok(())
    });
    let gateway = open_proxy(&upstream.url());
    let mut connection = Connection::open(gateway.address());
    connection.send(&Call::get("/"));
    arrived.recv_timeout(patience).unwrap();
    drop(connection);
    let closed = told.recv_timeout(patience);
    assert_eq!(closed, Ok(true), "the upstream works for nobody");
}

#[test]
fn an_upstreams_own_failure_goes_through_as_it_is() {
    let upstream = Upstream::answering(
        "503 Service Unavailable",
        "retry-after: 7\r\nx-own: 1\r\n",
        "theirs",
    );
    let gateway = launch()
        .upstream(&upstream.url())
        .limit("5 per minute")
        .start();
    let answer = gateway.get("/");
    assert_eq!((answer.status, answer.text().as_str()), (503, "theirs"));
    assert_eq!(
        (answer.retry_after(), answer.field("x-own")),
        (Some(7), Some("1"))
    );
    assert_eq!(rate_limit(&answer).len(), 1, "and it was charged");
}
