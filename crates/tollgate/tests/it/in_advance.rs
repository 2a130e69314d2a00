//! Slots, estimates and turns: charges that change after they were made.

use std::sync::Arc;
use std::time::Duration;

use tollgate::{
    Check, Checks, Limiter, ManualClock, MemoryStore, Micros, OnFull, Policy, Quota, Verdict,
};

const MS: Duration = Duration::from_millis(1);

fn limiter(quotas: &str) -> (Limiter, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(Micros::from_secs(1_000_000)));
    let limiter = Limiter::builder()
        .quotas(Quota::parse_list(quotas).unwrap())
        .clock(clock.clone());
    (limiter.build().unwrap(), clock)
}

/// What a future gives when it is polled once.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(ready) => Some(ready),
        std::task::Poll::Pending => None,
    }
}

#[test]
fn a_slot_is_free_again_when_its_permit_is_dropped() {
    let (limiter, _) = limiter("2 concurrent");
    let first = limiter.acquire("ann").unwrap();
    let second = limiter.acquire("ann").unwrap();
    assert_eq!(second.decision().remaining(), 0);
    assert!(limiter.acquire("ann").is_err());
    assert!(limiter.acquire("bob").is_ok(), "another key is independent");
    drop(first);
    assert!(limiter.acquire("ann").is_ok());
}

#[test]
fn a_holder_that_dies_gives_its_slot_back_when_its_lease_ends() {
    let (limiter, clock) = limiter("1 concurrent for 30 seconds");
    std::mem::forget(limiter.acquire("ann").unwrap());
    clock.advance(29_999 * MS);
    let denied = limiter.acquire("ann").unwrap_err();
    assert_eq!(denied.retry_after(), Some(MS));
    clock.advance(MS);
    assert!(limiter.acquire("ann").is_ok());
}

#[test]
fn a_permit_whose_lease_has_ended_gives_nobody_elses_slot_back() {
    let (limiter, clock) = limiter("1 concurrent for 30 seconds");
    let late = limiter.acquire("ann").unwrap();
    clock.advance(30_000 * MS);
    let _next = limiter.acquire("ann").unwrap();
    drop(late);
    assert!(limiter.acquire("ann").is_err());
}

#[test]
fn a_permit_gives_back_its_slot_and_not_the_units_of_other_quotas() {
    let (limiter, _) = limiter("1 concurrent; 3 per hour");
    for left in [2, 1, 0] {
        let permit = limiter.acquire("ann").unwrap();
        assert_eq!(permit.decision().standings()[1].remaining(), left);
    }
    let denied = limiter.acquire("ann").unwrap_err();
    assert!(denied.standings()[1].is_violated() && !denied.standings()[0].is_violated());
}

#[test]
fn an_estimate_is_settled_with_the_actual_cost() {
    for kind in [
        "",
        "token-bucket",
        "fixed-window",
        "sliding-counter",
        "calendar",
    ] {
        let (limiter, _) = limiter(&format!("100 per hour {kind}"));
        let remaining = || limiter.peek("ann").remaining();
        limiter.reserve("ann", 40).unwrap().settle(10);
        assert_eq!(remaining(), 90, "{kind}: less than estimated");
        limiter.reserve("ann", 40).unwrap().settle(60);
        assert_eq!(remaining(), 30, "{kind}: more than estimated");
        limiter.reserve("ann", 20).unwrap().settle(20);
        assert_eq!(remaining(), 10, "{kind}: as estimated");
        assert_eq!(limiter.reserve("ann", 5).unwrap().cancel(), 5);
        assert_eq!(remaining(), 10, "{kind}: cancelled");
        drop(limiter.reserve("ann", 5).unwrap());
        assert_eq!(remaining(), 5, "{kind}: left alone");
        drop(limiter.reserve("ann", 5).unwrap().cancelled_on_drop());
        assert_eq!(remaining(), 5, "{kind}: given back when dropped");
        assert!(limiter.reserve("ann", 6).is_err(), "{kind}");
    }
}

