//! Forward authentication: a proxy asks whether a request of its own client may pass, and sends it on itself.
//!
//! Only what is particular to it stands here: which request is meant, and how the answer is told. In between it goes the
//! way of every request (`request`). Whether the proxy is believed is decided there, too.

mod taken;

pub(crate) use taken::{Taken, taken};

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};
use http::{Method, Response, StatusCode};
use tollgate_accounts::Identity;
use tollgate_rules::{Action, Found, RouteTable};
use tollgate_tower::address::FORWARDED_FOR;

use crate::body::Body;
use crate::refusal::Refusal;
use crate::upstream::is_identity;
use crate::well_formed::normal_path;

/// nginx is told the client's method and target by its own recipe; Traefik and Caddy call them otherwise.
const METHODS: [HeaderName; 2] = [
    HeaderName::from_static("x-original-method"),
    HeaderName::from_static("x-forwarded-method"),
];
const TARGETS: [HeaderName; 2] = [
    HeaderName::from_static("x-original-uri"),
    HeaderName::from_static("x-forwarded-uri"),
];
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(crate) const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The status of a refusal, also where a proxy that knows few of them is told another.
const TRUE_STATUS: HeaderName = HeaderName::from_static("x-tollgate-status");

/// What is known of a question of a proxy while it is answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// Whether who asks is not a proxy that is believed.
    pub(crate) by_stranger: bool,
    /// Whether a refusal is always 401 or 403: nginx makes 500 of everything else.
    deny_is_403: bool,
}

impl Asked {
    /// By whom it is asked, and how the answer is wanted. Other parameters may be those of the client's request: where
    /// Caddy is not told otherwise it puts them behind the path where it asks. So its client may write `deny=403` and read
    /// 403 for another refusal, with the true status beside it: that is all there is to gain.
    pub(crate) fn of(uri: &Uri, trusted_peer: bool) -> Self {
        let query = uri.query().unwrap_or_default();
        Asked {
            by_stranger: !trusted_peer,
            deny_is_403: query.split('&').any(|pair| pair == "deny=403"),
        }
    }

    /// The same of what is refused before its route is known: it is a question where its path is one's.
    pub(crate) fn before_its_route(
        routes: &RouteTable,
        parts: &Parts,
        trusted_peer: bool,
    ) -> Option<Self> {
        let normal = normal_path(&parts.uri).ok()?;
        let Found::Route { route, .. } = routes.find(&parts.method, normal) else {
            return None;
        };
        matches!(route.action, Action::ForwardAuth).then(|| Asked::of(&parts.uri, trusted_peer))
    }

    /// Tells the answer as the proxy wants it.
    pub(crate) fn tell(self, response: &mut Response<Body>) {
        let status = response.status();
        if status.is_success() {
            return;
        }
        let headers = response.headers_mut();
        headers.insert(TRUE_STATUS, HeaderValue::from(status.as_u16()));
        let is_known = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        if self.deny_is_403 && !is_known {
            *response.status_mut() = StatusCode::FORBIDDEN;
        }
    }
}

/// The request that a proxy which is believed asks about: its method, target and host, with the client's own fields.
pub(crate) fn meant(mut parts: Parts) -> Result<Parts, Refusal> {
    let headers = &mut parts.headers;
    let method = said(headers, &METHODS)?
        .and_then(|method| Method::from_bytes(method.as_bytes()).ok())
        .ok_or_else(|| missing("X-Original-Method", "X-Forwarded-Method", "the method"))?;
    let target = said(headers, &TARGETS)?
        .and_then(path_and_query)
        .ok_or_else(|| missing("X-Original-URI", "X-Forwarded-Uri", "the path"))?;
    // Without it all clients would be one, with the address of the proxy.
    if !ends_in_an_address(headers) {
        return Err(Refusal::bad_request(
            "`X-Forwarded-For` has to end in the address of the client.",
        ));
    }
    said(headers, &[FORWARDED_PROTO])?;
    if let Some(host) = said(headers, &[FORWARDED_HOST])?.cloned() {
        headers.insert(header::HOST, host);
    }
    for name in METHODS.iter().chain(&TARGETS) {
        headers.remove(name);
    }
    let disguised = headers.keys().map(HeaderName::as_str).find(|name| {
        is_identity(name)
            && name
                .bytes()
                .any(|byte| !byte.is_ascii_alphanumeric() && byte != b'-')
    });
    // The proxy sends it on, and servers behind it read many spellings alike.
    if let Some(name) = disguised {
        let why = format!("`{name}` would be read as a field that says who asks.");
        return Err(Refusal::bad_request(why));
    }
    parts.method = method;
    parts.uri = Uri::from(target);
    Ok(parts)
}

/// What fields of these names say, each of which may be absent, and no two of which may differ: a proxy writes some of
/// them, and lets others of its client's through.
fn said<'h>(
    headers: &'h HeaderMap,
    names: &[HeaderName],
) -> Result<Option<&'h HeaderValue>, Refusal> {
    let mut said = None;
    for name in names {
        for (place, value) in headers.get_all(name).iter().enumerate() {
            if place > 0 || said.is_some_and(|known| known != value) {
                let why = format!("`{name}` contradicts another field, or is there twice.");
                return Err(Refusal::bad_request(why));
            }
            said = Some(value);
        }
    }
    Ok(said)
}

