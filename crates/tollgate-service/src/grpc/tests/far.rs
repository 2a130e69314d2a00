//! A store that is a round trip away, and takes its time.

use std::time::Duration;

use tollgate::store::{Answer, Outcome};
use tollgate::{Checks, Decision, Policy, Receipt, Store, StoreError};
use tollgate_gateway::counters::{Shared, SharedState};

use super::*;

/// A store that never answers.
struct Silent;

fn never<T: 'static>() -> Answer<T> {
    Answer::Pending(Box::pin(std::future::pending()))
}

impl Store for Silent {
    fn decide(&self, _: &Checks<'_>, _: Micros) -> Outcome {
        never()
    }

    fn peek(&self, _: &Checks<'_>, _: Micros) -> Outcome {
        never()
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

/// The codes of so many requests by a caller who waits 20 ms, in virtual time; and how long they took together.
async fn asked(on_error: &str, times: usize) -> (Vec<bool>, Duration) {
    let shared = Shared::new(
        Arc::new(Silent),
        Arc::new(SharedState::default),
        tokio::runtime::Handle::current(),
    );
    let fixture = Fixture::new(
        &format!(
            "[[service.domains.d.descriptors]]\nentries = [\"a\"]\nquotas = [\"6 per day\"]\non_error = \"{on_error}\"\n[counters]\nnodes = 2\n"
        ),
        None,
        shared.into(),
    );
    let mut head = HeaderMap::new();
    head.insert("grpc-timeout", "20m".parse().unwrap());
    let began = tokio::time::Instant::now();
    let mut codes = Vec::new();
    for _ in 0..times {
        let asked = request("d", &[descriptor(&[("a", "x")])]);
        let answer = fixture
            .grpc
            .should_rate_limit(&asked, Deadline::of(&head))
            .await;
        codes.push(is_ok(&answer.unwrap()));
    }
    assert!(
        fixture
            .metrics
            .encode()
            .contains(&format!("store_late_total {times}"))
    );
    (codes, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_waits_for_less_than_the_store_takes_is_answered_in_time_by_what_the_rules_say()
 {
    let (codes, took) = asked("open", 5).await;
    assert_eq!(codes, [true; 5]);
    assert!(took < 5 * Duration::from_millis(20), "{took:?}");
    let (codes, _) = asked("closed", 2).await;
    assert_eq!(codes, [false; 2]);
    let (codes, _) = asked("local", 5).await;
    assert_eq!(
        codes,
        [true, true, true, false, false],
        "this one of two has half"
    );
}
