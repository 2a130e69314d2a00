//! What every response says of where the client stands.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tollgate_tower::fields::{self, Legacy};
use tollgate_tower::{RateLimitLayer, key};

use crate::{by, call, hello, limiter};

#[tokio::test]
async fn the_101st_is_answered_exactly_so_with_the_same_number_in_retry_after() {
    let (limiter, clock) = limiter("100 per hour");
    let app = hello(RateLimitLayer::new(limiter, key::header("x-requester")));
    for _ in 0..100 {
        assert_eq!(call(&app, by("ann")).await.status(), StatusCode::OK);
    }
    clock.advance(Duration::from_millis(3_564_200));
    let response = call(&app, by("ann")).await;
    assert_eq!(
        (response.status(), response.body().as_str()),
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
    assert_eq!(call(&app, by("ann")).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_allowed_response_carries_the_fields_and_requesters_are_apart() {
    let (limiter, _) = limiter("100 per hour");
    let app = hello(RateLimitLayer::new(limiter, key::header("x-requester")));
    let response = call(&app, by("ann")).await;
    assert_eq!(
        (response.status(), response.body().as_str()),
        (StatusCode::OK, "hello")
    );
    assert_eq!(
        response.headers()["ratelimit-policy"],
        "\"hour\";q=100;w=3600"
    );
    assert_eq!(response.headers()["ratelimit"], "\"hour\";r=99;t=3600");
    let response = call(&app, by("bob")).await;
    assert_eq!(response.headers()["ratelimit"], "\"hour\";r=99;t=3600");
}

/// The gateway writes its fields by the same function, from the decision of the same library.
#[tokio::test]
async fn the_fields_are_the_gateways() {
    for legacy in [Legacy::Delta, Legacy::Epoch, Legacy::None] {
        let (limiter, _) = limiter("2 per minute fixed-window; 9 per hour");
        let layer = RateLimitLayer::new(limiter, key::header("x-requester")).legacy(legacy);
        let app = hello(layer);
        let (twin, _) = crate::limiter("2 per minute fixed-window; 9 per hour");
        for _ in 0..3 {
            let mut expected = HeaderMap::new();
            let decision = twin.check("ann");
            let policies = twin.policies().iter().map(|policy| &**policy);
            let policy_value = fields::policy_value(policies.clone());
            fields::write(
                &mut expected,
                policies,
                policy_value.as_ref(),
                &decision,
                legacy,
            );
            let mut written = call(&app, by("ann")).await.headers().clone();
            for other in ["content-type", "content-length", "cache-control"] {
                written.remove(other);
            }
            assert_eq!(written, expected);
        }
    }
}
