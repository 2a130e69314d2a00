//! A policy's number that is given to another one, while cells of the first are still there.

use std::sync::Arc;

use super::super::*;
use crate::store::Checks;

fn at(seconds: u64) -> Micros {
    Micros::from_secs(1_800_000_000 + seconds)
}

fn policy(name: &str, quota: &str, version: u64) -> Arc<Policy> {
    let policy = Policy::new(name, quota.parse().unwrap()).unwrap();
    Arc::new(policy.with_version(version))
}

fn charge(store: &MemoryStore, policy: &Arc<Policy>, key: &str, cost: u64, now: u64) -> Decision {
    let mut checks = Checks::new();
    let key = key.as_bytes();
    checks.push(Check { policy, key, cost }).unwrap();
    store.decide(&checks, at(now))
}

/// Gives the number of the only policy, which nobody holds any more, to `next`.
fn pass_on(store: &MemoryStore, next: &Arc<Policy>) {
    let _ = charge(store, &policy("between", "5 per minute", 0), "x", 1, 10);
    let _ = charge(store, next, "x", 1, 600);
}

#[test]
fn a_key_is_decided_by_its_own_policy_though_its_number_is_anothers() {
    let store = MemoryStore::new();
    assert!(charge(&store, &policy("a", "200 per minute", 1), "ann", 1, 0).is_allowed());
    pass_on(&store, &policy("b", "2 per minute", 2));
    let own = policy("a", "200 per minute", 1);
    // By a clock that has gone back, what the cell holds is not void.
    for (now, remaining) in [(30, 199), (601, 199)] {
        let again = charge(&store, &own, "ann", 1, now);
        let standing = again.standings()[0];
        assert_eq!((standing.limit(), standing.remaining()), (200, remaining));
    }
}

#[test]
fn so_it_is_after_a_restart() {
    let mut saved = Vec::new();
    let before = MemoryStore::new();
    assert!(charge(&before, &policy("a", "200 per minute", 1), "ann", 1, 0).is_allowed());
    before.save(&mut saved).unwrap();
    let (store, _) = MemoryStore::builder().restore(&saved[..], at(1)).unwrap();
    pass_on(&store, &policy("b", "2 per minute", 2));
    let again = charge(&store, &policy("a", "200 per minute", 1), "ann", 1, 601);
    assert_eq!(again.standings()[0].limit(), 200);
}

#[test]
fn what_was_void_under_one_quota_is_void_under_a_longer_one_of_the_same_name() {
    for (shorter, longer) in [
        ("10 per minute fixed-window", "10 per century fixed-window"),
        (
            "100000 per minute fixed-window",
            "100000 per day fixed-window",
        ),
        (
            "10 per minute sliding-counter",
            "10 per century sliding-counter",
        ),
        ("10 per minute token-bucket", "10 per century token-bucket"),
        ("10 per minute", "10 per century"),
    ] {
        let store = MemoryStore::new();
        let (cost, all) = match shorter.starts_with("100000") {
            true => (70_000, 100_000),
            false => (7, 10),
        };
        assert!(charge(&store, &policy("p", shorter, 0), "ann", cost, 0).is_allowed());
        let longer = policy("p", longer, 0);
        pass_on(&store, &longer);
        let under_longer = charge(&store, &longer, "ann", 1, 601);
        assert_eq!(under_longer.remaining(), all - 1, "{shorter}");
        let under_shorter = charge(&store, &policy("p", shorter, 0), "bob", 1, 601);
        assert_eq!(under_shorter.remaining(), all - 1, "{shorter}");
        // Nothing of what is read on the way is beyond all numbers.
        store.save(&mut Vec::new()).unwrap();
    }
}
