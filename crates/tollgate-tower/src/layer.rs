//! The layer: a key out of each request, a decision, and either the inner service or a refusal.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tollgate::{Decision, Limiter, Reason, Verdict};
use tower_layer::Layer;
use tower_service::Service;

use crate::fields::{self, Legacy};

/// What a refused request is answered with. Response fields are added to it.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// The media type of the body.
    pub content_type: HeaderValue,
    /// The body.
    pub body: String,
}

impl Refusal {
    /// The usual one: 429 and one line of plain text, `Rate limit exceeded. Try again in 36 seconds`.
    pub fn text(decision: &Decision) -> Self {
        let (status, body) = match decision.verdict() {
            Verdict::Refused {
                reason: Reason::MissingKey,
            } => (
                StatusCode::FORBIDDEN,
                "The request says nothing to limit it by".to_owned(),
            ),
            Verdict::Refused {
                reason: Reason::StoreClosed | Reason::StoreFull,
            } => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Temporarily reduced capacity".to_owned(),
            ),
            Verdict::Refused { .. } => (StatusCode::FORBIDDEN, "Refused by policy".to_owned()),
            Verdict::Never { max } => (
                StatusCode::TOO_MANY_REQUESTS,
                format!("Rate limit exceeded. At most {max} units pass at once"),
            ),
            Verdict::Deny { .. } | Verdict::Allow => {
                let seconds = decision.retry_after_secs().unwrap_or(1);
                (
                    StatusCode::TOO_MANY_REQUESTS,
                    format!("Rate limit exceeded. Try again in {seconds} seconds"),
                )
            }
        };
        Refusal {
            status,
            content_type: HeaderValue::from_static("text/plain; charset=utf-8"),
            body,
        }
    }
}

type RefusalOf = Arc<dyn Fn(&Decision) -> Refusal + Send + Sync>;

struct Shared<K> {
    limiter: Limiter,
    key: K,
    refusal: RefusalOf,
    policy_value: Option<HeaderValue>,
    legacy: Legacy,
}

/// Limits the services that it wraps. All of them share the limiter.
pub struct RateLimitLayer<K>(Arc<Shared<K>>);

impl<K, T> RateLimitLayer<K>
where
    K: Fn(&Parts) -> Option<T>,
    T: AsRef<[u8]>,
{
    /// Limits each request under the key that `key` finds in it; a request without one is refused.
    pub fn new(limiter: Limiter, key: K) -> Self {
        let policy_value = fields::policy_value(limiter.policies().iter().map(|policy| &**policy));
        RateLimitLayer(Arc::new(Shared {
            limiter,
            key,
            refusal: Arc::new(Refusal::text),
            policy_value,
            legacy: Legacy::default(),
        }))
    }

    /// Answers refused requests with what `refusal` makes of the decision.
    #[must_use]
    pub fn refusal(self, refusal: impl Fn(&Decision) -> Refusal + Send + Sync + 'static) -> Self
    where
        K: Clone,
    {
        let Shared {
            limiter,
            key,
            policy_value,
            legacy,
            ..
        } = &*self.0;
        RateLimitLayer(Arc::new(Shared {
            limiter: limiter.clone(),
            key: key.clone(),
            refusal: Arc::new(refusal),
            policy_value: policy_value.clone(),
            legacy: *legacy,
        }))
    }
}

impl<K> Clone for RateLimitLayer<K> {
    fn clone(&self) -> Self {
        RateLimitLayer(Arc::clone(&self.0))
    }
}

impl<S, K> Layer<S> for RateLimitLayer<K> {
    type Service = RateLimit<S, K>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit {
            inner,
            shared: Arc::clone(&self.0),
        }
    }
}

/// A service behind a limiter.
pub struct RateLimit<S, K> {
    inner: S,
    shared: Arc<Shared<K>>,
}

impl<S: Clone, K> Clone for RateLimit<S, K> {
    fn clone(&self) -> Self {
        RateLimit {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S, K, T, B, R> Service<Request<B>> for RateLimit<S, K>
where
    S: Service<Request<B>, Response = Response<R>>,
    K: Fn(&Parts) -> Option<T>,
    T: AsRef<[u8]>,
    R: From<String>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, R>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Shared {
            limiter,
            key,
            refusal,
            ..
        } = &*self.shared;
        let (parts, body) = request.into_parts();
        let decision = match key(&parts) {
            Some(key) => limiter.check(key),
            None => Decision::refused(Reason::MissingKey, tollgate::Micros::default()),
        };
        let mut headers = HeaderMap::new();
        let policies = limiter.policies().iter().map(|policy| &**policy);
        fields::write(
            &mut headers,
            policies,
            self.shared.policy_value.as_ref(),
            &decision,
            self.shared.legacy,
        );
        if decision.is_allowed() {
            let future = self.inner.call(Request::from_parts(parts, body));
            return ResponseFuture {
                state: State::Allowed {
                    future,
                    headers: Some(headers),
                },
            };
        }
        let Refusal {
            status,
            content_type,
            body,
        } = refusal(&decision);
        let mut response = Response::new(R::from(body));
        *response.status_mut() = status;
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        *response.headers_mut() = headers;
        ResponseFuture {
            state: State::Refused {
                response: Some(response),
            },
        }
    }
}

pin_project! {
    /// The inner service's response with the fields added, or the refusal.
    pub struct ResponseFuture<F, R> {
        #[pin]
        state: State<F, R>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, R> {
        Allowed { #[pin] future: F, headers: Option<HeaderMap> },
        Refused { response: Option<Response<R>> },
    }
}

impl<F, R, E> Future for ResponseFuture<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Refused { response } => response
                .take()
                .map_or(Poll::Pending, |response| Poll::Ready(Ok(response))),
            StateProjection::Allowed { future, headers } => {
                future.poll(context).map_ok(|mut response| {
                    response
                        .headers_mut()
                        .extend(headers.take().unwrap_or_default());
                    response
                })
            }
        }
    }
}
