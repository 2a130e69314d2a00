//! Which header fields go on: hop-by-hop fields stay here, nobody speaks for somebody else, credentials do not travel.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
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
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Fields of one hop (RFC 9110, section 7.6.1), and those that stand for it in practice.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

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
    pub(crate) peer: IpAddr,
    pub(crate) identity: Option<&'a Identity>,
    pub(crate) request_id: &'a str,
    /// Whether the route asked for credentials, which then end here.
    pub(crate) authenticated: bool,
}

/// Makes a client's fields into those that the upstream sees.
pub(crate) fn prepare_request(headers: &mut HeaderMap, host: &HeaderValue, who: &Identify<'_>) {
    remove_hop_by_hop(headers);
    headers.remove(header::EXPECT);
    let forwarded_for = forwarded_for(headers, who);
    let asked_host = headers.insert(header::HOST, host.clone());
    remove_identity(headers);
    if who.authenticated {
        headers.remove(header::AUTHORIZATION);
        headers.remove(API_KEY);
        remove_session_cookie(headers);
    }
    insert(headers, FORWARDED_FOR, &forwarded_for);
    insert(
        headers,
        FORWARDED_PROTO,
        if who.origin.secure { "https" } else { "http" },
    );
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

/// Fields that belong to one connection, among them those that `Connection` names.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
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
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// The chain of proxies: what a proxy that is believed says, and the peer.
fn forwarded_for(headers: &HeaderMap, who: &Identify<'_>) -> String {
    let mut chain = String::new();
    if who.origin.trusted_peer {
        for line in headers
            .get_all(FORWARDED_FOR)
            .iter()
            .filter_map(|line| line.to_str().ok())
        {
            chain.push_str(line);
            chain.push_str(", ");
        }
    }
    chain.push_str(&who.peer.to_canonical().to_string());
    chain
}

fn remove_identity(headers: &mut HeaderMap) {
    let claims: smallvec::SmallVec<[HeaderName; 4]> = headers
        .keys()
        .filter(|name| is_identity(name.as_str()))
        .cloned()
        .collect();
    for name in claims {
        headers.remove(name);
    }
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
        .filter_map(|line| line.to_str().ok());
    let others = lines
        .flat_map(|line| line.split(';'))
        .map(str::trim)
        .filter(|pair| {
            !pair.is_empty() && !is_session_cookie(pair.split('=').next().unwrap_or_default())
        });
    let kept = others.collect::<Vec<_>>().join("; ");
    headers.remove(header::COOKIE);
    if !kept.is_empty() {
        insert(headers, header::COOKIE, &kept);
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
        let peer = "192.0.2.1".parse().unwrap();
        let origin = Origin {
            client: peer,
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
