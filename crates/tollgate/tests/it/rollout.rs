//! Two gateways with rules of two versions on one state, asked by somebody who wants as much as can be had (rule 13).

use std::sync::Arc;

use tollgate::decide::{self, Stored};
use tollgate::{Check, Micros, Policy};
use tollgate_testkit::random::{Random, scaled};

const PERIOD: u64 = 60_000_000;
const START: u64 = 1_700_000_000_000_000;

/// Each algorithm, and by how much what it lets pass in a period may be more than N.
const ALGORITHMS: [(&str, u64); 5] = [
    ("N/m", 1),
    ("N/m burst N", 2),
    ("N/m fixed-window", 2),
    ("N/m sliding-counter", 2),
    ("N concurrent for 1 minute", 1),
];

/// One key's state as a store keeps it: gone as soon as it is void.
#[derive(Default)]
struct Key([Option<Stored>; 1]);

impl Key {
    fn take(&mut self, policy: &Arc<Policy>, now: Micros) -> bool {
        let is_void = |stored: &Stored| decide::in_use(stored, now).0 == 0;
        if self.0[0].as_ref().is_some_and(is_void) {
            self.0[0] = None;
        }
        let (key, cost) = (&b"ann"[..], 1);
        decide::decide(&[Check { policy, key, cost }], &mut self.0, now).is_allowed()
    }
}

fn policy(quota: &str, limit: u64, version: u64) -> Arc<Policy> {
    let quota = quota.replace('N', &limit.to_string());
    let policy = Policy::new("p", quota.parse().unwrap()).unwrap();
    Arc::new(policy.with_version(version))
}

/// The most that passed in any interval of a period.
fn most(passed: &[u64]) -> u64 {
    let within = |(place, first): (usize, &u64)| {
        let behind = &passed[place..];
        behind.partition_point(|at| *at < first + PERIOD) as u64
    };
    passed.iter().enumerate().map(within).max().unwrap_or(0)
}

fn pairs() -> impl Iterator<Item = ((&'static str, u64), (&'static str, u64))> {
    let pair = |older| ALGORITHMS.map(|newer| (older, newer));
    ALGORITHMS.into_iter().flat_map(pair)
}

#[test]
fn one_request_to_newer_rules_does_not_open_the_older_ones_again() {
    for ((older, _), (newer, _)) in pairs() {
        let (old, new) = (policy(older, 100, 1), policy(newer, 100, 2));
        let mut key = Key::default();
        let mut passed = Vec::new();
        // All that the older rules let pass, and one request by the newer.
        for step in 0..200 {
            let now = START + step * PERIOD / 100;
            while key.take(&old, Micros(now)) {
                passed.push(now);
            }
            if key.take(&new, Micros(now)) {
                passed.push(now);
            }
        }
        assert!(
            most(&passed) <= 200,
            "{older} to {newer}: {}",
            most(&passed)
        );
    }
}

#[test]
fn rules_of_two_versions_asked_in_turn_let_pass_no_more_than_both_promise() {
    let mut random = Random::new();
    for _ in 0..scaled(10) {
        for ((older, old_times), (newer, new_times)) in pairs() {
            let (old_limit, new_limit) = (random.between(1, 20), random.between(1, 20));
            let (old, new) = (policy(older, old_limit, 1), policy(newer, new_limit, 2));
            let mut key = Key::default();
            let mut passed = Vec::new();
            let mut now = START + random.below(PERIOD);
            for _ in 0..300 {
                let asked = if random.below(2) == 0 { &old } else { &new };
                for _ in 0..random.below(3) * old_limit + 1 {
                    if key.take(asked, Micros(now)) {
                        passed.push(now);
                    }
                }
                now += match random.below(5) {
                    0 => 0,
                    1 => PERIOD / old_limit.max(new_limit),
                    2 => random.below(PERIOD),
                    3 => PERIOD,
                    _ => random.below(PERIOD / 10),
                };
            }
            let promise = old_limit * old_times + new_limit * new_times;
            let quotas = (old_limit, older, new_limit, newer);
            assert!(most(&passed) <= promise, "{quotas:?}: {}", most(&passed));
        }
    }
}

#[test]
fn rules_between_two_versions_of_the_same_numbers_do_not_decide_once_the_newer_has_denied() {
    let [first, third] = [1, 3].map(|version| policy("N/m", 1, version));
    let second = policy("N/m", 9, 2);
    let (mut key, now) = (Key::default(), Micros(START));
    assert!(key.take(&first, now) && !key.take(&third, now));
    assert!(!key.take(&second, now));
}
