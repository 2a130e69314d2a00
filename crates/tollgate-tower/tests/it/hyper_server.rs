//! The layer in a server on hyper alone.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;

use axum::BoxError;
use axum::body::{Body, Bytes};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tollgate_tower::address::Proxies;
use tollgate_tower::{RateLimitLayer, key};
use tower::{ServiceBuilder, service_fn};

use crate::wire::Server;
use crate::{by, by_nobody, limiter};

/// Serves `handler` behind the layer, on one connection after the other.
async fn serve<H, F>(
    listener: TcpListener,
    layer: RateLimitLayer,
    handler: H,
) -> Result<(), Box<dyn Error>>
where
    H: Fn() -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    loop {
        let (stream, peer) = listener.accept().await?;
        let handler = handler.clone();
        let service = ServiceBuilder::new()
            .map_request(move |mut request: Request<_>| {
                request.extensions_mut().insert(peer);
                request
            })
            .layer(layer.clone())
            .service(service_fn(move |_| {
                let answer = handler();
                async { Ok::<_, Infallible>(answer.await) }
            }));
        let service = TowerToHyperService::new(service);
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

#[tokio::test]
async fn the_sixth_of_five_a_minute_is_refused_with_the_fields() {
    let key = key::client_address(Proxies::default(), |request| {
        request.extensions.get::<SocketAddr>().copied()
    });
    let layer = RateLimitLayer::new(limiter("5 per minute").0, key);
    let server =
        Server::start(|listener| serve(listener, layer, async || Response::new("hello".into())))
            .await;
    for remaining in [4, 3, 2, 1, 0] {
        let mut request = by_nobody();
        // A new address in every request makes nobody a new client.
        let forwarded_for = format!("192.0.2.{remaining}").parse().unwrap();
        request
            .headers_mut()
            .insert("x-forwarded-for", forwarded_for);
        let response = server.call(request).await;
        assert_eq!(
            (response.status(), response.body().as_str()),
            (StatusCode::OK, "hello")
        );
        assert_eq!(response.headers()["content-length"], "5");
        let standing = format!("\"minute\";r={remaining};t=60");
        assert_eq!(response.headers()["ratelimit"], standing);
    }
    let refused = server.call(by_nobody()).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        refused.body(),
        "Rate limit exceeded. Try again in 60 seconds"
    );
    assert_eq!(refused.headers()["retry-after"], "60");
    assert_eq!(refused.headers()["ratelimit"], "\"minute\";r=0;t=60");
    assert_eq!(refused.headers()["ratelimit-policy"], "\"minute\";q=5;w=60");
    assert_eq!(refused.headers()["content-length"], "44");
}

#[tokio::test]
async fn a_client_that_hangs_up_in_the_middle_of_an_answer_gives_its_slot_back() {
    let (limiter, _) = limiter("1 concurrent");
    let layer = RateLimitLayer::new(limiter.clone(), key::header("x-requester"));
    let (senders, mut sent) = mpsc::channel::<mpsc::Sender<Result<Bytes, BoxError>>>(1);
    let server = Server::start(|listener| {
        serve(listener, layer, move || {
            let senders = senders.clone();
            async move {
                let (sender, receiver) = mpsc::channel(1);
                senders.send(sender).await.unwrap();
                Response::new(Body::from_stream(ReceiverStream::new(receiver)))
            }
        })
    })
    .await;
    let mut response = server.send(by("ann")).await;
    let chunks = sent.recv().await.unwrap();
    chunks.send(Ok("chunk".into())).await.unwrap();
    response.frame().await.unwrap().unwrap();
    let refused = server.send(by("ann")).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    drop(response);
    // The server notices when it next writes, and drops the body, on this same thread.
    while chunks.send(Ok("chunk".into())).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(limiter.peek("ann").is_allowed());
}
