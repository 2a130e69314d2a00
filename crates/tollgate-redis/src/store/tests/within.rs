//! Whoever waits for less time than a call may take: this node's share answers in time, the same that counts while the
//! store is away.

use std::sync::Arc;
use std::time::Duration;

use tollgate::{Check, Checks, Clock, Decision, Policy, Store, SystemClock};
use tollgate_testkit::redis::{RedisEngine, RedisServer, Reply};
use tollgate_testkit::relay::Relay;

use crate::settings::Settings;
use crate::store::RedisStore;

/// Missed by nobody.
const PATIENT: Duration = Duration::from_secs(60);
/// The time of callers.
const SHORT: Duration = Duration::from_millis(100);
/// That of one whose call reaches the server on a busy machine too.
const LONGER: Duration = Duration::from_secs(3);
const KEY: &str = "tollgate:2:p:{ann}";

/// A store of one of two nodes, which knows its server's clock and whose scripts the server knows.
async fn connect(url: &str, policy: &Arc<Policy>) -> RedisStore {
    let settings = Settings::default().with_deadline(PATIENT).with_nodes(2);
    let settings = settings.with_connect_timeout(PATIENT);
    let store = RedisStore::connect(url.parse().unwrap(), settings);
    let store = store.await.unwrap();
    while store.stats().connections() < Settings::default().connections as u64 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // How far the clocks are apart is known as well as the last answer of the server was quick.
    for attempt in 0.. {
        let asked_at = SystemClock::new().now();
        let key = format!("somebody else {attempt}");
        let answer = decide(&store, policy, &key, PATIENT).await;
        assert!(answer.is_allowed() && !answer.is_degraded());
        if SystemClock::new().now() < asked_at + SHORT / 5 {
            break;
        }
    }
    store
}

fn policy(quota: &str) -> Arc<Policy> {
    Arc::new(Policy::new("p", quota.parse().unwrap()).unwrap())
}

fn checks<'a>(policy: &'a Arc<Policy>, key: &'a str) -> Checks<'a> {
    let (mut checks, key, cost) = (Checks::new(), key.as_bytes(), 1);
    checks.push(Check { policy, key, cost }).unwrap();
    checks
}

async fn decide(store: &RedisStore, policy: &Arc<Policy>, key: &str, time: Duration) -> Decision {
    let now = SystemClock::new().now();
    store.decide_within(&checks(policy, key), now, time).await
}

async fn peek(store: &RedisStore, policy: &Arc<Policy>, time: Duration) -> Decision {
    let now = SystemClock::new().now();
    store.peek_within(&checks(policy, "ann"), now, time).await
}

/// Which of three requests pass without the store.
async fn passed(store: &RedisStore, policy: &Arc<Policy>) -> [bool; 3] {
    let mut passed = [false; 3];
    for passed in &mut passed {
        let decision = decide(store, policy, "ann", SHORT).await;
        assert!(decision.is_degraded());
        *passed = decision.is_allowed();
    }
    passed
}

#[tokio::test]
async fn a_store_in_time_decides_for_those_who_wait_for_a_little_only() {
    let server = RedisServer::new(RedisEngine::Redis);
    let policy = policy("4 per day");
    let store = connect(&server.url(), &policy).await;
    for left in (0..4).rev() {
        let decision = decide(&store, &policy, "ann", Duration::from_secs(30)).await;
        assert!(decision.is_allowed() && !decision.is_degraded());
        assert_eq!(decision.remaining(), left);
    }
    let seen = peek(&store, &policy, Duration::from_secs(30)).await;
    assert!(!seen.is_allowed() && !seen.is_degraded());
}

#[tokio::test]
async fn what_is_late_and_what_is_away_count_in_one_share_and_a_reset_clears_it() {
    let mut server = RedisServer::new(RedisEngine::Redis);
    let policy = policy("4 per day");
    let store = connect(&server.url(), &policy).await;
    server.suspend();
    assert_eq!(passed(&store, &policy).await, [true, true, false]);
    let seen = peek(&store, &policy, SHORT).await;
    assert!(seen.is_degraded() && !seen.is_allowed());
    assert_eq!((seen.standings()[0].limit(), seen.remaining()), (4, 0));
    server.resume();
    assert!(store.reset(&policy, b"ann").await.is_ok());
    server.suspend();
    assert_eq!(passed(&store, &policy).await, [true, true, false]);
    server.kill();
    // However long it is waited for: there is nobody to ask, and what was late has used up the share.
    let away = decide(&store, &policy, "ann", PATIENT).await;
    assert!(away.is_degraded() && !away.is_allowed());
}

#[tokio::test]
async fn whoever_has_no_time_left_asks_nobody() {
    let server = RedisServer::new(RedisEngine::Redis);
    let policy = policy("9 per day");
    let store = connect(&server.url(), &policy).await;
    for _ in 0..20 {
        let decision = decide(&store, &policy, "ann", Duration::ZERO).await;
        assert!(decision.is_degraded());
    }
    let seen = peek(&store, &policy, PATIENT).await;
    assert_eq!(seen.remaining(), 9, "the server has heard of none of them");
}

#[tokio::test]
async fn units_are_not_taken_for_a_request_that_was_decided_without_them() {
    for quota in ["9 concurrent", "9/s burst 9", "9/m", "9/m fixed-window"] {
        let mut server = RedisServer::new(RedisEngine::Redis);
        let policy = policy(quota);
        let store = connect(&server.url(), &policy).await;
        server.suspend();
        assert!(decide(&store, &policy, "ann", SHORT).await.is_degraded());
        // Longer than the clocks may be wrong, which is a part of it: see `connect`.
        assert!(decide(&store, &policy, "bob", SHORT).await.is_degraded());
        server.resume();
        // Behind hers, on the same connection.
        let seen = peek(&store, &policy, PATIENT).await;
        assert!(!seen.is_degraded());
        assert_eq!(seen.remaining(), 9, "{quota}");
    }
}

#[tokio::test]
async fn a_slot_that_comes_when_its_caller_waits_no_more_is_given_back() {
    let server = RedisServer::new(RedisEngine::Redis);
    let relay = Relay::new(server.address());
    let policy = policy("9 concurrent");
    let store = connect(&server.url_at(relay.address()), &policy).await;
    relay.hold_answers();
    assert!(decide(&store, &policy, "ann", LONGER).await.is_degraded());
    let is_there = || server.ask(&["EXISTS", KEY]) == Reply::Integer(1);
    assert!(is_there(), "the store has heard it in time");
    relay.heal();
    let freed = async {
        while is_there() || store.stats().late_slots() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENT, freed).await.is_ok());
}
