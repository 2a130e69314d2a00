//! The description of this protocol, which a test holds against its answers.

use http::StatusCode;

use super::handlers::{Answered, JSON};
use super::wire::Answer;

const DOCUMENT: &str = include_str!("openapi.json");

/// OpenAPI 3.1.
pub(super) fn answer() -> Answered {
    Ok(Answer::new(StatusCode::OK).with(JSON, DOCUMENT.as_bytes()))
}
