//! What a request takes.

use http::{Request, StatusCode};
use tollgate_tower::{RateLimitLayer, key};

use crate::{call, hello, limiter};

fn by_ann(path: &str) -> Request<()> {
    Request::get(path)
        .header("x-requester", "ann")
        .body(())
        .unwrap()
}

#[tokio::test]
async fn a_request_takes_as_many_units_as_the_closure_says() {
    let (limiter, _) = limiter("10 per minute fixed-window");
    let layer = RateLimitLayer::new(limiter.clone(), key::header("x-requester")).cost(|request| {
        match request.uri.path() {
            "/export" => 7,
            "/impossible" => 11,
            "/free" => 0,
            _ => 1,
        }
    });
    let app = hello(layer);
    let exported = call(&app, by_ann("/export")).await;
    assert_eq!(exported.headers()["ratelimit"], "\"minute\";r=3;t=60");
    assert_eq!(
        call(&app, by_ann("/export")).await.status(),
        StatusCode::TOO_MANY_REQUESTS
    );
    assert_eq!(call(&app, by_ann("/")).await.status(), StatusCode::OK);
    assert_eq!(limiter.peek("ann").remaining(), 2);
    assert_eq!(call(&app, by_ann("/free")).await.status(), StatusCode::OK);
    assert_eq!(limiter.peek("ann").remaining(), 2);

    // Waiting does not help, so there is nothing to wait for.
    let never = call(&app, by_ann("/impossible")).await;
    assert_eq!(never.status(), StatusCode::FORBIDDEN);
    assert_eq!(
        never.body(),
        "Rate limit exceeded. At most 10 units pass at once"
    );
    assert!(!never.headers().contains_key("retry-after"));
}
