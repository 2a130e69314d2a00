//! Where states live. A store keeps them and makes decisions atomic; it contains no arithmetic of an algorithm.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use smallvec::SmallVec;

use crate::decision::{Decision, Reason, Receipt};
use crate::key::KEY_BYTES_MAX;
use crate::policy::Policy;
use crate::time::Micros;

/// The most checks of one request.
pub const CHECKS_MAX: usize = 16;

/// One question: may `key` take `cost` units under `policy`?
///
/// ```
/// use std::sync::Arc;
/// use tollgate::{Check, Policy, Quota};
///
/// let policy = Arc::new(Policy::new("per-user", Quota::per_minute(5)?)?);
/// let check = Check { policy: &policy, key: b"ann", cost: 1 };
/// assert_eq!(check.policy.name(), "per-user");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Check<'a> {
    /// The policy.
    pub policy: &'a Arc<Policy>,
    /// Who is limited.
    pub key: &'a [u8],
    /// Units that the request takes.
    pub cost: u64,
}

/// The checks of one request: decided at one instant, all charged or none.
///
/// ```
/// use std::sync::Arc;
/// use tollgate::{Check, Checks, Policy, Quota};
///
/// let policy = Arc::new(Policy::new("per-user", Quota::per_minute(5)?)?);
/// let mut checks = Checks::new();
/// assert!(checks.push(Check { policy: &policy, key: b"ann", cost: 1 }).is_ok());
/// assert!(checks.push(Check { policy: &policy, key: &[0; 2_000], cost: 1 }).is_err(), "the key is too long");
/// assert_eq!(checks.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Checks<'a>(SmallVec<[Check<'a>; 2]>);

impl<'a> Checks<'a> {
    /// No checks.
    pub fn new() -> Self {
        Checks::default()
    }

    /// Adds a check. The same policy and key twice is one check with the summed cost.
    ///
    /// # Errors
    /// [`Reason::KeyTooLong`] for a key above [`KEY_BYTES_MAX`].
    /// [`Reason::TooManyChecks`] beyond [`CHECKS_MAX`].
    pub fn push(&mut self, check: Check<'a>) -> Result<(), Reason> {
        if check.key.len() > KEY_BYTES_MAX {
            return Err(Reason::KeyTooLong);
        }
        let same = |known: &Check<'a>| {
            known.key == check.key && known.policy.name() == check.policy.name()
        };
        match self.0.iter().position(same) {
            Some(known) => self.0[known].cost = self.0[known].cost.saturating_add(check.cost),
            None if self.0.len() == CHECKS_MAX => return Err(Reason::TooManyChecks),
            None => self.0.push(check),
        }
        Ok(())
    }
}

impl<'a> std::ops::Deref for Checks<'a> {
    type Target = [Check<'a>];

    fn deref(&self) -> &[Check<'a>] {
        &self.0
    }
}

/// An answer that is ready, or a round trip away. It is itself a future.
///
/// ```
/// use tollgate::{Answer, Limiter, Quota};
///
/// let limiter = Limiter::new(Quota::per_minute(5)?)?;
/// match limiter.decide("ann", 1) {
///     Answer::Ready(decision) => assert!(decision.is_allowed(), "memory answers at once"),
///     Answer::Pending(_round_trip) => { /* await it */ }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub enum Answer<T> {
    /// At hand.
    Ready(T),
    /// A round trip away.
    Pending(Pin<Box<dyn Future<Output = T> + Send>>),
}

impl<T: Send + 'static> Answer<T> {
    /// What `change` makes of the answer: at once where it is at hand.
    #[inline]
    pub fn map<U>(self, change: impl FnOnce(T) -> U + Send + 'static) -> Answer<U> {
        match self {
            Answer::Ready(answer) => Answer::Ready(change(answer)),
            Answer::Pending(answer) => {
                Answer::Pending(Box::pin(async move { change(answer.await) }))
            }
        }
    }
}

/// What a store answers to a request's checks.
pub type Outcome = Answer<Decision>;

impl<T: Unpin + Send + 'static> Future for Answer<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        if let Answer::Pending(future) = &mut *self {
            return future.as_mut().poll(context);
        }
        // An empty future takes the place of the answer; it is of size zero, so the box allocates nothing.
        match std::mem::replace(
            &mut *self,
            Answer::Pending(Box::pin(std::future::pending())),
        ) {
            Answer::Ready(answer) => Poll::Ready(answer),
            Answer::Pending(_) => Poll::Pending,
        }
    }
}

