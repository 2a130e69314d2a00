//! A store that answers when it is told to, and what is held meanwhile.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, Ordering::Relaxed};

use tokio::sync::watch;
use tollgate::store::Outcome;
use tollgate::{Check, Decision, ManualClock};

use super::*;
use crate::returning::{AT_ONCE, WAITING_MAX};
use crate::slots::Wanted;

const NOW: Micros = Micros(1_800_000_000_000_000);

/// Memory, seen from afar: each call is done at once, but refunds, and answered while the way back is open.
struct Distant {
    memory: Arc<MemoryStore>,
    is_open: watch::Receiver<bool>,
    refunds: Arc<Refunds>,
}

/// Refunds under way, and the most that ever were.
#[derive(Default)]
struct Refunds {
    now: AtomicUsize,
    most: AtomicUsize,
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
        let owned = |check: &Check<'_>| (Arc::clone(check.policy), check.key.to_vec());
        let checks: Vec<_> = checks.iter().map(owned).collect();
        let (memory, refunds) = (Arc::clone(&self.memory), Arc::clone(&self.refunds));
        let (receipt, mut is_open) = (receipt.clone(), self.is_open.clone());
        Answer::Pending(Box::pin(async move {
            let under_way = refunds.now.fetch_add(1, Ordering::SeqCst) + 1;
            refunds.most.fetch_max(under_way, Ordering::SeqCst);
            let _ = is_open.wait_for(|is_open| *is_open).await;
            tokio::task::yield_now().await;
            let mut again = Checks::new();
            for (policy, key) in &checks {
                again
                    .push(Check {
                        policy,
                        key,
                        cost: 1,
                    })
                    .unwrap();
            }
            refunds.now.fetch_sub(1, Ordering::SeqCst);
            Ok(memory.refund(&again, &receipt, now))
        }))
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
    let (counters, way, _) = distant_with_refunds();
    (counters, way)
}

fn distant_with_refunds() -> (Counters, watch::Sender<bool>, Arc<Refunds>) {
    let (way, is_open) = watch::channel(true);
    let refunds = Arc::<Refunds>::default();
    let store = Distant {
        memory: Arc::new(MemoryStore::new()),
        is_open,
        refunds: Arc::clone(&refunds),
    };
    let state = Arc::new(SharedState::default);
    let shared = Shared::new(Arc::new(store), state, Handle::current());
    (shared.into(), way, refunds)
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

fn on_their_way(counters: &Counters) -> usize {
    match counters {
        Counters::Shared(shared) => shared.returning.count(),
        Counters::Memory(_) => panic!("these are not shared"),
    }
}

#[tokio::test]
async fn all_slots_that_are_given_back_at_once_come_back_a_few_at_a_time() {
    let (counters, way, refunds) = distant_with_refunds();
    let policy = policy("5000 concurrent");
    let mut held = Vec::new();
    for _ in 0..5_000 {
        held.push(decide(&counters, &policy).await.unwrap());
    }
    assert!(decide(&counters, &policy).await.is_none(), "all are held");
    way.send_replace(false);
    drop(held);
    let patience = Duration::from_millis(1);
    counters.returned(patience).await;
    assert_eq!(on_their_way(&counters), 5_000, "they are held up");
    way.send_replace(true);
    counters.returned(Duration::from_secs(60)).await;
    assert_eq!(on_their_way(&counters), 0);
    assert_eq!(refunds.most.load(Ordering::SeqCst), AT_ONCE);
    let mut again = Vec::new();
    for _ in 0..5_000 {
        again.push(decide(&counters, &policy).await.expect("a free slot"));
    }
}

#[tokio::test]
async fn slots_that_wait_to_be_given_back_are_bounded() {
    let (counters, way) = distant();
    let Counters::Shared(shared) = &counters else {
        panic!("these are not shared");
    };
    way.send_replace(false);
    for _ in 0..WAITING_MAX + AT_ONCE + 10 {
        let never = Box::pin(std::future::pending());
        shared.returning.push(never, &Handle::current());
        // Those that are under way wait no more.
        if shared.returning.count() <= AT_ONCE {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(shared.returning.count(), WAITING_MAX + AT_ONCE);
}
