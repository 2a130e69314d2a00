//! Which header fields go on: hop-by-hop fields stay here, nobody speaks for somebody else, credentials do not travel.

use http::header::{self, HeaderMap, HeaderValue};
use smallvec::SmallVec;
use tollgate_accounts::Identity;

use crate::address::Origin;
use crate::caller::is_session_cookie;
use crate::spans::Leg;

/// Fields that say who somebody is. A client's own are removed, however they are spelled.
const IDENTITY: [&str; 10] = [
    "x-user-id",
    "x-user-name",
    "x-api-key-id",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-prefix",
    "x-real-ip",
    "x-request-id",
    "forwarded",
];

/// Who a request is forwarded for.
pub(crate) struct Identify<'a> {
    pub(crate) origin: Origin,
    /// The peer's address, as text.
    pub(crate) peer: &'a HeaderValue,
    pub(crate) identity: Option<&'a Identity>,
    pub(crate) request_id: &'a HeaderValue,
    /// Whether the route asked for credentials, which then end here.
    pub(crate) authenticated: bool,
    /// Its part in a trace, where requests are traced.
    pub(crate) leg: Option<&'a Leg<'a>>,
}

/// Writes a client's fields as the upstream sees them, all but those of the framing.
pub(crate) fn write_fields(
    out: &mut Vec<u8>,
    headers: &HeaderMap,
    host: &HeaderValue,
    who: &Identify<'_>,
) {
    let options = headers.get_all(header::CONNECTION).iter();
    let named: SmallVec<[&str; 4]> = options.flat_map(connection_options).collect();
    let is_named = |name: &str| named.iter().any(|named| named.eq_ignore_ascii_case(name));
    write(out, "host", host);
    for (name, value) in headers {
        let name = name.as_str();
        let ends_here = is_hop_by_hop(name)
            || matches!(name, "host" | "content-length" | "expect")
            || is_identity(name)
            || who.leg.is_some_and(|leg| is_told_anew(leg, name))
            || who.authenticated && matches!(name, "authorization" | "x-api-key" | "cookie")
            || is_named(name);
        if !ends_here {
            write(out, name, value);
        }
    }
    if who.authenticated && !is_named("cookie") {
        write_cookies_but_the_session(out, headers);
    }
    write_forwarded_for(out, headers, who);
    let proto = if who.origin.secure { "https" } else { "http" };
    write(out, "x-forwarded-proto", proto);
    if let Some(host) = headers.get(header::HOST) {
        write(out, "x-forwarded-host", host);
    }
    write(out, "x-request-id", who.request_id);
    if let Some(leg) = who.leg {
        write(out, "traceparent", &leg.traceparent);
    }
    if let Some(identity) = who.identity {
        write_text(out, "x-user-id", identity.user.as_str());
        if let Some(name) = identity.name.as_deref() {
            write_text(out, "x-user-name", name);
        }
        if let Some(key) = &identity.key {
            write_text(out, "x-api-key-id", key.as_str());
        }
    }
}

fn write(out: &mut Vec<u8>, name: &str, value: impl AsRef<[u8]>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_ref());
    out.extend_from_slice(b"\r\n");
}

/// A name is its user's choice, and may hold what a field cannot: then it is left out.
fn write_text(out: &mut Vec<u8>, name: &str, text: &str) {
    // Without a way out of the loop, the compiler checks many bytes at once.
    let is_visible = |byte| matches!(byte, b'\t' | b' '..=b'~');
    if text.bytes().fold(true, |all, byte| all & is_visible(byte)) {
        write(out, name, text);
    }
}

/// What one line of `Connection` names: fields of this hop, and what becomes of it.
pub(crate) fn connection_options(line: &HeaderValue) -> impl Iterator<Item = &str> {
    let options = line.as_bytes().split(|byte| *byte == b',');
    options
        .filter_map(|option| std::str::from_utf8(option).ok())
        .map(str::trim)
        .filter(|option| !option.is_empty())
}

