//! Random policies, and one key of a store that they limit.

use std::sync::Arc;
use std::time::Duration;

use tollgate::{
    CalendarUnit, Check, Checks, Decision, MemoryStore, Micros, Policy, Quota, Receipt, Verdict,
};
use tollgate_testkit::oracle::{Kind, Oracle};
use tollgate_testkit::random::Random;

pub(super) const START: u64 = 1_700_000_000_000_000;

const UNITS: [(CalendarUnit, u64); 3] = [
    (CalendarUnit::Minute, 60_000_000),
    (CalendarUnit::Hour, 3_600_000_000),
    (CalendarUnit::Day, 86_400_000_000),
];

/// One policy, and a store in which it limits one key.
pub(super) struct Case {
    pub(super) kind: Kind,
    pub(super) limit: u64,
    pub(super) period: u64,
    pub(super) burst: u64,
    pub(super) policy: Arc<Policy>,
    pub(super) store: Arc<MemoryStore>,
}

impl Case {
    pub(super) fn new(random: &mut Random, kind: Kind) -> Case {
        let limit = *random.pick(&[1, 2, 3, 5, 7, 60, 100, 128, 129, 200, 1_000]);
        let period = match kind {
            Kind::Calendar => random.pick(&UNITS).1,
            _ => *random.pick(&[7, 100, 999, 1_000_000, 1_000_003, 60_000_000, 3_600_000_000]),
        };
        let burst = match kind {
            Kind::TokenBucket => random.between(1, limit + 3),
            _ => limit,
        };
        let quota = quota(kind, limit, period, burst);
        Case {
            kind,
            limit,
            period,
            burst,
            policy: Arc::new(Policy::new("p", quota).unwrap()),
            store: Arc::new(MemoryStore::new()),
        }
    }

    /// The same key of the same store, under a newer policy with other numbers. A calendar keeps its unit.
    pub(super) fn changed(&self, random: &mut Random) -> Case {
        let mut changed = Case::new(random, self.kind);
        if self.kind == Kind::Calendar {
            changed.period = self.period;
        }
        let quota = quota(self.kind, changed.limit, changed.period, changed.burst);
        let policy = Policy::new("p", quota).unwrap();
        Case {
            policy: Arc::new(policy.with_version(self.policy.version() + 1)),
            store: Arc::clone(&self.store),
            ..changed
        }
    }

    pub(super) fn oracle(&self) -> Oracle {
        Oracle::new(self.kind, self.limit, self.period, self.burst)
    }

    pub(super) fn quota(&self) -> Quota {
        self.policy.quota().unwrap()
    }

    /// From everything used to nothing used, at most.
    pub(super) fn full_refill(&self) -> u64 {
        match self.kind {
            Kind::TokenBucket => (self.period * self.burst).div_ceil(self.limit),
            Kind::SlidingCounter => 2 * self.period,
            Kind::Calendar if self.period == UNITS[2].1 => 25 * UNITS[1].1,
            _ => self.period,
        }
    }

    pub(super) fn decide(&self, now: u64, cost: u64) -> Decision {
        self.store.decide(&self.checks(cost), Micros(now))
    }

    pub(super) fn peek(&self, now: u64, cost: u64) -> Decision {
        self.store.peek(&self.checks(cost), Micros(now))
    }

    pub(super) fn refund(&self, receipt: &Receipt, now: u64) -> u64 {
        self.store.refund(&self.checks(1), receipt, Micros(now))
    }

    fn checks(&self, cost: u64) -> Checks<'_> {
        let (policy, key) = (&self.policy, &b"k"[..]);
        let mut checks = Checks::new();
        checks.push(Check { policy, key, cost }).unwrap();
        checks
    }

    /// A random step of time: nothing, a tick, about one unit's share, about a period, or far beyond.
    pub(super) fn step_of_time(&self, random: &mut Random) -> u64 {
        match random.below(6) {
            0 => 0,
            1 => 1,
            2 | 3 => random.below(self.period / self.limit + 2),
            4 => random.below(self.period + 2),
            _ => random.below(3 * self.period + 2),
        }
    }

    /// A random cost that can pass: mostly one unit.
    pub(super) fn cost(&self, random: &mut Random) -> u64 {
        match random.below(4) {
            0 => random.between(1, self.burst),
            _ => 1,
        }
    }

    /// `retry_after` is the first instant that passes, `grows_after` the first at which more remains, `full_after` the
    /// first at which the key is as good as new.
    pub(super) fn waits_are_the_truth(&self, now: u64, cost: u64, decision: &Decision) {
        let quota = || self.quota();
        if let Verdict::Deny { retry_after } = decision.verdict() {
            let wait = micros(retry_after);
            assert!(wait > 0);
            assert!(
                self.peek(now + wait, cost).is_allowed(),
                "{}: a retry after {wait} was denied",
                quota()
            );
            assert!(
                !self.peek(now + wait - 1, cost).is_allowed(),
                "{}: {wait} was not the first instant",
                quota()
            );
        }
        let standing = &decision.standings()[0];
        let grows = standing.grows_after().is_some();
        assert_eq!(grows, standing.used() > 0, "{}", quota());
        if let Some(wait) = standing.grows_after().map(micros) {
            let remaining = decision.remaining();
            assert!(
                self.peek(now + wait, 1).remaining() > remaining,
                "{}",
                quota()
            );
            assert_eq!(
                self.peek(now + wait - 1, 1).remaining(),
                remaining,
                "{}",
                quota()
            );
        }
        let full = micros(standing.full_after());
        assert_eq!(
            self.peek(now + full, 1).remaining(),
            self.burst,
            "{}",
            quota()
        );
        if full > 0 {
            let used = self.peek(now + full - 1, 1).standings()[0].used();
            assert!(used > 0, "{}", quota());
        }
    }
}

pub(super) fn quota(kind: Kind, limit: u64, period: u64, burst: u64) -> Quota {
    if kind == Kind::Calendar {
        let (unit, _) = UNITS.iter().find(|(_, micros)| *micros == period).unwrap();
        return Quota::calendar(limit, *unit, "UTC").unwrap();
    }
    let quota = Quota::new(limit, Duration::from_micros(period)).unwrap();
    match kind {
        Kind::TokenBucket => quota.burst(burst).unwrap(),
        _ => quota.counted_by(kind.algorithm()),
    }
}

pub(super) fn micros(wait: Duration) -> u64 {
    wait.as_micros() as u64
}
