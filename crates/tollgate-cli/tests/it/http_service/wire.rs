//! Requests as they come over a connection: together, in pieces, framed wrongly, and refused before they are whole.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;

/// A question of one unit, with these fields.
fn question(user: &str, fields: &str) -> String {
    let body = per_user(user, 1).to_string();
    let length = body.len();
    format!(
        "POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
    )
}

fn in_chunks(user: &str) -> String {
    let body = per_user(user, 1).to_string();
    let (first, second) = body.split_at(7);
    format!(
        "POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
         7;a=b\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\nx: y\r\n\r\n",
        second.len()
    )
}

#[test]
fn requests_that_come_together_are_answered_in_their_order() {
    let service = Service::usual();
    let mut connection = Connection::open(service.address);
    let nothing = "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n".to_owned();
    let one = || question("ann", "");
    let together = [one(), in_chunks("ann"), nothing, in_chunks("ann"), one()];
    connection.write(together.concat()).unwrap();
    let answers = [(); 5].map(|()| connection.answer());
    let told = answers.map(|answer| (answer.status, answer.json()["remaining"].as_u64()));
    let left = |remaining| (200, Some(remaining));
    assert_eq!(told, [left(4), left(3), (404, None), left(2), left(1)]);

    // However the bytes are cut, the connection keeps its place in them.
    let bytes = [one(), in_chunks("bob"), question("bob", "")].concat();
    for piece in bytes.as_bytes().chunks(11) {
        connection.write(piece).unwrap();
    }
    let answers = [(); 3].map(|()| connection.answer());
    let told = answers.map(|answer| answer.json()["remaining"].as_u64().unwrap());
    assert_eq!(told, [0, 4, 3]);
}

#[test]
fn a_request_that_can_be_read_in_two_ways_ends_its_connection() {
    let service = Service::usual();
    let behind = question("ann", "");
    let chunked = "Transfer-Encoding: chunked\r\n";
    let refused = [
        question("ann", "Content-Length: 1\r\n"),
        question("ann", chunked),
        question("ann", "Transfer-Encoding: gzip\r\n"),
        question("ann", "Content-Length : 1\r\n"),
        question("ann", "Host: y\r\n"),
        question("ann", "").replace("Host: x\r\n", ""),
        in_chunks("ann").replace("7;a=b", "x"),
        in_chunks("ann").replace("7;a=b\r\n", "7;a=b\n"),
        in_chunks("ann").replace("7;a=b", "6"),
        in_chunks("ann").replace("HTTP/1.1", "HTTP/1.0"),
    ];
    for bytes in refused {
        let (answer, mut rest) = raw(service.address, format!("{bytes}{behind}")).unwrap();
        let told = (answer.status, answer.expect("connection"));
        assert_eq!(told, (400, "close"), "{bytes}");
        assert_eq!(answer.expect("content-type"), "application/problem+json");
        assert!(rest.is_closed_by_peer(), "{bytes}: more was answered");
    }
    assert_eq!(service.remaining("per-user", "ann"), 5);
}

#[test]
fn a_head_that_is_too_large_or_too_slow_ends_its_connection() {
    let rules = format!("[server]\nheader_timeout_s = 5\n{RULES}");
    let service = Service::start(launch().rules(&rules));
    let long = format!("x-long: {}\r\n", "a".repeat(20_000));
    let many = "x: y\r\n".repeat(101);
    for fields in [long, many] {
        let (answer, mut rest) = raw(service.address, question("ann", &fields)).unwrap();
        assert_eq!(answer.status, 431);
        assert!(rest.is_closed_by_peer());
    }
    let mut slow = Connection::open(service.address);
    slow.write("POST /v1/check HTTP/1.1\r\nHost:").unwrap();
    assert!(slow.is_closed_by_peer());
    assert_eq!(service.remaining("per-user", "ann"), 5);
}

/// What comes next over a connection, up to an empty line.
fn next_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

