//! What is decided, and every policy's standing at that instant.

mod receipt;
mod standing;

use std::time::Duration;

use smallvec::SmallVec;

use crate::algorithm::Charge;
use crate::policy::Policy;
use crate::time::Micros;
pub use receipt::Receipt;
pub(crate) use standing::Outcome;
pub use standing::Standing;
use standing::Wait;

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
        if let Verdict::Never { max } = &mut self.verdict {
            let standings = self.standings.iter();
            let never = standings.filter(|one| !one.shadow && one.fits == Wait::NEVER);
            *max = never.map(|one| one.limit).min().unwrap_or(*max);
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
/// Whole seconds, rounded up.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}
