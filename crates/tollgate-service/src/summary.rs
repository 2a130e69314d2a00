//! What a decision comes to in a few numbers: those of the policy that denies, or that has the least left.

use std::sync::Arc;
use std::time::Duration;

use tollgate::{Decision, Micros, Mode, Policy, Reason, Standing};

/// A decision in a few numbers. Waits are rounded up, so that a client that waits just so long does not come too early.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Summary<'p> {
    /// The policy that denies, or that has the least left; empty where nothing limits.
    pub(crate) policy: &'p str,
    /// `None` where nothing limits.
    pub(crate) limit: Option<u64>,
    /// `None` where nothing limits.
    pub(crate) remaining: Option<u64>,
    /// `None` when it is allowed, and when waiting does not help.
    pub(crate) retry_after_ms: Option<u64>,
    /// Until the key is as good as new.
    pub(crate) reset_after_ms: u64,
}

impl<'p> Summary<'p> {
    /// `policies` are those of the decision's standings, in their order.
    pub(crate) fn of(policies: &'p [Arc<Policy>], decision: &Decision) -> Self {
        let standings = policies.iter().zip(decision.standings());
        let enforced = standings.filter(|(policy, _)| policy.mode() == Mode::Enforce);
        let tightest =
            enforced.min_by_key(|(_, standing)| (!standing.is_violated(), standing.remaining()));
        let (policy, standing) = tightest.unzip();
        let limited = standing.filter(|standing| standing.limit() < u64::MAX);
        Summary {
            policy: policy.map_or("", |policy| policy.name()),
            limit: limited.map(Standing::limit),
            remaining: limited.map(Standing::remaining),
            retry_after_ms: decision.retry_after().map(milliseconds),
            reset_after_ms: milliseconds(decision.full_after()),
        }
    }
}

/// Why a decision came about without numbers, in words.
pub(crate) fn refused(reason: Reason) -> &'static str {
    match reason {
        Reason::Policy => "the limit refuses everything",
        Reason::MissingKey => "a word of the key is empty",
        Reason::TooManyChecks => "these are more quotas than one decision holds",
        Reason::KeyTooLong => "the key is too long",
        Reason::StoreFull => "the counters have no room for another key",
        Reason::StoreClosed => "the store of the counters cannot be reached",
        Reason::KeysApart => {
            "the keys are in several parts of the store, which cannot decide on them at one instant"
        }
        Reason::Uncountable => "the store cannot count by the limit's algorithm",
        // Of a library that is newer than this.
        _ => "the library refuses this",
    }
}

/// Rounded up.
pub(crate) fn milliseconds(wait: Duration) -> u64 {
    let micros = Micros(0) + wait;
    micros.0.div_ceil(1_000)
}
