//! What comes back (rule 8).

use tollgate::Receipt;
use tollgate_testkit::oracle::Kind;
use tollgate_testkit::random::{Random, scaled};

use super::case::{Case, START, micros};

for_every_algorithm! {
    a_charge_refunded_at_once_never_was
    a_refund_gives_back_at_most_its_charge_and_frees_no_more_than_it_says
    no_interval_exceeds_the_promise_and_what_was_refunded_in_it
    a_charge_that_has_expired_holds_nothing
}

fn a_charge_refunded_at_once_never_was(kind: Kind) {
    let mut random = Random::new();
    for _ in 0..scaled(60) {
        let case = Case::new(&mut random, kind);
        let mut now = START;
        for _ in 0..100 {
            now += case.step_of_time(&mut random);
            let cost = case.cost(&mut random);
            let before = case.peek(now, case.burst);
            let decision = case.decide(now, cost);
            let Some(receipt) = decision.receipt() else {
                continue;
            };
            // When a log grows beyond 128 entries, those that became one stay one.
            let coalesced = kind == Kind::SlidingWindow && case.limit > 128;
            if random.below(2) == 0 {
                assert_eq!(case.refund(&receipt, now), cost, "{}", case.quota());
                let after = case.peek(now, case.burst);
                assert_eq!(after.remaining(), before.remaining(), "{}", case.quota());
                assert!(coalesced || after == before, "{}", case.quota());
            }
        }
    }
}

fn a_refund_gives_back_at_most_its_charge_and_frees_no_more_than_it_says(kind: Kind) {
    let mut random = Random::new();
    for _ in 0..scaled(60) {
        let case = Case::new(&mut random, kind);
        let mut receipts: Vec<(u64, Receipt)> = Vec::new();
        let mut now = START;
        for _ in 0..200 {
            now += case.step_of_time(&mut random);
            let cost = case.cost(&mut random);
            let decision = case.decide(now, cost);
            receipts.extend(decision.receipt().map(|receipt| (cost, receipt)));
            if random.below(3) == 0 && !receipts.is_empty() {
                let chosen = random.below(receipts.len() as u64) as usize;
                let (cost, receipt) = receipts.swap_remove(chosen);
                let before = case.peek(now, 1).remaining();
                let given_back = case.refund(&receipt, now);
                let after = case.peek(now, 1);
                assert!(given_back <= cost, "{}", case.quota());
                assert!(after.remaining() >= before, "{}", case.quota());
                assert!(
                    after.remaining() - before <= given_back,
                    "{}: {given_back} given back, {before} then {}",
                    case.quota(),
                    after.remaining()
                );
                case.waits_are_the_truth(now, 1, &after);
            }
        }
    }
}

/// A lease that is given back ends, so of them at most N run at any instant; of other units, an interval may hold as
/// many more as were refunded in it.
fn no_interval_exceeds_the_promise_and_what_was_refunded_in_it(kind: Kind) {
    let mut random = Random::new();
    for _ in 0..scaled(100) {
        let case = Case::new(&mut random, kind);
        let promise = case.oracle().promise();
        let mut charges: Vec<(u64, u64, Receipt)> = Vec::new();
        let (mut admitted, mut refunded) = (Vec::new(), Vec::new());
        let mut now = START;
        for _ in 0..200 {
            now += random.below(case.period / case.limit + 2);
            let cost = case.cost(&mut random);
            if let Some(receipt) = case.decide(now, cost).receipt() {
                charges.push((now, cost, receipt));
                admitted.push((now, cost));
            }
            if random.below(3) == 0 && !charges.is_empty() {
                let chosen = random.below(charges.len() as u64) as usize;
                let (_, _, receipt) = charges.swap_remove(chosen);
                refunded.push((now, case.refund(&receipt, now)));
            }
            if kind == Kind::Concurrency {
                let live = |(at, ..): &&(u64, u64, Receipt)| at + case.period > now;
                let units = charges.iter().filter(live).map(|(_, units, _)| units);
                assert!(units.sum::<u64>() <= case.limit, "{}", case.quota());
            }
        }
        for (start, _) in &admitted {
            let sum = |units: &[(u64, u64)]| -> u64 {
                let within = |(at, _): &&(u64, u64)| (*start..start + case.period).contains(at);
                units.iter().filter(within).map(|(_, units)| units).sum()
            };
            assert!(
                sum(&admitted) <= promise + sum(&refunded),
                "{}",
                case.quota()
            );
        }
    }
}

fn a_charge_that_has_expired_holds_nothing(kind: Kind) {
    let mut random = Random::new();
    for _ in 0..scaled(100) {
        let case = Case::new(&mut random, kind);
        let charged = case.decide(START, case.cost(&mut random));
        let gone = START + micros(charged.full_after());
        let another = case.decide(gone, 1);
        assert!(another.is_allowed());
        let before = case.peek(gone, case.burst);
        let given_back = case.refund(&charged.receipt().unwrap(), gone);
        assert_eq!(given_back, 0, "{}", case.quota());
        assert_eq!(case.peek(gone, case.burst), before, "{}", case.quota());
    }
}
