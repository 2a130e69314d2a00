//! Where one policy stands after a decision, and what it made of its check.

use std::fmt;
use std::time::Duration;

use super::whole_seconds;
use crate::algorithm::{Charge, Outlook};
use crate::time::Micros;

/// What one policy makes of its check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Pass,
    Deny { fits_at: Micros },
    Never,
    Refused,
}

/// A wait, in microseconds, or one of three words that stand in its place. So a standing is written in few steps.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait(pub(super) u64);

impl Wait {
    /// There is nothing to wait for.
    pub(super) const NONE: Wait = Wait(u64::MAX);
    /// It never comes.
    pub(super) const NEVER: Wait = Wait(u64::MAX - 1);
    /// Waiting is not the point.
    pub(super) const REFUSED: Wait = Wait(u64::MAX - 2);

    /// An outlook is never earlier than the reading that it is for.
    #[inline(always)]
    fn until(at: Micros, now: Micros) -> Self {
        Wait(at.0.wrapping_sub(now.0))
    }

    #[inline(always)]
    fn told(outcome: Outcome, now: Micros) -> Self {
        match outcome {
            Outcome::Pass => Wait::NONE,
            Outcome::Deny { fits_at } => Wait::until(fits_at, now),
            Outcome::Never => Wait::NEVER,
            Outcome::Refused => Wait::REFUSED,
        }
    }

    /// What is left of it after so many microseconds, at least one.
    fn less(self, micros: u64) -> Self {
        match self.duration() {
            Some(_) => Wait(self.0.saturating_sub(micros).max(1)),
            None => self,
        }
    }

    fn duration(self) -> Option<Duration> {
        (self.0 < Wait::REFUSED.0).then(|| Duration::from_micros(self.0))
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Wait::NONE => f.write_str("none"),
            Wait::NEVER => f.write_str("never"),
            Wait::REFUSED => f.write_str("refused"),
            Wait(micros) => Duration::from_micros(micros).fmt(f),
        }
    }
}

/// One policy's standing after the decision: after the charge when the request is allowed.
///
/// ```
/// use tollgate::{Limiter, Quota};
///
/// let limiter = Limiter::new(Quota::parse_list("5 per minute; 100 per hour")?)?;
/// let decision = limiter.check_cost("ann", 2);
/// let left: Vec<u64> = decision.standings().iter().map(|standing| standing.remaining()).collect();
/// assert_eq!(left, [3, 98]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub(super) limit: u64,
    pub(super) remaining: u64,
    pub(super) fits: Wait,
    pub(super) grows: Wait,
    pub(super) full: Wait,
    pub(super) charge: Charge,
    pub(super) shadow: bool,
    pub(super) blocked: bool,
    pub(super) unknown: bool,
}

impl Standing {
    /// What an enforced policy of so much makes of a check at `now`.
    #[inline(always)]
    pub(crate) fn new(
        limit: u64,
        outcome: Outcome,
        outlook: Outlook,
        now: Micros,
        charge: Charge,
    ) -> Self {
        let wait = |at| Wait::until(at, now);
        Standing {
            limit,
            remaining: outlook.remaining,
            fits: Wait::told(outcome, now),
            grows: outlook.grows_at.map_or(Wait::NONE, wait),
            full: wait(outlook.void_at),
            charge,
            shadow: false,
            blocked: false,
            unknown: false,
        }
    }

    /// The same with another outcome.
    pub(crate) fn told(self, outcome: Outcome, now: Micros) -> Self {
        let fits = Wait::told(outcome, now);
        Standing { fits, ..self }
    }

    /// The same, of a policy that only watches, or whose penalty holds the key off.
    pub(crate) fn marked(self, shadow: bool, blocked: bool) -> Self {
        Standing {
            shadow,
            blocked,
            ..self
        }
    }

    /// The same of a policy that holds `limit`, in whose place another one decided. Where that knows no limit, how much
    /// remains is not known.
    pub(super) fn of_stand_in(self, limit: u64) -> Self {
        Standing {
            limit,
            remaining: self.remaining.min(limit),
            unknown: self.limit == u64::MAX,
            ..self
        }
    }

    /// What this standing, of a charge that was allowed, has become at a node that pays `charge` from units it holds
    /// already: `elapsed` later, with `remaining` left. An estimate, for others charge too.
    #[must_use]
    pub fn later_with(self, elapsed: Duration, remaining: u64, charge: Charge) -> Self {
        Standing {
            remaining: remaining.min(self.limit),
            charge,
            ..self.later(elapsed)
        }
    }

    pub(super) fn later(self, elapsed: Duration) -> Self {
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        Standing {
            fits: self.fits.less(micros),
            grows: self.grows.less(micros),
            full: self.full.less(micros),
            ..self
        }
    }

    /// The most units the policy can hold; [`u64::MAX`] when it is unlimited.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Units in use; while the key is blocked, all of them.
    pub fn used(&self) -> u64 {
        self.limit.saturating_sub(self.remaining)
    }

    /// The largest cost that would pass at this instant.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Whether anything is known of what remains. It is not where the store that counts is away and the policy lets pass
    /// meanwhile: then [`remaining`](Standing::remaining) is the whole limit.
    pub fn is_known(&self) -> bool {
        !self.unknown
    }

    /// Whether this policy by itself would not let the request pass.
    pub fn is_violated(&self) -> bool {
        self.fits != Wait::NONE
    }

    /// Whether the policy only watches.
    pub fn is_shadow(&self) -> bool {
        self.shadow
    }

    /// Whether the policy's penalty holds the key off at this instant, whatever its units are.
    pub fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// When this cost fits; `None` when it fits now or never can.
    pub fn retry_after(&self) -> Option<Duration> {
        self.fits.duration()
    }

    /// When `remaining` next grows; `None` when nothing is used.
    pub fn grows_after(&self) -> Option<Duration> {
        self.grows.duration()
    }

    /// [`grows_after`](Standing::grows_after) in whole seconds, rounded up.
    pub fn resets_in(&self) -> Option<u64> {
        self.grows_after().map(whole_seconds)
    }

    /// When the key is as good as new.
    pub fn full_after(&self) -> Duration {
        Duration::from_micros(self.full.0)
    }

    /// Units that this decision charged.
    pub fn charged(&self) -> u64 {
        self.charge.cost
    }
}