#[test]
fn settling_above_the_estimate_leaves_a_debt_of_at_most_one_capacity() {
    for (kind, wait_secs) in [
        ("", 3_600),
        ("token-bucket", 3_636),
        ("fixed-window", 3_600),
    ] {
        let (limiter, _) = limiter(&format!("100 per hour {kind}"));
        let estimated = limiter.reserve("ann", 100).unwrap();
        estimated.settle(1_000_000);
        let denied = limiter.peek("ann");
        assert_eq!(denied.remaining(), 0, "{kind}");
        let wait = denied.retry_after().unwrap().as_secs();
        assert_eq!(wait, wait_secs, "{kind}: a debt of 100, not of a million");
    }
}

#[test]
fn turns_come_in_order_and_no_window_holds_more_than_its_limit() {
    let (limiter, clock) = limiter("3 per 10 seconds");
    (0..3).for_each(|_| assert!(limiter.check("ann").is_allowed()));
    clock.advance(4_000 * MS);
    let patience = Duration::from_secs(30);
    let turns: Vec<_> = (0..3)
        .map(|_| limiter.turn("ann", patience).unwrap())
        .collect();
    let waits: Vec<_> = turns.iter().map(|turn| turn.wait().as_secs()).collect();
    assert_eq!(waits, [6, 6, 6]);
    assert!(
        turns
            .iter()
            .all(|turn| turn.at() == Micros::from_secs(1_000_010))
    );
    assert!(
        limiter.turn("ann", patience).is_err(),
        "one capacity waits already"
    );
    assert!(!limiter.check("ann").is_allowed(), "nobody overtakes");
    clock.advance(6_000 * MS);
    turns.into_iter().for_each(|turn| {
        assert_eq!(turn.wait(), Duration::ZERO);
        turn.take();
    });
    assert!(!limiter.check("ann").is_allowed());
    clock.advance(9_999 * MS);
    assert!(
        !limiter.check("ann").is_allowed(),
        "those who waited count from when their turn came"
    );
    clock.advance(MS);
    assert!(limiter.check("ann").is_allowed());
}

#[test]
fn a_bucket_gives_turns_at_its_rate() {
    let (limiter, clock) = limiter("10 per second token-bucket");
    (0..10).for_each(|_| assert!(limiter.check("ann").is_allowed()));
    let turns: Vec<_> = (0..10)
        .map(|_| limiter.turn("ann", Duration::from_secs(5)).unwrap())
        .collect();
    let waits: Vec<_> = turns.iter().map(|turn| turn.wait().as_millis()).collect();
    assert_eq!(waits, [100, 200, 300, 400, 500, 600, 700, 800, 900, 1000]);
    clock.advance(1_000 * MS);
    turns.into_iter().for_each(tollgate::Turn::take);
    assert!(!limiter.check("ann").is_allowed());
    clock.advance(100 * MS);
    assert!(limiter.check("ann").is_allowed());
}

#[test]
fn a_turn_that_comes_too_late_is_denied_at_once_and_costs_nothing() {
    let (limiter, _) = limiter("1 per 10 seconds");
    assert!(limiter.check("ann").is_allowed());
    let denied = limiter
        .turn("ann", Duration::from_millis(9_999))
        .unwrap_err();
    assert_eq!(
        denied.verdict(),
        Verdict::Deny {
            retry_after: Duration::from_secs(10)
        }
    );
    assert_eq!(
        limiter
            .turn("ann", Duration::from_secs(10))
            .unwrap()
            .wait()
            .as_secs(),
        10
    );
}

