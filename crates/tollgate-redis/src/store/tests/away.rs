//! The store while its server is away.

use std::sync::Arc;
use std::time::Duration;

use tollgate::{Check, Checks, Clock, Decision, Penalty, Policy, Store, SystemClock};
use tollgate_testkit::process::free_address;

use crate::settings::Settings;
use crate::store::RedisStore;

#[tokio::test]
async fn while_a_server_is_away_this_node_decides_by_its_share() {
    let settings = Settings {
        nodes: 2,
        ..Settings::default()
    };
    let url = format!("redis://{}", free_address());
    let store = RedisStore::connect(url.parse().unwrap(), settings)
        .await
        .unwrap();
    let policy = Arc::new(Policy::new("p", "4 per minute".parse().unwrap()).unwrap());
    let (policy, key, cost) = (&policy, &b"ann"[..], 1);
    let mut checks = Checks::new();
    checks.push(Check { policy, key, cost }).unwrap();
    let now = SystemClock::new().now();
    let mut decisions = Vec::new();
    for _ in 0..4 {
        decisions.push(store.decide(&checks, now).await);
    }
    assert!(decisions.iter().all(Decision::is_degraded));
    let allowed = decisions.iter().filter(|decision| decision.is_allowed());
    assert_eq!(allowed.count(), 2);
    assert_eq!(store.stats().decided_local(), 4);
    assert_eq!(store.stats().errors().get("away"), Some(&4));
}

#[tokio::test]
async fn a_reset_begins_this_nodes_share_anew_though_the_store_does_not_hear_of_it() {
    let url = format!("redis://{}", free_address());
    let store = RedisStore::connect(url.parse().unwrap(), Settings::default());
    let store = store.await.unwrap();
    let penalty = Penalty::new(Duration::from_secs(3_600));
    let policy = Policy::new("p", "4 per minute".parse().unwrap()).unwrap();
    let policy = Arc::new(policy.with_penalty(penalty).unwrap());
    let other = Arc::new(Policy::new("q", "4 per minute".parse().unwrap()).unwrap());
    let now = SystemClock::new().now();
    let passed = async |policy: &Arc<Policy>, key: &[u8]| {
        let (mut checks, cost, mut passed) = (Checks::new(), 1, 0);
        checks.push(Check { policy, key, cost }).unwrap();
        for _ in 0..9 {
            passed += u32::from(store.decide(&checks, now).await.is_allowed());
        }
        passed
    };
    for (policy, key) in [(&policy, "ann"), (&policy, "bob"), (&other, "ann")] {
        assert_eq!(passed(policy, key.as_bytes()).await, 4);
    }
    assert!(store.reset(&policy, b"ann").await.is_err(), "it is said");
    assert_eq!(passed(&policy, b"ann").await, 4);
    assert_eq!(passed(&policy, b"bob").await, 0);
    assert!(store.reset_all(&policy).await.is_err());
    assert_eq!(passed(&policy, b"bob").await, 4);
    assert_eq!(passed(&other, b"ann").await, 0);
}
