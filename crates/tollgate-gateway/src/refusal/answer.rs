//! Every refusal, from one function: status, problem type, fields, and a body in the form that the client reads.

use askama::Template;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use tollgate_rules::{Auth, Route};
use tollgate_tower::Problem;

use super::{Kind, Refusal};
use crate::accepts::Accepts;
use crate::page::{Site, Window};

/// What the body of a refusal needs to know of its request.
pub struct RefusalContext<'a> {
    /// The route, if one was found.
    pub route: Option<&'a Route>,
    /// What the client reads.
    pub accepts: Accepts,
    /// The path that was asked for.
    pub path: &'a str,
    /// Names the request in the log.
    pub request_id: &'a str,
    /// Links for the page.
    pub site: Site<'a>,
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct RefusalPage<'a> {
    site: &'a Site<'a>,
    status: u16,
    title: &'a str,
    /// It is a limit that refuses, whatever the status.
    limited: bool,
    detail: &'a str,
    retry_after: Option<u64>,
    windows: Vec<Window>,
    login: Option<String>,
    request_id: &'a str,
}

/// The one function that turns a refusal into a response.
pub fn refuse(refusal: &Refusal, context: &RefusalContext<'_>) -> Response<Bytes> {
    let status = refusal.status(context.route);
    let (content_type, body) = body_of(refusal, context, status);
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if content_type.starts_with("text/html") {
        crate::page::protect(headers);
    }
    match &refusal.kind {
        Kind::Unauthenticated { known_bad } => {
            let auth = context.route.map_or(&[][..], |route| &route.auth);
            challenge(headers, *known_bad, auth);
        }
        Kind::InsufficientScope { needed } => {
            // Scopes have neither quotes nor backslashes.
            let bearer = format!(
                "Bearer realm=\"tollgate\", error=\"insufficient_scope\", scope=\"{needed}\""
            );
            if let Ok(bearer) = HeaderValue::from_str(&bearer) {
                headers.insert(header::WWW_AUTHENTICATE, bearer);
            }
        }
        Kind::MethodNotAllowed { allow } => {
            if let Ok(allow) = HeaderValue::from_str(allow) {
                headers.insert(header::ALLOW, allow);
            }
        }
        // Where the request itself is doubtful, so is where the next one begins.
        Kind::BadRequest if context.route.is_none() => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Kind::ReducedCapacity | Kind::Unavailable => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(1));
        }
        _ => {}
    }
    response
}

fn body_of(
    refusal: &Refusal,
    context: &RefusalContext<'_>,
    status: StatusCode,
) -> (&'static str, String) {
    const TEXT: &str = "text/plain; charset=utf-8";
    let own_text = context
        .route
        .and_then(|route| route.limited_text.as_deref())
        .filter(|_| refusal.is_limited());
    if let Some(text) = own_text {
        let seconds = refusal.retry_after().unwrap_or(1).to_string();
        return (TEXT, text.replace("{retry_after}", &seconds));
    }
    let (kind, title) = refusal.problem_type();
    let title = if title.is_empty() {
        status.canonical_reason().unwrap_or("Refused")
    } else {
        title
    };
    let detail = refusal.detail_on(context.route);
    match context.accepts {
        Accepts::Text => (TEXT, detail.into_owned()),
        Accepts::Json => {
            let problem = Problem {
                kind,
                title,
                status: status.as_u16(),
                detail: &detail,
                instance: context.path,
                violated_policies: &refusal.violated(),
                retry_after: refusal.retry_after(),
                request_id: context.request_id,
            };
            (Problem::MEDIA_TYPE, problem.to_json())
        }
        Accepts::Html => {
            // The page counts the seconds down, and they would stand still beside it.
            let counts_down = refusal.retry_after().is_some();
            let page = RefusalPage {
                site: &context.site,
                status: status.as_u16(),
                title: status.canonical_reason().unwrap_or("Refused"),
                limited: refusal.is_limited(),
                detail: match counts_down {
                    true => &refusal.why,
                    false => &detail,
                },
                retry_after: refusal.retry_after(),
                windows: refusal
                    .limited
                    .as_ref()
                    .map(|limited| Window::of(&limited.policies, &limited.decision))
                    .unwrap_or_default(),
                login: context
                    .site
                    .links
                    .login
                    .as_deref()
                    .filter(|_| refusal.is_unauthenticated() && logging_in_helps(context.route))
                    .map(|login| format!("{login}?next={}", in_query(context.path))),
                request_id: context.request_id,
            };
            (
                "text/html; charset=utf-8",
                page.render().unwrap_or_else(|_| detail.into_owned()),
            )
        }
    }
}

/// A path as the value of a query's parameter.
fn in_query(path: &str) -> String {
    let mut text = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// Whether the route takes what a log-in gives a browser. A route that takes nothing says no more than that.
fn logging_in_helps(route: Option<&Route>) -> bool {
    route.is_none_or(|route| route.auth.is_empty() || route.auth.contains(&Auth::Session))
}

/// Challenges stand on every such answer, whatever its status, so that clients tell "log in" from "wait". They are of
/// what the route takes; an API key may also come as a bearer token.
fn challenge(headers: &mut HeaderMap, known_bad: bool, auth: &[Auth]) {
    let takes = |way: Auth| auth.is_empty() || auth.contains(&way);
    let bearer = if known_bad {
        "Bearer realm=\"tollgate\", error=\"invalid_token\""
    } else {
        "Bearer realm=\"tollgate\""
    };
    let api_key = "ApiKey realm=\"tollgate\", header=\"X-API-Key\"";
    let challenges: &[&'static str] = match (takes(Auth::Bearer), takes(Auth::ApiKey)) {
        (_, true) => &[bearer, api_key],
        (true, false) => &[bearer],
        // An answer like this must have one, and no scheme is registered for cookies.
        (false, false) => &["Cookie realm=\"tollgate\""],
    };
    for challenge in challenges {
        headers.append(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static(challenge),
        );
    }
}
