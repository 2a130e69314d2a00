//! Decisions while the store is away: what each policy's `on_error` says, all checks of a request together or none.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError, RwLock};

use tollgate::{
    Check, Checks, Decision, MemoryStore, Micros, Mode, OnError, Policy, Quota, Reason, Receipt,
};

use crate::link::Stats;

/// Policies whose stand-ins are kept.
const STAND_INS_MAX: usize = 4_096;

/// Decides in the place of the store, in this process.
pub(crate) struct Away {
    nodes: u32,
    store: MemoryStore,
    /// By the address of their policy.
    stand_ins: RwLock<HashMap<usize, StandIn>>,
    stats: Arc<Stats>,
}

struct StandIn {
    /// Held, so that its address stays its own.
    _of: Arc<Policy>,
    policy: Arc<Policy>,
}

impl Away {
    /// For one of so many nodes. Its states take at most so many bytes.
    pub(crate) fn new(nodes: u32, bytes_max: usize, stats: Arc<Stats>) -> Self {
        Away {
            nodes,
            store: MemoryStore::builder().max_memory(bytes_max).build(),
            stand_ins: RwLock::default(),
            stats,
        }
    }

    /// Decides and charges.
    pub(crate) fn decide(&self, checks: &[Check<'_>], now: Micros) -> Decision {
        if self.is_refused(checks) {
            return refused(now);
        }
        let decision = self.with_stand_ins(checks, |checks| self.store.decide(checks, now));
        self.count(checks, decision.is_allowed());
        decision.in_place_of(limits(checks))
    }

    /// Whether one of the checks wants the store; that is counted.
    fn is_refused(&self, checks: &[Check<'_>]) -> bool {
        let is_refused = self.wants_store(checks);
        if is_refused {
            self.stats.refused_closed.fetch_add(1, Relaxed);
        }
        is_refused
    }

    /// Whether one of the checks is closed without the store, or asks for more than this node's share ever holds, though
    /// the whole limit may: it is not for a share to say that it never passes.
    fn wants_store(&self, checks: &[Check<'_>]) -> bool {
        let is_beyond_share = |check: &Check<'_>| {
            let (limit, share) = (check.policy, self.stand_in(check.policy));
            let exceeds = |policy: &Policy| policy.capacity().is_some_and(|most| check.cost > most);
            exceeds(&share) && !exceeds(limit)
        };
        let mut enforced = checks.iter().filter(|check| is_enforced(check.policy));
        enforced.any(|check| is_closed(check) || is_beyond_share(check))
    }

    /// Counts a decision, or a charge in advance, that was made here.
    fn count(&self, checks: &[Check<'_>], allowed: bool) {
        let any = |on_error| {
            checks
                .iter()
                .any(|check| is_counted(check.policy) && check.policy.on_error() == on_error)
        };
        if any(OnError::Local) {
            self.stats.decided_local.fetch_add(1, Relaxed);
        }
        if any(OnError::Open) && allowed {
            self.stats.admitted_open.fetch_add(1, Relaxed);
        }
    }

    /// Decides as [`decide`](Away::decide) would, charging and counting nothing.
    pub(crate) fn peek(&self, checks: &[Check<'_>], now: Micros) -> Decision {
        if self.wants_store(checks) {
            return refused(now);
        }
        self.with_stand_ins(checks, |checks| self.store.peek(checks, now))
            .in_place_of(limits(checks))
    }

    /// Charges in advance, as the memory store does.
    pub(crate) fn reserve(
        &self,
        checks: &[Check<'_>],
        now: Micros,
        until: Micros,
    ) -> Result<(Micros, Receipt), Decision> {
        if self.is_refused(checks) {
            return Err(refused(now));
        }
        let reserved = self.with_stand_ins(checks, |checks| self.store.reserve(checks, now, until));
        self.count(checks, reserved.is_ok());
        reserved
            .map(|(at, receipt)| (at, receipt.degraded()))
            .map_err(|decision| decision.in_place_of(limits(checks)))
    }

    /// Gives back what was charged here: the charges of a receipt that [is degraded](Receipt::is_degraded), and of no
    /// other.
    pub(crate) fn refund(&self, checks: &[Check<'_>], receipt: &Receipt, now: Micros) -> u64 {
        self.with_stand_ins(checks, |checks| self.store.refund(checks, receipt, now))
    }

    /// Settles what was charged here, likewise.
    pub(crate) fn settle(&self, checks: &[Check<'_>], receipt: &Receipt, now: Micros) {
        self.with_stand_ins(checks, |checks| self.store.settle(checks, receipt, now));
    }

    /// Forgets what a key has used here.
    pub(crate) fn reset(&self, policy: &Policy, key: &[u8]) {
        // A stand-in has its policy's name, by which states are known.
        self.store.reset(policy, key);
    }

    /// Forgets what every key has used here.
    pub(crate) fn reset_all(&self, policy: &Policy) {
        self.store.reset_all(policy);
    }

    fn with_stand_ins<T>(&self, checks: &[Check<'_>], ask: impl FnOnce(&Checks<'_>) -> T) -> T {
        let policies: Vec<_> = checks
            .iter()
            .map(|check| self.stand_in(check.policy))
            .collect();
        let mut local = Checks::new();
        for (check, policy) in checks.iter().zip(&policies) {
            // Those that fitted once fit again: names and keys are the same.
            let _ = local.push(Check { policy, ..*check });
        }
        ask(&local)
    }

    fn stand_in(&self, policy: &Arc<Policy>) -> Arc<Policy> {
        let address = Arc::as_ptr(policy).addr();
        let known = |stand_ins: &HashMap<usize, StandIn>| {
            let known = stand_ins.get(&address)?;
            Some(Arc::clone(&known.policy))
        };
        let found = {
            let stand_ins = self.stand_ins.read();
            known(&stand_ins.unwrap_or_else(PoisonError::into_inner))
        };
        if let Some(found) = found {
            return found;
        }
        // Made before anybody has to wait for it.
        let made = Arc::new(self.made(policy));
        let stand_ins = self.stand_ins.write();
        let mut stand_ins = stand_ins.unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known(&stand_ins) {
            return found;
        }
        if stand_ins.len() == STAND_INS_MAX {
            stand_ins.clear();
        }
        let stand_in = StandIn {
            _of: Arc::clone(policy),
            policy: Arc::clone(&made),
        };
        stand_ins.insert(address, stand_in);
        made
    }

    fn made(&self, policy: &Policy) -> Policy {
        let passes = is_counted(policy) && policy.on_error() != OnError::Local;
        match passes.then(|| Policy::new(policy.name(), Quota::unlimited())) {
            Some(Ok(unlimited)) => unlimited
                .with_mode(policy.mode())
                .with_version(policy.version()),
            _ => policy.share(self.nodes),
        }
    }
}

/// What the policies hold that are decided for. Clients are told these, and what is left of a share.
fn limits(checks: &[Check<'_>]) -> impl Iterator<Item = Option<u64>> {
    checks.iter().map(|check| check.policy.capacity())
}

fn refused(now: Micros) -> Decision {
    Decision::refused(Reason::StoreClosed, now).degraded()
}

/// `deny` and `unlimited` need no store.
fn is_counted(policy: &Policy) -> bool {
    policy.capacity().is_some()
}

/// A policy that only watches refuses nobody.
fn is_enforced(policy: &Policy) -> bool {
    policy.mode() == Mode::Enforce
}

fn is_closed(check: &Check<'_>) -> bool {
    is_counted(check.policy) && check.policy.on_error() == OnError::Closed
}

#[cfg(test)]
mod tests;
