//! What is written under keys, and what others may have written there.

use std::sync::Arc;

use tollgate::{
    Algorithm, Check, Checks, Decision, Micros, Policy, Reason, Store, StoreError, Verdict,
};
use tollgate_redis::RedisStore;
use tollgate_testkit::conformance::wait;
use tollgate_testkit::redis::{RedisEngine, RedisServer};

use super::servers::{OnRuntime, by_callers_clock, connect};

const NOW: Micros = Micros(1_700_000_000_000_000);

fn policy(quota: &str) -> Arc<Policy> {
    Arc::new(Policy::new("p", quota.parse().unwrap()).unwrap())
}

fn checks(policy: &Arc<Policy>, cost: u64) -> Checks<'_> {
    let mut checks = Checks::new();
    let key = &b"ann"[..];
    checks.push(Check { policy, key, cost }).unwrap();
    checks
}

fn decide(store: &RedisStore, policy: &Arc<Policy>, cost: u64, now: Micros) -> Decision {
    wait(OnRuntime::new(store.clone()).decide(&checks(policy, cost), now))
}

#[test]
fn values_are_those_of_the_documentation() {
    let server = RedisServer::new(RedisEngine::Redis);
    let store = connect(&server.url(), by_callers_clock());
    for (quota, value) in [
        ("10/s burst 10", "t 10 1 100000 1|v0|1700000000300000 0"),
        ("7/us burst 3", "t 3 7 1 1|v0|1700000000000008 6"),
        (
            "104251/day burst 9",
            "t 9 104251 8640000000 10|v0|170000000248631 30381",
        ),
        (
            "5/m",
            "s 5 60000000|v0|3 2 1700000000000007 1|1700000000000000 2;",
        ),
        ("5/m fixed-window", "f 5 60000000|v0|1700000000000000 3"),
        ("5/h calendar", "c 5 hour UTC|v0|1700002800000000 3"),
        ("5/m sliding-counter", "k 5 60000000|v0|28333333 0 3"),
        (
            "4 concurrent for 30 seconds",
            "n 4 30000000|v0|3 2 1700000030000007 1|1700000030000000 2;",
        ),
    ] {
        let policy = policy(quota);
        assert!(decide(&store, &policy, 2, NOW).is_allowed());
        assert!(decide(&store, &policy, 1, Micros(NOW.0 + 7)).is_allowed());
        let found = server.ask(&["GET", "tollgate:1:p:{ann}"]).text();
        assert_eq!(found, value, "{quota}");
        server.ask(&["FLUSHALL"]);
    }
}

#[test]
fn large_numbers_are_written_in_whole_digits() {
    let server = RedisServer::new(RedisEngine::Redis);
    let store = connect(&server.url(), by_callers_clock());
    let half = 1_u64 << 52;
    for quota in [
        format!("{half} per century fixed-window"),
        format!("{half} per century"),
        format!("{half} per century calendar").replace("century", "year"),
    ] {
        let policy = policy(&quota);
        assert!(
            decide(&store, &policy, half - 1, NOW).is_allowed(),
            "{quota}"
        );
        let found = server.ask(&["GET", "tollgate:1:p:{ann}"]).text();
        let units = (half - 1).to_string();
        assert!(found.contains(&format!(" {units}")), "{quota}: {found}");
        assert!(
            found
                .split('|')
                .nth(2)
                .is_some_and(|state| !state.contains('e')),
            "{quota}: {found}"
        );
        let last = decide(&store, &policy, 1, NOW);
        assert_eq!((last.is_allowed(), last.remaining()), (true, 0), "{quota}");
        assert!(!decide(&store, &policy, 1, NOW).is_allowed(), "{quota}");
        let never = decide(&store, &policy, u64::MAX, NOW);
        assert_eq!(never.verdict(), Verdict::Never { max: half });
        server.ask(&["FLUSHALL"]);
    }
}

