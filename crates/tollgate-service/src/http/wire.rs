//! Answers, and how they go over the wire: HTTP/1.1.

use std::borrow::Cow;
use std::cell::Cell;
use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use http::StatusCode;
use http::header::{self, HeaderName};
use tollgate::Micros;

/// Bytes of a date, which all have the same form (RFC 9110, section 5.6.7).
const DATE_BYTES: usize = 29;

/// The field `Date`, which is the same for a second.
pub(super) struct Dates(Cell<(u64, [u8; DATE_BYTES])>);

impl Dates {
    pub(super) fn new() -> Self {
        // Another second than any that is asked for.
        Dates(Cell::new((u64::MAX, [b' '; DATE_BYTES])))
    }

    fn at(&self, now: Micros) -> [u8; DATE_BYTES] {
        let (second, date) = self.0.get();
        let this = now.0 / 1_000_000;
        if second == this {
            return date;
        }
        let mut date = [b' '; DATE_BYTES];
        let at = UNIX_EPOCH + Duration::from_secs(this);
        // It fits just so.
        let _ = write!(&mut date[..], "{}", httpdate::HttpDate::from(at));
        self.0.set((this, date));
        date
    }
}

/// What becomes of the connection behind an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behind {
    /// It serves again, as connections do.
    Again,
    /// It serves again, and the client would not expect it (HTTP/1.0).
    KeepAlive,
    /// It ends.
    Close,
}

/// Bytes of the fields of most answers, and at most of those that every answer has.
const USUAL_BYTES: usize = 384;
const OWN_BYTES: usize = 160;

/// An answer. Its fields are kept as they go over the wire.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    fields: Vec<u8>,
    pub(super) body: Cow<'static, [u8]>,
}

impl Answer {
    /// An answer of which nobody keeps a copy.
    pub(super) fn new(status: StatusCode) -> Self {
        let mut fields = Vec::with_capacity(USUAL_BYTES);
        fields.extend_from_slice(b"cache-control: no-store\r\n");
        Answer {
            status,
            fields,
            body: Cow::Borrowed(&[]),
        }
    }

    /// The answer with a body of this media type.
    pub(super) fn with(
        mut self,
        media_type: &'static str,
        body: impl Into<Cow<'static, [u8]>>,
    ) -> Self {
        self.field(&header::CONTENT_TYPE, media_type.as_bytes());
        self.body = body.into();
        self
    }

    /// Adds a field; the value is one that a field may have.
    pub(super) fn field(&mut self, name: &HeaderName, value: &[u8]) {
        self.fields.extend_from_slice(name.as_str().as_bytes());
        self.fields.extend_from_slice(b": ");
        self.fields.extend_from_slice(value);
        self.fields.extend_from_slice(b"\r\n");
    }

    /// Whether there is a field of this name.
    #[cfg(test)]
    pub(super) fn has(&self, name: &str) -> bool {
        let fields = std::str::from_utf8(&self.fields).unwrap();
        let mut names = fields.lines().filter_map(|line| line.split_once(':'));
        names.any(|(its, _)| its == name)
    }
}

/// Writes an answer; of one to `HEAD` all but the body.
pub(super) fn write(
    out: &mut Vec<u8>,
    answer: &Answer,
    is_head: bool,
    behind: Behind,
    date: &Dates,
    now: Micros,
) {
    let Answer {
        status,
        fields,
        body,
    } = answer;
    out.reserve(fields.len() + body.len() + OWN_BYTES);
    if *status == StatusCode::OK {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    } else {
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(status.as_str().as_bytes());
        out.push(b' ');
        let reason = status.canonical_reason().unwrap_or_default();
        out.extend_from_slice(reason.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(fields);
    // 204 has no body, and says nothing of its length (RFC 9110, section 8.6).
    let has_body = *status != StatusCode::NO_CONTENT;
    if has_body {
        out.extend_from_slice(b"content-length: ");
        let mut digits = itoa::Buffer::new();
        out.extend_from_slice(digits.format(body.len()).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    match behind {
        Behind::Again => {}
        Behind::KeepAlive => out.extend_from_slice(b"connection: keep-alive\r\n"),
        Behind::Close => out.extend_from_slice(b"connection: close\r\n"),
    }
    out.extend_from_slice(b"date: ");
    out.extend_from_slice(&date.at(now));
    out.extend_from_slice(b"\r\n\r\n");
    if has_body && !is_head {
        out.extend_from_slice(body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(status: u16, is_head: bool, behind: Behind) -> String {
        let mut answer = Answer::new(StatusCode::from_u16(status).unwrap());
        answer.field(&header::RETRY_AFTER, b"7");
        let answer = answer.with("text/plain", &b"body"[..]);
        let mut out = Vec::new();
        let now = Micros::from_secs(1_431_696_861);
        write(&mut out, &answer, is_head, behind, &Dates::new(), now);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_answer_says_how_long_it_is_when_it_was_made_and_whether_another_may_follow() {
        assert_eq!(
            written(429, false, Behind::Close),
            "HTTP/1.1 429 Too Many Requests\r\ncache-control: no-store\r\nretry-after: 7\r\n\
             content-type: text/plain\r\ncontent-length: 4\r\n\
             connection: close\r\ndate: Fri, 15 May 2015 13:34:21 GMT\r\n\r\nbody"
        );
        let old = written(200, false, Behind::KeepAlive);
        assert!(old.starts_with("HTTP/1.1 200 OK\r\n"), "{old}");
        assert!(old.contains("\r\nconnection: keep-alive\r\n"), "{old}");
        assert!(!written(200, false, Behind::Again).contains("connection:"));
    }

    #[test]
    fn an_answer_without_a_body_has_none() {
        let head = written(200, true, Behind::Again);
        assert!(head.contains("content-length: 4\r\n") && head.ends_with("\r\n\r\n"));
        let nothing = written(204, false, Behind::Again);
        assert!(!nothing.contains("content-length") && nothing.ends_with("\r\n\r\n"));
    }

    #[test]
    fn a_date_is_that_of_its_second() {
        let dates = Dates::new();
        for (micros, date) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (999_999, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (1_000_000, "Thu, 01 Jan 1970 00:00:01 GMT"),
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        ] {
            assert_eq!(dates.at(Micros(micros)), date.as_bytes());
        }
    }
}
