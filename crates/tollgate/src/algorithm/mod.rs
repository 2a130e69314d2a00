//! The rule of each algorithm: pure functions of (state, now, cost).
//!
//! Nothing here reads a clock, touches a store, or fails. To add an algorithm, add one file that implements
//! [`Algorithm`], and build policies from it with [`Policy::custom`](crate::Policy::custom).

#[cfg(feature = "calendar")]
mod calendar;
mod fixed_window;
mod sliding_window;
mod token_bucket;

#[cfg(feature = "calendar")]
pub use calendar::CalendarWindow;
pub use fixed_window::FixedWindow;
pub use sliding_window::{Entry, SlidingWindow};
pub use token_bucket::TokenBucket;

use std::fmt;

use crate::time::Micros;

/// The largest integer that every store can hold exactly (scripts in shared stores count in doubles).
pub const INTEGER_MAX: u64 = 1 << 53;

/// What a store keeps for one key under one policy. What the numbers mean is the algorithm's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Two integers.
    Pair(u64, u64),
    /// Admitted units with their times, oldest first.
    Log(Vec<Entry>),
}

impl State {
    /// What a receipt keeps of the state that a charge left behind, so that a refund finds its charge again.
    pub fn mark(&self) -> (u64, u64) {
        match self {
            State::Pair(a, b) => (*a, *b),
            State::Log(entries) => (entries.last().map_or(0, |entry| entry.at), 0),
        }
    }
}

/// What a state says about one cost at one instant. Everything that is reported is computed from these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Units in use.
    pub used: u64,
    /// The largest cost that would pass at this instant.
    pub remaining: u64,
    /// The first instant at which the cost fits: the reading itself or earlier when it fits now, `None` when it never can.
    pub fits_at: Option<Micros>,
    /// The first instant at which `remaining` is larger; `None` when nothing is used.
    pub grows_at: Option<Micros>,
    /// The instant from which the state equals absence.
    pub void_at: Micros,
}

/// The cost does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied {
    /// The first instant at which it does; `None` when it never can.
    pub fits_at: Option<Micros>,
}

/// A charge that was made, as a refund needs to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Units charged.
    pub cost: u64,
    /// [`State::mark`] of the state that the charge left.
    pub mark: (u64, u64),
}

/// One algorithm with its numbers. `step` is the definition; the other methods report on the same state.
///
/// Every method treats a state whose time has passed, and one more than two full refills ahead of `now`, as absent.
/// A reading earlier than the state is decided no more generously than at the state's own instant.
pub trait Algorithm: fmt::Debug + Send + Sync {
    /// The algorithm's name as the notation writes it.
    fn name(&self) -> &'static str;

    /// The largest cost that can ever pass.
    fn capacity(&self) -> u64;

    /// The time from everything used to nothing used, in microseconds.
    fn full_refill_micros(&self) -> u64;

    /// The state after charging `cost` at `now`, or when it fits. A denial has no state to write.
    fn step(&self, state: Option<State>, now: Micros, cost: u64) -> Result<State, Denied>;

    /// What the state says about `cost` at `now`. `step` succeeds exactly when `fits_at` is not later than `now`.
    fn facts(&self, state: Option<&State>, now: Micros, cost: u64) -> Facts;

    /// The state after `charge` is given back, as far as it still holds anything, and how many units that were, rounded up.
    /// `None` stands for absence. The default gives nothing back.
    fn give_back(&self, state: State, now: Micros, charge: &Charge) -> (Option<State>, u64) {
        let _ = (now, charge);
        (Some(state), 0)
    }

    /// The state under these numbers of a key that had `used` units in use at `now` under others of the same
    /// algorithm. The default starts empty.
    fn adopt(&self, state: State, used: u64, now: Micros) -> Option<State> {
        let _ = (state, used, now);
        None
    }
}

/// The instant a state is void from, if it still means anything at `now`: later than `now`, and at most two full
/// refills ahead of it (a state further ahead was made under a clock that has since been put back).
fn live_until(void_at: u64, now: Micros, full_refill: u64) -> Option<u64> {
    (void_at > now.0 && void_at - now.0 <= full_refill.saturating_mul(2)).then_some(void_at)
}
