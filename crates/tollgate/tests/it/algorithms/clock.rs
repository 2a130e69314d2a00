//! Readings that go back.

use tollgate_testkit::oracle::Kind;
use tollgate_testkit::random::{Random, scaled};

use super::case::{Case, START, micros};

for_every_algorithm! {
    readings_that_go_back_never_admit_more_and_never_panic
    a_state_more_than_two_full_refills_ahead_is_void
}

fn readings_that_go_back_never_admit_more_and_never_panic(kind: Kind) {
    let mut random = Random::new();
    for _ in 0..scaled(60) {
        let case = Case::new(&mut random, kind);
        let mut high = START;
        for _ in 0..200 {
            // Within one full refill of the newest reading, so that the state is never void.
            let now = if random.below(3) == 0 {
                high - random.below(case.full_refill() / 2 + 1)
            } else {
                high + case.step_of_time(&mut random)
            };
            let at_high = case.peek(high.max(now), 1);
            let here = case.peek(now, 1);
            assert!(
                here.remaining() <= at_high.remaining(),
                "{}: more generous at an earlier reading",
                case.quota()
            );
            let decision = case.decide(now, 1);
            case.waits_are_the_truth(now, 1, &decision);
            if decision.is_allowed() {
                let after = case.peek(now, 1).remaining();
                assert_eq!(after + 1, here.remaining(), "{}", case.quota());
            }
            high = high.max(now);
        }
    }
}

fn a_state_more_than_two_full_refills_ahead_is_void(kind: Kind) {
    let mut random = Random::new();
    for _ in 0..scaled(200) {
        let case = Case::new(&mut random, kind);
        let charged = case.decide(START, case.burst);
        assert!(charged.is_allowed());
        let void_at = START + micros(charged.full_after());
        let last = void_at - 2 * case.full_refill();
        assert_eq!(case.peek(last, 1).remaining(), 0, "{}", case.quota());
        let before = case.peek(last - 1, 1);
        assert_eq!(before.remaining(), case.burst, "{}", case.quota());
        assert!(case.decide(last - 1, 1).is_allowed());
    }
}
