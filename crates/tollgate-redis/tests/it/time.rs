//! Whose clock decides, and how long keys are kept.

use std::sync::Arc;
use std::time::Duration;

use tollgate::{Check, Checks, Clock, Decision, Micros, Policy, Store, SystemClock};
use tollgate_redis::RedisStore;
use tollgate_testkit::conformance::wait;
use tollgate_testkit::redis::{RedisEngine, RedisServer};

use super::servers::{OnRuntime, connect, settings};

fn policy(name: &str, quota: &str) -> Arc<Policy> {
    Arc::new(Policy::new(name, quota.parse().unwrap()).unwrap())
}

fn decide(store: &RedisStore, policy: &Arc<Policy>, now: Micros) -> Decision {
    let mut checks = Checks::new();
    let (key, cost) = (&b"ann"[..], 1);
    checks.push(Check { policy, key, cost }).unwrap();
    wait(OnRuntime::new(store.clone()).decide(&checks, now))
}

#[test]
fn four_clients_whose_clocks_differ_share_one_quota() {
    let server = RedisServer::new(RedisEngine::Redis);
    let policy = policy("p", "5/h");
    let now = SystemClock::new().now();
    let start = &std::sync::Barrier::new(4);
    let admitted: usize = std::thread::scope(|scope| {
        let clients: Vec<_> = [0, 5, 10, 3_600 * 9]
            .into_iter()
            .map(|behind| {
                let (policy, url) = (&policy, server.url());
                scope.spawn(move || {
                    let store = connect(&url, settings());
                    let clock = Micros(now.0 - behind * 1_000_000);
                    start.wait();
                    let decisions = (0..25).map(|_| decide(&store, policy, clock));
                    decisions.filter(Decision::is_allowed).count()
                })
            })
            .collect();
        let admitted = clients.into_iter().map(|client| client.join().unwrap());
        admitted.sum()
    });
    assert_eq!(admitted, 5);
    // The answer is of the server's time, too.
    let store = connect(&server.url(), settings());
    let late = decide(&store, &policy, Micros::from_secs(1));
    assert!(late.at() >= now);
    assert!(late.retry_after().unwrap() <= Duration::from_secs(3_600));
}

#[test]
fn keys_are_kept_as_long_as_their_states_mean_anything() {
    let server = RedisServer::new(RedisEngine::Redis);
    let store = connect(&server.url(), settings());
    let cases = [
        ("5/m", 60_000),
        ("5/m fixed-window", 60_000),
        ("5/m burst 5", 12_000),
        ("2 concurrent for 30 seconds", 30_000),
        ("1000/s burst 1", 1),
        ("5/us burst 5", 1),
        ("9 per century fixed-window", 100 * 365 * 86_400_000),
    ];
    for (place, (quota, ms)) in cases.into_iter().enumerate() {
        let policy = policy(&format!("p{place}"), quota);
        assert!(decide(&store, &policy, Micros(0)).is_allowed());
        let key = format!("tollgate:2:p{place}:{{ann}}");
        let left = server.ask(&["PTTL", &key]).integer();
        // -2: it is over already.
        let bounds = if ms < 100 { -2..=ms } else { ms - 5_000..=ms };
        assert!(bounds.contains(&left), "{quota}: {left} ms");
    }
}

#[test]
fn a_calendar_is_asked_again_once_when_clocks_differ_by_more_than_a_window() {
    let server = RedisServer::new(RedisEngine::Redis);
    let store = connect(&server.url(), settings());
    let policy = policy("p", "5/m calendar");
    let calls = || {
        let info = server.info("cmdstat_evalsha").unwrap_or_default();
        let calls = info.split(',').find_map(|part| part.strip_prefix("calls="));
        calls.map_or(0, |calls| calls.parse::<u64>().unwrap())
    };
    // The first call of each script is by its text, too.
    let day = 86_400_000_000;
    let wrong = Micros(SystemClock::new().now().0 - 40 * day);
    let first = decide(&store, &policy, wrong);
    assert!(first.is_allowed() && !first.is_degraded());
    assert!(first.at().0 > wrong.0 + 39 * day, "the server's clock");
    assert!(first.full_after() <= Duration::from_secs(60));
    let before = calls();
    let wide = decide(&store, &policy, wrong);
    assert!(wide.is_allowed());
    assert_eq!(calls(), before + 1, "by how much they differ is remembered");
}

#[test]
fn a_decision_is_one_call_however_many_checks_it_has() {
    let server = RedisServer::new(RedisEngine::Redis);
    let store = OnRuntime::new(connect(&server.url(), settings()));
    let quotas = [
        "5/s",
        "50/m",
        "10/s burst 9",
        "9/h fixed-window",
        "9/h calendar",
    ];
    let more = ["7/m sliding-counter", "3 concurrent"];
    let policies: Vec<_> = quotas.iter().chain(&more).enumerate().collect();
    let policies: Vec<_> = policies
        .into_iter()
        .map(|(place, quota)| policy(&format!("p{place}"), quota))
        .collect();
    let mut checks = Checks::new();
    for policy in &policies {
        let (key, cost) = (&b"ann"[..], 1);
        checks.push(Check { policy, key, cost }).unwrap();
    }
    let clock = SystemClock::new();
    let calls = || {
        let info = server.info("cmdstat_evalsha").unwrap();
        let calls = info.split(',').find_map(|part| part.strip_prefix("calls="));
        calls.unwrap().parse::<u64>().unwrap()
    };
    assert!(wait(store.decide(&checks, clock.now())).is_allowed());
    let before = calls();
    for _ in 0..2 {
        assert!(wait(store.decide(&checks, clock.now())).is_allowed());
    }
    let denied = wait(store.decide(&checks, clock.now()));
    assert!(denied.standings()[6].is_violated());
    assert_eq!(denied.standings()[1].used(), 3);
    assert_eq!(calls(), before + 3);
}
