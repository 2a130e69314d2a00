//! The layer as its users put it in front of their services. Time is an argument; nothing here sleeps.
#![allow(clippy::unwrap_used, reason = "tests")]

mod costs;
mod examples;
mod fields;
mod hyper_server;
mod in_flight;
mod keys;
mod refusals;
mod tonic_server;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::any;
use http::{Request, Response};
use tollgate::{Limiter, ManualClock, Micros, Quota};
use tollgate_tower::RateLimitLayer;
use tower::ServiceExt;

/// A limiter of these quotas, and the clock that it reads.
fn limiter(quotas: &str) -> (Limiter, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(Micros::from_secs(1_800_000_000)));
    let limiter = Limiter::builder()
        .quotas(Quota::parse_list(quotas).unwrap())
        .clock(clock.clone())
        .build()
        .unwrap();
    (limiter, clock)
}

/// A router that answers `hello`, behind the layer.
fn hello(layer: RateLimitLayer) -> Router {
    Router::new().fallback(any(async || "hello")).layer(layer)
}

/// Calls a router, without a socket.
async fn call(app: &Router, request: Request<()>) -> Response<String> {
    let response = app
        .clone()
        .oneshot(request.map(|()| Body::empty()))
        .await
        .unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 4096).await.unwrap().to_vec();
    Response::from_parts(parts, String::from_utf8(body).unwrap())
}

/// A request of somebody who names himself in a field.
fn by(requester: &str) -> Request<()> {
    Request::get("/")
        .header("x-requester", requester)
        .body(())
        .unwrap()
}

/// A request of somebody who does not.
fn by_nobody() -> Request<()> {
    Request::get("/").body(()).unwrap()
}
