//! What a request that is refused is answered with.

use http::{Request, Response, StatusCode};
use tollgate_tower::{RateLimitLayer, key};

use crate::{by, call, hello, limiter};

fn with_refusal() -> RateLimitLayer {
    RateLimitLayer::new(limiter("1 per minute").0, key::header("x-requester")).refusal(
        |request, decision| {
            let path = request.uri.path();
            let wait = decision.retry_after_secs().unwrap_or_default();
            let mut response = Response::new(format!("no {path} for {wait} s"));
            *response.status_mut() = StatusCode::IM_A_TEAPOT;
            response
        },
    )
}

#[tokio::test]
async fn the_refusal_is_the_users_to_write_and_the_fields_are_added() {
    let app = hello(with_refusal());
    call(&app, by("ann")).await;
    let response = call(&app, by("ann")).await;
    assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
    assert_eq!(response.body(), "no / for 60 s");
    assert_eq!(response.headers()["ratelimit"], "\"minute\";r=0;t=60");
    assert_eq!(response.headers()["retry-after"], "60");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert!(!response.headers().contains_key("content-type"));
}

#[tokio::test]
async fn what_the_user_writes_goes_before_grpc() {
    let app = hello(with_refusal());
    call(&app, by("ann")).await;
    let mut request = by("ann");
    let headers = request.headers_mut();
    headers.insert("content-type", "application/grpc".parse().unwrap());
    assert_eq!(call(&app, request).await.status(), StatusCode::IM_A_TEAPOT);
}

#[tokio::test]
async fn a_request_of_grpc_is_refused_in_grpc_and_no_other() {
    let app = hello(RateLimitLayer::new(
        limiter("1 per minute").0,
        key::header("x-requester"),
    ));
    call(&app, by("ann")).await;
    let of = |content_type: &str| {
        Request::post("/")
            .header("x-requester", "ann")
            .header("content-type", content_type)
            .body(())
            .unwrap()
    };
    for content_type in [
        "application/grpc",
        "application/grpc+proto",
        "application/grpc;x=y",
    ] {
        let response = call(&app, of(content_type)).await;
        assert_eq!(response.status(), StatusCode::OK, "{content_type}");
        assert_eq!(response.headers()["grpc-status"], "8");
        assert_eq!(response.body(), "");
    }
    for content_type in [
        "application/grpc-web",
        "application/grpc-web+proto",
        "text/plain",
    ] {
        let response = call(&app, of(content_type)).await;
        assert_eq!(
            response.status(),
            StatusCode::TOO_MANY_REQUESTS,
            "{content_type}"
        );
    }
}

#[tokio::test]
async fn a_key_that_is_too_long_is_a_bad_request() {
    let app = hello(RateLimitLayer::new(
        limiter("1 per minute").0,
        key::header("x-requester"),
    ));
    let response = call(&app, by(&"a".repeat(2000))).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}
