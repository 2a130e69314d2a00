//! Where decisions are made: in this process, or in a store that is a round trip away.
//!
//! Over memory every answer is ready, and nothing is boxed or allocated for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Handle;
use tollgate::store::Answer;
use tollgate::{Checks, MemoryStats, MemoryStore, Micros, Policy, Receipt, Store, StoreError};

use crate::returning::Returning;

/// A store, of which those who decide need not know where it is.
#[derive(Clone)]
pub enum Counters {
    /// In this process.
    Memory(Arc<MemoryStore>),
    /// Shared with other processes.
    Shared(Arc<Shared>),
}

/// A store that is a round trip away.
#[derive(Clone)]
pub struct Shared {
    store: Arc<dyn Store>,
    state: Arc<dyn Fn() -> SharedState + Send + Sync>,
    /// Where slots are given back, also for a thread of the data plane that ends.
    runtime: Handle,
    returning: Arc<Returning>,
}

/// What a store has to say about itself.
#[derive(Debug, Clone)]
pub enum StoreState {
    /// Of one in this process.
    Memory(MemoryStats),
    /// Of one that is shared.
    Shared(SharedState),
}

/// What is known here of a shared store, and of the way to it.
#[derive(Debug, Clone, Default)]
pub struct SharedState {
    /// For how long decisions have been made without it; `None` while it answers.
    pub away_for: Option<Duration>,
    /// Servers of it that are not asked because they fail.
    pub servers_away: u64,
    /// Calls that were answered: so many took at most so long, and longer than the time before. The last has no bound.
    pub round_trips: Vec<(Duration, u64)>,
    /// How long these took together.
    pub round_trip_time: Duration,
    /// Calls on their way.
    pub in_flight: u64,
    /// Connections to it that are up.
    pub connections: u64,
    /// Calls that failed, by a fixed set of kinds, all of which are there.
    pub errors: Vec<(&'static str, u64)>,
    /// Connections that were made in the place of others.
    pub reconnects: u64,
    /// Scripts that were sent as a whole, because a server did not know them.
    pub scripts_sent: u64,
    /// Calls that a node of a cluster sent on to another.
    pub redirects: u64,
    /// Keys whose state could not be read, and was begun anew.
    pub keys_reset: u64,
    /// Decisions by other numbers than those of the rules here, since another node has newer rules.
    pub under_newer_rules: u64,
    /// Slots given back because the answer that took them came when nobody waited any more.
    pub late_slots: u64,
    /// Decisions paid from units taken in advance.
    pub paid: u64,
    /// Denials told again without asking.
    pub remembered: u64,
    /// Units taken in advance.
    pub leased: u64,
    /// Units of these given back.
    pub returned: u64,
}

impl SharedState {
    /// How many calls were answered.
    pub fn answered(&self) -> u64 {
        self.round_trips.iter().map(|(_, count)| count).sum()
    }

    /// How long a call took in the mean, in microseconds.
    pub fn mean_round_trip_us(&self) -> Option<u64> {
        let micros = u64::try_from(self.round_trip_time.as_micros()).unwrap_or(u64::MAX);
        micros.checked_div(self.answered())
    }
}

impl Shared {
    /// `state` tells of the store when asked. What outlives its request is done on `runtime`.
    pub fn new(
        store: Arc<dyn Store>,
        state: Arc<dyn Fn() -> SharedState + Send + Sync>,
        runtime: Handle,
    ) -> Self {
        Shared {
            store,
            state,
            runtime,
            returning: Arc::default(),
        }
    }
}

impl Counters {
    /// Decides and charges.
    #[inline]
    pub fn decide(&self, checks: &Checks<'_>, now: Micros) -> tollgate::store::Outcome {
        match self {
            Counters::Memory(store) => Answer::Ready(store.decide(checks, now)),
            Counters::Shared(shared) => shared.store.decide(checks, now),
        }
    }

    /// Decides as [`decide`](Counters::decide) would, charging and writing nothing.
    pub fn peek(&self, checks: &Checks<'_>, now: Micros) -> tollgate::store::Outcome {
        match self {
            Counters::Memory(store) => Answer::Ready(store.peek(checks, now)),
            Counters::Shared(shared) => shared.store.peek(checks, now),
        }
    }

    /// As [`decide`](Counters::decide), for whoever waits for no longer than `time`: a store that takes longer answers as
    /// it does while it is away. Memory answers at once.
    pub fn decide_within(
        &self,
        checks: &Checks<'_>,
        now: Micros,
        time: Duration,
    ) -> tollgate::store::Outcome {
        match self {
            Counters::Memory(store) => Answer::Ready(store.decide(checks, now)),
            Counters::Shared(shared) => shared.store.decide_within(checks, now, time),
        }
    }

    /// As [`peek`](Counters::peek), likewise.
    pub fn peek_within(
        &self,
        checks: &Checks<'_>,
        now: Micros,
        time: Duration,
    ) -> tollgate::store::Outcome {
        match self {
            Counters::Memory(store) => Answer::Ready(store.peek(checks, now)),
            Counters::Shared(shared) => shared.store.peek_within(checks, now, time),
        }
    }

    /// Gives back what the charges of `receipt` still hold, and tells how many units that were.
    pub fn refund(
        &self,
        checks: &Checks<'_>,
        receipt: &Receipt,
        now: Micros,
    ) -> Answer<Result<u64, StoreError>> {
        self.store().refund(checks, receipt, now)
    }

