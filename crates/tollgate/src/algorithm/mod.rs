//! The rule of each algorithm: pure functions of (state, now, cost).
//!
//! Nothing here reads a clock, touches a store, or fails. To add an algorithm, add one file that implements
//! [`Algorithm`], and build policies from it with [`Policy::custom`](crate::Policy::custom).

#[cfg(feature = "calendar")]
mod calendar;
mod coarse_bucket;
mod concurrency;
mod divisor;
mod fixed_window;
mod log;
mod open_window;
mod penalty;
mod sliding_counter;
mod sliding_window;
mod steady_bucket;
mod token_bucket;

#[cfg(feature = "calendar")]
pub use calendar::CalendarWindow;
pub use coarse_bucket::CoarseBucket;
pub use concurrency::Concurrency;
pub(crate) use concurrency::HOLDERS_MAX;
pub use fixed_window::FixedWindow;
pub use log::{Entry, Log};
pub(crate) use open_window::OpenWindow;
pub(crate) use penalty::Blocks;
pub use sliding_counter::SlidingCounter;
pub use sliding_window::SlidingWindow;
pub(crate) use steady_bucket::SteadyBucket;
pub use token_bucket::TokenBucket;

use std::fmt;

use crate::time::Micros;

/// The largest integer that every store can hold exactly (scripts in shared stores count in doubles).
pub const INTEGER_MAX: u64 = 1 << 53;

/// A state of fixed size.
pub type Pair = (u64, u64);

/// What a store keeps for one key under one policy. What the numbers mean is the algorithm's business.
///
/// ```
/// use tollgate::State;
///
/// // Of a fixed window: when it began, and what was used in it.
/// let state = State::Pair(1_000_000, 3);
/// assert_eq!(state.mark(), (1_000_000, 3));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Two integers.
    Pair(u64, u64),
    /// Units with their times, oldest first.
    Log(Log),
}

impl State {
    /// What a receipt keeps of the state that a charge left behind, so that a refund finds its charge again.
    pub fn mark(&self) -> (u64, u64) {
        match self {
            State::Pair(a, b) => (*a, *b),
            State::Log(log) => Kept::mark(log),
        }
    }
}

/// What a state says about one cost at one instant. Everything that is reported is computed from these.
///
/// ```
/// use tollgate::Micros;
/// use tollgate::algorithm::Facts;
///
/// let full = Facts {
///     used: 5,
///     remaining: 0,
///     fits_at: Some(Micros::from_secs(60)),
///     grows_at: Some(Micros::from_secs(60)),
///     void_at: Micros::from_secs(60),
/// };
/// let now = Micros::from_secs(24);
/// assert!(full.fits_at > Some(now), "denied, until then");
/// ```
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
///
/// ```
/// use tollgate::Micros;
/// use tollgate::algorithm::Denied;
///
/// let for_now = Denied { fits_at: Some(Micros::from_secs(60)) };
/// let for_ever = Denied { fits_at: None };
/// assert_ne!(for_now, for_ever);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied {
    /// The first instant at which it does; `None` when it never can.
    pub fits_at: Option<Micros>,
}

/// A charge that was made, as a refund needs to know it.
///
/// ```
/// use tollgate::{Limiter, Quota};
///
/// let limiter = Limiter::new(Quota::per_minute(5)?)?;
/// let receipt = limiter.check_cost("ann", 3).receipt().ok_or("denied")?;
/// assert_eq!(receipt.charges()[0].cost, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// Units charged.
    pub cost: u64,
    /// [`State::mark`] of the state that the charge left.
    pub mark: (u64, u64),
}

impl Charge {
    /// A charge that left `state`.
    #[inline]
    pub(crate) fn new<S: Kept>(cost: u64, state: &S) -> Self {
        let mark = state.mark();
        Charge { cost, mark }
    }
}

