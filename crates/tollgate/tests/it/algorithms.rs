//! Every algorithm beside the oracle, over random traces: verdict, remaining and waits after every step.

use std::sync::Arc;

use tollgate::algorithm::Denied;
use tollgate::{
    AlgorithmKind, Check, Checks, Decision, MemoryStore, Micros, Policy, Quota, State, Verdict,
};
use tollgate_testkit::oracle::Oracle;
use tollgate_testkit::random::{Random, scaled};

const START: u64 = 1_700_000_000_000_000;

const KINDS: [AlgorithmKind; 3] = [
    AlgorithmKind::SlidingWindow,
    AlgorithmKind::TokenBucket,
    AlgorithmKind::FixedWindow,
];

struct Case {
    limit: u64,
    period: u64,
    burst: u64,
    policy: Arc<Policy>,
}

fn case(random: &mut Random, kind: AlgorithmKind) -> Case {
    let limit = *random.pick(&[1, 2, 3, 5, 7, 60, 100, 128, 129, 200, 1_000]);
    let period = *random.pick(&[7, 100, 999, 1_000_000, 1_000_003, 60_000_000, 3_600_000_000]);
    let burst = if kind == AlgorithmKind::TokenBucket {
        random.between(1, limit + 3)
    } else {
        limit
    };
    let mut quota = Quota::new(limit, std::time::Duration::from_micros(period))
        .unwrap()
        .counted_by(kind);
    if kind == AlgorithmKind::TokenBucket {
        quota = quota.burst(burst).unwrap();
    }
    let policy = Arc::new(Policy::new("p", quota).unwrap());
    Case {
        limit,
        period,
        burst,
        policy,
    }
}

fn decide(store: &MemoryStore, policy: &Arc<Policy>, now: u64, cost: u64) -> Decision {
    let mut checks = Checks::new();
    checks
        .push(Check {
            policy,
            key: b"k",
            cost,
        })
        .unwrap();
    store.decide(&checks, Micros(now))
}

fn peek(store: &MemoryStore, policy: &Arc<Policy>, now: u64, cost: u64) -> Decision {
    let mut checks = Checks::new();
    checks
        .push(Check {
            policy,
            key: b"k",
            cost,
        })
        .unwrap();
    store.peek(&checks, Micros(now))
}

/// A random step of time: nothing, a tick, about one unit's share, about a period, or far beyond.
fn step_of_time(random: &mut Random, case: &Case) -> u64 {
    match random.below(6) {
        0 => 0,
        1 => 1,
        2 | 3 => random.below(case.period / case.limit + 2),
        4 => random.below(case.period + 2),
        _ => random.below(3 * case.period + 2),
    }
}

#[test]
fn every_decision_is_the_oracles_and_no_interval_exceeds_the_promise() {
    let mut random = Random::new();
    for _ in 0..scaled(60) {
        for kind in KINDS {
            let case = case(&mut random, kind);
            let store = MemoryStore::new();
            let mut oracle = Oracle::new(kind, case.limit, case.period, case.burst);
            let mut now = START;
            for _ in 0..200 {
                now += step_of_time(&mut random, &case);
                let cost = if random.below(4) == 0 {
                    random.between(1, case.burst)
                } else {
                    1
                };
                let said = oracle.ask(now - START, cost);
                let decision = decide(&store, &case.policy, now, cost);
                let exact = kind != AlgorithmKind::SlidingWindow || case.limit <= 128;
                if exact {
                    assert_eq!(
                        decision.is_allowed(),
                        said.passes,
                        "{}: {said:?} at +{}",
                        case.policy.quota().unwrap(),
                        now - START
                    );
                } else {
                    assert!(
                        said.passes || !decision.is_allowed(),
                        "{}: admitted too many",
                        case.policy.quota().unwrap()
                    );
                }
                if decision.is_allowed() {
                    oracle.admit(now - START, cost);
                }
                if exact {
                    assert_eq!(decision.remaining(), oracle.ask(now - START, 0).remaining);
                }
                waits_are_the_truth(&store, &case, now, cost, &decision);
            }
            let promise = match kind {
                AlgorithmKind::SlidingWindow => case.limit,
                AlgorithmKind::FixedWindow => 2 * case.limit,
                _ => case.burst + case.limit - 1,
            };
            assert!(
                oracle.most_in_any_period() <= promise,
                "{}",
                case.policy.quota().unwrap()
            );
        }
    }
}

