//! What a decision comes to in a few numbers: those of the policy that denies, or that has the least left.

use std::time::Duration;

use tollgate::{Decision, Micros, Mode, Policy, Reason, Standing};

/// A decision in a few numbers. Waits are rounded up, so that a client that waits just so long does not come too early.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Summary<'p> {
    /// The policy that denies, or that has the least left; empty where nothing limits.
    pub(crate) policy: &'p str,
    /// `None` where nothing limits, or where nothing is known because the store is away.
    pub(crate) limit: Option<u64>,
    /// Likewise.
    pub(crate) remaining: Option<u64>,
    /// `None` when it is allowed, and when waiting does not help.
    pub(crate) retry_after_ms: Option<u64>,
    /// Until the key is as good as new.
    pub(crate) reset_after_ms: u64,
}

/// Whether there are numbers to tell.
pub(crate) fn is_told(standing: &Standing) -> bool {
    standing.limit() < u64::MAX && standing.is_known()
}

impl<'p> Summary<'p> {
    /// `policies` are those of the decision's standings, in their order.
    pub(crate) fn of(policies: impl IntoIterator<Item = &'p Policy>, decision: &Decision) -> Self {
        let standings = policies.into_iter().zip(decision.standings());
        let enforced = standings.filter(|(policy, _)| policy.mode() == Mode::Enforce);
        let tightest = enforced.min_by_key(|(_, standing)| {
            (
                !standing.is_violated(),
                !standing.is_known(),
                standing.remaining(),
            )
        });
        let (policy, standing) = tightest.unzip();
        let limited = standing.filter(|standing| is_told(standing));
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

#[cfg(test)]
mod tests {
    use tollgate::{Limiter, Quota};

    use super::*;

    #[test]
    fn a_policy_of_which_nothing_is_known_has_no_numbers_and_none_of_the_others_is_behind_it() {
        let quotas = ["unlimited", "5 per minute"].map(|quota| quota.parse().unwrap());
        let stand_ins = Limiter::new(quotas.to_vec()).unwrap();
        let at = Micros(1_800_000_000_000_000);
        let decision = stand_ins.check_at("ann", at);
        let rules = Quota::parse_list("3 per hour; 10 per minute").unwrap();
        let rules = Limiter::new(rules).unwrap();
        let limits = || rules.policies().iter().map(|policy| policy.capacity());
        let decision = decision.in_place_of(limits());
        let policies = || rules.policies().iter().map(|policy| &**policy);
        let summary = Summary::of(policies(), &decision);
        let told = (summary.policy, summary.limit, summary.remaining);
        assert_eq!(told, ("minute", Some(10), Some(4)));
        let open = Limiter::new(vec![Quota::unlimited()]).unwrap();
        let decision = open.check_at("ann", at).in_place_of([Some(3)]);
        let summary = Summary::of(policies().take(1), &decision);
        assert_eq!((summary.limit, summary.remaining), (None, None));
    }
}