/// One algorithm with its numbers. `step` is the definition; the other methods report on the same state.
///
/// Every method treats a state whose time has passed, and one more than two full refills ahead of `now`, as absent.
/// A reading earlier than the state is decided no more generously than at the state's own instant.
///
/// ```
/// use std::sync::Arc;
/// use tollgate::algorithm::{Algorithm, Denied, Facts, State};
/// use tollgate::{Limiter, Micros, Policy};
///
/// /// So many in all, and then nothing until a century is over.
/// #[derive(Debug)]
/// struct Once(u64);
///
/// impl Algorithm for Once {
///     fn name(&self) -> &'static str {
///         "once"
///     }
///     fn capacity(&self) -> u64 {
///         self.0
///     }
///     fn full_refill_micros(&self) -> u64 {
///         100 * 365 * 86_400 * 1_000_000
///     }
///     fn step(&self, state: Option<State>, now: Micros, cost: u64) -> Result<State, Denied> {
///         let facts = self.facts(state.as_ref(), now, cost);
///         if facts.fits_at <= Some(now) && facts.fits_at.is_some() {
///             Ok(State::Pair(facts.void_at.0, facts.used + cost))
///         } else {
///             Err(Denied { fits_at: facts.fits_at })
///         }
///     }
///     fn facts(&self, state: Option<&State>, now: Micros, cost: u64) -> Facts {
///         let fresh = (now.0 + self.full_refill_micros(), 0);
///         let (end, used) = match state {
///             Some(State::Pair(end, used)) if *end > now.0 => (*end, *used),
///             _ => fresh,
///         };
///         let end = Micros(end);
///         let fits_at = match cost {
///             _ if used + cost <= self.0 => Some(now),
///             _ if cost <= self.0 => Some(end),
///             _ => None,
///         };
///         let grows_at = (used > 0).then_some(end);
///         Facts { used, remaining: self.0 - used, fits_at, grows_at, void_at: end }
///     }
/// }
///
/// let limiter = Limiter::builder().policy(Policy::custom("once", Arc::new(Once(2)))?).build()?;
/// let passed = (0..5).filter(|_| limiter.check("ann").is_allowed()).count();
/// assert_eq!(passed, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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

    /// The state after `units` are given back, whoever took them, and how many that were, rounded up: the newest, as far as
    /// it holds any. `None` stands for absence. By default those of the charge that left the state.
    fn release(&self, state: State, now: Micros, units: u64) -> (Option<State>, u64) {
        let (cost, mark) = (units, state.mark());
        self.give_back(state, now, &Charge { cost, mark })
    }

    /// The state after charging `cost` whether it fits or not, to be used at `at`, which is `now` or later: what a
    /// reservation in advance does, and a debt. The default has no such state.
    fn reserve(&self, state: Option<State>, now: Micros, at: Micros, cost: u64) -> Option<State> {
        let _ = (state, now, at, cost);
        None
    }

    /// The state under these numbers of a key that had `used` units in use at `now` under others of the same
    /// algorithm. The default starts empty.
    fn adopt(&self, state: State, used: u64, now: Micros) -> Option<State> {
        let _ = (state, used, now);
        None
    }
}

/// An algorithm with a state of its own type: what the algorithms of this crate implement. Stores and policies see
/// them as [`Algorithm`].
pub(crate) trait Counting: fmt::Debug + Send + Sync {
    type State: Kept;

    fn name(&self) -> &'static str;
    fn capacity(&self) -> u64;
    fn full_refill_micros(&self) -> u64;
    /// The first instant at which `cost` fits; `now` or earlier when it fits now, `None` when it never can.
    fn fits_at(&self, state: Option<&Self::State>, now: Micros, cost: u64) -> Option<Micros>;
    /// What remains at `now`, and how it goes on.
    fn outlook(&self, state: Option<&Self::State>, now: Micros) -> Outlook;
    /// Units in use: with a debt, more than the capacity.
    fn used(&self, state: Option<&Self::State>, now: Micros) -> u64;
    /// The state after charging `cost` at `now`, whether it fits or not.
    fn charge(&self, state: Option<Self::State>, now: Micros, cost: u64) -> Self::State;
    /// Charges `cost` if it fits, and says how it goes on; else the state as it was.
    #[inline]
    fn take(&self, state: Option<Self::State>, now: Micros, cost: u64) -> Taken<Self::State> {
        match self.fits_at(state.as_ref(), now, cost) {
            Some(at) if at <= now => {
                let next = self.charge(state, now, cost);
                let outlook = self.outlook(Some(&next), now);
                Ok((next, outlook))
            }
            _ => Err(state),
        }
    }
    /// As `charge`, to be used at `at`, later than `now`.
    fn charge_ahead(
        &self,
        state: Option<Self::State>,
        now: Micros,
        at: Micros,
        cost: u64,
    ) -> Option<Self::State> {
        let _ = (state, now, at, cost);
        None
    }
    fn give_back(
        &self,
        state: Self::State,
        now: Micros,
        charge: &Charge,
    ) -> (Option<Self::State>, u64);
    /// Gives back `units`, whoever took them.
    fn release(&self, state: Self::State, now: Micros, units: u64) -> (Option<Self::State>, u64) {
        let charge = Charge::new(units, &state);
        self.give_back(state, now, &charge)
    }
    fn adopt(&self, state: Self::State, used: u64, now: Micros) -> Option<Self::State>;
}

