//! The layer: a limiter, and where in a request its key is.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use tollgate::{Decision, Limiter};
use tower_layer::Layer;

use crate::fields::Legacy;
use crate::service::RateLimit;
use crate::settings::{MissingKey, Settings};

/// Limits the services that it wraps. All of them share the limiter.
///
/// Every response says where the client stands ([`fields`](crate::fields)). Under a `concurrency` quota a request keeps
/// its slot until the body of its response has ended or is dropped: when the client goes away, the service fails, or a
/// handler panics, the slot is free again.
///
/// ```
/// use tollgate::{Limiter, Quota};
/// use tollgate_tower::{MissingKey, RateLimitLayer, key};
///
/// let limiter = Limiter::new(Quota::parse_list("100 per minute; 10 concurrent")?)?;
/// let layer = RateLimitLayer::new(limiter, key::header("x-api-key")).on_missing_key(MissingKey::Anonymous);
/// let app: axum::Router = axum::Router::new().route("/", axum::routing::get(async || "hello")).layer(layer);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct RateLimitLayer(Arc<Settings>);

impl RateLimitLayer {
    /// Limits each request under the key that `key` finds in it: a closure, or one of [`key`](crate::key). A request
    /// without one is refused, unless [`on_missing_key`](RateLimitLayer::on_missing_key) says otherwise.
    ///
    /// ```
    /// use tollgate::{Limiter, Quota};
    /// use tollgate_tower::RateLimitLayer;
    ///
    /// let layer = RateLimitLayer::new(Limiter::new(Quota::per_minute(5)?)?, |request: &http::request::Parts| {
    ///     Some(request.uri.path().to_owned())
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new<T: AsRef<[u8]>>(
        limiter: Limiter,
        key: impl Fn(&Parts) -> Option<T> + Send + Sync + 'static,
    ) -> Self {
        RateLimitLayer(Arc::new(Settings::new(limiter, key)))
    }

    /// What becomes of a request that has no key.
    #[must_use]
    pub fn on_missing_key(mut self, missing_key: MissingKey) -> Self {
        Arc::make_mut(&mut self.0).missing_key = missing_key;
        self
    }

    /// How many units a request takes; one, if this is not called. Of a `concurrency` quota it takes one slot, whatever
    /// it costs. A request that costs 0 passes.
    ///
    /// ```
    /// use tollgate::{Limiter, Quota};
    /// use tollgate_tower::{RateLimitLayer, key};
    ///
    /// let layer = RateLimitLayer::new(Limiter::new(Quota::per_minute(100)?)?, key::header("x-api-key"))
    ///     .cost(|request| if request.uri.path() == "/export" { 20 } else { 1 });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn cost(mut self, cost: impl Fn(&Parts) -> u64 + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.0).cost = Arc::new(cost);
        self
    }

    /// Answers refused requests with what `refusal` makes of the request and the decision, instead of
    /// [`refusal::usual`](crate::refusal::usual). The fields, and `Cache-Control: no-store` unless it says another, are
    /// added to it.
    ///
    /// ```
    /// use http::{Response, StatusCode};
    /// use tollgate::{Limiter, Quota};
    /// use tollgate_tower::{Problem, RateLimitLayer, key};
    ///
    /// let layer = RateLimitLayer::new(Limiter::new(Quota::per_minute(5)?)?, key::header("x-api-key"))
    ///     .refusal(|request, decision| {
    ///         let problem = Problem {
    ///             kind: Problem::QUOTA_EXCEEDED,
    ///             title: "Quota Exceeded",
    ///             status: 429,
    ///             detail: "Five a minute, please.",
    ///             instance: request.uri.path(),
    ///             violated_policies: &["minute"],
    ///             retry_after: decision.retry_after_secs(),
    ///             request_id: "",
    ///         };
    ///         let mut response = Response::new(problem.to_json());
    ///         *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    ///         let media_type = http::HeaderValue::from_static(Problem::MEDIA_TYPE);
    ///         response.headers_mut().insert("content-type", media_type);
    ///         response
    ///     });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn refusal<B: Into<Bytes>>(
        mut self,
        refusal: impl Fn(&Parts, &Decision) -> Response<B> + Send + Sync + 'static,
    ) -> Self {
        Arc::make_mut(&mut self.0).refusal =
            Arc::new(move |request, decision| refusal(request, decision).map(Into::into));
        self
    }

    /// Which of the fields from before the IETF's are written; [`Legacy::Delta`], if this is not called.
    #[must_use]
    pub fn legacy(mut self, legacy: Legacy) -> Self {
        Arc::make_mut(&mut self.0).legacy = legacy;
        self
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit::new(inner, Arc::clone(&self.0))
    }
}

impl fmt::Debug for RateLimitLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer")
            .field("limiter", &self.0.limiter)
            .field("missing_key", &self.0.missing_key)
            .field("legacy", &self.0.legacy)
            .finish_non_exhaustive()
    }
}
