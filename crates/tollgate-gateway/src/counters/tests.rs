//! A store that answers when it is told to, and what is held meanwhile.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio::sync::watch;
use tollgate::store::Outcome;
use tollgate::{Check, Decision, ManualClock};

use super::*;
use crate::slots::Wanted;

const NOW: Micros = Micros(1_800_000_000_000_000);

/// Memory, seen from afar: each call is done at once, and answered while the way back is open.
struct Distant {
    memory: MemoryStore,
    is_open: watch::Receiver<bool>,
}

impl Distant {
    fn answer<T: Send + Sync + 'static>(&self, answer: T) -> Answer<T> {
        let mut is_open = self.is_open.clone();
        Answer::Pending(Box::pin(async move {
            let _ = is_open.wait_for(|is_open| *is_open).await;
            answer
        }))
    }
}

impl Store for Distant {
    fn decide(&self, checks: &Checks<'_>, now: Micros) -> Outcome {
        self.answer(self.memory.decide(checks, now))
    }

    fn peek(&self, checks: &Checks<'_>, now: Micros) -> Outcome {
        self.answer(self.memory.peek(checks, now))
    }

    fn refund(
        &self,
        checks: &Checks<'_>,
        receipt: &Receipt,
        now: Micros,
    ) -> Answer<Result<u64, StoreError>> {
        let given_back = self.memory.refund(checks, receipt, now);
        self.answer(given_back).map(Ok)
    }

    fn settle(&self, _: &Checks<'_>, _: &Receipt, _: Micros) -> Answer<Result<(), StoreError>> {
        Answer::Ready(Ok(()))
    }

    fn reserve(
        &self,
        checks: &Checks<'_>,
        now: Micros,
        until: Micros,
    ) -> Answer<Result<(Micros, Receipt), Decision>> {
        Answer::Ready(self.memory.reserve(checks, now, until))
    }

    fn reset(&self, policy: &Policy, key: &[u8]) -> Answer<Result<bool, StoreError>> {
        self.answer(self.memory.reset(policy, key)).map(Ok)
    }

    fn reset_all(&self, policy: &Policy) -> Answer<Result<(), StoreError>> {
        self.memory.reset_all(policy);
        self.answer(()).map(Ok)
    }
}

fn distant() -> (Counters, watch::Sender<bool>) {
    let (way, is_open) = watch::channel(true);
    let store = Distant {
        memory: MemoryStore::new(),
        is_open,
    };
    let state = Arc::new(SharedState::default);
    let shared = Shared::new(Arc::new(store), state, Handle::current());
    (shared.into(), way)
}

fn policy(quota: &str) -> Arc<Policy> {
    Arc::new(Policy::new("a.one", quota.parse().unwrap()).unwrap())
}

fn checks(policy: &Arc<Policy>) -> Checks<'_> {
    let mut checks = Checks::new();
    let (key, cost) = (&b"ann"[..], 1);
    checks.push(Check { policy, key, cost }).unwrap();
    checks
}

/// What a request holds, decided as requests are.
fn decide(counters: &Counters, policy: &Arc<Policy>) -> Answer<Option<crate::slots::Slots>> {
    let (checks, policies) = (checks(policy), [Arc::clone(policy)]);
    let clock: Arc<dyn tollgate::Clock> = Arc::new(ManualClock::new(NOW));
    let wanted = Wanted::by(&checks, counters, &clock);
    let answer = counters.decide(&checks, NOW);
    counters.see_through(answer.map(move |decision| wanted?.taken(&policies, &decision)))
}

/// Waits until the one slot is free.
async fn eventually_free(counters: &Counters, policy: &Arc<Policy>) {
    let free = async {
        while !counters.peek(&checks(policy), NOW).await.is_allowed() {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), free).await;
    assert!(waited.is_ok(), "the slot is still held");
}

#[tokio::test]
async fn over_memory_every_answer_is_ready() {
    let counters = Counters::from(Arc::new(MemoryStore::new()));
    let policy = policy("5 per minute");
    let is_ready = |answer: tollgate::Outcome| matches!(answer, Answer::Ready(_));
    assert!(is_ready(counters.decide(&checks(&policy), NOW)));
    assert!(is_ready(counters.peek(&checks(&policy), NOW)));
    let reset = counters.reset(&policy, b"ann");
    assert!(matches!(reset, Answer::Ready(Ok(true))));
}

#[tokio::test]
async fn a_slot_of_a_shared_store_is_given_back_when_its_request_has_ended() {
    let (counters, _way) = distant();
    let policy = policy("1 concurrent");
    let held = decide(&counters, &policy).await;
    assert!(held.is_some());
    assert!(decide(&counters, &policy).await.is_none(), "there is one");
    drop(held);
    eventually_free(&counters, &policy).await;
}

#[tokio::test]
async fn a_client_that_goes_before_its_decision_is_there_leaves_no_slot_behind() {
    let (counters, way) = distant();
    let policy = policy("1 concurrent");
    way.send_replace(false);
    drop(decide(&counters, &policy));
    way.send_replace(true);
    eventually_free(&counters, &policy).await;
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_any_more_is_awaited_to_its_end() {
    let (counters, way) = distant();
    let (policy, come) = (policy("5 per minute"), Arc::new(AtomicBool::new(false)));
    way.send_replace(false);
    let heard = Arc::clone(&come);
    let answer = counters.decide(&checks(&policy), NOW);
    let answer = counters.see_through(answer.map(move |_| heard.store(true, Relaxed)));
    let waited = tokio::time::timeout(Duration::from_millis(1), answer).await;
    assert!(waited.is_err() && !come.load(Relaxed));
    way.send_replace(true);
    let all = async {
        while !come.load(Relaxed) {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), all).await;
    assert!(waited.is_ok(), "it was dropped");
}

#[tokio::test]
async fn slots_on_their_way_back_are_bounded_and_waited_for_at_the_end() {
    let (counters, way) = distant();
    let policy = policy("2000 concurrent");
    let mut held = Vec::new();
    for _ in 0..1_100 {
        held.push(decide(&counters, &policy).await);
    }
    way.send_replace(false);
    drop(held);
    let Counters::Shared(shared) = &counters else {
        panic!("these are not shared");
    };
    assert_eq!(shared.returning.available_permits(), 0);
    let patience = Duration::from_millis(1);
    counters.returned(patience).await;
    assert_eq!(shared.returning.available_permits(), 0, "they are held up");
    way.send_replace(true);
    counters.returned(Duration::from_secs(10)).await;
    let all = RETURNING_MAX as usize;
    assert_eq!(shared.returning.available_permits(), all);
}
