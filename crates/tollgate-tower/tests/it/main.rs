//! The layer in front of axum, without a socket.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::get;
use http::{Request, Response, StatusCode};
use tollgate::{Limiter, ManualClock, Micros, Quota};
use tollgate_tower::{RateLimitLayer, Refusal};
use tower::ServiceExt;

fn app(limiter: Limiter) -> Router {
    let layer = RateLimitLayer::new(limiter, |request: &http::request::Parts| {
        request
            .headers
            .get("x-requester")
            .map(|value| value.as_bytes().to_vec())
    });
    Router::new()
        .route("/", get(|| async { "hello" }))
        .layer(layer)
}

fn hourly() -> (Limiter, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(Micros::from_secs(1_800_000_000)));
    (
        Limiter::builder()
            .quotas(Quota::per_hour(100).unwrap())
            .clock(clock.clone())
            .build()
            .unwrap(),
        clock,
    )
}

async fn call(app: &Router, requester: Option<&str>) -> (StatusCode, Response<()>, String) {
    let mut request = Request::get("/");
    if let Some(requester) = requester {
        request = request.header("x-requester", requester);
    }
    let (parts, body) = app
        .clone()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap()
        .into_parts();
    let body = String::from_utf8(to_bytes(body, 4096).await.unwrap().to_vec()).unwrap();
    (parts.status, Response::from_parts(parts, ()), body)
}

#[tokio::test]
async fn the_101st_is_answered_exactly_so_with_the_same_number_in_retry_after() {
    let (limiter, clock) = hourly();
    let app = app(limiter);
    for _ in 0..100 {
        assert_eq!(call(&app, Some("ann")).await.0, StatusCode::OK);
    }
    clock.advance(Duration::from_millis(3_564_200));
    let (status, response, body) = call(&app, Some("ann")).await;
    assert_eq!(
        (status, body.as_str()),
        (
            StatusCode::TOO_MANY_REQUESTS,
            "Rate limit exceeded. Try again in 36 seconds"
        )
    );
    assert_eq!(response.headers()["retry-after"], "36");
    assert_eq!(
        response.headers()["content-type"],
        "text/plain; charset=utf-8"
    );
    assert_eq!(response.headers()["ratelimit"], "\"hour\";r=0;t=36");
    clock.advance(Duration::from_millis(35_800));
    assert_eq!(call(&app, Some("ann")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn an_allowed_response_carries_the_fields_and_requesters_are_apart() {
    let app = app(hourly().0);
    let (status, response, body) = call(&app, Some("ann")).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, "hello"));
    assert_eq!(
        response.headers()["ratelimit-policy"],
        "\"hour\";q=100;w=3600"
    );
    assert_eq!(response.headers()["ratelimit"], "\"hour\";r=99;t=3600");
    assert_eq!(
        call(&app, Some("bob")).await.1.headers()["ratelimit"],
        "\"hour\";r=99;t=3600"
    );
}

#[tokio::test]
async fn a_request_without_a_key_is_refused_not_let_through() {
    assert_eq!(call(&app(hourly().0), None).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_refusal_is_the_users_to_write() {
    let limiter = Limiter::new(Quota::deny()).unwrap();
    let layer =
        RateLimitLayer::new(limiter, |_: &http::request::Parts| Some("all")).refusal(|_| Refusal {
            status: StatusCode::IM_A_TEAPOT,
            content_type: http::HeaderValue::from_static("text/plain"),
            body: "no".to_owned(),
        });
    let app = Router::new()
        .route("/", get(|| async { "hello" }))
        .layer(layer);
    let (status, _, body) = call(&app, None).await;
    assert_eq!((status, body.as_str()), (StatusCode::IM_A_TEAPOT, "no"));
}