/// What became of a charge that was made if it fitted: the state after it and the outlook, or the state as it was.
pub(crate) type Taken<S> = Result<(S, Outlook), Option<S>>;

/// The part of [`Facts`] that no cost is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outlook {
    pub(crate) remaining: u64,
    pub(crate) grows_at: Option<Micros>,
    pub(crate) void_at: Micros,
}

/// A state that can be told apart from those of other types.
pub(crate) trait Kept: Clone {
    fn into_state(self) -> State;
    /// `None` for a state of another type, which equals absence.
    fn from_state(state: State) -> Option<Self>;
    fn mark(&self) -> (u64, u64);
}

impl Kept for Pair {
    fn into_state(self) -> State {
        State::Pair(self.0, self.1)
    }

    fn from_state(state: State) -> Option<Self> {
        match state {
            State::Pair(a, b) => Some((a, b)),
            State::Log(_) => None,
        }
    }

    fn mark(&self) -> (u64, u64) {
        *self
    }
}

impl Kept for Log {
    fn into_state(self) -> State {
        State::Log(self)
    }

    fn from_state(state: State) -> Option<Self> {
        match state {
            State::Log(log) => Some(log),
            State::Pair(..) => None,
        }
    }

    fn mark(&self) -> (u64, u64) {
        (self.last().map_or(0, |entry| entry.at), 0)
    }
}

impl<C: Counting> Algorithm for C {
    fn name(&self) -> &'static str {
        Counting::name(self)
    }

    fn capacity(&self) -> u64 {
        Counting::capacity(self)
    }

    fn full_refill_micros(&self) -> u64 {
        Counting::full_refill_micros(self)
    }

    fn step(&self, state: Option<State>, now: Micros, cost: u64) -> Result<State, Denied> {
        let state = state.and_then(C::State::from_state);
        match self.fits_at(state.as_ref(), now, cost) {
            Some(at) if at <= now => Ok(self.charge(state, now, cost).into_state()),
            fits_at => Err(Denied { fits_at }),
        }
    }

    fn reserve(&self, state: Option<State>, now: Micros, at: Micros, cost: u64) -> Option<State> {
        let state = state.and_then(C::State::from_state);
        let reserved = if at > now {
            self.charge_ahead(state, now, at, cost)
        } else {
            Some(self.charge(state, now, cost))
        };
        reserved.map(Kept::into_state)
    }

    fn facts(&self, state: Option<&State>, now: Micros, cost: u64) -> Facts {
        let state = state.cloned().and_then(C::State::from_state);
        let state = state.as_ref();
        let outlook = self.outlook(state, now);
        Facts {
            used: self.used(state, now),
            remaining: outlook.remaining,
            fits_at: self.fits_at(state, now, cost),
            grows_at: outlook.grows_at,
            void_at: outlook.void_at,
        }
    }

    fn give_back(&self, state: State, now: Micros, charge: &Charge) -> (Option<State>, u64) {
        let Some(state) = C::State::from_state(state) else {
            return (None, 0);
        };
        let (left, units) = Counting::give_back(self, state, now, charge);
        (left.map(Kept::into_state), units)
    }

    fn release(&self, state: State, now: Micros, units: u64) -> (Option<State>, u64) {
        let Some(state) = C::State::from_state(state) else {
            return (None, 0);
        };
        let (left, units) = Counting::release(self, state, now, units);
        (left.map(Kept::into_state), units)
    }

    fn adopt(&self, state: State, used: u64, now: Micros) -> Option<State> {
        Counting::adopt(self, C::State::from_state(state)?, used, now).map(Kept::into_state)
    }
}

/// A pair as a table keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compact {
    /// An instant, not earlier than the one from which the state is void.
    pub(crate) until: u64,
    /// What else there is to know. A cell has room for a number below [`u16::MAX`].
    pub(crate) rest: u64,
}

/// An algorithm whose states nearly always fit a table's cell of fixed size.
pub(crate) trait FixedSize: Counting<State = Pair> {
    /// `None` for a state that does not fit.
    fn compact(&self, state: Pair) -> Option<Compact>;
    /// The state. What is void may be of other numbers than these; it may wrap, and is void all the same.
    fn expand(&self, compact: Compact) -> Pair;
}

/// The instant a state is void from, if it still means anything at `now`: later than `now`, and at most two full
/// refills ahead of it (a state further ahead was made under a clock that has since been put back).
#[inline]
fn live_until(void_at: u64, now: Micros, full_refill: u64) -> Option<u64> {
    let ahead = void_at.wrapping_sub(now.0);
    (void_at > now.0 && ahead <= 2 * full_refill).then_some(void_at)
}
