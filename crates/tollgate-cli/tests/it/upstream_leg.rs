//! The connection to an upstream: kept, lost, cut short, slow, and answering before it has read.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use tollgate_testkit::client::{Call, Connection, raw};
use tollgate_testkit::upstream::Upstream;

use crate::support::{launch, open_proxy};

#[test]
fn interim_answers_of_an_upstream_end_in_one_final_answer() {
    let early = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
    let final_answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let upstream = Upstream::saying(early.repeat(50) + final_answer);
    let gateway = open_proxy(&upstream.url());
    let mut connection = Connection::open(gateway.address());
    let answer = Call::get("/").over(&mut connection);
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    let switching = Upstream::saying("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\nraw");
    let gateway = open_proxy(&switching.url());
    let answer = gateway.call(
        &Call::get("/")
            .field("connection", "upgrade")
            .field("upgrade", "x"),
    );
    assert_eq!(answer.status, 502, "nobody asked to switch");
}

/// One that answers the first request of each connection, and closes on the second without a word.
fn forgetful() -> Upstream {
    let met = Mutex::new(HashSet::new());
    Upstream::scripted(move |exchange| {
        exchange.body()?;
        if met.lock().unwrap().insert(exchange.request.connection) {
            exchange.write("HTTP/1.1 204 No Content\r\n\r\n")
        } else {
            exchange.close();
            Ok(())
        }
    })
}

#[test]
fn a_harmless_request_lost_on_a_kept_connection_is_sent_over_a_new_one() {
    let upstream = forgetful();
    let gateway = open_proxy(&upstream.url());
    let mut connection = Connection::open(gateway.address());
    for method in ["GET", "GET", "HEAD", "GET"] {
        connection.send(&Call::new(method, "/"));
        assert_eq!(connection.answer_to(method).status, 204);
    }
    assert_eq!((upstream.connections(), upstream.count()), (4, 7));
}

#[test]
fn a_request_that_may_have_had_an_effect_is_never_sent_twice() {
    for call in [
        Call::post("/").body("text/plain", "once"),
        Call::new("DELETE", "/"),
        Call::get("/").body("text/plain", "once"),
    ] {
        let upstream = forgetful();
        let gateway = open_proxy(&upstream.url());
        let mut connection = Connection::open(gateway.address());
        assert_eq!(call.over(&mut connection).status, 204);
        assert_eq!(call.over(&mut connection).status, 502);
        assert_eq!(upstream.count(), 2, "{call:?}");
    }
}

#[test]
fn a_connection_serves_again_only_behind_an_answer_that_ends_where_it_says() {
    let ok = "content-length: 2\r\n\r\nok";
    for (answer, kept) in [
        (format!("HTTP/1.1 200 OK\r\n{ok}"), true),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nx: y\r\n\r\n"
                .to_owned(),
            true,
        ),
        (format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n{ok}"), true),
        (format!("HTTP/1.1 200 OK\r\n{ok}HTTP/1.1 200 OK\r\n{ok}"), false),
        (format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{ok}"), false),
        (format!("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n{ok}"), false),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
                .to_owned(),
            false,
        ),
    ] {
        let bytes = answer.clone();
        let upstream = Upstream::scripted(move |exchange| {
            exchange.body()?;
            exchange.write(&bytes)
        });
        let gateway = open_proxy(&upstream.url());
        let mut connection = Connection::open(gateway.address());
        for _ in 0..5 {
            let answer = Call::get("/").over(&mut connection);
            assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
        }
        let connections = if kept { 1 } else { 5 };
        assert_eq!(upstream.connections(), connections, "{answer:?}");
    }
}

#[test]
fn an_answer_is_the_same_if_it_comes_byte_by_byte() {
    let whole = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 Fine\r\nX-One: 1\r\ntransfer-encoding: chunked\r\n\r\n\
                 5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n";
    let upstream = Upstream::scripted(move |exchange| {
        exchange.body()?;
        whole
            .as_bytes()
            .chunks(1)
            .try_for_each(|byte| exchange.write(byte))
    });
    let gateway = open_proxy(&upstream.url());
    let mut connection = Connection::open(gateway.address());
    for _ in 0..3 {
        let answer = Call::get("/").over(&mut connection);
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello!"));
        assert_eq!(answer.expect("x-one"), "1");
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn an_answer_that_ends_with_its_connection_is_whole_and_one_that_is_cut_short_is_not() {
    let until_close = Upstream::saying("HTTP/1.1 200 OK\r\n\r\nall of it");
    let gateway = open_proxy(&until_close.url());
    assert_eq!(gateway.get("/").text(), "all of it");
    for cut in [
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nno size\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello, longer\r\n0\r\n\r\n",
    ] {
        let upstream = Upstream::saying(cut);
        let gateway = open_proxy(&upstream.url());
        let mut connection = Connection::open(gateway.address());
        connection.send(&Call::get("/"));
        let answer = connection.try_answer_to("GET");
        assert!(answer.is_err(), "{cut:?} passed as a whole: {answer:?}");
    }
}

#[test]
fn a_head_that_two_servers_could_read_differently_is_502() {
    let interim = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1_000);
    for bytes in [
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nx".to_owned(),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, identity\r\n\r\nx".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 2, 3\r\n\r\nok".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length : 2\r\n\r\nok".to_owned(),
        "HTTP/1.1 200 OK\r\nx: 1\r\n folded\r\ncontent-length: 2\r\n\r\nok".to_owned(),
        "HTTP/1.1 200 OK\r\nx: 1".to_owned(),
        format!("{interim}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(101)),
    ] {
        let upstream = Upstream::saying(bytes.clone());
        let answer = open_proxy(&upstream.url()).get("/");
        assert_eq!(answer.status, 502, "{:?}", &bytes[..bytes.len().min(80)]);
    }
}

#[test]
fn an_answer_may_come_and_stream_while_the_request_is_still_being_sent() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        loop {
            let part = exchange.part()?;
            exchange.write(format!("{:x}\r\n", part.len()))?;
            exchange.write([&part[..], b"\r\n"].concat())?;
            if part.is_empty() {
                return Ok(());
            }
        }
    });
    let gateway = open_proxy(&upstream.url());
    let mut connection = Connection::open(gateway.address());
    for _ in 0..2 {
        connection
            .write("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
            .unwrap();
        assert_eq!(connection.head().unwrap().status, 200);
        for part in ["one", "two", "three"] {
            connection
                .write(format!("{:x}\r\n{part}\r\n", part.len()))
                .unwrap();
            assert_eq!(connection.chunk().unwrap(), part.as_bytes());
        }
        connection.write("0\r\n\r\n").unwrap();
        assert_eq!(connection.chunk().unwrap(), b"");
    }
    assert_eq!(upstream.connections(), 2, "it was not sent whole in time");
}

