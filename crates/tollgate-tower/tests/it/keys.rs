//! What a request is limited by.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use http::{Request, StatusCode};
use tollgate_tower::address::Proxies;
use tollgate_tower::{MissingKey, RateLimitLayer, key};

use crate::{by, by_nobody, call, hello, limiter};

#[tokio::test]
async fn a_field_tells_requesters_apart_and_one_that_is_empty_or_double_is_missing() {
    let app = hello(RateLimitLayer::new(
        limiter("1 per minute").0,
        key::header("X-Requester"),
    ));
    assert_eq!(call(&app, by("ann")).await.status(), StatusCode::OK);
    assert_eq!(call(&app, by("bob")).await.status(), StatusCode::OK);
    assert_eq!(
        call(&app, by("ann")).await.status(),
        StatusCode::TOO_MANY_REQUESTS
    );
    assert_eq!(call(&app, by("")).await.status(), StatusCode::FORBIDDEN);
    let mut twice = by("cyd");
    twice
        .headers_mut()
        .append("x-requester", "dan".parse().unwrap());
    assert_eq!(call(&app, twice).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_extension_tells_requesters_apart() {
    #[derive(Clone)]
    struct User(&'static str);
    impl AsRef<[u8]> for User {
        fn as_ref(&self) -> &[u8] {
            self.0.as_bytes()
        }
    }
    let app = hello(RateLimitLayer::new(
        limiter("1 per minute").0,
        key::extension::<User>(),
    ));
    let of = |name| {
        let mut request = by_nobody();
        request.extensions_mut().insert(User(name));
        request
    };
    assert_eq!(call(&app, of("ann")).await.status(), StatusCode::OK);
    assert_eq!(call(&app, of("bob")).await.status(), StatusCode::OK);
    assert_eq!(
        call(&app, of("ann")).await.status(),
        StatusCode::TOO_MANY_REQUESTS
    );
    assert_eq!(
        call(&app, by_nobody()).await.status(),
        StatusCode::FORBIDDEN
    );
}

/// Whose unit a request takes that comes from `peer`, and names `forwarded_for`.
async fn client(peer: Option<&str>, forwarded_for: &str) -> Option<String> {
    let (limiter, _) = limiter("1 per minute");
    let proxies = Proxies::new(["10.0.0.0/8".parse().unwrap()]);
    let key = key::client_address(proxies, |request| {
        let peer = request.extensions.get::<ConnectInfo<SocketAddr>>()?;
        Some(peer.0)
    });
    let mut request = Request::get("/")
        .header("x-forwarded-for", forwarded_for)
        .body(())
        .unwrap();
    if let Some(peer) = peer {
        let peer: SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
    }
    call(&hello(RateLimitLayer::new(limiter.clone(), key)), request).await;
    let candidates = [
        "192.0.2.9",
        "192.0.2.7",
        "6.6.6.6",
        "10.0.0.1",
        "2001:db8:0:1::",
    ];
    let charged = |address: &&&str| !limiter.peek(address).is_allowed();
    let client = candidates.iter().find(charged)?;
    Some((*client).to_owned())
}

#[tokio::test]
async fn only_a_listed_proxy_is_believed_about_the_address() {
    let cases = [
        // A stranger who makes up a hop is still himself.
        (Some("192.0.2.9:80"), "6.6.6.6", Some("192.0.2.9")),
        // The proxy added what is furthest right; what stands left of it came from the client.
        (Some("10.0.0.1:80"), "6.6.6.6, 192.0.2.7", Some("192.0.2.7")),
        (
            Some("10.0.0.1:80"),
            "6.6.6.6, 192.0.2.7, 10.0.0.2",
            Some("192.0.2.7"),
        ),
        (Some("10.0.0.1:80"), "nonsense", Some("10.0.0.1")),
        (
            Some("[::ffff:10.0.0.1]:80"),
            "::ffff:192.0.2.7",
            Some("192.0.2.7"),
        ),
        // One client has every address of its /64.
        (
            Some("[2001:db8:0:1:aaaa::5]:80"),
            "6.6.6.6",
            Some("2001:db8:0:1::"),
        ),
        // Without a peer there is nobody to believe.
        (None, "6.6.6.6", None),
    ];
    for (peer, forwarded_for, expected) in cases {
        assert_eq!(
            client(peer, forwarded_for).await.as_deref(),
            expected,
            "{peer:?} {forwarded_for}"
        );
    }
}

#[tokio::test]
async fn a_request_without_a_key_is_refused_not_let_through() {
    let (limiter, _) = limiter("1 per minute");
    let app = hello(RateLimitLayer::new(limiter, key::header("x-requester")));
    let response = call(&app, by_nobody()).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(response.body(), "The request says nothing to limit it by");
}

#[tokio::test]
async fn those_without_a_key_share_one_or_pass_uncounted_if_the_layer_says_so() {
    let layer = |missing_key| {
        RateLimitLayer::new(limiter("1 per minute").0, key::header("x-requester"))
            .on_missing_key(missing_key)
    };
    let app = hello(layer(MissingKey::Anonymous));
    assert_eq!(call(&app, by_nobody()).await.status(), StatusCode::OK);
    assert_eq!(
        call(&app, by_nobody()).await.status(),
        StatusCode::TOO_MANY_REQUESTS
    );
    assert_eq!(call(&app, by("ann")).await.status(), StatusCode::OK);

    let app = hello(layer(MissingKey::Skip));
    for _ in 0..3 {
        let response = call(&app, by_nobody()).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert!(!response.headers().contains_key("ratelimit"));
    }
    assert_eq!(call(&app, by("ann")).await.status(), StatusCode::OK);
    assert_eq!(
        call(&app, by("ann")).await.status(),
        StatusCode::TOO_MANY_REQUESTS
    );
}
