//! The limiter: policies, a store and a clock behind plain calls.

mod builder;
mod charged;
mod permit;
mod reservation;
mod turn;

use std::sync::Arc;
use std::time::Duration;

pub use builder::LimiterBuilder;
pub use permit::Permit;
pub use reservation::Reservation;
pub use turn::Turn;

use charged::Charged;

use crate::clock::Clock;
use crate::decision::{Decision, Reason, Receipt};
use crate::key::KEY_BYTES_MAX;
use crate::memory::MemoryStore;
use crate::policy::{Policy, PolicyError};
use crate::quota::Quota;
use crate::store::{Answer, Check, Checks, Outcome, Store, StoreError};
use crate::time::Micros;

/// Decides for keys under one or more policies, all charged together or none.
///
/// Over the memory store every call answers at once; over a shared store the `decide` family returns an [`Outcome`]
/// to await.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use tollgate::{Limiter, ManualClock, Micros, Quota};
///
/// let clock = Arc::new(ManualClock::new(Micros::from_secs(0)));
/// let limiter = Limiter::builder().quotas("3 per 10 seconds".parse::<Quota>()?).clock(clock.clone()).build()?;
/// assert!((0..3).all(|_| limiter.check("192.0.2.1").is_allowed()));
///
/// let denied = limiter.check("192.0.2.1");
/// assert_eq!(denied.retry_after(), Some(Duration::from_secs(10)));
/// assert!(limiter.check("192.0.2.2").is_allowed(), "another key is independent");
///
/// clock.advance(Duration::from_secs(10));
/// assert!(limiter.check("192.0.2.1").is_allowed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Limiter<S = MemoryStore> {
    policies: Arc<[Arc<Policy>]>,
    store: Arc<S>,
    clock: Arc<dyn Clock>,
}

impl Limiter {
    /// A limiter in memory on the system's clock, with one quota or several on the same key.
    ///
    /// # Errors
    /// No quota at all, two with the same window, or numbers that cannot be counted exactly.
    pub fn new(quotas: impl Into<Vec<Quota>>) -> Result<Self, PolicyError> {
        Limiter::builder().quotas(quotas).build()
    }

    /// A limiter put together piece by piece.
    pub fn builder() -> LimiterBuilder {
        LimiterBuilder::new()
    }

    /// Charges one unit to `key`, or tells when it fits.
    pub fn check(&self, key: impl AsRef<[u8]>) -> Decision {
        self.check_cost_at(key, 1, self.clock.now())
    }

    /// As [`check`](Limiter::check), for a request that takes `cost` units.
    pub fn check_cost(&self, key: impl AsRef<[u8]>, cost: u64) -> Decision {
        self.check_cost_at(key, cost, self.clock.now())
    }

    /// As [`check`](Limiter::check), at an instant of the caller's.
    pub fn check_at(&self, key: impl AsRef<[u8]>, now: Micros) -> Decision {
        self.check_cost_at(key, 1, now)
    }

    /// As [`check`](Limiter::check), with cost and instant of the caller's.
    #[inline]
    pub fn check_cost_at(&self, key: impl AsRef<[u8]>, cost: u64, now: Micros) -> Decision {
        self.check_key_at(key.as_ref(), cost, now)
    }

    fn check_key_at(&self, key: &[u8], cost: u64, now: Micros) -> Decision {
        if let [policy] = &self.policies[..]
            && let Some(charged) = self.store.charge_quickly(policy, key, cost, now)
        {
            return charged.decision(now);
        }
        self.check_window_at(key, cost, now)
    }

    // Apart, and the only other way, so that the shortest way has the registers to itself.
    #[inline(never)]
    fn check_window_at(&self, key: &[u8], cost: u64, now: Micros) -> Decision {
        if let [policy] = &self.policies[..]
            && let Some(charged) = self.store.charge_window_quickly(policy, key, cost, now)
        {
            return charged.decision(now);
        }
        self.check_any_at(key, cost, now)
    }

    // Apart for the same reason.
    #[inline(never)]
    fn check_any_at(&self, key: &[u8], cost: u64, now: Micros) -> Decision {
        match &self.policies[..] {
            [policy] if key.len() <= KEY_BYTES_MAX => {
                self.store.decide_any(Check { policy, key, cost }, now)
            }
            _ => self.with_checks(key, cost, now, |checks| self.store.decide(checks, now)),
        }
    }

