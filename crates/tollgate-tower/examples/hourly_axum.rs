//! An axum server that passes a hundred requests an hour for each requester, and tells the others how long to wait.
//!
//! ```text
//! cargo run -p tollgate-tower --example hourly_axum
//! for i in $(seq 101); do curl -s http://127.0.0.1:3000/; echo; done | tail -1
//! ```
#![expect(clippy::print_stdout, reason = "an example says where it listens")]

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use http::request::Parts;
use tollgate::{Limiter, Quota};
use tollgate_tower::RateLimitLayer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Another strategy is another text: "100 per hour fixed-window", "100 per hour token-bucket".
    let limiter = Limiter::new("100 per hour".parse::<Quota>()?)?;
    let app = Router::new()
        .route("/", get(async || "Hello, World!"))
        .layer(RateLimitLayer::new(limiter, requester));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("Listening on http://127.0.0.1:3000");
    axum::serve(
        listener,
        app.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .await?;
    Ok(())
}

/// The peer's address; of IPv6 the network, because one client has many addresses in it. A request without one is
/// refused, not let through.
fn requester(request: &Parts) -> Option<String> {
    let ConnectInfo(peer) = request.extensions.get::<ConnectInfo<SocketAddr>>()?;
    let address = match peer.ip().to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    };
    Some(address.to_string())
}
