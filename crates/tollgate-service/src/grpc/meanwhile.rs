//! What is answered where the store would take longer than the caller waits.

use tollgate::{Check, Checks, Decision, MemoryStore, Micros, OnError, Reason};

use super::Grpc;
use super::decide::Call;

/// What decides while a store that is a round trip away takes too long: this process's part of each limit.
pub(super) struct Meanwhile {
    store: MemoryStore,
    /// How many share the store: each has so large a part.
    nodes: u64,
}

impl Meanwhile {
    pub(super) fn new(nodes: u64) -> Self {
        let store = MemoryStore::builder().max_memory(MemoryStore::BYTES_MIN);
        Meanwhile {
            store: store.build(),
            nodes: nodes.max(1),
        }
    }

    /// What the policies say that is to happen without the store. One that is closed refuses all; those that are open
    /// let pass uncounted.
    fn decide(&self, checks: &Checks<'_>, call: Call, now: Micros) -> Decision {
        let any = |on_error| {
            checks
                .iter()
                .any(|check| check.policy.on_error() == on_error)
        };
        if any(OnError::Closed) {
            return Decision::refused(Reason::StoreClosed, now).degraded();
        }
        let mut local = Checks::new();
        for check in checks
            .iter()
            .filter(|check| check.policy.on_error() == OnError::Local)
        {
            // A part of a limit is the limit with as many times the cost; where that is less than one unit, it is one.
            let whole = check.policy.capacity().unwrap_or(u64::MAX);
            let cost = check.cost.saturating_mul(self.nodes);
            let cost = if check.cost <= 1 {
                cost.min(whole)
            } else {
                cost
            };
            let _ = local.push(Check { cost, ..*check });
        }
        let decision = match call {
            Call::Decide => self.store.decide(&local, now),
            Call::Peek => self.store.peek(&local, now),
        };
        // Its numbers are those of a part, and would be told as the whole.
        let verdict = match decision.is_allowed() {
            true => self.store.decide(&Checks::new(), now),
            false => Decision::refused(Reason::StoreClosed, now),
        };
        verdict.degraded()
    }
}

impl Grpc {
    /// Decides without the store, whose answer would come too late.
    pub(super) fn without_store(&self, checks: &Checks<'_>, call: Call, now: Micros) -> Decision {
        self.metrics.late();
        match &self.meanwhile {
            Some(meanwhile) => meanwhile.decide(checks, call, now),
            // Memory answers at once.
            None => Decision::refused(Reason::StoreClosed, now).degraded(),
        }
    }
}