#[test]
fn a_cancelled_turn_gives_exactly_its_own_slot_back() {
    let (limiter, clock) = limiter("2 per 10 seconds");
    assert!(limiter.check("ann").is_allowed());
    clock.advance(1_000 * MS);
    assert!(limiter.check("ann").is_allowed());
    let patience = Duration::from_secs(60);
    let (first, second) = (
        limiter.turn("ann", patience).unwrap(),
        limiter.turn("ann", patience).unwrap(),
    );
    assert_eq!((first.wait().as_secs(), second.wait().as_secs()), (9, 10));
    drop(first);
    assert_eq!(second.wait().as_secs(), 10, "nobody else's turn moves");
    clock.advance(10_000 * MS);
    second.take();
    assert!(
        limiter.check("ann").is_allowed(),
        "the slot of the first is free"
    );
    assert!(!limiter.check("ann").is_allowed());
}

#[test]
fn a_turn_of_several_quotas_comes_when_all_of_them_fit() {
    let (limiter, clock) = limiter("1 per second; 2 per 2 seconds; 3 per hour token-bucket");
    assert!(limiter.check("ann").is_allowed());
    let patience = Duration::from_secs(3_600);
    let turn = limiter.turn("ann", patience).unwrap();
    assert_eq!(turn.wait(), Duration::from_secs(1));
    clock.advance(1_000 * MS);
    turn.take();
    let third = limiter.turn("ann", patience).unwrap();
    assert_eq!(third.wait(), Duration::from_secs(1));
    drop(third);
}

#[test]
fn no_turn_is_further_ahead_than_any_of_the_quotas_takes_to_refill() {
    let (limiter, _) = limiter("1 per second; 1 per minute");
    assert!(limiter.check("ann").is_allowed());
    assert!(limiter.turn("ann", Duration::from_secs(60)).is_err());
}

#[test]
fn a_store_that_is_closed_when_full_gives_turns_while_it_has_room() {
    let store = MemoryStore::builder().on_full(OnFull::Closed).build();
    let builder = Limiter::builder().quotas(Quota::per_minute(1).unwrap());
    let limiter = builder.store(Arc::new(store)).build().unwrap();
    let patience = Duration::from_secs(60);
    limiter.turn("ann", patience).unwrap().take();
    assert!(limiter.turn("ann", patience).is_ok());
}

#[test]
fn algorithms_without_reservations_say_so_at_once() {
    for quota in [
        "1 per minute fixed-window",
        "1 per minute sliding-counter",
        "1 concurrent",
    ] {
        let (limiter, _) = limiter(quota);
        limiter.turn("ann", Duration::ZERO).unwrap().take();
        assert!(
            limiter.turn("ann", Duration::from_secs(600)).is_err(),
            "{quota}"
        );
    }
}

#[test]
fn until_ready_sleeps_once_and_a_dropped_future_gives_its_turn_back() {
    let (limiter, clock) = limiter("1 per 10 seconds");
    let patience = Duration::from_secs(20);
    let mut slept = Duration::ZERO;
    let ready = limiter.until_ready("ann", patience, |_| async { panic!("there is room") });
    at_once(ready).unwrap().unwrap();
    {
        let mut waiting =
            std::pin::pin!(limiter.until_ready("ann", patience, |_| std::future::pending()));
        assert!(at_once(waiting.as_mut()).is_none());
        assert_eq!(
            limiter.peek("ann").retry_after().unwrap().as_secs(),
            20,
            "its turn is taken"
        );
    }
    let ready = limiter.until_ready("ann", patience, |wait| {
        slept = wait;
        clock.advance(wait);
        async {}
    });
    at_once(ready).unwrap().unwrap();
    assert_eq!(
        slept,
        Duration::from_secs(10),
        "the dropped one's turn is free"
    );
}

#[test]
fn a_refund_takes_nobody_elses_turn() {
    let (limiter, clock) = limiter("1 per 60 seconds");
    let first = limiter.check("ann");
    let turn = limiter.turn("ann", Duration::from_secs(60)).unwrap();
    assert_eq!(limiter.refund("ann", &first.receipt().unwrap()), 1);
    clock.advance(60_000 * MS);
    turn.take();
    assert!(!limiter.check("ann").is_allowed(), "the turn counts");
}

