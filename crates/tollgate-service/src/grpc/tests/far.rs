//! A store that is a round trip away, and takes its time.

use std::time::Duration;

use tollgate::store::{Answer, Outcome};
use tollgate::{Checks, Decision, Policy, Receipt, Store, StoreError};
use tollgate_gateway::counters::{Shared, SharedState};
use tollgate_redis::{RedisStore, Settings};
use tollgate_testkit::redis::{RedisEngine, RedisServer};

use super::super::asked::DESCRIPTORS_MAX;
use super::*;

pub(super) const A_DAY: &str = "[[service.domains.d.descriptors]]\nentries = [\"a\"]\nquotas = [\"6 per day\"]\non_error = \"open\"";

/// A store that lets everything pass after its time.
pub(super) struct Distant(pub(super) Duration);

impl Distant {
    fn outcome(&self, now: Micros) -> Outcome {
        let time = self.0;
        Answer::Pending(Box::pin(async move {
            tokio::time::sleep(time).await;
            tollgate::decide::decide(&Checks::new(), &mut [], now)
        }))
    }
}

fn never<T: 'static>() -> Answer<T> {
    Answer::Pending(Box::pin(std::future::pending()))
}

impl Store for Distant {
    fn decide(&self, _: &Checks<'_>, now: Micros) -> Outcome {
        self.outcome(now)
    }

    fn peek(&self, _: &Checks<'_>, now: Micros) -> Outcome {
        self.outcome(now)
    }

    fn refund(&self, _: &Checks<'_>, _: &Receipt, _: Micros) -> Answer<Result<u64, StoreError>> {
        never()
    }

    fn settle(&self, _: &Checks<'_>, _: &Receipt, _: Micros) -> Answer<Result<(), StoreError>> {
        never()
    }

    fn reserve(
        &self,
        _: &Checks<'_>,
        _: Micros,
        _: Micros,
    ) -> Answer<Result<(Micros, Receipt), Decision>> {
        never()
    }

    fn reset(&self, _: &Policy, _: &[u8]) -> Answer<Result<bool, StoreError>> {
        never()
    }

    fn reset_all(&self, _: &Policy) -> Answer<Result<(), StoreError>> {
        never()
    }
}

/// A store with these descriptors.
pub(super) fn fixture(store: Arc<dyn Store>, descriptors: &str) -> Fixture {
    let shared = Shared::new(
        store,
        Arc::new(SharedState::default),
        tokio::runtime::Handle::current(),
    );
    Fixture::new(descriptors, &[], shared.into())
}

/// A caller who waits so long.
fn waits(timeout: &'static str) -> Deadline {
    let mut head = HeaderMap::new();
    head.insert("grpc-timeout", timeout.parse().unwrap());
    Deadline::of(&head)
}

/// Whether each of so many requests passes, and what Envoy is told of its limit and what is left: by a caller who waits
/// 20 ms, of a store that hangs and may take a minute.
async fn asked(on_error: &str, times: usize) -> Vec<(bool, Option<u32>, u32)> {
    let mut redis = RedisServer::new(RedisEngine::Redis);
    let a_minute = Duration::from_secs(60);
    let settings = Settings::default().with_nodes(2).with_deadline(a_minute);
    let settings = settings.with_connect_timeout(a_minute);
    let store = RedisStore::connect(redis.url().parse().unwrap(), settings);
    let fixture = fixture(
        Arc::new(store.await.unwrap()),
        &format!(
            "[[service.domains.d.descriptors]]\nentries = [\"a\"]\nquotas = [\"6 per day\"]\non_error = \"{on_error}\""
        ),
    );
    redis.suspend();
    let began = tokio::time::Instant::now();
    let mut told = Vec::new();
    for _ in 0..times {
        let asked = request("d", &[descriptor(&[("a", "x")])]);
        let answer = fixture.grpc.should_rate_limit(&asked, waits("20m")).await;
        let answer = answer.unwrap();
        let status = &answer.statuses[0];
        let limit = status.current_limit.as_ref();
        let limit = limit.map(|limit| limit.requests_per_unit);
        told.push((is_ok(&answer), limit, status.limit_remaining));
    }
    assert!(began.elapsed() < a_minute, "it was waited for the store");
    assert!(
        fixture
            .metrics
            .encode()
            .contains(&format!("store_late_total {times}"))
    );
    told
}

#[tokio::test]
async fn a_caller_who_waits_for_less_than_the_store_takes_is_answered_in_time_by_what_the_rules_say()
 {
    let nothing_is_known = (true, None, 0);
    assert_eq!(asked("open", 5).await, [nothing_is_known; 5]);
    assert_eq!(asked("closed", 2).await, [(false, None, 0); 2]);
    let left = |left| (true, Some(6), left);
    let over = (false, Some(6), 0);
    assert_eq!(
        asked("local", 5).await,
        [left(2), left(1), left(0), over, over],
        "this one of two has half"
    );
}

#[tokio::test]
async fn a_store_that_hangs_for_longer_than_its_callers_wait_is_found_to_be_away() {
    let mut redis = RedisServer::new(RedisEngine::Redis);
    // Longer than even a busy machine keeps a caller who waits for 20 ms.
    let settings = Settings::default().with_deadline(Duration::from_secs(1));
    let store = RedisStore::connect(redis.url().parse().unwrap(), settings);
    let store = store.await.unwrap();
    let fixture = fixture(Arc::new(store.clone()), A_DAY);
    let asked = request("d", &[descriptor(&[("a", "x")])]);
    let patient = fixture.grpc.should_rate_limit(&asked, waits("20S")).await;
    assert!(is_ok(&patient.unwrap()));
    redis.suspend();
    let all = async {
        while store.stats().degraded_since().is_none() {
            let late = fixture.grpc.should_rate_limit(&asked, waits("20m"));
            assert!(is_ok(&late.await.unwrap()), "`open` lets pass");
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(20), all).await;
    assert!(found.is_ok(), "nobody told the link that no answer comes");
    assert!(store.stats().errors()["timeout"] > 0);
}

#[tokio::test(start_paused = true)]
async fn descriptors_that_are_decided_apart_wait_for_the_store_at_the_same_time() {
    let trip = Duration::from_millis(10);
    let rules = format!("[service.domains.d]\ndecide = \"apart\"\n{A_DAY}");
    let fixture = fixture(Arc::new(Distant(trip)), &rules);
    let values: Vec<String> = (0..DESCRIPTORS_MAX).map(|n| n.to_string()).collect();
    let descriptors: Vec<_> = values.iter().map(|v| descriptor(&[("a", v)])).collect();
    let began = tokio::time::Instant::now();
    let asked = request("d", &descriptors);
    let answer = fixture.grpc.should_rate_limit(&asked, waits("20S")).await;
    assert_eq!(answer.unwrap().statuses.len(), DESCRIPTORS_MAX);
    assert_eq!(began.elapsed(), trip);
}
