//! The shapes that answers have.

use askama::Template;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::json;
use tollgate_accounts::LogIn;
use tollgate_gateway::page;
use tollgate_gateway::refusal::Refusal;

/// JSON that no cache keeps: it is about one caller at one instant.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Result<Response<Bytes>, Refusal> {
    let body = serde_json::to_vec(body).map_err(|error| broken(&error))?;
    Ok(with_type(status, "application/json", body.into()))
}

/// What a program needs that has logged in.
pub(super) fn session(login: &LogIn) -> Result<Response<Bytes>, Refusal> {
    let body = json!({
        "token": login.token.token.expose(),
        "token_type": "Bearer",
        "expires_in": login.token.expires_in.as_secs(),
        "username": login.user.name,
    });
    json(StatusCode::OK, &body)
}

pub(super) fn page(status: StatusCode, page: &impl Template) -> Result<Response<Bytes>, Refusal> {
    let body = page.render().map_err(|error| broken(&error))?;
    let mut response = with_type(status, "text/html; charset=utf-8", body.into());
    page::protect(response.headers_mut());
    Ok(response)
}

/// 303: the next page is fetched by GET, so that reloading it repeats nothing.
pub(super) fn see_other(path: &str) -> Response<Bytes> {
    let mut response = empty(StatusCode::SEE_OTHER);
    if let Ok(location) = HeaderValue::from_str(path) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

pub(super) fn no_content() -> Response<Bytes> {
    empty(StatusCode::NO_CONTENT)
}

fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    response
}

pub(super) fn with_type(
    status: StatusCode,
    media_type: &'static str,
    body: Bytes,
) -> Response<Bytes> {
    let mut response = empty(status);
    *response.body_mut() = body;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

fn broken(error: &(dyn std::error::Error + 'static)) -> Refusal {
    tracing::error!(error, "an answer could not be written");
    Refusal::internal()
}
