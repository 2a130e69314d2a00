//! An axum server that passes a hundred requests an hour for each requester, and tells the others how long to wait.
//!
//! ```text
//! cargo run -p tollgate-tower --example hourly_axum
//! for i in $(seq 101); do curl -s http://127.0.0.1:3000/; echo; done | tail -1
//! ```
#![expect(clippy::print_stdout, reason = "an example says where it listens")]

use std::error::Error;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use http::request::Parts;
use tokio::net::TcpListener;
use tollgate::{Limiter, Quota};
use tollgate_tower::address::Proxies;
use tollgate_tower::{RateLimitLayer, key};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("Listening on http://{}", listener.local_addr()?);
    serve(listener).await
}

pub(crate) async fn serve(listener: TcpListener) -> Result<(), Box<dyn Error>> {
    // Another strategy is another text: "100 per hour fixed-window", "100 per hour token-bucket".
    let limiter = Limiter::new("100 per hour".parse::<Quota>()?)?;
    // No proxy is believed: list yours, or all that comes by it counts as one requester.
    let requester = key::client_address(Proxies::default(), peer);
    let app = Router::new()
        .route("/", get(async || "Hello, World!"))
        .layer(RateLimitLayer::new(limiter, requester));
    axum::serve(
        listener,
        app.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .await?;
    Ok(())
}

/// Where axum puts the address of whoever called.
fn peer(request: &Parts) -> Option<SocketAddr> {
    let ConnectInfo(peer) = request.extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some(*peer)
}
