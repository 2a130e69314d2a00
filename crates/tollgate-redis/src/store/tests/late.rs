//! Calls that reach the store, or are answered, when nobody waits for them any more.

use std::sync::Arc;
use std::time::Duration;

use tollgate::{Answer, Check, Checks, Clock, Decision, Micros, Policy, Store, SystemClock};
use tollgate_testkit::redis::{RedisEngine, RedisServer, Reply};
use tollgate_testkit::relay::Relay;

use crate::settings::Settings;
use crate::store::RedisStore;

/// Missed soon where nobody answers, and by nobody else.
const DEADLINE: Duration = Duration::from_secs(2);
/// Missed by nobody.
const PATIENT: Duration = Duration::from_secs(20);
const SLOT: &str = "tollgate:2:p:{ann}";

async fn connect(url: &str, deadline: Duration) -> RedisStore {
    let settings = Settings {
        deadline,
        connect_timeout: PATIENT,
        ..Settings::default()
    };
    let store = RedisStore::connect(url.parse().unwrap(), settings)
        .await
        .unwrap();
    let all = Settings::default().connections as u64;
    until("all connections are there", || {
        store.stats().connections() == all
    })
    .await;
    store
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..24_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("waited in vain: {what}");
}

fn policy(name: &str, quota: &str) -> Arc<Policy> {
    Arc::new(Policy::new(name, quota.parse().unwrap()).unwrap())
}

fn asked(store: &RedisStore, policy: &Arc<Policy>) -> Answer<Decision> {
    let (mut checks, key, cost) = (Checks::new(), &b"ann"[..], 1);
    checks.push(Check { policy, key, cost }).unwrap();
    store.decide(&checks, SystemClock::new().now())
}

fn scripts_run(server: &RedisServer) -> u64 {
    let calls = server.info("cmdstat_evalsha").unwrap_or_default();
    let calls = calls.strip_prefix("calls=").and_then(|calls| {
        let (calls, _) = calls.split_once(',')?;
        calls.parse().ok()
    });
    calls.unwrap_or(0)
}

fn is_there(server: &RedisServer, key: &str) -> bool {
    server.ask(&["EXISTS", key]) == Reply::Integer(1)
}

#[tokio::test]
async fn what_reaches_the_store_when_nobody_waits_for_it_any_more_takes_nothing() {
    for quota in ["1 concurrent", "9/s burst 9", "9/m", "9/m fixed-window"] {
        let mut server = RedisServer::new(RedisEngine::Redis);
        let store = connect(&server.url(), DEADLINE).await;
        let other = policy("other", quota);
        // The script is known to the server, so that one call is one round trip.
        assert!(!asked(&store, &other).await.is_degraded());
        let before = scripts_run(&server);
        server.suspend();
        assert!(asked(&store, &policy("p", quota)).await.is_degraded());
        // How far the clocks are apart is known as well as an answer is quick, and this takes longer.
        assert!(asked(&store, &policy("q", quota)).await.is_degraded());
        server.resume();
        until("both have arrived", || scripts_run(&server) == before + 2).await;
        assert!(!is_there(&server, SLOT), "{quota}");
        assert!(!asked(&store, &policy("p", quota)).await.is_degraded());
        assert!(is_there(&server, SLOT), "{quota}");
    }
}

#[tokio::test]
async fn what_was_reserved_when_nobody_waits_for_it_any_more_takes_nothing() {
    let mut server = RedisServer::new(RedisEngine::Redis);
    let store = connect(&server.url(), DEADLINE).await;
    let reserve = async |name: &str| {
        let (policy, now) = (policy(name, "9/s burst 9"), SystemClock::new().now());
        let (mut checks, key, cost) = (Checks::new(), &b"ann"[..], 1);
        let policy = &policy;
        checks.push(Check { policy, key, cost }).unwrap();
        let (_, receipt) = store
            .reserve(&checks, now, now + Duration::from_secs(60))
            .await
            .unwrap();
        receipt.is_degraded()
    };
    assert!(!reserve("other").await);
    let before = scripts_run(&server);
    server.suspend();
    assert!(reserve("p").await);
    assert!(reserve("q").await);
    server.resume();
    until("both have arrived", || scripts_run(&server) == before + 2).await;
    assert!(!is_there(&server, SLOT));
}

#[tokio::test]
async fn a_slot_whose_answer_comes_too_late_is_given_back() {
    let server = RedisServer::new(RedisEngine::Redis);
    let relay = Relay::new(server.address());
    let store = connect(&server.url_at(relay.address()), DEADLINE).await;
    let slots = policy("p", "1 concurrent");
    assert!(
        !asked(&store, &policy("other", "1 concurrent"))
            .await
            .is_degraded()
    );
    relay.hold_answers();
    assert!(asked(&store, &slots).await.is_degraded());
    assert!(is_there(&server, SLOT), "the store has heard it in time");
    relay.heal();
    until("the slot is free", || !is_there(&server, SLOT)).await;
    until("it is counted", || store.stats().late_slots() == 1).await;
    let again = asked(&store, &slots).await;
    assert!(again.is_allowed() && !again.is_degraded());
}

#[tokio::test]
async fn a_slot_that_is_taken_for_somebody_who_has_gone_is_given_back() {
    let server = RedisServer::new(RedisEngine::Redis);
    let relay = Relay::new(server.address());
    let store = connect(&server.url_at(relay.address()), PATIENT).await;
    assert!(
        !asked(&store, &policy("other", "1 concurrent"))
            .await
            .is_degraded()
    );
    relay.hold_answers();
    let goes = tokio::spawn({
        let asked = asked(&store, &policy("p", "1 concurrent"));
        async move { drop(asked.await) }
    });
    until("the store has heard it", || is_there(&server, SLOT)).await;
    goes.abort();
    assert!(goes.await.is_err(), "it still waited");
    relay.heal();
    until("the slot is free", || !is_there(&server, SLOT)).await;
}

#[tokio::test]
async fn whoever_goes_before_the_store_is_asked_asks_nothing() {
    let server = RedisServer::new(RedisEngine::Redis);
    let store = connect(&server.url(), PATIENT).await;
    assert!(
        !asked(&store, &policy("other", "1 concurrent"))
            .await
            .is_degraded()
    );
    let before = scripts_run(&server);
    drop(asked(&store, &policy("p", "1 concurrent")));
    assert!(
        !asked(&store, &policy("other", "1 concurrent"))
            .await
            .is_degraded()
    );
    assert_eq!(scripts_run(&server), before + 1);
}

#[tokio::test]
async fn a_servers_clock_that_is_set_costs_one_more_call_and_no_decision() {
    let server = RedisServer::new(RedisEngine::Redis);
    let store = connect(&server.url(), PATIENT).await;
    let bucket = policy("p", "9/s burst 9");
    let hour = 3_600_000_000;
    for apart in [hour, -hour] {
        assert!(!asked(&store, &bucket).await.is_degraded());
        let (link, before) = (&store.shared.link, scripts_run(&server));
        // As if its clock had been elsewhere when it was last heard.
        let sent = link.now();
        link.heard_time(
            SLOT.as_bytes(),
            sent,
            Micros(sent.0.saturating_add_signed(-apart)),
        );
        assert!(!asked(&store, &bucket).await.is_degraded());
        // A clock that was set back only has calls waited for longer.
        let calls = if apart > 0 { 2 } else { 1 };
        assert_eq!(scripts_run(&server), before + calls);
        assert!(!asked(&store, &bucket).await.is_degraded());
        assert_eq!(scripts_run(&server), before + calls + 1);
    }
}
