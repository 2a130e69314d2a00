//! What all services of one layer share: how to decide on a request, and what is written on its answer.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
use http::request::Parts;
use tollgate::{Decision, Limiter, Micros, Permit, Reason};

use crate::body::ResponseBody;
use crate::fields::{self, Legacy};
use crate::refusal;

/// What becomes of a request that has no key.
///
/// ```
/// use tollgate::{Limiter, Quota};
/// use tollgate_tower::{MissingKey, RateLimitLayer, key};
///
/// let layer = RateLimitLayer::new(Limiter::new(Quota::per_minute(5)?)?, key::header("x-api-key"))
///     .on_missing_key(MissingKey::Skip);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingKey {
    /// It is refused.
    #[default]
    Deny,
    /// It shares one key, the empty one, with all others that have none.
    Anonymous,
    /// It passes uncounted, and its response has no fields.
    Skip,
}

/// Charges a cost to the key of a request, if it has one.
type ChargeKey = dyn Fn(&Limiter, &Parts, u64) -> Option<Result<Permit, Decision>> + Send + Sync;
type Cost = dyn Fn(&Parts) -> u64 + Send + Sync;
type Refusal = dyn Fn(&Parts, &Decision) -> Response<Bytes> + Send + Sync;

#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) limiter: Limiter,
    charge_key: Arc<ChargeKey>,
    pub(crate) cost: Arc<Cost>,
    pub(crate) missing_key: MissingKey,
    pub(crate) refusal: Arc<Refusal>,
    pub(crate) legacy: Legacy,
    policy_value: Option<HeaderValue>,
    /// Whether a permit has anything to give back.
    holds_slots: bool,
}

impl Settings {
    pub(crate) fn new<T: AsRef<[u8]>>(
        limiter: Limiter,
        key: impl Fn(&Parts) -> Option<T> + Send + Sync + 'static,
    ) -> Self {
        let policies = limiter.policies();
        Settings {
            policy_value: fields::policy_value(policies.iter().map(|policy| &**policy)),
            holds_slots: policies.iter().any(|policy| policy.holds_slots()),
            charge_key: Arc::new(move |limiter, request, cost| {
                Some(limiter.acquire_cost(key(request)?, cost))
            }),
            cost: Arc::new(|_| 1),
            missing_key: MissingKey::default(),
            refusal: Arc::new(|request, decision| {
                refusal::usual(request, decision).map(Bytes::from)
            }),
            legacy: Legacy::default(),
            limiter,
        }
    }

    /// A permit, or none for a request that is not counted.
    pub(crate) fn admit(&self, request: &Parts) -> Result<Option<Permit>, Decision> {
        let cost = (self.cost)(request);
        if let Some(admitted) = (self.charge_key)(&self.limiter, request, cost) {
            return admitted.map(Some);
        }
        match self.missing_key {
            MissingKey::Deny => Err(Decision::refused(Reason::MissingKey, Micros::default())),
            MissingKey::Anonymous => self.limiter.acquire_cost([], cost).map(Some),
            MissingKey::Skip => Ok(None),
        }
    }

    /// The response to a request that was refused.
    pub(crate) fn refuse(&self, request: &Parts, decision: &Decision) -> Response<Bytes> {
        let mut response = (self.refusal)(request, decision);
        let headers = response.headers_mut();
        self.write_fields(headers, decision);
        let no_store = HeaderValue::from_static("no-store");
        headers.entry(CACHE_CONTROL).or_insert(no_store);
        response
    }

    /// The response to a request that was admitted, which keeps the slot until its body has ended.
    pub(crate) fn answer<B>(
        &self,
        mut response: Response<B>,
        permit: Option<Permit>,
    ) -> Response<ResponseBody<B>> {
        if let Some(permit) = &permit {
            self.write_fields(response.headers_mut(), permit.decision());
        }
        let slot = permit.filter(|_| self.holds_slots).map(Box::new);
        response.map(|body| ResponseBody::answer(body, slot))
    }

    fn write_fields(&self, headers: &mut HeaderMap, decision: &Decision) {
        let policies = self.limiter.policies().iter().map(|policy| &**policy);
        let policy_value = self.policy_value.as_ref();
        fields::write(headers, policies, policy_value, decision, self.legacy);
    }
}
