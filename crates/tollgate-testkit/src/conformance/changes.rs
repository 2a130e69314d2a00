//! A policy that changes under the states it has.

use std::sync::Arc;

use tollgate::{Policy, Quota, Store, Verdict};

use super::steps::{denied, passes, peek, policy, secs, take, wait};

pub fn a_changed_quota_keeps_what_was_used(store: &dyn Store) {
    for (name, suffix) in [("s", ""), ("f", " fixed-window")] {
        let old = [policy(name, &format!("5/m{suffix}"))];
        (0..4).for_each(|_| passes(store, &old, 0.0));
        let version = |quota: &str, version| {
            [Arc::new(
                Policy::new(name, quota.parse().unwrap())
                    .unwrap()
                    .with_version(version),
            )]
        };
        let smaller = version(&format!("3/m{suffix}"), 1);
        let decision = take(store, &smaller, 1, 10.0);
        assert_eq!(
            (decision.verdict(), decision.remaining()),
            (
                Verdict::Deny {
                    retry_after: secs(50.0)
                },
                0
            )
        );
        wait(store.reset(&old[0], b"ann")).unwrap();
        (0..4).for_each(|_| passes(store, &old, 0.0));
        let larger = version(&format!("10/m{suffix}"), 1);
        assert_eq!(peek(store, &larger, 1, 10.0).remaining(), 6);
        assert_eq!(take(store, &larger, 1, 10.0).remaining(), 5);
    }
    // Never longer than one full refill of the new quota, whatever the old one was.
    for (name, suffix) in [("s2", ""), ("f2", " fixed-window"), ("t2", " token-bucket")] {
        let old = [policy(name, &format!("50/day{suffix}"))];
        (0..50).for_each(|_| passes(store, &old, 0.0));
        let new = [Arc::new(
            Policy::new(name, format!("5/m{suffix}").parse().unwrap())
                .unwrap()
                .with_version(1),
        )];
        let decision = take(store, &new, 1, 100.0);
        assert!(
            decision.retry_after().is_none_or(|wait| wait <= secs(60.0)),
            "{suffix}: {decision:?}"
        );
        let again = take(store, &new, 5, 160.0);
        assert!(again.is_allowed(), "{suffix}: {again:?}");
    }
}

pub fn an_older_policy_is_decided_under_the_stored_numbers(store: &dyn Store) {
    let version = |quota: &str, version| {
        [Arc::new(
            Policy::new("p", quota.parse::<Quota>().unwrap())
                .unwrap()
                .with_version(version),
        )]
    };
    let (old, new) = (version("5/m", 1), version("2/m", 2));
    passes(store, &old, 0.0);
    passes(store, &new, 1.0);
    denied(store, &new, 2.0, 58.0);
    // A node that still has the old rules does not flip the state back.
    denied(store, &old, 3.0, 57.0);
    assert_eq!(peek(store, &old, 1, 3.0).standings()[0].limit(), 2);
}

pub fn another_algorithm_takes_over_what_was_used(store: &dyn Store) {
    let version = |name: &str, quota: &str, version| {
        [Arc::new(
            Policy::new(name, quota.parse::<Quota>().unwrap())
                .unwrap()
                .with_version(version),
        )]
    };
    // Of two numbers each, for these are one table of a store in memory.
    const ALGORITHMS: [&str; 3] = ["burst 6", "fixed-window", "sliding-counter"];
    for (old, new) in ALGORITHMS
        .iter()
        .flat_map(|old| ALGORITHMS.map(|new| (*old, new)))
    {
        if old == new {
            continue;
        }
        let name = format!("{old} to {new}").replace(' ', "-");
        let rules = [
            version(&name, &format!("6/m {old}"), 1),
            version(&name, &format!("6/m {new}"), 2),
        ];
        assert_eq!(take(store, &rules[0], 4, 0.0).remaining(), 2, "{name}");
        assert_eq!(peek(store, &rules[1], 1, 1.0).remaining(), 2, "{name}");
        assert!(!take(store, &rules[1], 3, 1.0).is_allowed(), "{name}");
        assert_eq!(take(store, &rules[1], 2, 1.0).remaining(), 0, "{name}");
        for rules in &rules {
            assert!(!take(store, rules, 1, 1.0).is_allowed(), "{name}");
        }
        // As if all had been used at the change.
        assert!(take(store, &rules[1], 6, 120.0).is_allowed(), "{name}");
    }
}
