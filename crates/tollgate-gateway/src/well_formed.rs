//! Which requests are taken: what servers read differently from each other is not passed on.

use std::borrow::Cow;

use http::Uri;
use http::header::{self, HeaderValue};
use http::request::Parts;
use tollgate_rules::path;

use crate::refusal::Refusal;

/// What a method may be long: those that are registered have at most 17 bytes. It stands in the log.
pub(crate) const METHOD_BYTES_MAX: usize = 32;

/// What no server agrees on is not passed on: one host, one framing, a path of one form.
pub(crate) fn well_formed(parts: &Parts) -> Result<(), Refusal> {
    if parts.method.as_str().len() > METHOD_BYTES_MAX {
        let why = format!("A method has at most {METHOD_BYTES_MAX} bytes.");
        return Err(Refusal::bad_request(why));
    }
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(host),
        (None, None) if parts.version == http::Version::HTTP_10 => None,
        _ => return Err(Refusal::bad_request("A request has one `Host`.")),
    };
    let is_host = |host: &[u8]| {
        !host.is_empty()
            && !host
                .iter()
                .any(|byte| matches!(byte, b'/' | b'@' | b'?' | b'#' | b'\\' | b' ' | b','))
    };
    if host.is_some_and(|host| !is_host(host.as_bytes())) {
        return Err(Refusal::bad_request("The `Host` is no host."));
    }
    if let (Some(authority), Some(host)) = (parts.uri.authority(), host)
        && !authority
            .as_str()
            .as_bytes()
            .eq_ignore_ascii_case(host.as_bytes())
    {
        return Err(Refusal::bad_request(
            "The request line and `Host` name different hosts.",
        ));
    }
    // A body that was encoded once more would be forwarded as if it were not. (Where a length stands beside the
    // encoding, the HTTP library drops the length, reads by the encoding and closes the connection.)
    let mut encodings = parts.headers.get_all(header::TRANSFER_ENCODING).iter();
    let chunked = |encoding: &HeaderValue| encoding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if !encodings.next().is_none_or(chunked) || encodings.next().is_some() {
        return Err(Refusal::bad_request(
            "A body is framed by its length, or `chunked`.",
        ));
    }
    Ok(())
}

/// The path in its one form.
pub(crate) fn normal_path(uri: &Uri) -> Result<Cow<'_, str>, Refusal> {
    let normal = path::normalise(uri.path());
    normal.map_err(|why| Refusal::bad_request(sentence(&why.to_string())))
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map(|first| format!("{}{}.", first.to_uppercase(), characters.as_str()))
        .unwrap_or_default()
}
