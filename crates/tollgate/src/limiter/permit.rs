//! A slot of a `concurrency` quota, held while its holder is at work.

use super::{Charged, Limiter};
use crate::decision::Decision;
use crate::store::{Check, Checks};

/// A slot that is given back when this is dropped. If its holder never drops it, it ends with its lease.
///
/// ```
/// use tollgate::{Limiter, Quota};
///
/// let limiter = Limiter::new(Quota::parse_list("100 per minute; 2 concurrent")?)?;
/// let permit = limiter.acquire("ann").unwrap();
/// assert_eq!(permit.decision().standings()[1].remaining(), 1);
/// drop(permit);
/// assert_eq!(limiter.peek("ann").standings()[1].remaining(), 2, "the slot is back, the unit of the minute is not");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "dropping the permit gives the slot back"]
pub struct Permit {
    decision: Decision,
    /// `None` when no quota of the limiter is of this kind.
    slots: Option<Charged>,
}

impl Permit {
    pub(super) fn acquire(limiter: &Limiter, key: &[u8], cost: u64) -> Result<Self, Decision> {
        let decision = charge_slot(limiter, key, cost);
        if !decision.is_allowed() {
            return Err(decision);
        }
        let slots = decision.slots(&limiter.policies);
        Ok(Permit {
            slots: slots.map(|slots| Charged::new(limiter, key, slots)),
            decision,
        })
    }

    /// The decision that gave it.
    pub fn decision(&self) -> &Decision {
        &self.decision
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(slots) = &self.slots {
            slots.give_back();
        }
    }
}

/// Charges one slot, and `cost` units of every quota of another kind.
fn charge_slot(limiter: &Limiter, key: &[u8], cost: u64) -> Decision {
    let now = limiter.clock.now();
    let mut checks = Checks::new();
    for policy in limiter.policies.iter() {
        let cost = match policy.holds_slots() {
            true => cost.min(1),
            false => cost,
        };
        if let Err(reason) = checks.push(Check { policy, key, cost }) {
            return Decision::refused(reason, now);
        }
    }
    limiter.store.decide(&checks, now)
}
