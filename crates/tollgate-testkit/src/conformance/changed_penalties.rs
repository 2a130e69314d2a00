//! A penalty, or the quota beside it, that changes under the blocks it has begun.

use std::sync::Arc;

use tollgate::{Penalty, Policy, Store};

use super::penalties::{growing, is_blocked};
use super::steps::{denied, passes, peek, secs, take};

fn version(quota: &str, penalty: Option<Penalty>, version: u64) -> [Arc<Policy>; 1] {
    let policy = Policy::new("p", quota.parse().unwrap()).unwrap();
    let policy = match penalty {
        Some(penalty) => policy.with_penalty(penalty).unwrap(),
        None => policy,
    };
    [Arc::new(policy.with_version(version))]
}

pub fn a_block_outlives_a_change_of_the_quota(store: &dyn Store) {
    let old = version("1/m", Some(growing()), 0);
    passes(store, &old, 0.0);
    denied(store, &old, 55.0, 10.0);
    let changed = ["9/m", "9/h fixed-window", "9/s token-bucket"];
    for (quota, number) in changed.into_iter().zip(1..) {
        let new = version(quota, Some(growing()), number);
        denied(store, &new, 60.0, 5.0);
        assert_eq!(peek(store, &new, 1, 65.0).remaining(), 9, "{quota}");
    }
    // Nor are blocks in a row forgotten.
    let new = version("1/h sliding-counter", Some(growing()), 9);
    passes(store, &new, 66.0);
    let second = take(store, &new, 1, 66.0);
    assert_eq!(is_blocked(&second), [true]);
    let third = take(store, &version("1/s", Some(growing()), 10), 1, 66.0);
    assert_eq!(third.retry_after(), Some(secs(20.0)));
}

pub fn a_shorter_penalty_shortens_a_block(store: &dyn Store) {
    let old = version(
        "1/s",
        Some(Penalty::new(secs(1_000.0)).growing(2, secs(5_000.0))),
        0,
    );
    passes(store, &old, 0.0);
    denied(store, &old, 0.0, 1_000.0);
    let new = version("1/s", Some(growing()), 1);
    assert_eq!(peek(store, &new, 1, 100.0).retry_after(), Some(secs(40.0)));
    denied(store, &new, 100.0, 40.0);
    denied(store, &new, 101.0, 39.0);
    // A node that still has the old rules does not flip the state back.
    denied(store, &old, 102.0, 38.0);
    passes(store, &new, 140.0);
    denied(store, &new, 140.0, 20.0);
    // A longer one leaves it as long as it was.
    let longer = version(
        "1/s",
        Some(Penalty::new(secs(1_000.0)).growing(3, secs(9_000.0))),
        2,
    );
    denied(store, &longer, 141.0, 19.0);
    passes(store, &longer, 160.0);
    denied(store, &longer, 160.0, 9_000.0);
}

pub fn numbers_of_a_penalty_that_change_without_a_version_are_told_apart(store: &dyn Store) {
    let long = Penalty::new(secs(1_000.0)).forgiven_after(secs(5_000.0));
    let short = Penalty::new(secs(300.0)).forgiven_after(secs(10.0));
    let [long, short] = [long, short].map(|penalty| version("1/s", Some(penalty), 0));
    passes(store, &long, 0.0);
    denied(store, &long, 0.0, 1_000.0);
    denied(store, &short, 500.0, 300.0);
    denied(store, &long, 600.0, 200.0);
    assert_eq!(take(store, &long, 0, 600.0).full_after(), secs(5_200.0));
    assert_eq!(take(store, &short, 0, 700.0).full_after(), secs(110.0));
    passes(store, &short, 800.0);
}

pub fn a_penalty_that_is_taken_away_counts_no_more(store: &dyn Store) {
    let with = version("1/s", Some(growing()), 0);
    passes(store, &with, 0.0);
    denied(store, &with, 0.0, 10.0);
    let without = version("1/s", None, 1);
    passes(store, &without, 1.0);
    denied(store, &without, 1.5, 0.5);
}
