//! What every store must keep. A store's tests are one line: `tollgate_testkit::store_conformance!(make_store)`.

mod penalties;

use std::sync::Arc;
use std::time::Duration;

pub use penalties::*;
use tollgate::{Check, Checks, Decision, Micros, Mode, Policy, Quota, Store, Verdict};

/// Makes one `#[test]` of each promise, on a fresh store from `$make`.
#[macro_export]
macro_rules! store_conformance {
    ($make:expr) => {
        $crate::store_conformance!(@each $make;
            sliding_three_in_ten_seconds fixed_minute_and_hour_together an_exhausted_hour_spares_the_minute
            token_bucket_ten_per_second token_bucket_with_burst_one sliding_hundred_per_hour
            a_clock_that_goes_back_is_never_more_generous a_state_far_ahead_of_the_clock_is_void costs_and_never
            a_hundred_parallel_requests_admit_exactly_five parallel_requests_over_two_keys_charge_both_or_none
            a_changed_quota_keeps_what_was_used an_older_policy_is_decided_under_the_stored_numbers
            another_algorithm_starts_empty a_denied_request_costs_nothing a_denied_request_that_counts_takes_what_still_fits
            peek_charges_nothing_and_agrees_with_the_next_decision cost_zero_passes_and_writes_nothing
            a_refund_gives_back_what_the_charge_still_holds a_shadow_policy_never_denies
            a_refund_leaves_alone_what_was_not_charged an_instant_beyond_all_time_is_no_overflow
            deny_refuses_and_unlimited_passes reset_forgets_one_key_and_reset_all_every_key
            the_same_key_and_policy_twice_is_one_check keys_and_policies_do_not_meet
            a_third_holder_of_two_waits_for_a_lease_to_end a_slot_that_is_given_back_is_free_at_once
            the_window_before_weighs_less_in_steps a_refund_of_the_window_before_gives_back_what_still_weighs
            a_denial_blocks_for_the_stated_time blocks_grow_by_the_factor_up_to_the_maximum
            denials_during_a_block_do_not_count quiet_time_forgives
            retry_after_of_a_blocked_key_is_the_first_instant_that_passes nothing_remains_during_a_block
            peek_agrees_with_the_denial_that_would_block only_the_policy_that_denies_blocks
            a_shadow_policy_blocks_only_itself waiting_begins_no_block a_turn_waits_for_the_end_of_a_block
            reset_lifts_a_block refunds_leave_a_block_alone what_cannot_be_denied_for_a_time_begins_no_block
            a_denial_that_counts_is_charged_once_for_each_block a_block_outlives_a_change_of_the_quota
            a_shorter_penalty_shortens_a_block
            numbers_of_a_penalty_that_change_without_a_version_are_told_apart a_penalty_that_is_taken_away_counts_no_more
            a_block_and_a_clock_that_goes_back a_block_of_a_century_is_no_overflow
            a_blocked_key_that_comes_back_as_told_passes_though_the_clock_went_back
            a_charge_by_an_earlier_reading_leaves_what_it_says
            a_hundred_parallel_denials_begin_one_block);
    };
    (@each $make:expr; $($promise:ident)*) => {
        $(#[test] fn $promise() { $crate::conformance::$promise(&$make()); })*
    };
}

/// Seconds to an instant. The epoch of the tests is not zero, so that going back has room.
fn at(seconds: f64) -> Micros {
    Micros(1_000_000_000_000_000 + (seconds * 1e6).round() as u64)
}

fn secs(seconds: f64) -> Duration {
    Duration::from_micros((seconds * 1e6).round() as u64)
}

fn policy(name: &str, quota: &str) -> Arc<Policy> {
    Arc::new(Policy::new(name, quota.parse().unwrap()).unwrap())
}

/// Waits for an answer on the calling thread.
pub fn wait<T: Unpin + Send + 'static>(answer: tollgate::Answer<T>) -> T {
    let mut answer = std::pin::pin!(answer);
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    loop {
        match answer
            .as_mut()
            .poll(&mut std::task::Context::from_waker(&waker))
        {
            std::task::Poll::Ready(answer) => return answer,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

fn checks<'a>(policies: &'a [Arc<Policy>], key: &'a str, cost: u64) -> Checks<'a> {
    let mut checks = Checks::new();
    for policy in policies {
        checks
            .push(Check {
                policy,
                key: key.as_bytes(),
                cost,
            })
            .unwrap();
    }
    checks
}

fn take(store: &dyn Store, policies: &[Arc<Policy>], cost: u64, now: f64) -> Decision {
    wait(store.decide(&checks(policies, "ann", cost), at(now)))
}

fn peek(store: &dyn Store, policies: &[Arc<Policy>], cost: u64, now: f64) -> Decision {
    wait(store.peek(&checks(policies, "ann", cost), at(now)))
}

fn passes(store: &dyn Store, policies: &[Arc<Policy>], now: f64) {
    let decision = take(store, policies, 1, now);
    assert!(decision.is_allowed(), "denied at {now}: {decision:?}");
}

fn denied(store: &dyn Store, policies: &[Arc<Policy>], now: f64, retry_after: f64) {
    let decision = take(store, policies, 1, now);
    assert_eq!(
        decision.verdict(),
        Verdict::Deny {
            retry_after: secs(retry_after)
        },
        "at {now}"
    );
}

fn remaining(decision: &Decision) -> Vec<u64> {
    decision
        .standings()
        .iter()
        .map(|standing| standing.remaining())
        .collect()
}

pub fn sliding_three_in_ten_seconds(store: &dyn Store) {
    let p = [policy("p", "3 per 10 seconds")];
    [0.0, 0.2, 9.9]
        .into_iter()
        .for_each(|now| passes(store, &p, now));
    denied(store, &p, 9.95, 0.05);
    passes(store, &p, 10.0);
    denied(store, &p, 10.1, 0.1);
}

pub fn fixed_minute_and_hour_together(store: &dyn Store) {
    let p = [
        policy("minute", "5/m fixed-window"),
        policy("hour", "300/h fixed-window"),
    ];
    for call in 0..5 {
        assert_eq!(
            remaining(&take(store, &p, 1, call as f64)),
            [4 - call, 299 - call]
        );
    }
    let sixth = take(store, &p, 1, 5.0);
    assert_eq!(
        sixth.verdict(),
        Verdict::Deny {
            retry_after: secs(55.0)
        }
    );
    assert_eq!(remaining(&sixth), [0, 295]);
    assert_eq!(sixth.standings()[0].resets_in(), Some(55));
    denied(store, &p, 59.9, 0.1);
    assert_eq!(remaining(&take(store, &p, 1, 60.0)), [4, 294]);
    // Idle: the minute's window is gone, and nothing is used of it.
    let idle = peek(store, &p, 1, 130.0);
    assert_eq!(
        (
            remaining(&idle),
            idle.standings()[0].resets_in(),
            idle.standings()[1].resets_in()
        ),
        (vec![5, 294], None, Some(3470))
    );
}

pub fn an_exhausted_hour_spares_the_minute(store: &dyn Store) {
    let p = [
        policy("minute", "5/m fixed-window"),
        policy("hour", "7/h fixed-window"),
    ];
    (0..5).for_each(|_| passes(store, &p, 0.0));
    (0..2).for_each(|_| passes(store, &p, 60.0));
    let decision = take(store, &p, 1, 130.0);
    assert_eq!(
        decision.verdict(),
        Verdict::Deny {
            retry_after: secs(3470.0)
        }
    );
    let violated: Vec<bool> = decision
        .standings()
        .iter()
        .map(|standing| standing.is_violated())
        .collect();
    assert_eq!(
        (remaining(&decision), violated),
        (vec![5, 0], vec![false, true])
    );
}

pub fn token_bucket_ten_per_second(store: &dyn Store) {
    let p = [policy("p", "10/s token-bucket")];
    (0..10).for_each(|_| passes(store, &p, 0.0));
    denied(store, &p, 0.0, 0.1);
    passes(store, &p, 0.1);
    denied(store, &p, 0.1, 0.1);
}

pub fn token_bucket_with_burst_one(store: &dyn Store) {
    let p = [policy("p", "3/s burst 1")];
    passes(store, &p, 0.0);
    denied(store, &p, 0.0, 0.333_334);
    denied(store, &p, 0.333_333, 0.000_001);
    passes(store, &p, 0.333_334);
    // Idle for less than the refill never grants a second one.
    denied(store, &p, 0.666_667, 0.000_001);
}

pub fn sliding_hundred_per_hour(store: &dyn Store) {
    let p = [policy("p", "100/h")];
    (0..100).for_each(|_| passes(store, &p, 0.0));
    denied(store, &p, 1.0, 3599.0);
    let late = take(store, &p, 1, 3599.2);
    assert_eq!(
        (late.retry_after(), late.retry_after_secs()),
        (Some(secs(0.8)), Some(1))
    );
    passes(store, &p, 3600.0);
}

pub fn a_clock_that_goes_back_is_never_more_generous(store: &dyn Store) {
    for (name, quota) in [
        ("s", "2/m"),
        ("f", "2/m fixed-window"),
        ("t", "2/m token-bucket"),
        ("k", "2/m sliding-counter"),
        ("n", "2 concurrent for 60 seconds"),
    ] {
        let p = [policy(name, quota)];
        passes(store, &p, 60.0);
        let then = peek(store, &p, 1, 60.0);
        let back = peek(store, &p, 1, 30.0);
        assert!(back.remaining() <= then.remaining(), "{quota}: {back:?}");
        if take(store, &p, 1, 30.0).is_allowed() {
            // The charge made under the earlier reading equals one made at 60.
            let after = peek(store, &p, 1, 60.0);
            assert_eq!(after.remaining(), 0, "{quota}");
        } else {
            passes(store, &p, 60.0);
        }
        let full = take(store, &p, 1, 60.0).retry_after().unwrap();
        let waits = take(store, &p, 1, 30.0).retry_after().unwrap();
        assert_eq!(
            waits,
            full + secs(30.0),
            "{quota}: waits count from the caller's reading"
        );
    }
}

pub fn a_state_far_ahead_of_the_clock_is_void(store: &dyn Store) {
    for (name, quota) in [
        ("s", "2/m"),
        ("f", "2/m fixed-window"),
        ("t", "2/m token-bucket"),
    ] {
        let p = [policy(name, quota)];
        (0..2).for_each(|_| passes(store, &p, 1000.0));
        let nearly = take(store, &p, 1, 940.0);
        assert!(
            !nearly.is_allowed(),
            "{quota}: two full refills ahead still counts: {nearly:?}"
        );
        assert!(nearly.retry_after().unwrap() <= secs(120.0), "{quota}");
        passes(store, &p, 939.0);
    }
}

pub fn costs_and_never(store: &dyn Store) {
    let p = [policy("p", "100/h fixed-window")];
    for left in [70, 40, 10] {
        assert_eq!(take(store, &p, 30, 0.0).remaining(), left);
    }
    let fourth = take(store, &p, 30, 0.0);
    assert_eq!(
        (fourth.verdict(), fourth.remaining()),
        (
            Verdict::Deny {
                retry_after: secs(3600.0)
            },
            10
        )
    );
    assert_eq!(
        take(store, &p, 101, 0.0).verdict(),
        Verdict::Never { max: 100 }
    );
    assert_eq!(
        take(store, &p, u64::MAX, 0.0).verdict(),
        Verdict::Never { max: 100 }
    );
    assert!(
        take(store, &p, 10, 0.0).is_allowed(),
        "what remains passes whole"
    );
    let q = [policy("whole", "100/h burst 100")];
    assert!(
        take(store, &q, 100, 0.0).is_allowed(),
        "a cost of the whole capacity passes when full"
    );
}

pub fn a_hundred_parallel_requests_admit_exactly_five(store: &dyn Store) {
    for round in 0..100 {
        let p = [policy("p", "5/m")];
        let key = format!("round-{round}");
        let start = &std::sync::Barrier::new(10);
        let admitted: usize = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..10)
                .map(|_| {
                    let (p, key) = (&p, &key);
                    scope.spawn(move || {
                        start.wait();
                        (0..10)
                            .filter(|_| {
                                wait(store.decide(&checks(p, key, 1), at(0.0))).is_allowed()
                            })
                            .count()
                    })
                })
                .collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap())
                .sum()
        });
        assert_eq!(admitted, 5, "round {round}");
    }
}

