//! The algorithms along a timeline: what passes when, what is left, and what a clock that goes back does to it.

use tollgate::{Micros, Store, Verdict};

use super::steps::{at, checks, denied, passes, peek, policy, remaining, secs, take, wait};

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