/// Whether the proxy says who called it: what it writes stands at the right end.
fn ends_in_an_address(headers: &HeaderMap) -> bool {
    let last = headers.get_all(FORWARDED_FOR).iter().next_back();
    last.and_then(|line| line.to_str().ok()?.rsplit(',').next())
        .is_some_and(|hop| hop.trim().parse::<IpAddr>().is_ok())
}

/// A path with its query. What stands behind a `#` servers read or cut off.
fn path_and_query(value: &HeaderValue) -> Option<PathAndQuery> {
    let text = value.to_str().ok()?;
    let is_one = text.starts_with('/') && !text.contains('#');
    is_one.then(|| text.parse().ok()).flatten()
}

fn missing(one: &str, other: &str, what: &str) -> Refusal {
    Refusal::bad_request(format!(
        "`{one}` or `{other}` has to say {what} that is asked for."
    ))
}

/// Yes, and who it is: the fields that an upstream of ours would get.
pub(crate) fn yes(identity: Option<&Identity>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let Some(identity) = identity else {
        return response;
    };
    let key = identity.key.as_ref().map(|key| key.as_str());
    for (name, value) in [
        ("x-user-id", Some(identity.user.as_str())),
        ("x-user-name", identity.name.as_deref()),
        ("x-api-key-id", key),
    ] {
        // A name is its user's choice: one that a field cannot hold is left out.
        let value = value.filter(|value| value.is_ascii());
        if let Some(Ok(value)) = value.map(HeaderValue::from_str) {
            headers.insert(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn asked(fields: &[(&str, &str)]) -> Result<Parts, Refusal> {
        let mut request = Request::builder()
            .uri("/v1/auth")
            .header("host", "tollgate");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        meant(request.body(()).unwrap().into_parts().0)
    }

    const FOR: (&str, &str) = ("x-forwarded-for", "192.0.2.1");

    #[test]
    fn the_request_is_put_together_from_what_either_kind_of_proxy_says() {
        let nginx = [
            FOR,
            ("x-original-method", "POST"),
            ("x-original-uri", "/a?b=c"),
        ];
        let traefik = [
            FOR,
            ("x-forwarded-method", "POST"),
            ("x-forwarded-uri", "/a?b=c"),
            ("x-forwarded-host", "site.example"),
            ("x-forwarded-proto", "https"),
        ];
        for (fields, host) in [(&nginx[..], "tollgate"), (&traefik[..], "site.example")] {
            let parts = asked(fields).unwrap();
            assert_eq!(parts.method, Method::POST);
            assert_eq!((parts.uri.path(), parts.uri.query()), ("/a", Some("b=c")));
            assert_eq!(parts.headers[header::HOST], host);
        }
        let both = [&nginx[..], &traefik[1..]].concat();
        assert!(
            asked(&both).is_ok(),
            "two that say the same are no contradiction"
        );
    }

    #[test]
    fn what_is_missing_said_twice_or_contradicted_is_refused() {
        let sound = [FOR, ("x-original-method", "GET"), ("x-original-uri", "/a")];
        assert!(asked(&sound).is_ok());
        for missing in 0..sound.len() {
            let mut fields = sound.to_vec();
            fields.remove(missing);
            assert!(asked(&fields).is_err(), "without {:?}", sound[missing]);
        }
        for further in [
            ("x-original-method", "GET"),
            ("x-original-uri", "/a"),
            ("x-forwarded-method", "POST"),
            ("x-forwarded-uri", "/b"),
            ("x-forwarded-uri", ""),
        ] {
            let fields = [&sound[..], &[further]].concat();
            assert!(asked(&fields).is_err(), "{further:?}");
        }
        for twice in [("x-forwarded-host", "site"), ("x-forwarded-proto", "https")] {
            let fields = [&sound[..], &[twice, twice]].concat();
            assert!(asked(&fields).is_err(), "{twice:?}");
        }
        for target in ["", "a", "*", "http://site/a", "/a#b", "/a b", "/\u{e4}"] {
            let fields = [
                FOR,
                ("x-original-method", "GET"),
                ("x-original-uri", target),
            ];
            assert!(asked(&fields).is_err(), "{target}");
        }
        for clients in [
            "",
            "unknown",
            "192.0.2.1:80",
            "192.0.2.1,",
            "\u{e4}",
            "192.0.2.1, _x",
        ] {
            let fields = [&sound[1..], &[("x-forwarded-for", clients)]].concat();
            assert!(asked(&fields).is_err(), "{clients}");
        }
        for method in ["", "G ET", "GET,POST"] {
            let fields = [FOR, ("x-original-method", method), ("x-original-uri", "/a")];
            assert!(asked(&fields).is_err(), "{method}");
        }
    }
}