pub fn parallel_requests_over_two_keys_charge_both_or_none(store: &dyn Store) {
    // Each thread takes one unit of its own tight policy and one of a shared, looser one. What the shared one lost
    // must equal what was admitted, whoever was denied by which.
    let shared = policy("shared", "50/h");
    let own = policy("own", "10/h");
    let admitted: u64 = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|thread| {
                let (shared, own) = (&shared, &own);
                scope.spawn(move || {
                    let key = format!("thread-{thread}");
                    let pass = || {
                        let mut checks = Checks::new();
                        checks
                            .push(Check {
                                policy: own,
                                key: key.as_bytes(),
                                cost: 1,
                            })
                            .unwrap();
                        checks
                            .push(Check {
                                policy: shared,
                                key: b"all",
                                cost: 1,
                            })
                            .unwrap();
                        wait(store.decide(&checks, at(0.0))).is_allowed()
                    };
                    (0..100).filter(|_| pass()).count() as u64
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .sum()
    });
    assert_eq!(admitted, 50);
    let mut own_used = 0;
    for thread in 0..8 {
        let key = format!("thread-{thread}");
        let mut checks = Checks::new();
        checks
            .push(Check {
                policy: &own,
                key: key.as_bytes(),
                cost: 1,
            })
            .unwrap();
        own_used += wait(store.peek(&checks, at(0.0))).standings()[0].used();
    }
    assert_eq!(
        own_used, 50,
        "a charge was kept although the other policy denied"
    );
}

pub fn a_changed_quota_keeps_what_was_used(store: &dyn Store) {
    for (name, suffix) in [("s", ""), ("f", " fixed-window")] {
        let old = [policy(name, &format!("5/m{suffix}"))];
        (0..4).for_each(|_| passes(store, &old, 0.0));
        let version = |quota: &str, version| {
            [Arc::new(
                Policy::new(name, quota.parse().unwrap())
                    .unwrap()
                    .with_version(version),
            )]
        };
        let smaller = version(&format!("3/m{suffix}"), 1);
        let decision = take(store, &smaller, 1, 10.0);
        assert_eq!(
            (decision.verdict(), decision.remaining()),
            (
                Verdict::Deny {
                    retry_after: secs(50.0)
                },
                0
            )
        );
        wait(store.reset(&old[0], b"ann")).unwrap();
        (0..4).for_each(|_| passes(store, &old, 0.0));
        let larger = version(&format!("10/m{suffix}"), 1);
        assert_eq!(peek(store, &larger, 1, 10.0).remaining(), 6);
        assert_eq!(take(store, &larger, 1, 10.0).remaining(), 5);
    }
    // Never longer than one full refill of the new quota, whatever the old one was.
    for (name, suffix) in [("s2", ""), ("f2", " fixed-window"), ("t2", " token-bucket")] {
        let old = [policy(name, &format!("50/day{suffix}"))];
        (0..50).for_each(|_| passes(store, &old, 0.0));
        let new = [Arc::new(
            Policy::new(name, format!("5/m{suffix}").parse().unwrap())
                .unwrap()
                .with_version(1),
        )];
        let decision = take(store, &new, 1, 100.0);
        assert!(
            decision.retry_after().is_none_or(|wait| wait <= secs(60.0)),
            "{suffix}: {decision:?}"
        );
        let again = take(store, &new, 5, 160.0);
        assert!(again.is_allowed(), "{suffix}: {again:?}");
    }
}

pub fn an_older_policy_is_decided_under_the_stored_numbers(store: &dyn Store) {
    let version = |quota: &str, version| {
        [Arc::new(
            Policy::new("p", quota.parse::<Quota>().unwrap())
                .unwrap()
                .with_version(version),
        )]
    };
    let (old, new) = (version("5/m", 1), version("2/m", 2));
    passes(store, &old, 0.0);
    passes(store, &new, 1.0);
    denied(store, &new, 2.0, 58.0);
    // A node that still has the old rules does not flip the state back.
    denied(store, &old, 3.0, 57.0);
    assert_eq!(peek(store, &old, 1, 3.0).standings()[0].limit(), 2);
}

pub fn another_algorithm_starts_empty(store: &dyn Store) {
    let old = [policy("p", "1/m")];
    passes(store, &old, 0.0);
    let new = [Arc::new(
        Policy::new("p", "1/m fixed-window".parse().unwrap())
            .unwrap()
            .with_version(1),
    )];
    passes(store, &new, 1.0);
    denied(store, &new, 2.0, 59.0);
}

pub fn a_denied_request_costs_nothing(store: &dyn Store) {
    for (name, quota) in [
        ("s", "3/m"),
        ("f", "3/m fixed-window"),
        ("t", "3/m token-bucket"),
        ("k", "3/m sliding-counter"),
        ("n", "3 concurrent for 60 seconds"),
    ] {
        let p = [
            policy(name, quota),
            policy(&format!("{name}-wide"), "100/h"),
        ];
        (0..3).for_each(|_| passes(store, &p, 0.0));
        let first = take(store, &p, 1, 1.0);
        for _ in 0..50 {
            assert_eq!(
                take(store, &p, 1, 1.0),
                first,
                "{quota}: refreshing changed something"
            );
        }
        assert_eq!(first.standings()[1].used(), 3);
        let wait = first.retry_after().unwrap();
        assert!(
            !take(store, &p, 1, 1.0 + wait.as_secs_f64() - 0.000_001).is_allowed(),
            "{quota}: one tick early"
        );
        assert!(
            take(store, &p, 1, 1.0 + wait.as_secs_f64()).is_allowed(),
            "{quota}: retry_after is the truth"
        );
    }
}

pub fn a_denied_request_that_counts_takes_what_still_fits(store: &dyn Store) {
    let counting = Arc::new(
        Policy::new("p", "10/m".parse().unwrap())
            .unwrap()
            .counting_denied(true),
    );
    let p = [counting, policy("other", "100/m")];
    assert!(take(store, &p, 7, 0.0).is_allowed());
    let denied = take(store, &p, 7, 1.0);
    assert!(!denied.is_allowed());
    assert_eq!(
        remaining(&denied),
        [0, 93],
        "only the policy that denies is charged"
    );
    assert_eq!(peek(store, &p, 1, 1.0).standings()[0].used(), 10);
}

pub fn peek_charges_nothing_and_agrees_with_the_next_decision(store: &dyn Store) {
    for (name, quota) in [
        ("s", "3/m"),
        ("f", "3/m fixed-window"),
        ("t", "3/m token-bucket"),
        ("k", "3/m sliding-counter"),
        ("n", "3 concurrent for 60 seconds"),
    ] {
        let p = [policy(name, quota)];
        for call in 0..6 {
            let now = call as f64;
            let seen = peek(store, &p, 1, now);
            assert_eq!(peek(store, &p, 1, now), seen, "{quota}");
            let decided = take(store, &p, 1, now);
            assert_eq!(decided.verdict(), seen.verdict(), "{quota} at {now}");
            let charged = decided.standings()[0].charged();
            assert_eq!(
                decided.remaining() + charged,
                seen.remaining(),
                "{quota} at {now}"
            );
        }
    }
}

pub fn cost_zero_passes_and_writes_nothing(store: &dyn Store) {
    let p = [policy("p", "1/m fixed-window")];
    assert!(take(store, &p, 0, 0.0).is_allowed());
    assert_eq!(
        peek(store, &p, 1, 0.0).standings()[0].resets_in(),
        None,
        "no window was opened"
    );
    passes(store, &p, 10.0);
    assert!(
        take(store, &p, 0, 11.0).is_allowed(),
        "even when nothing is left"
    );
    denied(store, &p, 11.0, 59.0);
}

pub fn a_refund_gives_back_what_the_charge_still_holds(store: &dyn Store) {
    let refund = |p: &[Arc<Policy>], decision: &Decision, now| {
        let receipt = decision.receipt().unwrap();
        wait(store.refund(&checks(p, "ann", 1), &receipt, at(now))).unwrap()
    };
    for (name, quota) in [
        ("s", "4/m"),
        ("f", "4/m fixed-window"),
        ("t", "4/m token-bucket"),
    ] {
        let p = [policy(name, quota)];
        passes(store, &p, 0.0);
        let charged = take(store, &p, 2, 0.0);
        assert_eq!(refund(&p, &charged, 0.0), 2, "{quota}");
        assert_eq!(peek(store, &p, 1, 0.0).remaining(), 3, "{quota}");
        // Units that have expired, or whose window is gone, give nothing back.
        let old = take(store, &p, 1, 1.0);
        let later = take(store, &p, 1, 61.0);
        assert!(later.is_allowed());
        let before = peek(store, &p, 1, 61.0);
        assert_eq!(refund(&p, &old, 61.0), 0, "{quota}");
        assert_eq!(peek(store, &p, 1, 61.0), before, "{quota}");
    }
    assert_eq!(peek(store, &[policy("s", "4/m")], 1, 0.0).receipt(), None);
}

pub fn a_shadow_policy_never_denies(store: &dyn Store) {
    let shadow = Arc::new(
        Policy::new("watch", "2/m".parse().unwrap())
            .unwrap()
            .with_mode(Mode::Shadow),
    );
    let p = [policy("live", "4/m"), shadow];
    let taken: Vec<Decision> = (0..5)
        .map(|call| take(store, &p, 1, f64::from(call)))
        .collect();
    let verdicts: Vec<bool> = taken.iter().map(Decision::is_allowed).collect();
    assert_eq!(verdicts, [true, true, true, true, false]);
    let violated: Vec<bool> = taken
        .iter()
        .map(|decision| decision.standings()[1].is_violated())
        .collect();
    assert_eq!(violated, [false, false, true, true, true]);
    assert_eq!(
        taken[4].standings()[1].used(),
        2,
        "charged only when it would have allowed"
    );
    assert_eq!(
        taken[2].remaining(),
        1,
        "the request's remaining is that of the enforced policies"
    );
}

pub fn a_refund_leaves_alone_what_was_not_charged(store: &dyn Store) {
    let shadow = Arc::new(
        Policy::new("watch", "1/m".parse().unwrap())
            .unwrap()
            .with_mode(Mode::Shadow),
    );
    let p = [policy("live", "5/m"), shadow];
    passes(store, &p, 0.0);
    let second = take(store, &p, 1, 1.0);
    assert!(
        second.standings()[1].is_violated(),
        "the shadow was charged once only"
    );
    let receipt = second.receipt().unwrap();
    assert_eq!(
        wait(store.refund(&checks(&p, "ann", 1), &receipt, at(1.0))).unwrap(),
        1
    );
    let used: Vec<u64> = peek(store, &p, 1, 1.0)
        .standings()
        .iter()
        .map(|standing| standing.used())
        .collect();
    assert_eq!(used, [1, 1]);
}

pub fn an_instant_beyond_all_time_is_no_overflow(store: &dyn Store) {
    for (name, quota) in [
        ("s", "2/century"),
        ("f", "2/century fixed-window"),
        ("t", "2/century token-bucket"),
        ("c", "2/year calendar"),
    ] {
        let p = [policy(name, quota)];
        for now in [0, u64::MAX, u64::MAX / 2, 1, u64::MAX] {
            let checks = checks(&p, "ann", 1);
            let _ = wait(store.peek(&checks, Micros(now)));
            let decision = wait(store.decide(&checks, Micros(now)));
            if let Some(receipt) = decision.receipt() {
                assert!(
                    wait(store.refund(&checks, &receipt, Micros(now))).unwrap() <= 1,
                    "{quota} at {now}"
                );
            }
        }
    }
}

/// A charge moves the instant from which the state is void, but not so far that it is void at once.
pub fn a_charge_by_an_earlier_reading_leaves_what_it_says(store: &dyn Store) {
    let p = [policy("p", "10 per minute sliding-counter")];
    // Windows end at 620, 680 and 740.
    for (key, back) in [
        ("a", 620.0),
        ("b", 561.0),
        ("c", 559.0),
        ("d", 530.0),
        ("e", 499.0),
    ] {
        let (five, one) = (checks(&p, key, 5), checks(&p, key, 1));
        assert!(wait(store.decide(&five, at(650.0))).is_allowed());
        let given_back = wait(store.decide(&one, at(680.0))).receipt().unwrap();
        wait(store.refund(&one, &given_back, at(680.0))).unwrap();
        let charged = wait(store.decide(&one, at(back)));
        let left = wait(store.peek(&one, at(back)));
        assert_eq!(left.remaining(), charged.remaining(), "{back}");
    }
}

pub fn deny_refuses_and_unlimited_passes(store: &dyn Store) {
    let deny = take(store, &[policy("d", "deny")], 0, 0.0);
    assert_eq!(deny.standings()[0].retry_after(), None);
    assert!(matches!(deny.verdict(), Verdict::Refused { .. }));
    assert_eq!((deny.remaining(), deny.retry_after()), (0, None));
    let both = take(store, &[policy("d", "deny"), policy("one", "1/m")], 1, 0.0);
    assert_eq!(both.standings()[1].used(), 0);
    let free = take(store, &[policy("u", "unlimited")], 1 << 40, 0.0);
    assert_eq!((free.is_allowed(), free.remaining()), (true, u64::MAX));
}

pub fn reset_forgets_one_key_and_reset_all_every_key(store: &dyn Store) {
    let p = [policy("p", "1/m")];
    let go = |key: &str| wait(store.decide(&checks(&p, key, 1), at(0.0))).is_allowed();
    assert!(go("ann") && go("bob") && !go("ann") && !go("bob"));
    assert!(wait(store.reset(&p[0], b"ann")).unwrap());
    assert!(
        !wait(store.reset(&p[0], b"ann")).unwrap(),
        "nothing was left to forget"
    );
    assert!(go("ann") && !go("bob"));
    wait(store.reset_all(&p[0])).unwrap();
    assert!(go("ann") && go("bob"));
}

pub fn the_same_key_and_policy_twice_is_one_check(store: &dyn Store) {
    let p = policy("p", "3/m");
    let mut twice = Checks::new();
    twice
        .push(Check {
            policy: &p,
            key: b"ann",
            cost: 1,
        })
        .unwrap();
    twice
        .push(Check {
            policy: &p,
            key: b"ann",
            cost: 1,
        })
        .unwrap();
    assert_eq!(twice.len(), 1);
    assert_eq!(wait(store.decide(&twice, at(0.0))).remaining(), 1);
    assert!(!wait(store.decide(&twice, at(0.0))).is_allowed());
}

pub fn keys_and_policies_do_not_meet(store: &dyn Store) {
    let (a, b) = ([policy("a", "1/m")], [policy("ab", "1/m")]);
    let go =
        |p: &[Arc<Policy>], key: &str| wait(store.decide(&checks(p, key, 1), at(0.0))).is_allowed();
    assert!(go(&a, "bc") && go(&b, "c") && go(&a, "") && go(&a, "\0"));
    assert!(!go(&a, "bc") && !go(&b, "c") && !go(&a, "") && !go(&a, "\0"));
}

pub fn a_third_holder_of_two_waits_for_a_lease_to_end(store: &dyn Store) {
    let p = [policy("p", "2 concurrent for 30 seconds")];
    passes(store, &p, 0.0);
    passes(store, &p, 10.0);
    denied(store, &p, 20.0, 10.0);
    denied(store, &p, 29.999_999, 0.000_001);
    // The first holder has died: its slot is free when its lease ends.
    passes(store, &p, 30.0);
    denied(store, &p, 30.0, 10.0);
}

pub fn a_slot_that_is_given_back_is_free_at_once(store: &dyn Store) {
    let p = [policy("p", "2 concurrent for 30 seconds")];
    let give_back = |decision: &Decision, now| {
        let receipt = decision.receipt().unwrap();
        wait(store.refund(&checks(&p, "ann", 1), &receipt, at(now))).unwrap()
    };
    let first = take(store, &p, 1, 0.0);
    let second = take(store, &p, 1, 10.0);
    denied(store, &p, 12.0, 18.0);
    assert_eq!(give_back(&second, 12.0), 1);
    passes(store, &p, 12.0);
    // The first lease is not the one that was given back, and ends when it ends.
    denied(store, &p, 13.0, 17.0);
    assert_eq!(give_back(&first, 30.0), 0, "it has ended");
    passes(store, &p, 30.0);
    denied(store, &p, 30.0, 12.0);
}

/// A minute of the clock begins at second 20 of the tests' epoch, the next at 80.
pub fn the_window_before_weighs_less_in_steps(store: &dyn Store) {
    let p = [policy("p", "10/m sliding-counter")];
    assert!(take(store, &p, 10, 20.0).is_allowed());
    // A unit fits when 921 of the 1024 steps of 58,594 us are left: 10 * 921 / 1024 is below 9.
    denied(store, &p, 20.0, 66.034_926);
    denied(store, &p, 80.0, 6.034_926);
    assert_eq!(peek(store, &p, 1, 86.034_925).remaining(), 0);
    assert_eq!(peek(store, &p, 1, 110.0).remaining(), 5, "half of it");
    passes(store, &p, 86.034_926);
    assert_eq!(peek(store, &p, 1, 110.0).remaining(), 4);
    assert_eq!(peek(store, &p, 1, 140.0).remaining(), 9);
}

pub fn a_refund_of_the_window_before_gives_back_what_still_weighs(store: &dyn Store) {
    let p = [policy("p", "10/m sliding-counter")];
    let refund = |decision: &Decision, now| {
        let receipt = decision.receipt().unwrap();
        wait(store.refund(&checks(&p, "ann", 1), &receipt, at(now))).unwrap()
    };
    let charged = [(6, 20.0), (3, 21.0), (1, 22.0)].map(|(cost, now)| take(store, &p, cost, now));
    assert_eq!(refund(&charged[1], 23.0), 3, "its own window: all of it");
    assert_eq!(peek(store, &p, 1, 110.0).remaining(), 6, "half of seven");
    assert_eq!(refund(&charged[0], 110.0), 3, "half of six");
    assert_eq!(peek(store, &p, 1, 110.0).remaining(), 9);
    assert_eq!(refund(&charged[2], 140.0), 0, "it is gone");
}
