//! The layer in a gRPC server, and what a gRPC client makes of its refusals.

use std::error::Error;

use tokio::net::TcpListener;
use tollgate_tower::address::Proxies;
use tollgate_tower::{RateLimitLayer, key};
use tonic::transport::server::{TcpConnectInfo, TcpIncoming};
use tonic::transport::{Channel, Server};
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::{limiter, wire};

async fn serve(listener: TcpListener, layer: RateLimitLayer) -> Result<(), Box<dyn Error>> {
    let (_, health) = tonic_health::server::health_reporter();
    Server::builder()
        .layer(layer)
        .add_service(health)
        .serve_with_incoming(TcpIncoming::from(listener))
        .await?;
    Ok(())
}

/// A server behind the layer, and a client of it.
async fn client(layer: RateLimitLayer) -> (wire::Server, HealthClient<Channel>) {
    let server = wire::Server::start(|listener| serve(listener, layer)).await;
    let client = server.grpc().await;
    (server, client)
}

fn by(requester: &'static str) -> Request<HealthCheckRequest> {
    let mut request = Request::new(HealthCheckRequest::default());
    let requester = requester.parse().unwrap();
    request.metadata_mut().insert("x-requester", requester);
    request
}

#[tokio::test]
async fn the_sixth_of_five_a_minute_is_resource_exhausted_with_the_fields() {
    let key = key::client_address(Proxies::default(), |request| {
        request.extensions.get::<TcpConnectInfo>()?.remote_addr()
    });
    let (limiter, _) = limiter("5 per minute");
    let (_server, mut client) = client(RateLimitLayer::new(limiter, key)).await;
    for remaining in [4, 3, 2, 1, 0] {
        let response = client.check(HealthCheckRequest::default()).await.unwrap();
        let standing = format!("\"minute\";r={remaining};t=60");
        assert_eq!(response.metadata().get("ratelimit").unwrap(), &standing);
    }
    let refused = client
        .check(HealthCheckRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(
        refused.message(),
        "Rate limit exceeded. Try again in 60 seconds"
    );
    for (name, value) in [
        ("ratelimit", "\"minute\";r=0;t=60"),
        ("ratelimit-policy", "\"minute\";q=5;w=60"),
        ("retry-after", "60"),
        ("grpc-retry-pushback-ms", "60000"),
    ] {
        assert_eq!(refused.metadata().get(name).unwrap(), value, "{name}");
    }
}

#[tokio::test]
async fn a_call_without_a_key_is_permission_denied() {
    let (limiter, _) = limiter("5 per minute");
    let (_server, mut client) =
        client(RateLimitLayer::new(limiter, key::header("x-requester"))).await;
    let request = HealthCheckRequest::default();
    let refused = client.check(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(client.check(by("ann")).await.is_ok());
}

#[tokio::test]
async fn a_stream_holds_its_slot_until_the_client_ends_it() {
    let (limiter, _) = limiter("1 concurrent");
    let (_server, mut client) =
        client(RateLimitLayer::new(limiter, key::header("x-requester"))).await;
    let stream = client.watch(by("ann")).await.unwrap();
    let refused = client.check(by("ann")).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(client.check(by("bob")).await.is_ok());
    drop(stream);
    // The reset of the stream and the next call go different ways to the server.
    let mut calls = 1;
    while client.check(by("ann")).await.is_err() {
        calls += 1;
        assert!(calls < 1_000, "the slot never came back");
    }
}
