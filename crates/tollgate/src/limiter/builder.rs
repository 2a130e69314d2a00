//! What a limiter is made of, piece by piece.

use std::sync::Arc;

use super::Limiter;
use crate::clock::{Clock, SystemClock};
use crate::memory::MemoryStore;
use crate::policy::{Policy, PolicyError};
use crate::quota::Quota;
use crate::store::CHECKS_MAX;

/// What a [`Limiter`] is made of.
///
/// ```
/// use tollgate::{Limiter, Mode, Policy, Quota};
///
/// let limiter = Limiter::builder()
///     .named("burst", Quota::per_second(10)?)
///     .policy(Policy::new("day", Quota::per_day(1_000)?)?.with_mode(Mode::Shadow))
///     .build()?;
/// assert_eq!(limiter.check("ann").standings().len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LimiterBuilder<S = MemoryStore> {
    policies: Vec<Policy>,
    store: Arc<S>,
    clock: Option<Arc<dyn Clock>>,
    failed: Option<PolicyError>,
}

impl LimiterBuilder {
    pub(super) fn new() -> Self {
        LimiterBuilder {
            policies: Vec::new(),
            store: Arc::new(MemoryStore::new()),
            clock: None,
            failed: None,
        }
    }
}

impl<S> LimiterBuilder<S> {
    /// Adds quotas, each as a policy named after its window.
    #[must_use]
    pub fn quotas(mut self, quotas: impl Into<Vec<Quota>>) -> Self {
        for quota in quotas.into() {
            let name = quota.window_name();
            self = self.named(&name, quota);
        }
        self
    }

    /// Adds a quota as a policy of this name.
    #[must_use]
    pub fn named(mut self, name: &str, quota: Quota) -> Self {
        match Policy::new(name, quota) {
            Ok(policy) => self.policies.push(policy),
            Err(error) => self.failed = self.failed.or(Some(error)),
        }
        self
    }

    /// Adds a policy.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policies.push(policy);
        self
    }

    /// Takes the time from `clock` instead of the system.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Keeps the states in `store` instead of a memory store of the limiter's own.
    #[must_use]
    pub fn store<T>(self, store: Arc<T>) -> LimiterBuilder<T> {
        LimiterBuilder {
            policies: self.policies,
            store,
            clock: self.clock,
            failed: self.failed,
        }
    }

    /// The limiter.
    ///
    /// # Errors
    /// The first thing that was wrong with a quota; no policy, too many, or two of one name.
    pub fn build(self) -> Result<Limiter<S>, PolicyError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        match self.policies.len() {
            0 => return Err(PolicyError::Empty),
            count if count > CHECKS_MAX => return Err(PolicyError::TooMany { max: CHECKS_MAX }),
            _ => {}
        }
        for (index, policy) in self.policies.iter().enumerate() {
            if self.policies[..index]
                .iter()
                .any(|earlier| earlier.name() == policy.name())
            {
                return Err(PolicyError::SameName(policy.name().to_owned()));
            }
        }
        Ok(Limiter {
            policies: self.policies.into_iter().map(Arc::new).collect(),
            store: self.store,
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock::new())),
        })
    }
}
