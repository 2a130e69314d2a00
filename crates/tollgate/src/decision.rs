//! What is decided, and every policy's standing at that instant.

use std::fmt;
use std::time::Duration;

use smallvec::SmallVec;

use crate::algorithm::{Charge, Outlook};
use crate::policy::Policy;
use crate::time::Micros;

/// The verdict on all checks of one request, strongest first.
///
/// ```
/// use tollgate::{Limiter, Quota, Verdict};
///
/// let limiter = Limiter::new(Quota::per_minute(5)?)?;
/// assert_eq!(limiter.check("ann").verdict(), Verdict::Allow);
/// assert_eq!(limiter.check_cost("ann", 6).verdict(), Verdict::Never { max: 5 });
/// match limiter.check_cost("ann", 5).verdict() {
///     Verdict::Deny { retry_after } => assert!(retry_after.as_secs() <= 60),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Refused for a reason that time does not heal.
    Refused {
        /// Why.
        reason: Reason,
    },
    /// The cost can never pass.
    Never {
        /// The largest cost that can.
        max: u64,
    },
    /// Denied for now.
    Deny {
        /// With no other traffic, a retry exactly then passes and one tick earlier is denied.
        retry_after: Duration,
    },
    /// Allowed, and every policy is charged.
    Allow,
}

/// Why a request is refused without a time to come back.
///
/// ```
/// use tollgate::{Limiter, Quota, Reason, Verdict};
///
/// let limiter = Limiter::new(Quota::deny())?;
/// assert_eq!(limiter.check("ann").verdict(), Verdict::Refused { reason: Reason::Policy });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The policy is `deny`.
    Policy,
    /// The request carries nothing to limit it by, and the policy says that this denies.
    MissingKey,
    /// The request has more checks than [`CHECKS_MAX`](crate::store::CHECKS_MAX).
    TooManyChecks,
    /// The key is longer than [`KEY_BYTES_MAX`](crate::key::KEY_BYTES_MAX).
    KeyTooLong,
    /// The store has no room for another key, and is told to refuse newcomers then.
    StoreFull,
    /// The store cannot be reached, and the policy says that this denies.
    StoreClosed,
    /// The checks' keys are in several parts of a shared store, which cannot decide on them at one instant.
    KeysApart,
    /// The store cannot count by the policy's algorithm.
    Uncountable,
}

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
struct Wait(u64);

impl Wait {
    /// There is nothing to wait for.
    const NONE: Wait = Wait(u64::MAX);
    /// It never comes.
    const NEVER: Wait = Wait(u64::MAX - 1);
    /// Waiting is not the point.
    const REFUSED: Wait = Wait(u64::MAX - 2);

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
    limit: u64,
    remaining: u64,
    fits: Wait,
    grows: Wait,
    full: Wait,
    charge: Charge,
    shadow: bool,
    blocked: bool,
    unknown: bool,
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
    fn of_stand_in(self, limit: u64) -> Self {
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

    fn later(self, elapsed: Duration) -> Self {
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

/// The verdict on one request and where every policy stands.
///
/// ```
/// use tollgate::{Limiter, Quota};
///
/// let limiter = Limiter::new(Quota::per_minute(1)?)?;
/// assert!(limiter.check("ann").is_allowed());
/// let denied = limiter.check("ann");
/// assert!(!denied.is_allowed());
/// assert!(denied.retry_after_secs() <= Some(60));
/// assert_eq!(denied.remaining(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Decision {
    verdict: Verdict,
    at: Micros,
    standings: SmallVec<[Standing; 2]>,
    degraded: bool,
    estimated: bool,
}

impl Decision {
    #[inline]
    pub(crate) fn new(verdict: Verdict, at: Micros, standings: SmallVec<[Standing; 2]>) -> Self {
        Decision {
            verdict,
            at,
            standings,
            degraded: false,
            estimated: false,
        }
    }

    /// The decision that follows from where the policies stand: the strongest outcome of the enforced ones, and the
    /// longest wait among those that deny.
    pub(crate) fn of(standings: SmallVec<[Standing; 2]>, at: Micros) -> Self {
        let mut refused = false;
        let mut never: Option<u64> = None;
        let mut wait: Option<u64> = None;
        for standing in standings.iter().filter(|standing| !standing.shadow) {
            match standing.fits {
                Wait::NONE => {}
                Wait::REFUSED => refused = true,
                Wait::NEVER => never = never.into_iter().chain([standing.limit]).min(),
                Wait(micros) => wait = wait.max(Some(micros)),
            }
        }
        let verdict = match (refused, never, wait) {
            (true, ..) => Verdict::Refused {
                reason: Reason::Policy,
            },
            (_, Some(max), _) => Verdict::Never { max },
            (_, _, Some(micros)) => Verdict::Deny {
                retry_after: Duration::from_micros(micros),
            },
            _ => Verdict::Allow,
        };
        Decision::new(verdict, at, standings)
    }

    /// A refusal that no policy's numbers had a part in.
    pub fn refused(reason: Reason, at: Micros) -> Self {
        Decision::new(Verdict::Refused { reason }, at, SmallVec::new())
    }

    /// The same decision, marked as made without the store that should have made it.
    pub fn degraded(mut self) -> Self {
        self.degraded = true;
        self
    }

    /// The same decision, marked as [`degraded`](Decision::degraded) does: others decided in the place of policies that hold
    /// `limits`, in the order of the checks (`None` for those without numbers). Of these the limits are told, and of them
    /// what remains here.
    pub fn in_place_of(mut self, limits: impl IntoIterator<Item = Option<u64>>) -> Self {
        for (standing, limit) in self.standings.iter_mut().zip(limits) {
            if let Some(limit) = limit {
                *standing = standing.of_stand_in(limit);
            }
        }
        self.degraded()
    }

    /// The decision that follows from standings that are estimates: of units that a node holds in advance.
    pub fn estimated(standings: impl IntoIterator<Item = Standing>, at: Micros) -> Self {
        Decision {
            estimated: true,
            ..Decision::of(standings.into_iter().collect(), at)
        }
    }

    /// The same denial, remembered at a later instant: nothing is charged, every wait is shorter, and where it stands is
    /// an estimate.
    pub fn remembered(&self, elapsed: Duration) -> Self {
        let standings = self.standings.iter();
        let later = standings.map(|standing| Standing {
            charge: Charge::default(),
            ..standing.later(elapsed)
        });
        Decision {
            degraded: self.degraded,
            ..Decision::estimated(later, self.at + elapsed)
        }
    }

    /// What one unit more would be told at the same instant, where this decision left no unit of an enforced policy.
    pub fn exhausted(&self) -> Option<Decision> {
        let standings = self.standings.iter().map(|standing| Standing {
            fits: match standing.remaining {
                0 => standing.grows,
                _ => Wait::NONE,
            },
            charge: Charge::default(),
            ..*standing
        });
        let next = Decision::of(standings.collect(), self.at);
        matches!(next.verdict, Verdict::Deny { .. }).then_some(next)
    }

    /// The verdict.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Whether the request passes.
    pub fn is_allowed(&self) -> bool {
        self.verdict == Verdict::Allow
    }

    /// Whether it was made without the store that should have made it.
    pub fn is_degraded(&self) -> bool {
        self.degraded
    }

    /// Whether where the policies stand is an estimate, because the decision was made from units held in advance, or from
    /// a denial that is remembered. The verdict holds.
    pub fn is_estimated(&self) -> bool {
        self.estimated
    }

    /// The instant of the decision.
    pub fn at(&self) -> Micros {
        self.at
    }

    /// Every policy's standing, in the order of the checks.
    pub fn standings(&self) -> &[Standing] {
        &self.standings
    }

    /// The largest cost that every enforced policy would pass at this instant; [`u64::MAX`] when nothing limits, or nothing is
    /// known.
    pub fn remaining(&self) -> u64 {
        match self.verdict {
            Verdict::Refused { .. } => 0,
            _ => self
                .enforced()
                .filter(|standing| standing.is_known())
                .map(|standing| standing.remaining)
                .min()
                .unwrap_or(u64::MAX),
        }
    }

    /// When to come back; `None` when allowed, and when waiting does not help.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.verdict {
            Verdict::Deny { retry_after } => Some(retry_after),
            Verdict::Allow | Verdict::Never { .. } | Verdict::Refused { .. } => None,
        }
    }

