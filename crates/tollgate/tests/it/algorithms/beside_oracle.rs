//! Every decision beside the oracle's: verdict, remaining and waits after every step of random traces.

use tollgate_testkit::oracle::{Kind, Oracle};
use tollgate_testkit::random::{Random, scaled};

use super::case::{Case, START};

const STEPS: u64 = 200;

for_every_algorithm! {
    every_decision_is_the_oracles_and_no_interval_exceeds_the_promise
    a_denied_request_changes_nothing
}

/// Two hundred decisions a trace: a scale of 250 makes ten million for each algorithm.
fn every_decision_is_the_oracles_and_no_interval_exceeds_the_promise(kind: Kind) {
    let mut random = Random::new();
    for _ in 0..scaled(200) {
        let case = Case::new(&mut random, kind);
        let mut oracle = case.oracle();
        let mut now = *random.pick(&[0, 1, START, 1 << 52]);
        for _ in 0..STEPS {
            now += case.step_of_time(&mut random);
            let cost = case.cost(&mut random);
            decision_is_the_oracles(&case, &mut oracle, now, cost);
        }
        assert!(
            oracle.most_in_any_period() <= oracle.promise(),
            "{}",
            case.quota()
        );
    }
}

fn decision_is_the_oracles(case: &Case, oracle: &mut Oracle, now: u64, cost: u64) {
    let said = oracle.ask(now, cost);
    let seen = case.peek(now, cost);
    let decision = case.decide(now, cost);
    let charged = decision.standings()[0].charged();
    assert_eq!(decision.verdict(), seen.verdict(), "{}", case.quota());
    assert_eq!(decision.remaining() + charged, seen.remaining());
    let exact = case.kind != Kind::SlidingWindow || case.limit <= 128;
    if exact {
        assert_eq!(
            (decision.is_allowed(), seen.remaining()),
            (said.passes, said.remaining),
            "{} at {now}",
            case.quota()
        );
    } else {
        assert!(
            said.passes || !decision.is_allowed(),
            "{}: admitted too many",
            case.quota()
        );
    }
    if decision.is_allowed() {
        assert_eq!(charged, cost);
        oracle.admit(now, cost);
    }
    case.waits_are_the_truth(now, cost, &decision);
}

fn a_denied_request_changes_nothing(kind: Kind) {
    let mut random = Random::new();
    for _ in 0..scaled(60) {
        let case = Case::new(&mut random, kind);
        let mut now = START;
        for _ in 0..STEPS {
            now += case.step_of_time(&mut random);
            let cost = case.cost(&mut random);
            let (one, whole) = (case.peek(now, 1), case.peek(now, case.burst));
            if !case.decide(now, cost).is_allowed() {
                assert_eq!(case.peek(now, 1), one, "{}", case.quota());
                assert_eq!(case.peek(now, case.burst), whole, "{}", case.quota());
            }
        }
    }
}

#[test]
fn a_sliding_window_denies_early_by_less_than_a_cell() {
    let mut random = Random::new();
    for _ in 0..scaled(20) {
        let mut case = Case::new(&mut random, Kind::SlidingWindow);
        while case.limit <= 128 || case.period < 1_000 {
            case = Case::new(&mut random, Kind::SlidingWindow);
        }
        let (limit, period) = (case.limit, case.period);
        // With every unit living a cell longer, the plain log denies whatever the coalesced one does.
        let longer = period + period.div_ceil(127) - 1;
        let mut strict = Oracle::new(Kind::SlidingWindow, limit, longer, limit);
        let mut exact = case.oracle();
        let mut now = START;
        for _ in 0..3_000 {
            now += random.below(2 * period / limit + 1);
            if case.decide(now, 1).is_allowed() {
                assert!(exact.ask(now, 1).passes);
                strict.admit(now, 1);
                exact.admit(now, 1);
            } else {
                let remaining = strict.ask(now, 1).remaining;
                assert_eq!(remaining, 0, "denied more than a cell early");
            }
        }
        assert!(exact.most_in_any_period() <= limit);
    }
}
