//! What decides while a store that is a round trip away takes too long: what each policy's `on_error` says, as it does
//! while the store is away.

use std::sync::Arc;

use quick_cache::sync::Cache;
use tollgate::{Check, Checks, Decision, MemoryStore, Micros, Mode, OnError, Policy, Reason};

use super::Grpc;
use super::decide::Call;

/// Policies whose shares are kept. Beyond, the least used one is made anew.
const SHARES_MAX: usize = 4_096;

/// Decides in the place of the store, in this process.
pub(super) struct Meanwhile {
    store: MemoryStore,
    /// How many share the store: each has so large a part of a limit.
    nodes: u32,
    /// By the address of the policy that they are shares of.
    shares: Cache<usize, Share>,
}

#[derive(Clone)]
struct Share {
    /// Held, so that its address stays its own.
    _of: Arc<Policy>,
    policy: Arc<Policy>,
}

impl Meanwhile {
    pub(super) fn new(nodes: u32) -> Self {
        let store = MemoryStore::builder().max_memory(MemoryStore::BYTES_MIN);
        Meanwhile {
            store: store.build(),
            nodes,
            shares: Cache::new(SHARES_MAX),
        }
    }

    /// One limit that is closed refuses all; those that are open let pass uncounted.
    pub(super) fn decide(&self, checks: &Checks<'_>, call: Call, now: Micros) -> Decision {
        if checks.iter().any(|check| is_closed(check.policy)) {
            return Decision::refused(Reason::StoreClosed, now).degraded();
        }
        let counted = checks.iter().filter(|check| !is_open(check.policy));
        let shares: Vec<(&Check<'_>, Arc<Policy>)> = counted
            .map(|check| (check, self.share(check.policy)))
            .collect();
        let mut local = Checks::new();
        for (check, policy) in &shares {
            // Those that fitted once fit again: names and keys are the same.
            let _ = local.push(Check { policy, ..**check });
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

    fn share(&self, policy: &Arc<Policy>) -> Arc<Policy> {
        let address = Arc::as_ptr(policy).addr();
        if let Some(known) = self.shares.get(&address) {
            return known.policy;
        }
        let share = Share {
            _of: Arc::clone(policy),
            policy: Arc::new(policy.share(self.nodes)),
        };
        self.shares.insert(address, share.clone());
        share.policy
    }
}

/// `deny` and `unlimited` need no store, and say what they always do.
fn is_counted(policy: &Policy) -> bool {
    policy.capacity().is_some()
}

/// A policy that only watches refuses nobody.
fn is_closed(policy: &Policy) -> bool {
    is_counted(policy) && policy.on_error() == OnError::Closed && policy.mode() == Mode::Enforce
}

/// Whether nothing is counted without the store.
fn is_open(policy: &Policy) -> bool {
    is_counted(policy) && policy.on_error() != OnError::Local
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

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(quota: &str, on_error: OnError, mode: Mode) -> Arc<Policy> {
        let name = quota.replace(' ', "-");
        let policy = Policy::new(&name, quota.parse().unwrap()).unwrap();
        Arc::new(policy.with_on_error(on_error).with_mode(mode))
    }

    /// Whether each of three requests passes these policies without the store, where two share it.
    fn pass(policies: &[Arc<Policy>]) -> [bool; 3] {
        let meanwhile = Meanwhile::new(2);
        let mut checks = Checks::new();
        for policy in policies {
            let (key, cost) = (&b"ann"[..], 1);
            checks.push(Check { policy, key, cost }).unwrap();
        }
        let now = Micros::from_secs(1_800_000_000);
        [(); 3].map(|()| meanwhile.decide(&checks, Call::Decide, now).is_allowed())
    }

    #[test]
    fn each_policy_is_decided_as_it_says_for_when_the_store_is_away() {
        use Mode::{Enforce, Shadow};
        use OnError::{Closed, Local, Open};
        let four = |on_error, mode| [policy("4 per day", on_error, mode)];
        assert_eq!(pass(&four(Open, Enforce)), [true; 3]);
        assert_eq!(pass(&four(Local, Enforce)), [true, true, false]);
        assert_eq!(pass(&four(Closed, Enforce)), [false; 3]);
        // What only watches refuses nobody.
        for on_error in [Open, Local, Closed] {
            assert_eq!(pass(&four(on_error, Shadow)), [true; 3], "{on_error:?}");
        }
        // What needs no store says what it always does.
        for on_error in [Open, Local, Closed] {
            assert_eq!(pass(&[policy("deny", on_error, Enforce)]), [false; 3]);
            assert_eq!(pass(&[policy("unlimited", on_error, Enforce)]), [true; 3]);
        }
    }

    #[test]
    fn one_check_that_denies_leaves_the_others_uncharged() {
        let own = policy("4 per day", OnError::Local, Mode::Enforce);
        let deny = policy("deny", OnError::Local, Mode::Enforce);
        let meanwhile = Meanwhile::new(2);
        let now = Micros::from_secs(1_800_000_000);
        let ask = |policies: &[&Arc<Policy>]| {
            let mut checks = Checks::new();
            for policy in policies {
                let (key, cost) = (&b"ann"[..], 1);
                checks.push(Check { policy, key, cost }).unwrap();
            }
            meanwhile.decide(&checks, Call::Decide, now).is_allowed()
        };
        assert!(!ask(&[&own, &deny]) && !ask(&[&own, &deny]));
        assert!(ask(&[&own]) && ask(&[&own]));
    }
}