/// Fields of one hop (RFC 9110, section 7.6.1), and those that stand for it in practice.
pub(crate) fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// The chain of proxies: what a proxy that is believed says, and the peer.
fn write_forwarded_for(out: &mut Vec<u8>, headers: &HeaderMap, who: &Identify<'_>) {
    out.extend_from_slice(b"x-forwarded-for: ");
    if who.origin.trusted_peer {
        for line in headers.get_all("x-forwarded-for") {
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b", ");
        }
    }
    out.extend_from_slice(who.peer.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The fields of a trace, of which this is a part.
fn is_told_anew(leg: &Leg<'_>, name: &str) -> bool {
    name == "traceparent" || name == "tracestate" && !leg.keeps_state
}

/// Servers behind CGI-like interfaces read `-`, `_` and often every other sign alike.
pub(crate) fn is_identity(name: &str) -> bool {
    name.starts_with(['x', 'f'])
        && IDENTITY.iter().any(|known| {
            known.len() == name.len()
                && known.bytes().zip(name.bytes()).all(|(known, byte)| {
                    known == byte || known == b'-' && !byte.is_ascii_alphanumeric()
                })
        })
}

fn write_cookies_but_the_session(out: &mut Vec<u8>, headers: &HeaderMap) {
    let lines = headers.get_all(header::COOKIE).iter();
    let pairs = lines
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .map(<[u8]>::trim_ascii);
    let is_session = |pair: &&[u8]| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        std::str::from_utf8(name).is_ok_and(is_session_cookie)
    };
    let others: Vec<&[u8]> = pairs
        .filter(|pair| !pair.is_empty() && !is_session(pair))
        .collect();
    if !others.is_empty() {
        write(out, "cookie", others.join(&b"; "[..]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines that are written for these fields, sorted.
    fn written(fields: &[(&'static str, &'static str)], trusted_peer: bool) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let client = "192.0.2.1".parse().unwrap();
        let peer = &HeaderValue::from_static("192.0.2.1");
        let origin = Origin {
            client,
            secure: false,
            trusted_peer,
        };
        let who = Identify {
            origin,
            peer,
            identity: None,
            request_id: &HeaderValue::from_static("id"),
            authenticated: true,
            leg: None,
        };
        let (mut out, host) = (Vec::new(), HeaderValue::from_static("upstream:1"));
        write_fields(&mut out, &headers, &host, &who);
        let text = String::from_utf8(out).unwrap();
        let lines = text.strip_suffix("\r\n").unwrap().split("\r\n");
        let mut lines: Vec<String> = lines.map(str::to_owned).collect();
        lines.sort();
        lines
    }

    #[test]
    fn a_client_cannot_say_who_it_is_nor_remove_what_is_said_of_it() {
        let left = written(
            &[
                ("host", "site"),
                (
                    "connection",
                    "keep-alive, x-forwarded-for, x-user-id, x-custom, host",
                ),
                ("x-user-id", "root"),
                ("x_user_id", "root"),
                ("x-forwarded-for", "6.6.6.6"),
                ("x_forwarded_for", "6.6.6.6"),
                ("forwarded", "for=6.6.6.6"),
                ("x-custom", "1"),
                ("te", "trailers"),
                ("upgrade", "websocket"),
                ("authorization", "Bearer t"),
                ("x-api-key", "k"),
                ("cookie", "a=1; session=s; b=2"),
                ("cookie", "__Host-session=s"),
                ("accept", "*/*"),
            ],
            false,
        );
        let expected = [
            "accept: */*",
            "cookie: a=1; b=2",
            "host: upstream:1",
            "x-forwarded-for: 192.0.2.1",
            "x-forwarded-host: site",
            "x-forwarded-proto: http",
            "x-request-id: id",
        ];
        assert_eq!(left, expected);
    }

    #[test]
    fn a_believed_proxy_s_chain_goes_on_with_the_proxy_at_its_end() {
        let lines = written(
            &[
                ("x-forwarded-for", "1.2.3.4"),
                ("x-forwarded-for", "10.0.0.2"),
            ],
            true,
        );
        let chain = "x-forwarded-for: 1.2.3.4, 10.0.0.2, 192.0.2.1".to_owned();
        assert!(lines.contains(&chain), "{lines:?}");
    }

    #[test]
    fn a_name_that_would_end_its_line_is_left_out() {
        for (name, line) in [
            ("Ann B", "x-user-name: Ann B\r\n"),
            ("a\r\nx-user-id: root", ""),
            ("a\nb", ""),
            ("a\0", ""),
            ("\u{e4}", ""),
        ] {
            let mut out = Vec::new();
            write_text(&mut out, "x-user-name", name);
            assert_eq!(String::from_utf8(out).unwrap(), line);
        }
    }
}