    /// Charges one unit to each of `keys`, or tells when it fits: as [`check`](Limiter::check) one after the other
    /// would, at one instant, but for many keys several times as fast, since none of them waits for memory alone. A key
    /// may come more than once. `decisions` is emptied first.
    ///
    /// ```
    /// use tollgate::{Limiter, Quota};
    ///
    /// let limiter = Limiter::new(Quota::per_minute(2)?)?;
    /// let mut decisions = Vec::new();
    /// limiter.check_batch(["ann", "bob", "ann", "ann"], &mut decisions);
    /// let allowed: Vec<bool> = decisions.iter().map(|decision| decision.is_allowed()).collect();
    /// assert_eq!(allowed, [true, true, true, false]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check_batch<K: AsRef<[u8]>>(
        &self,
        keys: impl AsRef<[K]>,
        decisions: &mut Vec<Decision>,
    ) {
        decisions.clear();
        let (keys, now) = (keys.as_ref(), self.clock.now());
        match &self.policies[..] {
            [policy] if keys.iter().all(|key| key.as_ref().len() <= KEY_BYTES_MAX) => {
                let check = |place: usize| Check {
                    policy,
                    key: keys[place].as_ref(),
                    cost: 1,
                };
                self.store.decide_each(keys.len(), check, now, decisions);
            }
            _ => decisions.extend(keys.iter().map(|key| self.check_cost_at(key, 1, now))),
        }
    }

    /// Takes a slot of a `concurrency` quota, and one unit of every other, until the permit is dropped.
    ///
    /// ```
    /// use tollgate::Limiter;
    ///
    /// let limiter = Limiter::new("1 concurrent".parse::<tollgate::Quota>()?)?;
    /// let permit = limiter.acquire("printer").unwrap();
    /// assert!(limiter.acquire("printer").is_err(), "one at a time");
    /// drop(permit);
    /// assert!(limiter.acquire("printer").is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The decision that denied it.
    pub fn acquire(&self, key: impl AsRef<[u8]>) -> Result<Permit, Decision> {
        Permit::acquire(self, key.as_ref(), 1)
    }

    /// As [`acquire`](Limiter::acquire), for a request that takes `cost` units of every other quota. It takes one slot
    /// whatever it costs, and none if it costs nothing.
    ///
    /// ```
    /// use tollgate::{Limiter, Quota};
    ///
    /// let limiter = Limiter::new(Quota::parse_list("100 per minute; 2 concurrent")?)?;
    /// let permit = limiter.acquire_cost("ann", 30).unwrap();
    /// let standings = permit.decision().standings();
    /// assert_eq!((standings[0].remaining(), standings[1].remaining()), (70, 1));
    /// let free = limiter.acquire_cost("ann", 0).unwrap();
    /// assert_eq!(free.decision().standings()[1].remaining(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The decision that denied it.
    pub fn acquire_cost(&self, key: impl AsRef<[u8]>, cost: u64) -> Result<Permit, Decision> {
        Permit::acquire(self, key.as_ref(), cost)
    }

    /// Charges an estimate, to be settled when the actual cost is known.
    ///
    /// ```
    /// use tollgate::{Limiter, Quota};
    ///
    /// let limiter = Limiter::new(Quota::per_minute(1_000)?)?;
    /// let reservation = limiter.reserve("ann", 400).unwrap();
    /// reservation.settle(150);
    /// assert_eq!(limiter.peek("ann").remaining(), 850);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The decision that denied the estimate.
    pub fn reserve(&self, key: impl AsRef<[u8]>, estimate: u64) -> Result<Reservation, Decision> {
        Reservation::charge(self, key.as_ref(), estimate)
    }

    /// Takes the next turn that comes within `patience`: a unit charged in advance, in order with everybody else who
    /// waits. At most one capacity of a quota can wait at a time, and no longer than any of the quotas takes to refill.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::Limiter;
    ///
    /// let limiter = Limiter::new("10 per second burst 1".parse::<tollgate::Quota>()?)?;
    /// assert!(limiter.check("ann").is_allowed());
    /// let turn = limiter.turn("ann", Duration::from_secs(1)).unwrap();
    /// assert!(turn.wait() <= Duration::from_millis(100));
    /// // Sleep that long, then:
    /// turn.take();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The decision that denies it now, when no turn comes in time, as many wait already as can, or an algorithm takes
    /// no reservations: those that do are `token-bucket` and `sliding-window`.
    pub fn turn(&self, key: impl AsRef<[u8]>, patience: Duration) -> Result<Turn, Decision> {
        Turn::reserve(self, key.as_ref(), patience)
    }

    /// Waits for a [`turn`](Limiter::turn) with a sleep of the caller's runtime, such as `tokio::time::sleep`. When the
    /// future is dropped before it is ready, exactly the turn that it waited for is given back.
    ///
    /// # Errors
    /// As [`turn`](Limiter::turn), at once.
    pub async fn until_ready<W: Future<Output = ()>>(
        &self,
        key: impl AsRef<[u8]>,
        patience: Duration,
        sleep: impl FnOnce(Duration) -> W,
    ) -> Result<(), Decision> {
        let turn = self.turn(key, patience)?;
        let wait = turn.wait();
        if !wait.is_zero() {
            sleep(wait).await;
        }
        turn.take();
        Ok(())
    }

    /// What [`check`](Limiter::check) would answer, charging and writing nothing.
    pub fn peek(&self, key: impl AsRef<[u8]>) -> Decision {
        self.peek_at(key, self.clock.now())
    }

    /// As [`peek`](Limiter::peek), at an instant of the caller's.
    pub fn peek_at(&self, key: impl AsRef<[u8]>, now: Micros) -> Decision {
        self.peek_cost_at(key, 1, now)
    }

    /// As [`peek`](Limiter::peek), with cost and instant of the caller's.
    pub fn peek_cost_at(&self, key: impl AsRef<[u8]>, cost: u64, now: Micros) -> Decision {
        self.with_checks(key.as_ref(), cost, now, |checks| {
            self.store.peek(checks, now)
        })
    }

    /// Gives back what the charge still holds, and tells how many units that were, over all policies.
    pub fn refund(&self, key: impl AsRef<[u8]>, receipt: &Receipt) -> u64 {
        self.refund_at(key, receipt, self.clock.now())
    }

    /// As [`refund`](Limiter::refund), at an instant of the caller's.
    pub fn refund_at(&self, key: impl AsRef<[u8]>, receipt: &Receipt, now: Micros) -> u64 {
        self.checks(key.as_ref(), 1)
            .map_or(0, |checks| self.store.refund(&checks, receipt, now))
    }

    /// Forgets what `key` has used under every policy, and tells whether there was anything.
    pub fn reset(&self, key: impl AsRef<[u8]>) -> bool {
        self.policies.iter().fold(false, |any, policy| {
            self.store.reset(policy, key.as_ref()) | any
        })
    }

    /// Forgets what every key has used under every policy.
    pub fn reset_all(&self) {
        self.policies
            .iter()
            .for_each(|policy| self.store.reset_all(policy));
    }

    /// Decides several checks, with keys and policies of the caller's, at one instant: all are charged or none is.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tollgate::{Check, Checks, Limiter, Policy, Quota};
    ///
    /// let limiter = Limiter::new(Quota::per_second(1)?)?;
    /// let per_user = Arc::new(Policy::new("per-user", Quota::per_minute(5)?)?);
    /// let per_address = Arc::new(Policy::new("per-address", Quota::per_minute(100)?)?);
    /// let mut checks = Checks::new();
    /// checks.push(Check { policy: &per_user, key: b"ann", cost: 1 }).unwrap();
    /// checks.push(Check { policy: &per_address, key: b"192.0.2.1", cost: 1 }).unwrap();
    /// assert!(limiter.check_all(&checks).is_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check_all(&self, checks: &Checks<'_>) -> Decision {
        self.store.decide(checks, self.clock.now())
    }

    /// Gives back what [`check_all`](Limiter::check_all) charged to the same checks, as far as it still holds anything,
    /// and tells how many units that were.
    pub fn refund_all(&self, checks: &Checks<'_>, receipt: &Receipt) -> u64 {
        self.store.refund(checks, receipt, self.clock.now())
    }

    fn with_checks(
        &self,
        key: &[u8],
        cost: u64,
        now: Micros,
        decide: impl FnOnce(&Checks<'_>) -> Decision,
    ) -> Decision {
        match self.checks(key, cost) {
            Ok(checks) => decide(&checks),
            Err(reason) => Decision::refused(reason, now),
        }
    }
}

