//! The head of a request: what is asked, with which fields, and where its body ends.
//!
//! The parser is `httparse`. What may be read in two ways is refused, so that nobody before this service understands a
//! request otherwise.

use std::mem::MaybeUninit;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use httparse::{ParserConfig, Status};
use smallvec::SmallVec;
use tollgate_gateway::framing::{self, Framing};

/// Fields of a request at most.
const FIELDS_MAX: usize = 100;

/// Where something stands in what was read.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// Where `part` stands in `read`, of which it is a part.
    fn of(part: &[u8], read: &[u8]) -> Self {
        let start = part.as_ptr().addr().wrapping_sub(read.as_ptr().addr());
        let end = start.wrapping_add(part.len());
        // Heads are far smaller than 4 GiB.
        Span {
            start: start as u32,
            end: end as u32,
        }
    }

    fn within(self, read: &[u8]) -> &[u8] {
        read.get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }
}

/// A head that has been read whole.
#[derive(Debug)]
pub(super) struct Head {
    /// How long it is.
    pub(super) bytes: usize,
    pub(super) method: Method,
    /// The path and the query as they are written; of a URL, what is behind the authority.
    target: Span,
    fields: SmallVec<[(Span, Span); 8]>,
    pub(super) framing: Framing,
    /// Whether the connection may serve again behind the answer.
    pub(super) keeps_alive: bool,
    /// Whether the client speaks HTTP/1.0, and has to be told that the connection is kept.
    pub(super) is_old: bool,
    /// Whether the client waits for a word before it sends the body.
    pub(super) expects_continue: bool,
}

/// Why a head cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeadError {
    pub(super) status: StatusCode,
    pub(super) why: &'static str,
}

impl HeadError {
    const TOO_LARGE: Self = HeadError {
        status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        why: "The head is too large.",
    };

    const fn malformed(why: &'static str) -> Self {
        HeadError {
            status: StatusCode::BAD_REQUEST,
            why,
        }
    }
}

/// What the fields say about the host, the connection and the body.
#[derive(Default)]
struct Said<'r> {
    host: Option<&'r [u8]>,
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
}

impl Head {
    /// The head at the beginning of `read`; `None` while it has not been read whole.
    pub(super) fn parse(read: &[u8], bytes_max: usize) -> Result<Option<Self>, HeadError> {
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut parsed = httparse::Request::new(&mut []);
        let parser = ParserConfig::default();
        let bytes = match parser.parse_request_with_uninit_headers(&mut parsed, read, &mut fields) {
            Ok(Status::Complete(bytes)) if bytes <= bytes_max => bytes,
            Ok(Status::Partial) if read.len() < bytes_max => return Ok(None),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TOO_LARGE),
            Err(_) => return Err(HeadError::malformed("The head cannot be read.")),
        };
        if framing::has_bare_line_feed(&read[..bytes]) {
            return Err(HeadError::malformed("A line ends without CR."));
        }
        let method = Method::from_bytes(parsed.method.unwrap_or_default().as_bytes())
            .map_err(|_| HeadError::malformed("The method is none."))?;
        let target = Target::of(parsed.path.unwrap_or_default())?;
        let is_old = parsed.version != Some(1);
        let mut said = Said::default();
        let mut fields = SmallVec::new();
        for field in parsed.headers.iter() {
            said.note(field.name.as_bytes(), field.value)?;
            let name = Span::of(field.name.as_bytes(), read);
            fields.push((name, Span::of(field.value, read)));
        }
        said.check_host(&target, is_old)?;
        let framing = match (said.chunked, said.length) {
            (true, _) if is_old => {
                return Err(HeadError::malformed("HTTP/1.0 knows no encodings."));
            }
            (true, Some(_)) => {
                return Err(HeadError::malformed(
                    "A body has a length or is in chunks, and not both.",
                ));
            }
            (true, None) => Framing::ChunkSize,
            (false, length) => Framing::Length(length.unwrap_or(0)),
        };
        Ok(Some(Head {
            bytes,
            method,
            target: Span::of(target.path_and_query.as_bytes(), read),
            fields,
            framing,
            keeps_alive: !said.close && (!is_old || said.keep_alive),
            is_old,
            expects_continue: said.expects_continue && !is_old,
        }))
    }
}

/// What a request line asks for.
struct Target<'r> {
    /// Of a URL.
    authority: Option<&'r str>,
    path_and_query: &'r str,
}

