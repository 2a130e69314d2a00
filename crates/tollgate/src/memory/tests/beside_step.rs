//! The store beside the plain `step`: after every step of random traces, several keys interleaved, the outcome and the
//! state in the store are those of the definition.

use std::collections::HashMap;

use tollgate_testkit::Random;
use tollgate_testkit::random::scaled;

use super::*;
use crate::algorithm::{Charge, INTEGER_MAX, State};
use crate::penalty::Penalty;

const KEYS: u64 = 5;
const STEPS: u64 = 200;
const START: u64 = 1_700_000_000_000_000;
const DAY: u64 = 86_400_000_000;

/// Makes one test of each algorithm, with `quotas` that take every form that its states have in the store.
macro_rules! beside_step {
    ($($name:ident $quotas:expr;)*) => {
        $(#[test] fn $name() { states_in_the_store_are_those_of_step(&$quotas); })*
    };
}

beside_step! {
    sliding_window ["3 per 10 seconds", "7 per century", "6/s", "128/h", "200/m", "70000/m", "1/us", "9/7us"];
    token_bucket ["10/s burst 10", "1/us burst 1", "3/s burst 1", "1 per century burst 5", "104251/day burst 104251",
        "65536/s burst 9", "1000000/s burst 1000000", "7/us burst 3"];
    fixed_window ["5/m fixed-window", "1/us fixed-window", "100000/h fixed-window", "9 per century fixed-window"];
    calendar ["9/m calendar", "100000/h calendar", "3/day calendar Europe/Berlin", "9 per year calendar"];
    sliding_counter ["10/m sliding-counter", "1/us sliding-counter", "9/7us sliding-counter",
        "2000000000/s sliding-counter", "5 per century sliding-counter"];
    concurrency ["2 concurrent", "9 concurrent for 7 us", "16384 concurrent for 1 hour", "5 concurrent for 1 century"];
}

#[test]
fn penalties() {
    let century = 100 * 365 * DAY;
    let penalties = [
        (1, 1, 1, 0),
        (7, 2, 100, 9),
        (60_000_000, 2, 3_600_000_000, DAY),
        (1_000_000, 10, DAY, 1_000),
        (DAY, 3, century / 2, century / 2),
    ];
    let blocks = |(number, (block, factor, block_max, quiet))| {
        let time = std::time::Duration::from_micros;
        let penalty = Penalty::new(time(block))
            .growing(factor, time(block_max))
            .forgiven_after(time(quiet));
        Policy::of_blocks(&format!("p{number} penalty"), penalty, 1 + number).unwrap()
    };
    let policies: Vec<Policy> = (0_u64..).zip(penalties).map(blocks).collect();
    states_are_those_of_step(&policies);
}

/// What a key has under a policy by the definition alone.
struct Plain {
    policy: Arc<Policy>,
    states: HashMap<u64, State>,
    /// Readings that there had been when a state was last seen in the store.
    seen: HashMap<u64, usize>,
}

/// A step that was decided, with the receipt of its charge if there was one.
type Charged = (usize, u64, Receipt, Charge);

fn states_in_the_store_are_those_of_step(quotas: &[&str]) {
    let named = |(index, quota): (usize, &&str)| {
        Policy::new(&format!("p{index}"), quota.parse().unwrap()).unwrap()
    };
    let policies: Vec<Policy> = quotas.iter().enumerate().map(named).collect();
    states_are_those_of_step(&policies);
}

fn states_are_those_of_step(policies: &[Policy]) {
    let mut random = Random::new();
    for _ in 0..scaled(120) {
        let store = MemoryStore::builder().max_memory(0).build();
        let mut plain: Vec<Plain> = policies.iter().map(Plain::new).collect();
        let mut charged: Vec<Charged> = Vec::new();
        let mut now = *random.pick(&[0, 1, 366 * DAY, START, INTEGER_MAX - DAY]);
        let mut readings: Vec<Micros> = Vec::new();
        for _ in 0..STEPS {
            let mut chosen = random.below(policies.len() as u64) as usize;
            let mut key = random.below(KEYS);
            now = moved(&mut random, now, plain[chosen].policy.window());
            readings.push(Micros(now));
            let refunded = match charged.len() as u64 {
                held @ 1.. if random.below(5) == 0 => Some(random.below(held) as usize),
                _ => None,
            };
            if let Some(index) = refunded {
                (chosen, key) = (charged[index].0, charged[index].1);
            }
            plain[chosen].is_in(&store, key, &readings);
            if let Some(index) = refunded {
                refund(&store, &mut plain, charged.swap_remove(index), Micros(now));
            } else {
                let cost = cost(&mut random, plain[chosen].policy.capacity());
                let made = decide(&store, &mut plain[chosen], key, Micros(now), cost);
                charged.extend(made.map(|(receipt, charge)| (chosen, key, receipt, charge)));
            }
            plain[chosen].is_in(&store, key, &readings);
        }
    }
}

impl Plain {
    fn new(policy: &Policy) -> Self {
        Plain {
            policy: Arc::new(policy.clone()),
            states: HashMap::new(),
            seen: HashMap::new(),
        }
    }

    /// The state of `key` is in the store, or it was void at a reading since, and another key has its cell.
    fn is_in(&mut self, store: &MemoryStore, key: u64, readings: &[Micros]) {
        let algorithm = self.policy.algorithm().unwrap();
        let stored = state_of(store, &self.policy, key, readings[readings.len() - 1]);
        let since = self.seen.insert(key, readings.len()).unwrap_or(0);
        let was_void = |state: &State| {
            let mut used = readings[since..]
                .iter()
                .map(|now| algorithm.facts(Some(state), *now, 0).used);
            used.any(|used| used == 0)
        };
        if stored.is_none() && self.states.get(&key).is_some_and(was_void) {
            self.states.remove(&key);
        }
        let quota = said(&self.policy);
        assert_eq!(stored.as_ref(), self.states.get(&key), "{quota}");
    }
}

/// What a failure names.
fn said(policy: &Policy) -> String {
    let quota = policy.quota();
    quota.map_or_else(|| policy.name().to_owned(), |quota| quota.to_string())
}

/// Mostly onward, by nothing, a tick, or parts of the policy's window; now and then back.
fn moved(random: &mut Random, now: u64, window: Option<std::time::Duration>) -> u64 {
    let window = window.map_or(1, |window| window.as_micros() as u64);
    let by = match random.below(8) {
        0 | 1 => 0,
        2 => 1,
        3 | 4 => random.below(window / 8 + 2),
        5 => random.below(window.min(DAY) + 2),
        6 => random.below(1_000_000),
        _ => return now.saturating_sub(random.below(window.min(DAY) + 2)),
    };
    (now + by).min(INTEGER_MAX)
}

fn cost(random: &mut Random, capacity: Option<u64>) -> u64 {
    let capacity = capacity.unwrap_or(1);
    match random.below(8) {
        0 => random.between(1, capacity),
        1 => capacity.saturating_add(random.below(2)),
        _ => random.between(1, capacity.min(3)),
    }
}

fn one<'a>(policy: &'a Arc<Policy>, key: &'a [u8; 8], cost: u64) -> Checks<'a> {
    let mut checks = Checks::new();
    checks.push(Check { policy, key, cost }).unwrap();
    checks
}

/// Decides in both, and compares what they say.
fn decide(
    store: &MemoryStore,
    plain: &mut Plain,
    key: u64,
    now: Micros,
    cost: u64,
) -> Option<(Receipt, Charge)> {
    let Plain { policy, states, .. } = plain;
    let quota = said(policy);
    let algorithm = policy.algorithm().unwrap();
    let was_absent = !states.contains_key(&key);
    let stepped = algorithm.step(states.get(&key).cloned(), now, cost);
    let bytes = key.to_le_bytes();
    let decision = store.decide(&one(policy, &bytes, cost), now);
    let retry_after = decision.retry_after().map(|wait| now + wait);
    match stepped {
        Ok(next) => {
            assert!(decision.is_allowed(), "{quota} at {now}");
            let mark = next.mark();
            states.insert(key, next);
            let facts = algorithm.facts(states.get(&key), now, 0);
            assert_eq!(decision.remaining(), facts.remaining, "{quota} at {now}");
            let lasts = facts.void_at.since(now).as_micros() as u64;
            assert!(!was_absent || lasts <= algorithm.full_refill_micros());
            Some((decision.receipt().unwrap(), Charge { cost, mark }))
        }
        Err(denied) => {
            assert!(!decision.is_allowed(), "{quota} at {now}");
            assert_eq!(retry_after, denied.fits_at, "{quota} at {now}");
            None
        }
    }
}

/// Refunds in both, and compares what comes back.
fn refund(store: &MemoryStore, plain: &mut [Plain], charged: Charged, now: Micros) {
    let (chosen, key, receipt, charge) = charged;
    let Plain { policy, states, .. } = &mut plain[chosen];
    let bytes = key.to_le_bytes();
    let given_back = store.refund(&one(policy, &bytes, 1), &receipt, now);
    let algorithm = policy.algorithm().unwrap();
    let expected = states.remove(&key).map_or(0, |state| {
        let (left, units) = algorithm.give_back(state, now, &charge);
        states.extend(left.map(|left| (key, left)));
        units
    });
    assert_eq!(given_back, expected, "{} at {now}", said(policy));
}

/// What the store holds.
fn state_of(store: &MemoryStore, policy: &Arc<Policy>, key: u64, now: Micros) -> Option<State> {
    let bytes = key.to_le_bytes();
    let checks = one(policy, &bytes, 1);
    let held = store.hold(&checks);
    let stored = store.load(&checks, &held, now).pop().flatten();
    stored.map(|stored| stored.state)
}
