//! A server on hyper alone that passes five requests a minute for each client.
//!
//! ```text
//! cargo run -p tollgate-tower --example hyper
//! for i in $(seq 6); do curl -s http://127.0.0.1:3000/; echo; done
//! ```
#![expect(clippy::print_stdout, reason = "an example says where it listens")]

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tollgate::{Limiter, Quota};
use tollgate_tower::address::Proxies;
use tollgate_tower::{RateLimitLayer, key};
use tower::{Layer, Service};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("Listening on http://{}", listener.local_addr()?);
    serve(listener).await
}

pub(crate) async fn serve(listener: TcpListener) -> Result<(), Box<dyn Error>> {
    let limiter = Limiter::new(Quota::per_minute(5)?)?;
    let proxies = Proxies::new(["10.0.0.0/8".parse()?]);
    let client = key::client_address(proxies, |request| {
        request.extensions.get::<SocketAddr>().copied()
    });
    let limited = RateLimitLayer::new(limiter, client).layer(tower::service_fn(hello));
    loop {
        let (stream, peer) = listener.accept().await?;
        let limited = limited.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            limited.clone().call(request)
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn hello(_: Request<Incoming>) -> Result<Response<String>, Infallible> {
    Ok(Response::new("Hello, World!".to_owned()))
}
