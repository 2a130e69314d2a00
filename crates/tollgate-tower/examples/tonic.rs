//! A gRPC server on tonic, with the usual health service, that passes five calls a minute for each client.
//!
//! ```text
//! cargo run -p tollgate-tower --example tonic
//! for i in $(seq 6); do grpc_health_probe -addr=127.0.0.1:3000; done
//! printf '\0\0\0\0\0' | curl -si --http2-prior-knowledge http://127.0.0.1:3000/grpc.health.v1.Health/Check \
//!     -H 'content-type: application/grpc' --data-binary @- | cat -v
//! ```
//!
//! The sixth has `grpc-status: 8` (RESOURCE_EXHAUSTED) and tells when to come back.
#![expect(clippy::print_stdout, reason = "an example says where it listens")]

use std::error::Error;

use tokio::net::TcpListener;
use tollgate::{Limiter, Quota};
use tollgate_tower::address::Proxies;
use tollgate_tower::{RateLimitLayer, key};
use tonic::transport::Server;
use tonic::transport::server::{TcpConnectInfo, TcpIncoming};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("Listening on http://{}", listener.local_addr()?);
    serve(listener).await
}

pub(crate) async fn serve(listener: TcpListener) -> Result<(), Box<dyn Error>> {
    let limiter = Limiter::new(Quota::per_minute(5)?)?;
    let client = key::client_address(Proxies::default(), |request| {
        request.extensions.get::<TcpConnectInfo>()?.remote_addr()
    });
    let (_, health) = tonic_health::server::health_reporter();
    Server::builder()
        .layer(RateLimitLayer::new(limiter, client))
        .add_service(health)
        .serve_with_incoming(TcpIncoming::from(listener))
        .await?;
    Ok(())
}
