//! An algorithm of one's own.

use std::sync::Arc;

use tollgate::algorithm::Denied;
use tollgate::{Limiter, ManualClock, Micros, Policy, State};

use super::case::START;

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
            .map(|_| State::Pair(now.0, !now.0))
            .ok_or(Denied {
                fits_at: facts.fits_at,
            })
    }
    fn facts(&self, state: Option<&State>, now: Micros, _: u64) -> tollgate::algorithm::Facts {
        let until = match state {
            // Both numbers are the algorithm's own.
            Some(State::Pair(at, inverse)) if *inverse == !at && at + 1_000_000 > now.0 => {
                Some(Micros(at + 1_000_000))
            }
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

#[test]
fn an_algorithm_without_debts_keeps_its_charge_when_more_was_used() {
    let policy = Policy::custom("own", Arc::new(EveryOther)).unwrap();
    let clock = Arc::new(ManualClock::new(Micros(START)));
    let limiter = Limiter::builder().policy(policy).clock(clock);
    let limiter = limiter.build().unwrap();
    limiter.reserve("k", 1).unwrap().settle(2);
    assert!(!limiter.check("k").is_allowed());
}

#[test]
fn an_algorithm_that_takes_nothing_back_keeps_its_charge_when_it_is_refunded() {
    let policy = Policy::custom("own", Arc::new(EveryOther)).unwrap();
    let limiter = Limiter::builder().policy(policy).build().unwrap();
    let receipt = limiter.check_at("k", Micros(START)).receipt().unwrap();
    assert_eq!(limiter.refund_at("k", &receipt, Micros(START)), 0);
    assert!(!limiter.check_at("k", Micros(START)).is_allowed());
}
