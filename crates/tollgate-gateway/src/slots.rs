//! Slots of `concurrency` limits, held by a request until its answer has gone.

use std::sync::Arc;

use tollgate::{Check, Checks, Clock, MemoryStore, Policy, Receipt};

/// Slots that are given back when this is dropped, however the request ends.
pub(crate) struct Slots {
    store: Arc<MemoryStore>,
    clock: Arc<dyn Clock>,
    /// The policies of the decision that gave them, and the keys.
    checks: Vec<(Arc<Policy>, Box<[u8]>)>,
    receipt: Receipt,
}

impl Slots {
    /// `receipt` is of a decision on just these checks.
    pub(crate) fn new(
        store: Arc<MemoryStore>,
        clock: Arc<dyn Clock>,
        checks: &Checks<'_>,
        receipt: Receipt,
    ) -> Self {
        let owned = |check: &Check<'_>| (Arc::clone(check.policy), check.key.into());
        Slots {
            store,
            clock,
            checks: checks.iter().map(owned).collect(),
            receipt,
        }
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        let mut checks = Checks::new();
        for (policy, key) in &self.checks {
            // They were checks of one request before.
            let _ = checks.push(Check {
                policy,
                key,
                cost: 1,
            });
        }
        self.store.refund(&checks, &self.receipt, self.clock.now());
    }
}
