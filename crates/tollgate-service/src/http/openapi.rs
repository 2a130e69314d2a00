//! The description of this protocol, which a test holds against its answers.

use bytes::Bytes;
use http::header::{self, HeaderValue};

use super::Response;
use super::handlers::Answered;

const DOCUMENT: &str = include_str!("openapi.json");

/// OpenAPI 3.1.
pub(super) fn answer() -> Answered {
    let mut response = Response::new(Bytes::from_static(DOCUMENT.as_bytes()));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}