#[test]
fn a_turn_that_is_ahead_of_a_smaller_period_keeps_what_was_used() {
    let clock = Arc::new(ManualClock::new(Micros::from_secs(1_000_000)));
    let store = Arc::new(tollgate::MemoryStore::new());
    let limiter = |quota: &str, version| {
        let policy = tollgate::Policy::new("p", quota.parse().unwrap()).unwrap();
        let builder = Limiter::builder()
            .store(Arc::clone(&store))
            .clock(clock.clone());
        builder
            .policy(policy.with_version(version))
            .build()
            .unwrap()
    };
    let before = limiter("5 per hour", 1);
    (0..5).for_each(|_| assert!(before.check("ann").is_allowed()));
    let turn = before.turn("ann", Duration::from_secs(3_600)).unwrap();
    let after = limiter("5 per minute", 2);
    assert_eq!(after.check("ann").remaining(), 0);
    turn.take();
    clock.advance(60_000 * MS);
    assert!(
        after.check("ann").is_allowed(),
        "no longer than one new period"
    );
}

#[test]
fn a_permit_finds_its_slot_again_after_the_limit_was_changed() {
    let store = Arc::new(tollgate::MemoryStore::new());
    let limiter = |quota: &str, version| {
        let policy = tollgate::Policy::new("p", quota.parse().unwrap()).unwrap();
        let builder = Limiter::builder().store(Arc::clone(&store));
        builder
            .policy(policy.with_version(version))
            .build()
            .unwrap()
    };
    let permit = limiter("1 concurrent", 1).acquire("ann").unwrap();
    let after = limiter("2 concurrent", 2);
    let second = after.acquire("ann").unwrap();
    assert!(after.acquire("ann").is_err());
    drop(permit);
    assert!(after.acquire("ann").is_ok());
    drop(second);
}

#[test]
fn units_are_released_without_a_receipt_up_to_what_is_held_and_only_while_they_are() {
    let quotas = [
        "5 per minute",
        "5 per minute token-bucket",
        "5 per minute fixed-window",
        "5 per minute sliding-counter",
        "5 per minute calendar UTC",
    ];
    for quota in quotas {
        let policy = Arc::new(Policy::new("p", quota.parse().unwrap()).unwrap());
        let store = MemoryStore::new();
        let now = Micros::from_secs(60_000_000);
        let with = |cost| {
            let mut checks = Checks::new();
            let key = b"ann".as_slice();
            let check = Check {
                policy: &policy,
                key,
                cost,
            };
            checks.push(check).unwrap();
            checks
        };
        assert_eq!(store.release(&with(3), now), 0, "{quota}: nothing is held");
        assert!(store.decide(&with(5), now).is_allowed());
        assert_eq!(store.release(&with(2), now), 2, "{quota}");
        assert_eq!(store.peek(&with(1), now).remaining(), 2, "{quota}");
        assert_eq!(store.release(&with(9), now), 3, "{quota}");
        assert_eq!(store.peek(&with(1), now).remaining(), 5, "{quota}");
        assert!(store.decide(&with(5), now).is_allowed());
        let later = now + Duration::from_secs(180);
        assert_eq!(store.release(&with(5), later), 0, "{quota}: they are past");
    }
}

#[test]
fn a_turn_comes_under_a_rate_that_needs_coarse_ticks_too() {
    // So many a day are no whole microseconds apart.
    let (limiter, clock) = limiter("104251 per day burst 1 token-bucket");
    assert!(limiter.check("ann").is_allowed());
    let turn = limiter.turn("ann", Duration::from_secs(2)).unwrap();
    let wait = turn.wait();
    assert!(wait > 800 * MS && wait < 900 * MS, "{wait:?}");
    turn.take();
    clock.advance(wait);
    assert!(!limiter.check("ann").is_allowed(), "it was taken");
}