impl<S: Store> Limiter<S> {
    /// Charges `cost` units to `key`, or tells when they fit.
    pub fn decide(&self, key: impl AsRef<[u8]>, cost: u64) -> Outcome {
        let now = self.clock.now();
        match self.checks(key.as_ref(), cost) {
            Ok(checks) => self.store.decide(&checks, now),
            Err(reason) => Answer::Ready(Decision::refused(reason, now)),
        }
    }

    /// What [`decide`](Limiter::decide) would answer, charging and writing nothing.
    pub fn decide_nothing(&self, key: impl AsRef<[u8]>, cost: u64) -> Outcome {
        let now = self.clock.now();
        match self.checks(key.as_ref(), cost) {
            Ok(checks) => self.store.peek(&checks, now),
            Err(reason) => Answer::Ready(Decision::refused(reason, now)),
        }
    }

    /// Gives back what the charge still holds.
    pub fn give_back(
        &self,
        key: impl AsRef<[u8]>,
        receipt: &Receipt,
    ) -> Answer<Result<u64, StoreError>> {
        match self.checks(key.as_ref(), 1) {
            Ok(checks) => self.store.refund(&checks, receipt, self.clock.now()),
            Err(_) => Answer::Ready(Ok(0)),
        }
    }
}

impl<S> Limiter<S> {
    /// The policies, in the order of every decision's standings.
    pub fn policies(&self) -> &[Arc<Policy>] {
        &self.policies
    }

    /// The store.
    pub fn store(&self) -> &Arc<S> {
        &self.store
    }

    fn checks<'a>(&'a self, key: &'a [u8], cost: u64) -> Result<Checks<'a>, Reason> {
        let mut checks = Checks::new();
        for policy in self.policies.iter() {
            checks.push(Check { policy, key, cost })?;
        }
        Ok(checks)
    }
}

impl<S> Clone for Limiter<S> {
    /// Another handle on the same limiter.
    fn clone(&self) -> Self {
        Limiter {
            policies: Arc::clone(&self.policies),
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
        }
    }
}

impl<S> std::fmt::Debug for Limiter<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter")
            .field("policies", &self.policies)
            .finish_non_exhaustive()
    }
}
