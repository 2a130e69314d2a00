//! What is written under keys.

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
        let found = server.ask(&["GET", "tollgate:2:p:{ann}"]).text();
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
        let found = server.ask(&["GET", "tollgate:2:p:{ann}"]).text();
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
