use super::*;

const BYTES_MAX: usize = 8 << 10;

fn parse(text: &str) -> Result<Option<Head>, HeadError> {
    Head::parse(text.as_bytes(), BYTES_MAX)
}

#[test]
fn a_head_is_the_same_wherever_it_is_cut() {
    let text =
        "POST /v1/check?a=b HTTP/1.1\r\nHost: x\r\nCONTENT-length: 7\r\nx-a: 1\r\nX-A: 2\r\n\r\n";
    for at in 0..text.len() {
        assert!(parse(&text[..at]).unwrap().is_none(), "{at}");
        assert!(may_end(text.as_bytes(), at), "{at}");
        assert!(at == 0 || !may_end(&text.as_bytes()[..at], 1), "{at}");
    }
    let read = format!("{text}{{\"body\"");
    let head = parse(&read).unwrap().unwrap();
    assert_eq!((head.bytes, head.framing), (text.len(), Framing::Length(7)));
    assert_eq!(head.method, Method::POST);
    assert!(head.keeps_alive && !head.is_old && !head.expects_continue);
    let request = Request {
        head: &head,
        read: read.as_bytes(),
    };
    assert_eq!(
        (request.path(), request.query()),
        ("/v1/check", Some("a=b"))
    );
    assert_eq!(request.fields("x-a").collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!(request.field("x-b"), None);
    let map = request.header_map();
    assert_eq!((map.len(), &map["x-a"]), (4, &"1".parse().unwrap()));
}

#[test]
fn a_target_is_a_path_or_a_whole_url() {
    for (target, path, query) in [
        ("/", "/", None),
        ("/a?", "/a", Some("")),
        ("/a://b/c?d?e", "/a://b/c", Some("d?e")),
        ("http://host:80/a?b", "/a", Some("b")),
        ("http://host", "/", None),
        ("HTTPS://host/a", "/a", None),
        ("http://h?x=/v1/reset", "/", Some("x=/v1/reset")),
        (
            "http://h?u=http://x/v1/check",
            "/",
            Some("u=http://x/v1/check"),
        ),
        (
            "http://h/a?u=http://x/v1/check",
            "/a",
            Some("u=http://x/v1/check"),
        ),
        ("*", "*", None),
    ] {
        let authority = target.split(['/', '?']).nth(2).unwrap_or_default();
        let host = match target.starts_with('/') {
            true => "x",
            false => authority,
        };
        let read = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n");
        let head = parse(&read).unwrap().unwrap();
        let request = Request {
            head: &head,
            read: read.as_bytes(),
        };
        assert_eq!((request.path(), request.query()), (path, query), "{target}");
    }
    for target in [
        "foo?u=http://x/v1/check",
        "foo",
        "?a=b",
        "*/v1/check",
        "host:443",
        "ftp://host/v1/check",
        "http:/v1/check",
        "http://",
        "http:///v1/check",
        "http://?/v1/check",
        "http://host#/v1/check",
    ] {
        let refused = parse(&format!("GET {target} HTTP/1.1\r\nhost: host\r\n\r\n"));
        let status = refused.map(|_| ()).map_err(|error| error.status);
        assert_eq!(status, Err(StatusCode::BAD_REQUEST), "{target}");
    }
}

#[test]
fn a_connection_is_kept_as_its_version_and_its_options_have_it() {
    for (version, connection, kept) in [
        ("1.1", "", true),
        ("1.1", "connection: x, Close\r\n", false),
        (
            "1.1",
            "connection: close\r\nconnection: keep-alive\r\n",
            false,
        ),
        ("1.0", "", false),
        ("1.0", "connection: Keep-Alive\r\n", true),
        ("1.0", "connection: keep-alive, close\r\n", false),
    ] {
        let read = format!("GET / HTTP/{version}\r\nhost: x\r\n{connection}\r\n");
        let head = parse(&read).unwrap().unwrap();
        assert_eq!(head.keeps_alive, kept, "{version} {connection}");
        assert_eq!(head.is_old, version == "1.0");
    }
}

#[test]
fn a_head_that_can_be_read_in_two_ways_is_refused() {
    for fields in [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: 5\r\nContent-Length: 5\r\n",
        "content-length: 5, 5\r\n",
        "content-length: +5\r\n",
        "content-length: -5\r\n",
        "content-length: 5 5\r\n",
        "content-length:\r\n",
        "content-length: 0x5\r\n",
        "content-length: 18446744073709551616\r\n",
        "transfer-encoding: gzip\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding:\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "content-length : 5\r\n",
        "x: 1\r\n folded\r\n",
        "x: \u{0}\r\n",
        "x: a\rb\r\n",
        "no field\r\n",
        ": 1\r\n",
    ] {
        let refused = parse(&format!("POST / HTTP/1.1\r\nhost: x\r\n{fields}\r\n"));
        let status = refused.map(|_| ()).map_err(|error| error.status);
        assert_eq!(status, Err(StatusCode::BAD_REQUEST), "{fields:?}");
    }
    for start in [
        "GET / HTTP/3.0",
        "GET /",
        "G@T / HTTP/1.1",
        "GET /a b HTTP/1.1",
        "PRI * HTTP/2.0",
        "HTTP/1.1 200 OK",
        "{\"limit\":1}",
    ] {
        let refused = parse(&format!("{start}\r\nhost: x\r\n\r\n"));
        let status = refused.map(|_| ()).map_err(|error| error.status);
        assert_eq!(status, Err(StatusCode::BAD_REQUEST), "{start}");
    }
    let old = parse("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n");
    assert!(old.is_err());
}

#[test]
fn a_line_of_a_head_ends_with_cr_and_lf() {
    for text in [
        "POST / HTTP/1.1\nhost: x\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: x\n\r\n",
        "POST / HTTP/1.1\r\nhost: x\r\n\n",
        "POST / HTTP/1.1\nhost: x\n\n",
        "\nPOST / HTTP/1.1\r\nhost: x\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: x\r\nx: a\ntransfer-encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: x\r\nx: a\ncontent-length: 5\r\n\r\n",
    ] {
        let end = text.len();
        assert!(may_end(text.as_bytes(), end - 1), "it is told at once");
        let refused = parse(text).map(|head| head.is_some());
        let status = refused.map_err(|error| error.status);
        assert_eq!(status, Err(StatusCode::BAD_REQUEST), "{text:?}");
    }
    // What is behind the head is no line of it, and an empty line before it is none (RFC 9112, section 2.2).
    let body = parse("\r\nPOST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\na\nb\n");
    assert!(body.unwrap().is_some());
}

#[test]
fn a_request_names_one_host_which_is_that_of_its_url() {
    for (target, version, fields, taken) in [
        ("/", "1.1", "Host: x\r\n", true),
        ("/", "1.1", "Host: [::1]:80\r\n", true),
        ("/", "1.1", "Host:\r\n", true),
        ("/", "1.1", "", false),
        ("/", "1.1", "Host: x\r\nhost: x\r\n", false),
        ("/", "1.1", "Host:\r\nhost: x\r\n", false),
        ("/", "1.1", "Host: a, b\r\n", false),
        ("/", "1.1", "Host: a b\r\n", false),
        ("/", "1.1", "Host: u@a\r\n", false),
        ("/", "1.1", "Host: a/b\r\n", false),
        ("/", "1.0", "", true),
        ("/", "1.0", "Host: x\r\nhost: x\r\n", false),
        ("http://a:80/", "1.1", "Host: A:80\r\n", true),
        ("http://a:80/", "1.1", "Host: a\r\n", false),
        ("http://a/", "1.1", "Host: b\r\n", false),
        ("http://a/", "1.1", "Host:\r\n", false),
        ("http://u@a/", "1.1", "Host: u@a\r\n", false),
        ("http://u@a/", "1.1", "Host: a\r\n", false),
        ("http://a/", "1.0", "", true),
        ("http://a/", "1.0", "Host: b\r\n", false),
    ] {
        let parsed = parse(&format!("GET {target} HTTP/{version}\r\n{fields}\r\n"));
        let status = parsed
            .map(|head| head.is_some())
            .map_err(|error| error.status);
        let expected = match taken {
            true => Ok(true),
            false => Err(StatusCode::BAD_REQUEST),
        };
        assert_eq!(status, expected, "{target} {version} {fields:?}");
    }
}

#[test]
fn a_head_has_a_bound_however_it_grows() {
    let too_large = Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let status = |text: &str| {
        parse(text)
            .map(|head| head.is_some())
            .map_err(|error| error.status)
    };
    let fields = |count| {
        format!(
            "GET / HTTP/1.1\r\nhost: x\r\n{}\r\n",
            "x: y\r\n".repeat(count - 1)
        )
    };
    assert_eq!(status(&fields(FIELDS_MAX)), Ok(true));
    assert_eq!(status(&fields(FIELDS_MAX + 1)), too_large);
    let long = |bytes: usize| format!("GET /{} HTTP/1.1\r\nhost:\r\n\r\n", "a".repeat(bytes - 25));
    assert_eq!(status(&long(BYTES_MAX)), Ok(true));
    assert_eq!(status(&long(BYTES_MAX + 1)), too_large);
    // One that never ends.
    assert_eq!(status(&long(BYTES_MAX)[..BYTES_MAX - 1]), Ok(false));
    assert_eq!(status(&"a".repeat(BYTES_MAX)), too_large);
    assert_eq!(status(&"\r\n".repeat(BYTES_MAX / 2)), too_large);
}
