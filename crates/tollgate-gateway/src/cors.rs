//! Answers across origins: which may read them, and that they may read the rate-limit fields.

use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use tollgate_tower::fields::EXPOSED;

use crate::body::Body;

/// Fields that a script of another origin may send.
const ALLOWED_FIELDS: HeaderValue =
    HeaderValue::from_static("Authorization, Content-Type, X-API-Key");

/// Lets the origins of the rules read the answer; whoever may read it may read the rate-limit fields.
pub(crate) fn allow(
    origins: &[HeaderValue],
    request_origin: Option<&HeaderValue>,
    headers: &mut HeaderMap,
) {
    let Some(origin) = request_origin else { return };
    if origins.iter().any(|allowed| allowed == "*") {
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_ORIGIN,
            HeaderValue::from_static("*"),
        );
    } else if origins.contains(origin) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
    if headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        headers.append(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}

/// The answer to OPTIONS where no route asks for it: it costs nothing and reaches nothing.
pub(crate) fn options(
    origins: &[HeaderValue],
    request_headers: &HeaderMap,
    allow: &str,
) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    let allow = HeaderValue::from_str(allow).unwrap_or(HeaderValue::from_static("OPTIONS"));
    let preflight = request_headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if preflight && !origins.is_empty() {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, allow.clone());
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_FIELDS);
        headers.insert(
            header::ACCESS_CONTROL_MAX_AGE,
            HeaderValue::from_static("600"),
        );
    }
    headers.insert(header::ALLOW, allow);
    response
}
