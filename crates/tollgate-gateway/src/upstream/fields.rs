//! Which header fields go on: hop-by-hop fields stay here, nobody speaks for somebody else, credentials do not travel.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;
use tollgate_accounts::Identity;

use crate::address::Origin;
use crate::caller::is_session_cookie;

const USER_ID: HeaderName = HeaderName::from_static("x-user-id");
const USER_NAME: HeaderName = HeaderName::from_static("x-user-name");
const API_KEY_ID: HeaderName = HeaderName::from_static("x-api-key-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

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
    pub(crate) request_id: &'a str,
    /// Whether the route asked for credentials, which then end here.
    pub(crate) authenticated: bool,
}

/// Makes a client's fields into those that the upstream sees.
pub(crate) fn prepare_request(headers: &mut HeaderMap, host: &HeaderValue, who: &Identify<'_>) {
    let forwarded_for = forwarded_for(headers, who);
    remove_named_by_connection(headers);
    let asked_host = headers.insert(header::HOST, host.clone());
    remove_where(headers, |name| {
        is_hop_by_hop(name)
            || name == "expect"
            || is_identity(name)
            || who.authenticated && (name == "authorization" || name == "x-api-key")
    });
    if who.authenticated {
        remove_session_cookie(headers);
    }
    headers.insert(FORWARDED_FOR, forwarded_for);
    let proto = if who.origin.secure { "https" } else { "http" };
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(proto));
    insert(headers, REQUEST_ID, who.request_id);
    if let Some(host) = asked_host {
        headers.insert(FORWARDED_HOST, host);
    }
    if let Some(identity) = who.identity {
        insert(headers, USER_ID, identity.user.as_str());
        // A name is the user's choice, and may hold what a field cannot.
        if let Some(name) = identity.name.as_deref().filter(|name| name.is_ascii()) {
            insert(headers, USER_NAME, name);
        }
        if let Some(key) = &identity.key {
            insert(headers, API_KEY_ID, key.as_str());
        }
    }
}

/// Removes the fields of one connection, among them those that `Connection` names.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    remove_named_by_connection(headers);
    remove_where(headers, is_hop_by_hop);
}

fn remove_named_by_connection(headers: &mut HeaderMap) {
    if !headers.contains_key(header::CONNECTION) {
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        // Framing is not the client's to remove.
        .filter(|name| *name != header::CONTENT_LENGTH && *name != header::HOST)
        .collect();
    for name in named {
        headers.remove(name);
    }
}

/// Fields of one hop (RFC 9110, section 7.6.1), and those that stand for it in practice.
fn is_hop_by_hop(name: &str) -> bool {
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

/// Removes in one pass over the names: looking for each of the removable ones costs more.
fn remove_where(headers: &mut HeaderMap, goes: impl Fn(&str) -> bool) {
    let names = headers.keys().filter(|name| goes(name.as_str())).cloned();
    for name in names.collect::<SmallVec<[HeaderName; 6]>>() {
        headers.remove(name);
    }
}

/// The chain of proxies: what a proxy that is believed says, and the peer.
fn forwarded_for(headers: &HeaderMap, who: &Identify<'_>) -> HeaderValue {
    if !who.origin.trusted_peer {
        return who.peer.clone();
    }
    let lines = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .map(HeaderValue::as_bytes);
    let chain = lines
        .chain([who.peer.as_bytes()])
        .collect::<Vec<_>>()
        .join(&b", "[..]);
    HeaderValue::from_bytes(&chain).unwrap_or_else(|_| who.peer.clone())
}

/// Servers behind CGI-like interfaces read `_` and `-` alike.
fn is_identity(name: &str) -> bool {
    name.starts_with(['x', 'f'])
        && IDENTITY.iter().any(|known| {
            known.len() == name.len()
                && known
                    .bytes()
                    .zip(name.bytes())
                    .all(|(known, byte)| known == byte || (known == b'-' && byte == b'_'))
        })
}

fn remove_session_cookie(headers: &mut HeaderMap) {
    if !headers.contains_key(header::COOKIE) {
        return;
    }
    let lines = headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes);
    let pairs = lines
        .flat_map(|line| line.split(|byte| *byte == b';'))
        .map(<[u8]>::trim_ascii);
    let is_session = |pair: &&[u8]| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        std::str::from_utf8(name).is_ok_and(is_session_cookie)
    };
    let others = pairs.filter(|pair| !pair.is_empty() && !is_session(pair));
    let kept = others.collect::<Vec<_>>().join(&b"; "[..]);
    headers.remove(header::COOKIE);
    if let Ok(kept) = HeaderValue::from_bytes(&kept)
        && !kept.is_empty()
    {
        headers.insert(header::COOKIE, kept);
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(fields: &[(&'static str, &'static str)], trusted_peer: bool) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
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
            request_id: "id",
            authenticated: true,
        };
        prepare_request(&mut headers, &HeaderValue::from_static("upstream:1"), &who);
        headers
    }

    #[test]
    fn a_client_cannot_say_who_it_is_nor_remove_what_is_said_of_it() {
        let headers = prepared(
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
        let mut left: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        left.sort();
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
        let headers = prepared(
            &[
                ("x-forwarded-for", "1.2.3.4"),
                ("x-forwarded-for", "10.0.0.2"),
            ],
            true,
        );
        assert_eq!(headers["x-forwarded-for"], "1.2.3.4, 10.0.0.2, 192.0.2.1");
    }
}
