//! The examples, run as they are: each is called until it refuses.

use http::{Request, StatusCode};
use tonic_health::pb::HealthCheckRequest;

use crate::by_nobody;
use crate::wire::Server;

#[expect(dead_code, reason = "`main` is for the command line")]
#[path = "../../examples/axum.rs"]
mod axum;
#[expect(dead_code, reason = "`main` is for the command line")]
#[path = "../../examples/hourly_axum.rs"]
mod hourly_axum;
#[expect(dead_code, reason = "`main` is for the command line")]
#[path = "../../examples/hyper.rs"]
mod hyper;
#[expect(dead_code, reason = "`main` is for the command line")]
#[path = "../../examples/tonic.rs"]
mod tonic;

#[tokio::test]
async fn axum_runs() {
    let server = Server::start(axum::serve).await;
    let export = || Request::get("/export").header("x-api-key", "ann").body(());
    assert_eq!(
        server.call(export().unwrap()).await.status(),
        StatusCode::OK
    );
    let refused = server.call(export().unwrap()).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        refused.headers()["content-type"],
        "application/problem+json"
    );
    assert!(
        refused.body().contains("quota-exceeded"),
        "{}",
        refused.body()
    );
    assert_eq!(server.call(by_nobody()).await.body(), "Hello, World!");
}

#[tokio::test]
async fn hourly_axum_runs() {
    let server = Server::start(hourly_axum::serve).await;
    for _ in 0..100 {
        assert_eq!(server.call(by_nobody()).await.body(), "Hello, World!");
    }
    let refused = server.call(by_nobody()).await;
    let seconds = refused.headers()["retry-after"].to_str().unwrap();
    let told = format!("Rate limit exceeded. Try again in {seconds} seconds");
    assert_eq!(refused.body(), &told);
}

#[tokio::test]
async fn hyper_runs() {
    let server = Server::start(hyper::serve).await;
    for _ in 0..5 {
        assert_eq!(server.call(by_nobody()).await.body(), "Hello, World!");
    }
    assert_eq!(
        server.call(by_nobody()).await.status(),
        StatusCode::TOO_MANY_REQUESTS
    );
}

#[tokio::test]
async fn tonic_runs() {
    let server = Server::start(tonic::serve).await;
    let mut client = server.grpc().await;
    for _ in 0..5 {
        assert!(client.check(HealthCheckRequest::default()).await.is_ok());
    }
    let refused = client.check(HealthCheckRequest::default()).await;
    assert_eq!(
        refused.unwrap_err().code(),
        ::tonic::Code::ResourceExhausted
    );
}
