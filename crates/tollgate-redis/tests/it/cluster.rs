//! Keys that must be in one place.

use std::sync::Arc;

use tollgate::{Check, Checks, Decision, Micros, Policy, Reason, Store, StoreError, Verdict};
use tollgate_redis::RedisStore;
use tollgate_testkit::conformance::wait;
use tollgate_testkit::redis::{RedisCluster, RedisEngine, RedisServer};

use super::servers::{OnRuntime, by_callers_clock, connect};

const NOW: Micros = Micros::from_secs(1_800_000_000);

fn policy(name: &str) -> Arc<Policy> {
    Arc::new(Policy::new(name, "2/m".parse().unwrap()).unwrap())
}

fn both<'a>(user: &'a Arc<Policy>, address: &'a Arc<Policy>) -> Checks<'a> {
    let mut checks = Checks::new();
    for (policy, key) in [(user, &b"ann"[..]), (address, b"192.0.2.1")] {
        let cost = 1;
        checks.push(Check { policy, key, cost }).unwrap();
    }
    checks
}

fn decide(store: &RedisStore, checks: &Checks<'_>) -> Decision {
    wait(OnRuntime::new(store.clone()).decide(checks, NOW))
}

#[test]
fn a_cluster_refuses_what_it_cannot_decide_at_one_instant() {
    let cluster = RedisCluster::new(RedisEngine::Redis);
    let store = connect(&cluster.url(), by_callers_clock());
    let (user, address) = (policy("per-user"), policy("per-address"));
    let checks = both(&user, &address);
    let refused = decide(&store, &checks);
    let reason = Reason::KeysApart;
    assert_eq!(refused.verdict(), Verdict::Refused { reason });
    let store_on = OnRuntime::new(store.clone());
    assert!(!wait(store_on.peek(&checks, NOW)).is_allowed());
    assert!(wait(store_on.reserve(&checks, NOW, NOW)).is_err());
    // With a tag, all keys are in one slot.
    let tagged = store.tagged(b"acme");
    let allowed = decide(&tagged, &checks);
    assert!(allowed.is_allowed());
    let receipt = allowed.receipt().unwrap();
    let given_back = wait(store_on.refund(&checks, &receipt, NOW));
    assert!(matches!(given_back, Err(StoreError::KeysApart)));
    let tagged_on = OnRuntime::new(tagged.clone());
    assert_eq!(wait(tagged_on.refund(&checks, &receipt, NOW)).unwrap(), 2);
    // Another tag is another state, and so is none.
    assert!((0..2).all(|_| decide(&tagged, &checks).is_allowed()));
    assert!(!decide(&tagged, &checks).is_allowed());
    assert!(decide(&store.tagged(b"initech"), &checks).is_allowed());
}

#[test]
fn one_key_under_several_policies_needs_no_tag() {
    let cluster = RedisCluster::new(RedisEngine::Redis);
    let store = connect(&cluster.url(), by_callers_clock());
    let (minute, hour) = (policy("minute"), policy("hour"));
    for user in ["ann", "bob", "{}", "}{", ""] {
        let mut checks = Checks::new();
        for policy in [&minute, &hour] {
            let (key, cost) = (user.as_bytes(), 1);
            checks.push(Check { policy, key, cost }).unwrap();
        }
        let decision = decide(&store, &checks);
        assert!(decision.is_allowed() && !decision.is_degraded(), "{user:?}");
        assert_eq!(decision.remaining(), 1);
    }
}

#[test]
fn one_server_has_all_keys_in_one_place() {
    let server = RedisServer::new(RedisEngine::Redis);
    let store = connect(&server.url(), by_callers_clock());
    let (user, address) = (policy("per-user"), policy("per-address"));
    let checks = both(&user, &address);
    assert_eq!(decide(&store, &checks).remaining(), 1);
    let mut keys: Vec<String> = server
        .ask(&["KEYS", "tollgate:2:*"])
        .items()
        .iter()
        .map(|key| key.text())
        .collect();
    keys.sort();
    assert_eq!(
        keys,
        [
            "tollgate:2:per-address:{192.0.2.1}",
            "tollgate:2:per-user:{ann}"
        ]
    );
}
