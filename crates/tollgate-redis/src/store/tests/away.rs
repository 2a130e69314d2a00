//! The store while its server is away.

use std::sync::Arc;

use tollgate::{Check, Checks, Clock, Decision, Policy, Store, SystemClock};
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