    /// Gives back as many units as the checks cost, of what their keys hold, whoever took them, and tells how many that
    /// were.
    pub fn release(&self, checks: &Checks<'_>, now: Micros) -> Answer<Result<u64, StoreError>> {
        self.store().release(checks, now)
    }

    /// Makes the charges of `receipt`, which were estimates, into what the checks now say they cost: gives the difference
    /// back, or charges it, up to a debt of one capacity.
    pub fn settle(
        &self,
        checks: &Checks<'_>,
        receipt: &Receipt,
        now: Micros,
    ) -> Answer<Result<(), StoreError>> {
        self.store().settle(checks, receipt, now)
    }

    /// Forgets what `key` has used under `policy`, and its block, and tells whether there was anything to forget.
    pub fn reset(&self, policy: &Policy, key: &[u8]) -> Answer<Result<bool, StoreError>> {
        self.store().reset(policy, key)
    }

    /// Forgets what every key has used under `policy`, and all blocks.
    pub fn reset_all(&self, policy: &Policy) -> Answer<Result<(), StoreError>> {
        self.store().reset_all(policy)
    }

    fn store(&self) -> &dyn Store {
        match self {
            Counters::Memory(store) => store.as_ref(),
            Counters::Shared(shared) => shared.store.as_ref(),
        }
    }

    /// The same counters, asked through `store`, which has the same states. Those in this process are as they were.
    #[must_use]
    pub fn through(&self, store: Arc<dyn Store>) -> Self {
        match self {
            Counters::Memory(_) => self.clone(),
            Counters::Shared(shared) => {
                let shared = Shared::clone(shared);
                Counters::from(Shared { store, ..shared })
            }
        }
    }

    /// Whether they are in this process.
    pub fn is_memory(&self) -> bool {
        matches!(self, Counters::Memory(_))
    }

    /// What the store has to say about itself.
    pub fn state(&self, now: Micros) -> StoreState {
        match self {
            Counters::Memory(store) => StoreState::Memory(store.stats(now)),
            Counters::Shared(shared) => StoreState::Shared((shared.state)()),
        }
    }

    /// For how long decisions have been made without the store; `None` while it answers, as memory always does.
    pub fn away_for(&self) -> Option<Duration> {
        match self {
            Counters::Memory(_) => None,
            Counters::Shared(shared) => (shared.state)().away_for,
        }
    }

    /// As [`refund`](Counters::refund), for whoever cannot wait.
    pub(crate) fn give_back(&self, checks: &Checks<'_>, receipt: &Receipt, now: Micros) {
        let shared = match self {
            Counters::Memory(store) => {
                store.refund(checks, receipt, now);
                return;
            }
            Counters::Shared(shared) => shared,
        };
        if let Answer::Pending(refund) = shared.store.refund(checks, receipt, now) {
            // Where the store is away the slots come back when their time is up.
            let back = Box::pin(async move { drop(refund.await) });
            shared.returning.push(back, &shared.runtime);
        }
    }

    /// An answer that is seen through also when nobody waits for it any more: what it took can be given back, and the
    /// store's way learns whether it came. How many there are and how long they take is bounded by the store, which
    /// answers within its deadline.
    pub fn see_through<T: Send + 'static>(&self, answer: Answer<T>) -> Answer<T> {
        match (self, answer) {
            (Counters::Shared(shared), Answer::Pending(answer)) => {
                Answer::Pending(Box::pin(SeenThrough {
                    answer: Some(answer),
                    runtime: shared.runtime.clone(),
                }))
            }
            (_, answer) => answer,
        }
    }

    /// As [`decide`](Counters::decide), [seen through](Counters::see_through) for whoever may not wait for the answer.
    /// What is about slots is left to the store, which gives back those that nobody waits for.
    pub fn decide_through(&self, checks: &Checks<'_>, now: Micros) -> tollgate::store::Outcome {
        let answer = self.decide(checks, now);
        match checks.iter().any(|check| check.policy.holds_slots()) {
            true => answer,
            false => self.see_through(answer),
        }
    }

    /// Waits until all slots that were given back have arrived, but no longer than `patience`.
    pub async fn returned(&self, patience: Duration) {
        if let Counters::Shared(shared) = self {
            let _ = tokio::time::timeout(patience, shared.returning.arrived()).await;
        }
    }
}

type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// An answer that goes on by itself when it is dropped before it has come.
struct SeenThrough<T: Send + 'static> {
    /// `None` once it has come.
    answer: Option<Pending<T>>,
    runtime: Handle,
}

impl<T: Send + 'static> Future for SeenThrough<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let SeenThrough { answer, runtime } = &mut *self;
        // Its timers are those of the runtime that it may go on with; that of a thread of the data plane can end before.
        let _within = runtime.enter();
        let Some(pending) = answer else {
            return Poll::Pending;
        };
        let come = pending.as_mut().poll(context);
        if come.is_ready() {
            *answer = None;
        }
        come
    }
}

impl<T: Send + 'static> Drop for SeenThrough<T> {
    fn drop(&mut self) {
        if let Some(answer) = self.answer.take() {
            self.runtime.spawn(async move { drop(answer.await) });
        }
    }
}

impl From<Shared> for Counters {
    fn from(shared: Shared) -> Self {
        Counters::Shared(Arc::new(shared))
    }
}

impl From<Arc<MemoryStore>> for Counters {
    fn from(store: Arc<MemoryStore>) -> Self {
        Counters::Memory(store)
    }
}

#[cfg(test)]
mod tests;