#[test]
fn what_is_not_ours_is_forgotten_counted_and_decided_as_absent() {
    let server = RedisServer::new(RedisEngine::Redis);
    let store = connect(&server.url(), by_callers_clock());
    let key = "tollgate:1:p:{ann}";
    let quotas = [
        "10/s burst 2",
        "2/m",
        "2/m fixed-window",
        "2/h calendar",
        "2/m sliding-counter",
        "2 concurrent",
    ];
    let mut planted = 0;
    for quota in quotas {
        let policy = policy(quota);
        let head = {
            assert!(decide(&store, &policy, 1, NOW).is_allowed());
            let found = server.ask(&["GET", key]).text();
            let (numbers, rest) = found.split_once('|').unwrap();
            format!("{numbers}|{}|", rest.split_once('|').unwrap().0)
        };
        let values = [
            "",
            "9223372036854775807",
            "garbage",
            &head,
            &format!("{head}1"),
            &format!("{head}x y"),
            &format!("{head}-1 -1"),
            &format!("{head}1e300 1e300"),
            &format!("{head}99999999999999999999 99999999999999999999"),
            &format!("{head}1 2 3 4 5 6"),
            &format!("{head}9 9 1700000000000000 1|x"),
        ];
        let plant = |words: &[&str]| {
            server.ask(&["DEL", key]);
            server.ask(words);
        };
        for value in values {
            plant(&["SET", key, value]);
            // No text is nothing.
            planted += u64::from(!value.is_empty());
            let peeked = wait(OnRuntime::new(store.clone()).peek(&checks(&policy, 2), NOW));
            assert!(peeked.is_allowed(), "{quota}: {value}");
            assert_eq!(server.ask(&["GET", key]).text(), value, "a peek wrote");
            assert!(
                decide(&store, &policy, 2, NOW).is_allowed(),
                "{quota}: {value}"
            );
            assert!(
                !decide(&store, &policy, 1, NOW).is_allowed(),
                "{quota}: {value}"
            );
        }
        for words in [
            &["LPUSH", key, "1"][..],
            &["HSET", key, "a", "1"],
            &["SADD", key, "1"],
        ] {
            plant(words);
            planted += 1;
            assert!(
                wait(OnRuntime::new(store.clone()).peek(&checks(&policy, 2), NOW)).is_allowed()
            );
            let receipt = decide(&store, &policy, 2, NOW).receipt().unwrap();
            assert!(
                !decide(&store, &policy, 1, NOW).is_allowed(),
                "{quota}: {words:?}"
            );
            plant(words);
            let on = OnRuntime::new(store.clone());
            assert_eq!(
                wait(on.refund(&checks(&policy, 2), &receipt, NOW)).unwrap(),
                0
            );
        }
        server.ask(&["FLUSHALL"]);
    }
    assert_eq!(store.stats().garbage_resets(), planted);
    assert!(
        store.stats().errors().is_empty(),
        "{:?}",
        store.stats().errors()
    );
}

#[test]
fn what_is_not_ours_is_forgotten_however_large_it_is() {
    let server = RedisServer::new(RedisEngine::Redis);
    let store = connect(&server.url(), by_callers_clock());
    let key = "tollgate:1:p:{ann}";
    let bucket = policy("10/s burst 2");
    assert!(decide(&store, &bucket, 1, NOW).is_allowed());
    let like_ours = server.ask(&["GET", key]).text() + &" 1".repeat(1 << 20);
    let many = "for i = 1, 300000 do redis.call('RPUSH', KEYS[1], i) end";
    let large = "return redis.call('SETRANGE', KEYS[1], 33554432, ';')";
    let plants: [&[&str]; 3] = [
        &["SET", key, &like_ours],
        &["EVAL", large, "1", key],
        &["EVAL", many, "1", key],
    ];
    for quota in ["10/s burst 2", "2/m", "2 concurrent"] {
        let policy = policy(quota);
        for plant in plants {
            server.ask(&["DEL", key]);
            server.ask(plant);
            let on = OnRuntime::new(store.clone());
            assert!(wait(on.peek(&checks(&policy, 2), NOW)).is_allowed());
            let receipt = decide(&store, &policy, 2, NOW).receipt().unwrap();
            assert!(!decide(&store, &policy, 1, NOW).is_allowed(), "{quota}");
            server.ask(&["DEL", key]);
            server.ask(plant);
            let refunded = wait(on.refund(&checks(&policy, 2), &receipt, NOW));
            assert_eq!(refunded.unwrap(), 0, "{quota}");
            assert!(wait(on.reset(&policy, b"ann")).unwrap());
        }
    }
    let stats = store.stats();
    assert_eq!((stats.garbage_resets(), stats.reconnects()), (9, 0));
    assert!(stats.errors().is_empty(), "{:?}", stats.errors());
}