/// `retry_after` is the first instant that passes, `grows_after` the first at which more remains, `full_after` the
/// first at which the key is as good as new.
fn waits_are_the_truth(store: &MemoryStore, case: &Case, now: u64, cost: u64, decision: &Decision) {
    let quota = case.policy.quota().unwrap();
    if let Verdict::Deny { retry_after } = decision.verdict() {
        let wait = retry_after.as_micros() as u64;
        assert!(wait > 0);
        assert!(
            peek(store, &case.policy, now + wait, cost).is_allowed(),
            "{quota}: a retry after {wait} was denied"
        );
        assert!(
            !peek(store, &case.policy, now + wait - 1, cost).is_allowed(),
            "{quota}: {wait} was not the first instant"
        );
    }
    let standing = &decision.standings()[0];
    if let Some(wait) = standing.grows_after().map(|wait| wait.as_micros() as u64) {
        assert!(
            peek(store, &case.policy, now + wait, 1).remaining() > decision.remaining(),
            "{quota}"
        );
        assert_eq!(
            peek(store, &case.policy, now + wait - 1, 1).remaining(),
            decision.remaining(),
            "{quota}"
        );
    }
    let full = standing.full_after().as_micros() as u64;
    assert_eq!(
        peek(store, &case.policy, now + full, 1).remaining(),
        case.burst,
        "{quota}"
    );
    if full > 0 {
        assert!(
            peek(store, &case.policy, now + full - 1, 1).standings()[0].used() > 0,
            "{quota}"
        );
    }
}

#[test]
fn a_sliding_window_denies_early_by_less_than_a_cell() {
    let mut random = Random::new();
    for _ in 0..scaled(20) {
        let (limit, period) = (
            random.between(129, 2_000),
            random.between(1_000, 10_000_000),
        );
        let cell = period.div_ceil(127);
        let policy = Arc::new(
            Policy::new(
                "p",
                Quota::new(limit, std::time::Duration::from_micros(period)).unwrap(),
            )
            .unwrap(),
        );
        let store = MemoryStore::new();
        // With every unit living a cell longer, the plain log denies whatever the coalesced one does.
        let mut strict = Oracle::new(
            AlgorithmKind::SlidingWindow,
            limit,
            period + cell - 1,
            limit,
        );
        let mut exact = Oracle::new(AlgorithmKind::SlidingWindow, limit, period, limit);
        let mut now = START;
        for _ in 0..3_000 {
            now += random.below(2 * period / limit + 1);
            let allowed = decide(&store, &policy, now, 1).is_allowed();
            if allowed {
                assert!(exact.ask(now - START, 1).passes);
                strict.admit(now - START, 1);
                exact.admit(now - START, 1);
            } else {
                assert_eq!(
                    strict.ask(now - START, 1).remaining,
                    0,
                    "denied more than a cell early"
                );
            }
        }
        assert!(exact.most_in_any_period() <= limit);
    }
}