    /// [`retry_after`](Decision::retry_after) as HTTP says it: whole seconds, rounded up, at least 1.
    pub fn retry_after_secs(&self) -> Option<u64> {
        self.retry_after().map(|wait| whole_seconds(wait).max(1))
    }

    /// When the key is as good as new under every enforced policy.
    pub fn full_after(&self) -> Duration {
        self.enforced()
            .map(Standing::full_after)
            .max()
            .unwrap_or_default()
    }

    /// What was charged, for [`Limiter::refund`](crate::Limiter::refund). `None` when nothing was.
    pub fn receipt(&self) -> Option<Receipt> {
        let charges: SmallVec<_> = self
            .standings
            .iter()
            .map(|standing| standing.charge)
            .collect();
        charges
            .iter()
            .any(|charge: &Charge| charge.cost > 0)
            .then_some(Receipt {
                charges,
                degraded: self.degraded,
            })
    }

    /// What was charged to `concurrency` policies alone, to be given back when the work is done. `policies` are those of
    /// the checks, in their order; `None` when none of them holds slots.
    pub fn slots<P: AsRef<Policy>>(&self, policies: &[P]) -> Option<Receipt> {
        let charges: SmallVec<_> = self
            .standings
            .iter()
            .zip(policies)
            .map(|(standing, policy)| match policy.as_ref().holds_slots() {
                true => standing.charge,
                false => Charge::default(),
            })
            .collect();
        charges
            .iter()
            .any(|charge: &Charge| charge.cost > 0)
            .then_some(Receipt {
                charges,
                degraded: self.degraded,
            })
    }

    fn enforced(&self) -> impl Iterator<Item = &Standing> {
        self.standings.iter().filter(|standing| !standing.shadow)
    }
}

/// What a decision charged to each of its checks, so that it can be given back.
///
/// ```
/// use tollgate::{Limiter, Quota};
///
/// let limiter = Limiter::new(Quota::per_minute(5)?)?;
/// let receipt = limiter.check_cost("ann", 3).receipt().ok_or("denied")?;
/// assert_eq!(limiter.refund("ann", &receipt), 3);
/// assert_eq!(limiter.peek("ann").remaining(), 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub(crate) charges: SmallVec<[Charge; 2]>,
    pub(crate) degraded: bool,
}

impl Receipt {
    /// The same receipt, of charges that were made without the store that should have made them.
    #[must_use]
    pub fn degraded(self) -> Self {
        Receipt {
            degraded: true,
            ..self
        }
    }

    /// Whether the charges were made without the store that should have made them, which knows nothing of them.
    pub fn is_degraded(&self) -> bool {
        self.degraded
    }
}

impl Receipt {
    /// A receipt for charges, one for each check in its order.
    pub fn of(charges: impl IntoIterator<Item = Charge>) -> Self {
        Receipt {
            charges: charges.into_iter().collect(),
            degraded: false,
        }
    }

    /// What was charged to each of the checks, in their order.
    pub fn charges(&self) -> &[Charge] {
        &self.charges
    }
}

/// Whole seconds, rounded up.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}
