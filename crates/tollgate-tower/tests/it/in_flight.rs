//! A slot of a `concurrency` quota is held as long as its request is served, and not longer.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use axum::BoxError;
use axum::body::{Body, Bytes};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tollgate::Limiter;
use tollgate_tower::{RateLimit, RateLimitLayer};
use tower::{Layer, Service, ServiceExt, service_fn};

type Chunk = Result<Bytes, BoxError>;

fn layer(limiter: &Limiter) -> RateLimitLayer {
    RateLimitLayer::new(limiter.clone(), |_: &http::request::Parts| Some("all"))
}

fn is_free(limiter: &Limiter) -> bool {
    limiter.peek("all").is_allowed()
}

/// A service whose answer's body comes from the sender.
async fn streaming(
    limiter: &Limiter,
) -> (
    mpsc::Sender<Chunk>,
    Response<tollgate_tower::ResponseBody<Body>>,
) {
    let (sender, receiver) = mpsc::channel::<Chunk>(1);
    let body = Body::from_stream(ReceiverStream::new(receiver));
    let mut body = Some(body);
    let service = layer(limiter).layer(service_fn(move |_: Request<()>| {
        let response = Response::new(body.take().unwrap());
        async { Ok::<_, Infallible>(response) }
    }));
    let response = service.oneshot(Request::new(())).await.unwrap();
    (sender, response)
}

#[tokio::test]
async fn the_slot_is_held_until_the_body_has_ended() {
    let (limiter, _) = crate::limiter("1 concurrent");
    let (sender, mut response) = streaming(&limiter).await;
    assert!(!is_free(&limiter));
    sender.send(Ok("chunk".into())).await.unwrap();
    let frame = response.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "chunk");
    assert!(!is_free(&limiter));
    drop(sender);
    assert!(response.frame().await.is_none());
    assert!(is_free(&limiter), "although the body is still there");
}

#[tokio::test]
async fn a_body_that_is_dropped_gives_the_slot_back() {
    let (limiter, _) = crate::limiter("1 concurrent");
    let (_sender, response) = streaming(&limiter).await;
    assert!(!is_free(&limiter));
    drop(response);
    assert!(is_free(&limiter));
}

#[tokio::test]
async fn a_body_that_breaks_off_gives_the_slot_back() {
    let (limiter, _) = crate::limiter("1 concurrent");
    let (sender, mut response) = streaming(&limiter).await;
    sender.send(Err("broken".into())).await.unwrap();
    assert!(response.frame().await.unwrap().is_err());
    assert!(is_free(&limiter));
}

#[tokio::test]
async fn a_client_that_goes_away_gives_the_slot_back() {
    let (limiter, _) = crate::limiter("1 concurrent");
    let mut service = layer(&limiter).layer(service_fn(async |_: Request<()>| {
        pending::<Result<Response<Body>, Infallible>>().await
    }));
    let mut future = Box::pin(service.call(Request::new(())));
    let mut context = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut context).is_pending());
    assert!(!is_free(&limiter));
    drop(future);
    assert!(is_free(&limiter));
}

#[tokio::test]
async fn a_service_that_fails_gives_the_slot_back() {
    let (limiter, _) = crate::limiter("1 concurrent");
    let mut service = layer(&limiter).layer(service_fn(async |_: Request<()>| {
        Err::<Response<Body>, _>("failed")
    }));
    let mut future = Box::pin(service.call(Request::new(())));
    assert_eq!(future.as_mut().await.unwrap_err(), "failed");
    assert!(is_free(&limiter), "although the future is still there");
}

#[tokio::test]
async fn a_handler_that_panics_gives_the_slot_back() {
    async fn panics(_: Request<()>) -> Result<Response<Body>, Infallible> {
        panic!("on purpose")
    }
    let (limiter, _) = crate::limiter("1 concurrent");
    let service = layer(&limiter).layer(service_fn(panics));
    let task = tokio::spawn(service.oneshot(Request::new(())));
    assert!(task.await.unwrap_err().is_panic());
    assert!(is_free(&limiter));
}

/// A service that panics in `call` itself, before there is a future.
#[derive(Clone)]
struct Panics;

impl Service<Request<()>> for Panics {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        panic!("on purpose")
    }
}

#[tokio::test]
async fn a_service_that_panics_when_called_gives_the_slot_back() {
    let (limiter, _) = crate::limiter("1 concurrent");
    let service: RateLimit<Panics> = layer(&limiter).layer(Panics);
    let task = tokio::spawn(service.oneshot(Request::new(())));
    assert!(task.await.unwrap_err().is_panic());
    assert!(is_free(&limiter));
}

#[tokio::test]
async fn who_finds_no_slot_is_refused_and_the_other_quotas_stay_charged() {
    let (limiter, _) = crate::limiter("5 per minute; 1 concurrent");
    let layer = layer(&limiter).cost(|_| 2);
    let gate = Arc::new(tokio::sync::Notify::new());
    let opened = Arc::clone(&gate);
    let service = layer.layer(service_fn(move |_: Request<()>| {
        let opened = Arc::clone(&opened);
        async move {
            opened.notified().await;
            Ok::<_, Infallible>(Response::new(Body::from("hello")))
        }
    }));
    let first = tokio::spawn(service.clone().oneshot(Request::new(())));
    tokio::task::yield_now().await;
    let second = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(second.status(), StatusCode::TOO_MANY_REQUESTS);
    gate.notify_one();
    let first = first.await.unwrap().unwrap();
    let standing = "\"minute\";r=3;t=60, \"concurrent\";r=0";
    assert_eq!(first.headers()["ratelimit"], standing);
    drop(first);
    let peeked = limiter.peek("all");
    let remaining = peeked
        .standings()
        .iter()
        .map(|standing| standing.remaining());
    assert_eq!(remaining.collect::<Vec<_>>(), [3, 1]);
}

#[tokio::test]
async fn the_service_that_was_made_ready_is_the_one_that_is_called() {
    /// Refuses to be called before it was ready, as `tower::buffer` does; a clone is not ready.
    #[derive(Debug, Default)]
    struct Ready(bool);
    impl Clone for Ready {
        fn clone(&self) -> Self {
            Ready(false)
        }
    }
    impl Service<Request<()>> for Ready {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            self.0 = true;
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<()>) -> Self::Future {
            assert!(std::mem::take(&mut self.0), "called without being ready");
            std::future::ready(Ok(Response::new(Body::empty())))
        }
    }
    let (limiter, _) = crate::limiter("5 per minute");
    let mut service = layer(&limiter).layer(Ready::default());
    for _ in 0..2 {
        let ready = service.ready().await.unwrap();
        assert_eq!(
            ready.call(Request::new(())).await.unwrap().status(),
            StatusCode::OK
        );
    }
}