#[test]
fn what_two_readers_may_read_differently_lifts_no_limit_and_is_forgotten() {
    let server = RedisServer::new(RedisEngine::Redis);
    let store = connect(&server.url(), by_callers_clock());
    let policy = policy("5/m");
    for value in [
        "s 5 60000000|v0|5 2 1700000000000000 1|garbage;",
        "s 5 60000000|v0|5 1 1700000000000000 1|",
        "s 5 60000000|v0|5 9 1700000000000000 1|1 1;",
        "s 1 60000000|v99999999999999999999|1 1 1700000000000000 1|",
        "s nan inf|v1|1 1 1700000000000000 1|",
        "s 0 60000000|v9|1 1 1700000000000000 1|",
        "s 1e0 60000000|v9|1 1 1700000000000000 1|",
        "s x|v0|1 1 1 1|",
        "s 5|v99|1 1 1 1|",
        "c 5 day Nowhere|v9|1700002800000000 5",
        "c 5 eon UTC|v9|1700002800000000 5",
        "t 1 0 1 1|v9|1700002800000000 5",
        "t 1 1 1 0|v9|1700002800000000 5",
        "p 1 1 1 1|v9|1700002800000000 5",
        "z 1 2|v9|1 1",
    ] {
        server.ask(&["FLUSHALL"]);
        server.ask(&["SET", "tollgate:1:p:{ann}", value]);
        let passed = (0..20).filter(|_| decide(&store, &policy, 1, NOW).is_allowed());
        // One of them may be decided by this node's share, before it is known that the value is nothing.
        let passed = passed.count();
        assert!(passed <= 6, "{value}: {passed} of 5 passed");
        let after = decide(&store, &policy, 1, Micros(NOW.0 + 120_000_000));
        assert!(
            !after.is_degraded() && after.is_allowed(),
            "{value}: {after:?}"
        );
    }
    assert!(store.stats().garbage_resets() > 0);
}

#[test]
fn an_algorithm_of_ones_own_is_refused() {
    #[derive(Debug)]
    struct Own;
    impl Algorithm for Own {
        fn name(&self) -> &'static str {
            "own"
        }
        fn capacity(&self) -> u64 {
            1
        }
        fn full_refill_micros(&self) -> u64 {
            1
        }
        fn step(
            &self,
            _: Option<tollgate::State>,
            _: Micros,
            _: u64,
        ) -> Result<tollgate::State, tollgate::algorithm::Denied> {
            Ok(tollgate::State::Pair(0, 0))
        }
        fn facts(
            &self,
            _: Option<&tollgate::State>,
            now: Micros,
            _: u64,
        ) -> tollgate::algorithm::Facts {
            tollgate::algorithm::Facts {
                used: 0,
                remaining: 1,
                fits_at: Some(now),
                grows_at: None,
                void_at: now,
            }
        }
    }
    let server = RedisServer::new(RedisEngine::Redis);
    let store = connect(&server.url(), by_callers_clock());
    let own = Arc::new(Policy::custom("own", Arc::new(Own)).unwrap());
    let reason = Reason::Uncountable;
    let decision = decide(&store, &own, 1, NOW);
    assert_eq!(decision.verdict(), Verdict::Refused { reason });
    let other = policy("5/m");
    let receipt = decide(&store, &other, 1, NOW).receipt().unwrap();
    let refunded = OnRuntime::new(store).refund(&checks(&own, 1), &receipt, NOW);
    assert!(matches!(wait(refunded), Err(StoreError::Uncountable(name)) if name == "own"));
}
