//! A service behind a limiter: a request that is admitted goes on to it, any other is answered here.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tollgate::Permit;
use tower_service::Service;

use crate::body::ResponseBody;
use crate::settings::Settings;

/// A service behind a limiter; [`RateLimitLayer`](crate::RateLimitLayer) makes it.
///
/// ```
/// use tollgate::{Limiter, Quota};
/// use tollgate_tower::{RateLimit, RateLimitLayer, key};
/// use tower::{Layer, service_fn};
///
/// let inner = service_fn(async |_: http::Request<String>| Ok::<_, std::convert::Infallible>(http::Response::new(String::new())));
/// let layer = RateLimitLayer::new(Limiter::new(Quota::per_minute(5)?)?, key::header("x-api-key"));
/// let limited: RateLimit<_> = layer.layer(inner);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct RateLimit<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> RateLimit<S> {
    pub(crate) fn new(inner: S, settings: Arc<Settings>) -> Self {
        RateLimit { inner, settings }
    }
}

impl<S, B, R> Service<Request<B>> for RateLimit<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let state = match self.settings.admit(&parts) {
            Ok(permit) => State::Admitted {
                future: self.inner.call(Request::from_parts(parts, body)),
                permit,
            },
            Err(decision) => State::Refused {
                response: Some(self.settings.refuse(&parts, &decision)),
            },
        };
        ResponseFuture {
            state,
            settings: Arc::clone(&self.settings),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for RateLimit<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("inner", &self.inner)
            .field("limiter", &self.settings.limiter)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The inner service's response with the fields added, or the refusal. Dropped before it is ready, it gives back a
    /// slot that it holds.
    ///
    /// ```
    /// use tollgate::{Limiter, Quota};
    /// use tollgate_tower::{RateLimitLayer, key};
    /// use tower::{Layer, ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let inner = service_fn(async |_: http::Request<String>| Ok::<_, std::convert::Infallible>(http::Response::new(String::new())));
    /// let layer = RateLimitLayer::new(Limiter::new(Quota::per_minute(1)?)?, key::header("x-api-key"));
    /// let request = || http::Request::get("/").header("x-api-key", "ann").body(String::new());
    /// assert_eq!(layer.layer(inner.clone()).oneshot(request()?).await?.status(), 200);
    /// assert_eq!(layer.layer(inner).oneshot(request()?).await?.status(), 429);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
        settings: Arc<Settings>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Admitted { #[pin] future: F, permit: Option<Permit> },
        Refused { response: Option<Response<Bytes>> },
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.state.project() {
            StateProjection::Admitted { future, permit } => {
                let result = ready!(future.poll(context));
                // Taken in either case: an error has no body that could hold a slot.
                let permit = permit.take();
                Poll::Ready(result.map(|response| this.settings.answer(response, permit)))
            }
            StateProjection::Refused { response } => match response.take() {
                Some(response) => Poll::Ready(Ok(response.map(ResponseBody::refusal))),
                None => Poll::Pending,
            },
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
