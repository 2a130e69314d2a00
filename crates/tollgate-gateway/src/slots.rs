//! Slots of `concurrency` limits, held by a request until its answer has gone.

use std::sync::Arc;

use tollgate::{Check, Checks, Clock, Decision, Policy, Receipt};

use crate::counters::Counters;

/// The checks of a decision that may take slots.
pub(crate) struct Wanted {
    counters: Counters,
    clock: Arc<dyn Clock>,
    checks: Vec<(Arc<Policy>, Box<[u8]>)>,
}

/// Slots that are given back when this is dropped, however the request ends.
pub(crate) struct Slots {
    wanted: Wanted,
    receipt: Receipt,
}

impl Wanted {
    /// `None` where none of the checks is about slots.
    pub(crate) fn by(
        checks: &Checks<'_>,
        counters: &Counters,
        clock: &Arc<dyn Clock>,
    ) -> Option<Self> {
        let owned = |check: &Check<'_>| (Arc::clone(check.policy), check.key.into());
        let wanted = checks.iter().any(|check| check.policy.holds_slots());
        wanted.then(|| Wanted {
            counters: counters.clone(),
            clock: Arc::clone(clock),
            checks: checks.iter().map(owned).collect(),
        })
    }

    /// What the decision on these checks took.
    pub(crate) fn taken(self, policies: &[Arc<Policy>], decision: &Decision) -> Option<Slots> {
        let receipt = decision.slots(policies)?;
        Some(Slots {
            wanted: self,
            receipt,
        })
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        let mut checks = Checks::new();
        for (policy, key) in &self.wanted.checks {
            // They were checks of one request before.
            let _ = checks.push(Check {
                policy,
                key,
                cost: 1,
            });
        }
        let now = self.wanted.clock.now();
        self.wanted.counters.give_back(&checks, &self.receipt, now);
    }
}
