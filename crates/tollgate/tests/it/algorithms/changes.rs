//! Quotas that change while units are used (rule 13).

use tollgate_testkit::oracle::Kind;
use tollgate_testkit::random::{Random, scaled};

use super::case::{Case, START, micros};

for_every_algorithm! {
    a_changed_quota_keeps_what_was_used_and_nobody_waits_longer_than_one_full_refill
    an_older_policy_is_decided_under_the_newer_numbers
}

fn a_changed_quota_keeps_what_was_used_and_nobody_waits_longer_than_one_full_refill(kind: Kind) {
    let mut random = Random::new();
    for _ in 0..scaled(300) {
        let old = Case::new(&mut random, kind);
        let mut now = START;
        for _ in 0..random.below(60) {
            let _ = old.decide(now, old.cost(&mut random));
            now += random.below(old.period / old.limit + 2);
        }
        let used = old.peek(now, 1).standings()[0].used();
        let new = old.changed(&mut random);
        let change = || format!("{} to {}", old.quota(), new.quota());
        let seen = new.peek(now, 1);
        let kept = new.burst.saturating_sub(used);
        if kind == Kind::SlidingWindow && new.period < old.period {
            assert!(seen.remaining() >= kept, "{}", change());
        } else {
            assert_eq!(seen.remaining(), kept, "{}", change());
        }
        let whole = new.peek(now, new.burst);
        let wait = whole.retry_after().map_or(0, micros);
        assert!(wait <= new.full_refill(), "{}: {wait} to wait", change());
        let decided = new.decide(now, 1);
        assert_eq!(decided.verdict(), seen.verdict(), "{}", change());
        if kind != Kind::SlidingWindow || new.burst <= 128 {
            new.waits_are_the_truth(now, 1, &decided);
        }
    }
}

fn an_older_policy_is_decided_under_the_newer_numbers(kind: Kind) {
    let mut random = Random::new();
    for _ in 0..scaled(100) {
        let old = Case::new(&mut random, kind);
        let new = old.changed(&mut random);
        let _ = old.decide(START, 1);
        if new.decide(START, 1).is_allowed() {
            let (under_old, under_new) = (old.peek(START, 1), new.peek(START, 1));
            assert_eq!(under_old, under_new, "{}", new.quota());
            let _ = old.decide(START, 1);
            let decided = new.decide(START, 1);
            assert_eq!(decided.standings()[0].limit(), new.burst);
        }
    }
}
