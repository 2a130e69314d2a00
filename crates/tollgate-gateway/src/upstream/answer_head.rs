//! The head of an upstream's answer: status, fields, and where the body behind it ends.

use std::mem::MaybeUninit;

use bytes::{Buf, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use httparse::{ParserConfig, Status};
use hyper::ext::ReasonPhrase;
use smallvec::SmallVec;

use super::error::AnswerError;
use super::fields::{connection_options, is_hop_by_hop};
use crate::framing::{self, Framing};

const HEAD_BYTES_MAX: usize = 64 << 10;
const FIELDS_MAX: usize = 100;
/// Room for the fields that every answer gets at its end.
const OWN_FIELDS: usize = 8;

/// The head of an answer, without what belongs to the connection alone.
#[derive(Debug)]
pub(crate) struct AnswerHead {
    pub(crate) status: StatusCode,
    /// Where it is not the usual one.
    pub(crate) reason: Option<ReasonPhrase>,
    pub(crate) fields: HeaderMap,
    pub(crate) framing: Framing,
    /// Whether the connection can serve again behind this answer.
    pub(crate) keeps_alive: bool,
}

/// What the fields say about the connection and the body.
#[derive(Default)]
struct Said {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    /// Fields that `Connection` names, which stay here with it.
    named: SmallVec<[HeaderName; 2]>,
}

impl AnswerHead {
    /// Takes the head of the answer to a request of this method; `None` while it has not been read whole.
    pub(crate) fn take(read: &mut BytesMut, asked: &Method) -> Result<Option<Self>, AnswerError> {
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut parsed = httparse::Response::new(&mut []);
        let parser = ParserConfig::default();
        let status = parser.parse_response_with_uninit_headers(&mut parsed, read, &mut fields);
        let head_bytes = match status {
            Ok(Status::Complete(bytes)) if bytes <= HEAD_BYTES_MAX => bytes,
            Ok(Status::Partial) if read.len() < HEAD_BYTES_MAX => return Ok(None),
            Ok(_) => return Err(AnswerError::Malformed("the head is too large")),
            Err(_) => return Err(AnswerError::Malformed("the head cannot be read")),
        };
        let head = AnswerHead::of(&parsed, asked)?;
        read.advance(head_bytes);
        Ok(Some(head))
    }

    /// Whether the final one is still to come. Switching protocols is final: nothing of HTTP follows.
    pub(crate) fn is_interim(&self) -> bool {
        self.status.is_informational() && self.status != StatusCode::SWITCHING_PROTOCOLS
    }

    fn of(parsed: &httparse::Response<'_, '_>, asked: &Method) -> Result<Self, AnswerError> {
        let status = StatusCode::from_u16(parsed.code.unwrap_or_default())
            .map_err(|_| AnswerError::Malformed("the status is none"))?;
        let mut said = Said::default();
        let mut fields = HeaderMap::with_capacity(parsed.headers.len() + OWN_FIELDS);
        for field in parsed.headers.iter() {
            let (name, value) = (
                HeaderName::from_bytes(field.name.as_bytes()),
                HeaderValue::from_bytes(field.value),
            );
            let (Ok(name), Ok(value)) = (name, value) else {
                return Err(AnswerError::Malformed("a field is malformed"));
            };
            said.note(&name, &value)?;
            if name != header::CONTENT_LENGTH && !is_hop_by_hop(name.as_str()) {
                fields.append(name, value);
            }
        }
        for name in &said.named {
            fields.remove(name);
        }
        let bodiless = *asked == Method::HEAD
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let framing = match said.length {
            _ if bodiless => Framing::ENDED,
            _ if said.chunked => Framing::ChunkSize,
            Some(length) => Framing::Length(length),
            None => Framing::UntilClose,
        };
        // Of two lengths that contradict each other the encoding counts (RFC 9112, section 6.3), but nothing that
        // follows can be trusted.
        let contradicts = said.chunked && said.length.is_some();
        // The length of a body is written by the server that sends it; of a body that is not sent it cannot know.
        if bodiless && let Some(length) = said.length.filter(|_| !said.chunked) {
            fields.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        // What frames a body that cannot be is perhaps followed by one.
        let frames_nothing = status == StatusCode::NO_CONTENT
            && (said.chunked || said.length.is_some_and(|length| length > 0));
        let reason = parsed.reason.filter(|reason| {
            !reason.is_empty()
                && status
                    .canonical_reason()
                    .is_none_or(|usual| usual != *reason)
        });
        Ok(AnswerHead {
            status,
            reason: reason.and_then(|reason| ReasonPhrase::try_from(reason.as_bytes()).ok()),
            fields,
            framing,
            keeps_alive: parsed.version == Some(1)
                && !said.close
                && !contradicts
                && !frames_nothing
                && framing != Framing::UntilClose,
        })
    }
}

impl Said {
    fn note(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<(), AnswerError> {
        if *name == header::CONTENT_LENGTH {
            for length in value.as_bytes().split(|byte| *byte == b',') {
                let length = framing::length(length.trim_ascii());
                if length.is_none() || self.length.is_some_and(|known| Some(known) != length) {
                    return Err(AnswerError::Malformed("the length is no single number"));
                }
                self.length = length;
            }
        } else if *name == header::TRANSFER_ENCODING {
            // Nobody offered any other, and the client could not read it.
            if self.chunked || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                return Err(AnswerError::Malformed("the encoding is not `chunked`"));
            }
            self.chunked = true;
        } else if *name == header::CONNECTION {
            for option in connection_options(value) {
                match option {
                    option if option.eq_ignore_ascii_case("close") => self.close = true,
                    option if option.eq_ignore_ascii_case("keep-alive") => {}
                    option => self.named.extend(HeaderName::try_from(option)),
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head_of(asked: &Method, text: &str) -> Result<AnswerHead, AnswerError> {
        let mut read = BytesMut::from(text);
        AnswerHead::take(&mut read, asked).map(|head| head.expect("the head is whole"))
    }

    fn framing(asked: &Method, status: &str, fields: &str) -> (Framing, bool) {
        let head = head_of(asked, &format!("HTTP/1.1 {status}\r\n{fields}\r\n")).unwrap();
        (head.framing, head.keeps_alive)
    }

    #[test]
    fn a_head_is_the_same_wherever_it_is_cut() {
        let text = "HTTP/1.1 200 Fine\r\nContent-Length: 7\r\nx-a: 1\r\nX-A: 2\r\n\r\n";
        for at in 0..text.len() {
            let mut read = BytesMut::from(&text[..at]);
            assert!(
                AnswerHead::take(&mut read, &Method::GET).unwrap().is_none(),
                "{at}"
            );
            assert_eq!(read.len(), at, "nothing is lost");
            read.extend_from_slice(&text.as_bytes()[at..]);
            read.extend_from_slice(b"body");
            let head = AnswerHead::take(&mut read, &Method::GET).unwrap().unwrap();
            assert_eq!(
                (head.status, head.framing),
                (StatusCode::OK, Framing::Length(7))
            );
            assert_eq!(head.reason.unwrap().as_bytes(), b"Fine");
            assert_eq!(head.fields.get_all("x-a").iter().count(), 2);
            assert_eq!(&read[..], b"body");
        }
    }

    #[test]
    fn a_body_ends_where_rfc_9112_says() {
        let get = &Method::GET;
        let (chunked, length) = ("transfer-encoding: Chunked\r\n", "content-length: 5\r\n");
        let both = format!("{chunked}{length}");
        for (asked, status, fields, framing_and_reuse) in [
            (get, "200 OK", length, (Framing::Length(5), true)),
            (get, "200 OK", chunked, (Framing::ChunkSize, true)),
            (get, "200 OK", &both, (Framing::ChunkSize, false)),
            (get, "200 OK", "", (Framing::UntilClose, false)),
            (&Method::HEAD, "200 OK", length, (Framing::ENDED, true)),
            (&Method::HEAD, "200 OK", "", (Framing::ENDED, true)),
            (get, "204 No Content", "", (Framing::ENDED, true)),
            // What frames a body that cannot be is perhaps followed by one.
            (get, "204 No Content", chunked, (Framing::ENDED, false)),
            (get, "204 No Content", length, (Framing::ENDED, false)),
            (get, "304 Not Modified", length, (Framing::ENDED, true)),
            (get, "103 Early Hints", "", (Framing::ENDED, true)),
            (
                get,
                "200 OK",
                "content-length: 5, 5\r\ncontent-length: 5\r\n",
                (Framing::Length(5), true),
            ),
            (
                get,
                "200 OK",
                "content-length: 5\r\nconnection: x, Close\r\n",
                (Framing::Length(5), false),
            ),
        ] {
            assert_eq!(
                framing(asked, status, fields),
                framing_and_reuse,
                "{asked} {status} {fields:?}"
            );
        }
        let old = head_of(get, "HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n").unwrap();
        assert!(!old.keeps_alive);
    }

    #[test]
    fn what_belongs_to_the_connection_stays_on_it() {
        let head = head_of(
            &Method::HEAD,
            "HTTP/1.1 200 OK\r\nconnection: keep-alive, x-hop, content-length\r\nkeep-alive: 5\r\n\
             x-hop: 1\r\nupgrade: h2c\r\nproxy-authenticate: x\r\ncontent-length: 5, 5\r\nx-end: 1\r\n\r\n",
        )
        .unwrap();
        let mut names: Vec<_> = head.fields.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-length", "x-end"]);
        assert_eq!(head.fields[header::CONTENT_LENGTH], "5");
    }

    #[test]
    fn a_head_that_can_be_read_in_two_ways_is_refused() {
        let long = format!("x: {}\r\n", "y".repeat(HEAD_BYTES_MAX));
        let many = "x: y\r\n".repeat(FIELDS_MAX + 1);
        for fields in [
            "content-length: 5\r\ncontent-length: 6\r\n",
            "content-length: 5, 6\r\n",
            "content-length: +5\r\n",
            "content-length: -5\r\n",
            "content-length: 5 5\r\n",
            "content-length:\r\n",
            "content-length: 5,\r\n",
            "content-length: 0x5\r\n",
            "content-length: 18446744073709551616\r\n",
            "transfer-encoding: gzip\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: chunked, identity\r\n",
            "x : 1\r\n",
            "x: 1\r\n folded\r\n",
            "x: \u{0}\r\n",
            "no field\r\n",
            &long,
            &many,
        ] {
            let refused = head_of(&Method::GET, &format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
            assert!(
                matches!(refused, Err(AnswerError::Malformed(_))),
                "{:?} passed",
                &fields[..fields.len().min(60)]
            );
        }
        for start in [
            "HTTP/2.0 200 OK",
            "HTTP/1.1 20 OK",
            "HTTP/1.1 2000 OK",
            "HTTP/1.1 099 OK",
            "SSH-2.0-OpenSSH_9.2",
            "GET / HTTP/1.1",
        ] {
            let refused = head_of(&Method::GET, &format!("{start}\r\n\r\n"));
            assert!(
                matches!(refused, Err(AnswerError::Malformed(_))),
                "{start} passed"
            );
        }
    }
}
