//! An upstream's answer within a page, for browsers.

use askama::Template;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Limited};

use crate::body::Body;
use crate::page::{self, Site, Window};
use crate::refusal::Refusal;

/// The largest answer that is put into a page.
const ANSWER_BYTES_MAX: usize = 64 << 10;

#[derive(Template)]
#[template(path = "number.html")]
struct NumberPage<'a> {
    site: Site<'a>,
    number: Option<String>,
    body: String,
    windows: Vec<Window>,
}

/// The answer as a page; an answer that is no success goes on as it is.
pub(crate) async fn render(
    response: Response<Body>,
    site: Site<'_>,
    windows: Vec<Window>,
) -> Result<Response<Body>, Refusal> {
    if response.status() != StatusCode::OK {
        return Ok(response);
    }
    let collected = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await;
    let answer = collected.map_err(|_| Refusal::bad_gateway())?.to_bytes();
    let body = String::from_utf8_lossy(&answer).into_owned();
    let page = NumberPage {
        site,
        number: number_in(&answer),
        body,
        windows,
    };
    let html = page.render().map_err(|_| Refusal::internal())?;
    let mut response = Response::new(Body::from(Bytes::from(html)));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    page::protect(response.headers_mut());
    Ok(response)
}

/// The one number of a JSON object, or of a bare JSON value.
fn number_in(answer: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(answer).ok()?;
    match &value {
        serde_json::Value::Number(number) => Some(number.to_string()),
        serde_json::Value::Object(members) => {
            let mut numbers = members.values().filter(|member| member.is_number());
            let number = numbers.next()?.to_string();
            numbers.next().is_none().then_some(number)
        }
        _ => None,
    }
}
