//! A slot of a `concurrency` quota, held while its holder is at work.

use super::{Charged, Limiter};
use crate::decision::Decision;

/// A slot that is given back when this is dropped. If its holder never drops it, it ends with its lease.
#[derive(Debug)]
#[must_use = "dropping the permit gives the slot back"]
pub struct Permit {
    decision: Decision,
    /// `None` when no quota of the limiter is of this kind.
    slots: Option<Charged>,
}

impl Permit {
    #[expect(
        clippy::result_large_err,
        reason = "a denial is the other answer, not a rare failure"
    )]
    pub(super) fn acquire(limiter: &Limiter, key: &[u8]) -> Result<Self, Decision> {
        let decision = limiter.check(key);
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