/// A store could not do what it was asked. Decisions never fail this way: they say `degraded`, or are refused.
///
/// ```
/// use tollgate::StoreError;
///
/// let error = StoreError::KeysApart;
/// assert_eq!(error.to_string(), "the keys of one request are in several parts of the store");
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store cannot be reached, and nothing was done; trying again later may help.
    #[error("the store cannot be reached")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store was asked and gave no answer: it may have done what it was asked, now or later.
    #[error("the store did not answer, and may have done what it was asked")]
    Unanswered(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store can do many things, but not this one.
    #[error("the store cannot do this")]
    Unsupported,
    /// The keys of one request are in several parts of the store, which cannot change them at one instant.
    #[error("the keys of one request are in several parts of the store")]
    KeysApart,
    /// The store cannot count by the policy's algorithm.
    #[error("the store cannot count by the algorithm of `{0}`")]
    Uncountable(String),
}

/// A place for states that decides all checks of a request at one instant: every policy is charged, or none is.
///
/// Implementations take every number from [`decide`](crate::decide) and run the conformance suite.
///
/// ```
/// use std::sync::Arc;
/// use tollgate::{Check, Checks, Decision, MemoryStore, Micros, Policy, Quota, Store};
///
/// async fn ask(store: &dyn Store, checks: &Checks<'_>, now: Micros) -> Decision {
///     store.decide(checks, now).await
/// }
///
/// let policy = Arc::new(Policy::new("per-user", Quota::per_minute(5)?)?);
/// let mut checks = Checks::new();
/// let _ = checks.push(Check { policy: &policy, key: b"ann", cost: 1 });
/// let store = MemoryStore::new();
/// let _asked = ask(&store, &checks, Micros::from_secs(0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Store: Send + Sync {
    /// Decides and charges.
    fn decide(&self, checks: &Checks<'_>, now: Micros) -> Outcome;

    /// Decides as [`decide`](Store::decide) would, charging and writing nothing.
    fn peek(&self, checks: &Checks<'_>, now: Micros) -> Outcome;

    /// Decides as [`decide`](Store::decide) does, for whoever waits for no longer than `time`. A store that may take longer
    /// then answers as it does while it is away, and takes no units where it can help it; by default it is waited for.
    fn decide_within(&self, checks: &Checks<'_>, now: Micros, time: Duration) -> Outcome {
        let _ = time;
        self.decide(checks, now)
    }

    /// Decides as [`peek`](Store::peek) does, for whoever waits for no longer than `time`.
    fn peek_within(&self, checks: &Checks<'_>, now: Micros, time: Duration) -> Outcome {
        let _ = time;
        self.peek(checks, now)
    }

    /// Gives back what the charges of `receipt` still hold, and tells how many units that were over all checks.
    /// The checks are those of the decision, in its order.
    fn refund(
        &self,
        checks: &Checks<'_>,
        receipt: &Receipt,
        now: Micros,
    ) -> Answer<Result<u64, StoreError>>;

    /// Gives back as many units as the checks cost, of what their keys hold, whoever took them, and tells how many that
    /// were: for those who hold no receipt. A store need not be able to; by default it is not.
    fn release(&self, checks: &Checks<'_>, now: Micros) -> Answer<Result<u64, StoreError>> {
        let _ = (checks, now);
        Answer::Ready(Err(StoreError::Unsupported))
    }

    /// Makes the charges of `receipt`, which were estimates, into what the checks now say they cost: gives the
    /// difference back, or charges it, up to a debt of one capacity.
    fn settle(
        &self,
        checks: &Checks<'_>,
        receipt: &Receipt,
        now: Micros,
    ) -> Answer<Result<(), StoreError>>;

    /// Charges for the first instant, not later than `until`, at which all checks fit, and says when that is; in order,
    /// and only as long as no more than one capacity waits. Otherwise says what [`peek`](Store::peek) would, and
    /// charges nothing.
    fn reserve(
        &self,
        checks: &Checks<'_>,
        now: Micros,
        until: Micros,
    ) -> Answer<Result<(Micros, Receipt), Decision>>;

    /// Forgets what `key` has used under `policy`, and its block, and tells whether there was anything to forget.
    fn reset(&self, policy: &Policy, key: &[u8]) -> Answer<Result<bool, StoreError>>;

    /// Forgets what every key has used under `policy`, and all blocks.
    fn reset_all(&self, policy: &Policy) -> Answer<Result<(), StoreError>>;
}
