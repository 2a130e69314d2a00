//! How bodies arrive: in pieces, too large, and not at all.

use super::*;

const HEAD: &str = "POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";

/// The request in chunks of so many bytes.
fn in_chunks(body: &str, bytes: usize) -> String {
    let chunks = body.as_bytes().chunks(bytes);
    let chunk = |chunk: &[u8]| {
        format!(
            "{:x}\r\n{}\r\n",
            chunk.len(),
            String::from_utf8_lossy(chunk)
        )
    };
    let chunks: String = chunks.map(chunk).collect();
    format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
}

#[test]
fn a_body_in_pieces_is_read_whole_up_to_its_bound() {
    let service = Service::usual();
    let body = per_user("ann", 1).to_string();
    for bytes in [1, 7, 4_096] {
        let (answer, _) = raw(service.address, in_chunks(&body, bytes)).unwrap();
        assert_eq!(answer.status, 200, "{bytes}: {}", answer.text());
    }
    for (length, status) in [(65_536, 200), (65_537, 413)] {
        let padded = format!("{body}{}", " ".repeat(length - body.len()));
        for bytes in [999, 65_537] {
            let (answer, _) = raw(service.address, in_chunks(&padded, bytes)).unwrap();
            assert_eq!(answer.status, status, "{length} in {bytes}");
        }
    }
    assert_eq!(service.remaining("per-user", "ann"), 0);
}

#[test]
fn a_body_that_does_not_come_is_408() {
    let rules = format!("[server]\nheader_timeout_s = 5\n{RULES}");
    let service = Service::start(launch().rules(&rules));
    for sent in ["", "{\"limit\":"] {
        let half = format!("{HEAD}Content-Length: 100\r\n\r\n{sent}");
        let (answer, _) = raw(service.address, half).unwrap();
        assert_eq!(answer.status, 408, "{sent}: {}", answer.text());
    }
}

#[test]
fn words_that_are_escaped_are_the_words_that_they_mean() {
    let service = Service::usual();
    let body = r#"{"l\u0069mit":"per\u002duser","key":{"us\u0065r":"a\u006en"},"cost":2}"#;
    let answer = Call::post("/v1/check").body("application/json", body);
    assert_eq!(answer.send(service.address).status, 200);
    assert_eq!(service.remaining("per-user", "ann"), 3);
}