#[test]
fn readings_that_go_back_never_admit_more_and_never_panic() {
    let mut random = Random::new();
    for _ in 0..scaled(40) {
        for kind in KINDS {
            let case = case(&mut random, kind);
            let store = MemoryStore::new();
            let mut high = START;
            for _ in 0..200 {
                // Within one full refill of the newest reading, so that the state is never void.
                let full =
                    case.policy.window().unwrap().as_micros() as u64 * case.burst / case.limit;
                let now = if random.below(3) == 0 {
                    high - random.below(full / 2 + 1)
                } else {
                    high + step_of_time(&mut random, &case)
                };
                let at_high = peek(&store, &case.policy, high.max(now), 1);
                let here = peek(&store, &case.policy, now, 1);
                assert!(
                    here.remaining() <= at_high.remaining(),
                    "{}: more generous at an earlier reading",
                    case.policy.quota().unwrap()
                );
                let decision = decide(&store, &case.policy, now, 1);
                waits_are_the_truth(&store, &case, now, 1, &decision);
                high = high.max(now);
            }
        }
    }
}

#[test]
fn every_quota_of_the_promised_range_is_accepted_and_never_overflows() {
    let mut random = Random::new();
    let century = 100 * 365 * 86_400 * 1_000_000_u64;
    for _ in 0..scaled(500) {
        let period = *random.pick(&[
            1_000_000,
            60_000_000,
            3_600_000_000,
            86_400_000_000,
            31_536_000_000_000,
            century,
        ]);
        let limit = random.between(1, (period / 1_000_000).min(1_000_000))
            * random.between(1, 1_000_000).min(1_000_000_000 / 1_000);
        for kind in KINDS {
            let quota = Quota::new(limit, std::time::Duration::from_micros(period))
                .unwrap()
                .counted_by(kind);
            let Ok(policy) = Policy::new("p", quota.clone()) else {
                panic!("{quota} was refused")
            };
            let (policy, store) = (Arc::new(policy), MemoryStore::new());
            assert!(
                decide(&store, &policy, START, limit).is_allowed(),
                "{quota}"
            );
            let denied = decide(&store, &policy, START, limit);
            let wait = denied.retry_after().unwrap().as_micros() as u64;
            assert!(wait > 0 && wait <= period, "{quota}: {wait}");
            assert!(
                decide(&store, &policy, START + wait, limit).is_allowed(),
                "{quota}"
            );
            let _ = decide(&store, &policy, u64::from(u32::MAX), u64::MAX);
        }
    }
}

/// Adding an algorithm is one file: this one admits every other request.
#[derive(Debug)]
struct EveryOther;

impl tollgate::Algorithm for EveryOther {
    fn name(&self) -> &'static str {
        "every-other"
    }
    fn capacity(&self) -> u64 {
        1
    }
    fn full_refill_micros(&self) -> u64 {
        1_000_000
    }
    fn step(&self, state: Option<State>, now: Micros, cost: u64) -> Result<State, Denied> {
        let facts = self.facts(state.as_ref(), now, cost);
        facts
            .fits_at
            .filter(|at| *at <= now)
            .map(|_| State::Pair(now.0, 1))
            .ok_or(Denied {
                fits_at: facts.fits_at,
            })
    }
    fn facts(&self, state: Option<&State>, now: Micros, _: u64) -> tollgate::algorithm::Facts {
        let until = match state {
            Some(State::Pair(at, _)) if at + 1_000_000 > now.0 => Some(Micros(at + 1_000_000)),
            _ => None,
        };
        tollgate::algorithm::Facts {
            used: u64::from(until.is_some()),
            remaining: u64::from(until.is_none()),
            fits_at: Some(until.unwrap_or(now)),
            grows_at: until,
            void_at: until.unwrap_or(now),
        }
    }
}

#[test]
fn an_algorithm_of_ones_own_is_one_implementation_of_one_trait() {
    let policy = Policy::custom("own", Arc::new(EveryOther)).unwrap();
    let limiter = tollgate::Limiter::builder().policy(policy).build().unwrap();
    assert!(limiter.check_at("k", Micros(START)).is_allowed());
    assert!(!limiter.check_at("k", Micros(START + 999_999)).is_allowed());
    assert!(
        limiter
            .check_at("k", Micros(START + 1_000_000))
            .is_allowed()
    );
}