#[test]
fn a_client_is_told_to_send_its_body_where_the_body_is_wanted() {
    let service = Service::usual();
    let whole = question("ann", "Expect: 100-continue\r\n");
    let (head, body) = whole.split_at(whole.find('{').unwrap());
    let mut stream = TcpStream::connect(service.address).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(next_head(&mut stream), "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body.as_bytes()).unwrap();
    assert!(next_head(&mut stream).starts_with("HTTP/1.1 200 OK\r\n"));

    // Who sends the body with the head needs no word.
    let mut stream = TcpStream::connect(service.address).unwrap();
    stream.write_all(whole.as_bytes()).unwrap();
    assert!(next_head(&mut stream).starts_with("HTTP/1.1 200 OK\r\n"));

    let refused = head.replace("/v1/check", "/nothing");
    let mut stream = TcpStream::connect(service.address).unwrap();
    stream.write_all(refused.as_bytes()).unwrap();
    let answer = next_head(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
}

#[test]
fn what_is_refused_before_its_body_was_read_is_answered_all_the_same() {
    let service = Service::usual();
    let large = " ".repeat(300_000);
    for (path, media_type, status) in [
        ("/nothing", "application/json", 404),
        ("/v1/check", "text/plain", 415),
        ("/v1/check", "application/json", 413),
    ] {
        let call = Call::post(path).body(media_type, large.clone());
        let mut connection = Connection::open(service.address);
        let answer = call.over(&mut connection);
        let told = (answer.status, answer.expect("connection"));
        assert_eq!(told, (status, "close"), "{path}");
        assert!(connection.is_closed_by_peer(), "{path}");
    }
    // One that came whole leaves the connection as it was.
    let mut connection = Connection::open(service.address);
    connection
        .write(question("ann", "").replace("/v1/check", "/nothing"))
        .unwrap();
    assert_eq!(connection.answer().status, 404);
    connection.write(question("ann", "")).unwrap();
    assert_eq!(connection.answer().status, 200);
}

#[test]
fn a_connection_is_kept_as_its_client_has_it() {
    let service = Service::usual();
    let old = question("ann", "").replace("HTTP/1.1", "HTTP/1.0");
    let (answer, mut rest) = raw(service.address, &old).unwrap();
    assert_eq!((answer.status, answer.expect("connection")), (200, "close"));
    assert!(rest.is_closed_by_peer());
    // HTTP/1.0 needs no `Host`.
    let kept = old.replace("Host: x", "Connection: keep-alive");
    let (answer, mut rest) = raw(service.address, &kept).unwrap();
    assert_eq!(answer.expect("connection"), "keep-alive");
    let last = question("ann", "Connection: close\r\n");
    rest.write(last).unwrap();
    assert_eq!(rest.answer().expect("connection"), "close");
    assert!(rest.is_closed_by_peer());

    // An answer to HEAD has the fields alone.
    let mut connection = Connection::open(service.address);
    for _ in 0..2 {
        connection
            .write("HEAD /v1/limits HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        let answer = connection.answer_to("HEAD");
        assert_eq!((answer.status, answer.expect("allow")), (405, "GET"));
    }
    connection.write(question("bob", "")).unwrap();
    let answer = connection.answer();
    assert_eq!((answer.status, answer.field("connection")), (200, None));
    assert!(answer.expect("date").ends_with(" GMT"));
}

#[test]
fn a_whole_url_is_as_good_as_its_path() {
    let service = Service::usual();
    let whole = question("ann", "")
        .replace("/v1/check", "http://limits.internal/v1/check?status=200")
        .replace("Host: x", "Host: limits.internal");
    let (answer, _) = raw(service.address, &whole).unwrap();
    assert_eq!(
        (answer.status, &answer.json()["remaining"]),
        (200, &json!(4))
    );
    // A path in the query is none.
    let other = whole.replace("l/v1/check?status=200", "l?x=/v1/check");
    let (answer, _) = raw(service.address, other).unwrap();
    assert_eq!(answer.status, 404);
}