#[test]
fn a_refusal_while_the_body_is_being_sent_reaches_the_client() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.part()?;
        exchange.close();
        exchange.answer("413 Content Too Large", "", "enough")
    });
    let gateway = open_proxy(&upstream.url());
    let mut connection = Connection::open(gateway.address());
    connection
        .write("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4000000\r\n\r\nbegun")
        .unwrap();
    let answer = connection.answer();
    assert_eq!((answer.status, answer.text().as_str()), (413, "enough"));
}

#[test]
fn neither_side_has_to_read_before_the_other_may_write() {
    const BYTES: usize = 6_000_000;
    let upstream = Upstream::scripted(|exchange| {
        exchange.write(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
            BYTES + 1
        ))?;
        exchange.write(vec![b'a'; BYTES])?;
        exchange.body()?;
        exchange.write("!")
    });
    let gateway = open_proxy(&upstream.url());
    let mut writing = TcpStream::connect(gateway.address()).unwrap();
    let mut reading = writing.try_clone().unwrap();
    let timeout = Some(Duration::from_secs(20));
    reading.set_read_timeout(timeout).unwrap();
    writing.set_write_timeout(timeout).unwrap();
    let sent = std::thread::spawn(move || {
        let head = format!(
            "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {BYTES}\r\n\r\n"
        );
        writing.write_all(head.as_bytes()).unwrap();
        writing.write_all(&vec![b'b'; BYTES]).unwrap();
        writing
    });
    let mut answer = Vec::new();
    reading.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert!(answer.ends_with(&[vec![b'a'; BYTES], vec![b'!']].concat()));
    sent.join().unwrap();
    assert_eq!(upstream.last().body.len(), BYTES);
}

#[test]
fn a_client_that_reads_nothing_lets_the_upstream_go_after_the_time_out() {
    let (gone, noticed) = channel();
    let gone = Mutex::new(gone);
    let upstream = Upstream::scripted(move |exchange| {
        exchange.body()?;
        exchange.write("HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n")?;
        let written = exchange.write(vec![b'a'; 99_999_999]);
        let _ = gone.lock().unwrap().send(written.is_err());
        written
    });
    let gateway = launch()
        .rules(&format!(
            "[server]\nread_timeout_s = 1\n[[routes]]\nmatch = \"/{{*rest}}\"\nupstream = \"{}\"\n",
            upstream.url()
        ))
        .start();
    let mut deaf = Connection::open(gateway.address());
    deaf.send(&Call::get("/"));
    let broken_off = noticed.recv_timeout(Duration::from_secs(60));
    assert_eq!(broken_off, Ok(true));
}

/// Of a time-out of ten seconds each wait takes more than half.
#[test]
fn the_wait_for_a_head_is_not_charged_to_the_body() {
    let (nap, naps) = (Duration::from_millis(5_500), Mutex::new(channel::<()>()));
    let upstream = Upstream::scripted(move |exchange| {
        // Nobody ever says anything: a wait with an end.
        let wait = || naps.lock().unwrap().1.recv_timeout(nap).is_err();
        exchange.body()?;
        assert!(wait());
        exchange.write("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")?;
        assert!(wait());
        exchange.write("hello")
    });
    let gateway = launch()
        .rules(&format!(
            "[server]\nread_timeout_s = 10\n[[routes]]\nmatch = \"/{{*rest}}\"\nupstream = \"{}\"\n",
            upstream.url()
        ))
        .start();
    let answer = gateway.call(&Call::get("/"));
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
}

#[test]
fn who_is_silent_within_a_body_is_told_so() {
    let upstream = Upstream::hanging();
    let gateway = launch()
        .rules(&format!(
            "[server]\nread_timeout_s = 1\n[[routes]]\nmatch = \"/{{*rest}}\"\nupstream = \"{}\"\n",
            upstream.url()
        ))
        .start();
    let half = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf";
    let (answer, _) = raw(gateway.address(), half).unwrap();
    assert_eq!(answer.status, 408);
    let broken = "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nno size\r\n";
    let (answer, _) = raw(gateway.address(), broken).unwrap();
    assert_eq!(answer.status, 400);
}
