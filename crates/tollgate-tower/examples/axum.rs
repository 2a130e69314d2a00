//! An axum server with costs, requests in flight, and refusals of its own, for each API key.
//!
//! ```text
//! cargo run -p tollgate-tower --example axum
//! curl -i http://127.0.0.1:3000/ -H 'x-api-key: ann'         # takes one of ten units
//! curl -i http://127.0.0.1:3000/export -H 'x-api-key: ann'   # takes eight; the second time it is refused
//! curl -i http://127.0.0.1:3000/                             # all without a key share one
//! ```
#![expect(clippy::print_stdout, reason = "an example says where it listens")]

use std::error::Error;

use axum::Router;
use axum::routing::get;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode, header};
use tokio::net::TcpListener;
use tollgate::{Decision, Limiter, Quota};
use tollgate_tower::{MissingKey, Problem, RateLimitLayer, key};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("Listening on http://{}", listener.local_addr()?);
    serve(listener).await
}

pub(crate) async fn serve(listener: TcpListener) -> Result<(), Box<dyn Error>> {
    let limiter = Limiter::new(Quota::parse_list("10 per minute; 2 concurrent")?)?;
    let layer = RateLimitLayer::new(limiter, key::header("x-api-key"))
        .on_missing_key(MissingKey::Anonymous)
        .cost(|request| {
            if request.uri.path() == "/export" {
                8
            } else {
                1
            }
        })
        .refusal(refusal);
    let app = Router::new()
        .route("/", get(async || "Hello, World!"))
        .route("/export", get(async || "everything"))
        .layer(layer);
    axum::serve(listener, app).await?;
    Ok(())
}

/// A problem body, as the gateway sends it.
fn refusal(request: &Parts, decision: &Decision) -> Response<String> {
    let problem = Problem {
        kind: Problem::QUOTA_EXCEEDED,
        title: "Quota Exceeded",
        status: StatusCode::TOO_MANY_REQUESTS.as_u16(),
        detail: "Ten units a minute, and two requests at a time.",
        instance: request.uri.path(),
        violated_policies: &[],
        retry_after: decision.retry_after_secs(),
        request_id: "",
    };
    let mut response = Response::new(problem.to_json());
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    let media_type = HeaderValue::from_static(Problem::MEDIA_TYPE);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    response
}
