//! A denial that is remembered until what it waits for comes, or for a second.

use std::sync::Arc;
use std::time::Duration;

use tollgate::{Check, Decision, Micros, Policy, Verdict};

/// After this long the store is asked again: another node may have given units back.
const REMEMBERED_MAX: Duration = Duration::from_secs(1);

/// Requests with more in their keys are not remembered, so that strangers fill little memory.
const KEY_BYTES_MAX: usize = 512;

/// One check of a request that was denied.
#[derive(Debug)]
struct Asked {
    policy: Arc<Policy>,
    key: Box<[u8]>,
    cost: u64,
}

/// A denial, and the checks that it was of.
#[derive(Debug)]
pub(super) struct Denial {
    asked: Vec<Asked>,
    decision: Decision,
    /// When it was heard, by this node's clock: not earlier than the store decided, so that nobody asks too early.
    heard: Micros,
    until: Micros,
}

impl Denial {
    /// The denial, or that of the next unit where a decision took the last one, and the place of the check that it waits for
    /// longest; `None` when it can end by something else than time, or changes what it is about: a slot that is given back,
    /// a denial that is counted. Where a block ends sooner, so must the denial [end](Denial::end_by).
    pub(super) fn of(
        checks: &[Check<'_>],
        decision: &Decision,
        heard: Micros,
    ) -> Option<(usize, Self)> {
        let exhausted;
        let decision = match decision.verdict() {
            Verdict::Allow => {
                let of_one =
                    |check: &Check<'_>| check.cost == 1 && check.policy.penalty().is_none();
                exhausted = decision.exhausted().filter(|_| checks.iter().all(of_one))?;
                &exhausted
            }
            _ => decision,
        };
        let Verdict::Deny { retry_after } = decision.verdict() else {
            return None;
        };
        let bytes: usize = checks.iter().map(|check| check.key.len()).sum();
        if bytes > KEY_BYTES_MAX || checks.iter().any(|check| check.policy.counts_denied()) {
            return None;
        }
        let waits = decision.standings().iter().enumerate();
        let (place, _) = waits
            .filter(|(place, standing)| {
                !standing.is_shadow() && !checks[*place].policy.holds_slots()
            })
            .filter_map(|(place, standing)| Some((place, standing.retry_after()?)))
            .max_by_key(|(_, wait)| *wait)
            .filter(|(_, wait)| *wait == retry_after)?;
        let asked = |check: &Check<'_>| Asked {
            policy: Arc::clone(check.policy),
            key: check.key.into(),
            cost: check.cost,
        };
        let denial = Denial {
            asked: checks.iter().map(asked).collect(),
            decision: decision.clone(),
            heard,
            until: heard + retry_after.min(REMEMBERED_MAX),
        };
        Some((place, denial))
    }

    /// Nothing is known beyond `until`.
    pub(super) fn end_by(&mut self, until: Micros) {
        self.until = self.until.min(until);
    }

    /// What it answers to the same checks at `now`.
    pub(super) fn answer(&self, checks: &[Check<'_>], now: Micros) -> Option<Decision> {
        let holds = now < self.until && self.is_of(checks);
        holds.then(|| self.decision.remembered(now.since(self.heard)))
    }

    /// Whether it is of these checks.
    pub(super) fn is_of(&self, checks: &[Check<'_>]) -> bool {
        let same = |(asked, check): (&Asked, &Check<'_>)| {
            asked.cost == check.cost
                && asked.key[..] == *check.key
                && is_same(&asked.policy, check.policy)
        };
        checks.len() == self.asked.len() && self.asked.iter().zip(checks).all(same)
    }
}

/// Whether two policies decide alike.
pub(super) fn is_same(a: &Arc<Policy>, b: &Arc<Policy>) -> bool {
    let numbers = |policy: &Policy| (policy.version(), policy.mode(), policy.quota());
    Arc::ptr_eq(a, b) || a.name() == b.name() && numbers(a) == numbers(b)
}