impl<'r> Target<'r> {
    /// Servers must know whole URLs too, which proxies are asked with (RFC 9112, section 3.2.2).
    fn of(target: &'r str) -> Result<Self, HeadError> {
        if target.starts_with('/') || target == "*" {
            return Ok(Target {
                authority: None,
                path_and_query: target,
            });
        }
        let behind = |scheme: &str| {
            let (its, rest) = target.split_at_checked(scheme.len())?;
            its.eq_ignore_ascii_case(scheme).then_some(rest)
        };
        let malformed = HeadError::malformed("The target is neither a path nor a URL of HTTP.");
        let rest = behind("http://").or_else(|| behind("https://"));
        let rest = rest.ok_or(malformed)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path_and_query) = rest.split_at(end);
        // A fragment is no part of a target.
        match authority.is_empty() || path_and_query.starts_with('#') {
            true => Err(malformed),
            false => Ok(Target {
                authority: Some(authority),
                path_and_query,
            }),
        }
    }
}

/// Whether a head may end behind the first `seen` bytes, in which none did: a head that comes byte by byte is not parsed
/// as often.
pub(super) fn may_end(read: &[u8], seen: usize) -> bool {
    let new = read.get(seen.saturating_sub(3)..).unwrap_or_default();
    let is_end = |rest: &[u8]| rest.starts_with(b"\n\r\n") || rest.starts_with(b"\n\n");
    seen == 0 || (0..new.len()).any(|at| is_end(&new[at..]))
}

impl<'r> Said<'r> {
    fn note(&mut self, name: &[u8], value: &'r [u8]) -> Result<(), HeadError> {
        // Most fields differ from these in their length already.
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = framing::length(value);
            let length = length.ok_or(HeadError::malformed("The length is no number."))?;
            let known = self.length.replace(length);
            if known.is_some() {
                return Err(HeadError::malformed("There is more than one length."));
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(HeadError::malformed("The encoding is not `chunked`."));
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"connection") {
            for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                self.close |= option.eq_ignore_ascii_case(b"close");
                self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        } else if name.eq_ignore_ascii_case(b"host") {
            if self.host.replace(value).is_some() {
                return Err(HeadError::malformed("There is more than one `Host`."));
            }
        } else if name.eq_ignore_ascii_case(b"expect") {
            self.expects_continue = value.eq_ignore_ascii_case(b"100-continue");
        }
        Ok(())
    }

    /// As the gateway has it (RFC 9112, section 3.2), but for an empty one beside a path, which says that there is none.
    fn check_host(&self, target: &Target<'_>, is_old: bool) -> Result<(), HeadError> {
        let Some(host) = self.host else {
            return match is_old {
                true => Ok(()),
                false => Err(HeadError::malformed("There is no `Host`.")),
            };
        };
        if host.iter().any(|byte| b"/@?#\\ \t,".contains(byte)) {
            return Err(HeadError::malformed("The `Host` is no host."));
        }
        match target.authority {
            Some(authority) if !authority.as_bytes().eq_ignore_ascii_case(host) => {
                let why = "The request line and `Host` name different hosts.";
                Err(HeadError::malformed(why))
            }
            _ => Ok(()),
        }
    }
}

/// A head, beside the bytes that it was read from.
#[derive(Clone, Copy)]
pub(super) struct Request<'r> {
    pub(super) head: &'r Head,
    pub(super) read: &'r [u8],
}

impl<'r> Request<'r> {
    /// The path as it is written.
    pub(super) fn path(&self) -> &'r str {
        self.target().0
    }

    pub(super) fn query(&self) -> Option<&'r str> {
        self.target().1
    }

    fn target(&self) -> (&'r str, Option<&'r str>) {
        let target = std::str::from_utf8(self.head.target.within(self.read)).unwrap_or_default();
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        // That of a URL may be left out.
        (if path.is_empty() { "/" } else { path }, query)
    }

    /// The values of all fields of this name, in their order. The name is in small letters.
    pub(super) fn fields(&self, name: &'static str) -> impl Iterator<Item = &'r [u8]> {
        let read = self.read;
        let named = self.head.fields.iter().filter(move |(its, _)| {
            let its = its.within(read);
            its.eq_ignore_ascii_case(name.as_bytes())
        });
        named.map(move |(_, value)| value.within(read))
    }

    /// The value of the first field of this name.
    pub(super) fn field(&self, name: &'static str) -> Option<&'r [u8]> {
        self.fields(name).next()
    }

    /// All fields, for those who look through them as the gateway does.
    pub(super) fn header_map(&self) -> HeaderMap {
        let fields = self.head.fields.iter().filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.within(self.read)).ok()?;
            Some((name, HeaderValue::from_bytes(value.within(self.read)).ok()?))
        });
        let mut map = HeaderMap::with_capacity(self.head.fields.len());
        for (name, value) in fields {
            map.append(name, value);
        }
        map
    }
}

#[cfg(test)]
mod tests;
