//! What every store must keep of penalties.

use std::sync::Arc;
use std::time::Duration;

use tollgate::{Decision, Micros, Mode, Penalty, Policy, Store, Verdict};

use super::steps::{at, checks, denied, passes, peek, remaining, secs, take, wait};

/// Algorithms that deny the second of two requests at one instant, for a minute at most.
const ONE_A_MINUTE: [(&str, &str); 5] = [
    ("s", "1/m"),
    ("f", "1/m fixed-window"),
    ("t", "1/m token-bucket"),
    ("k", "1/m sliding-counter"),
    ("n", "1 concurrent"),
];

fn punished(name: &str, quota: &str, penalty: Penalty) -> [Arc<Policy>; 1] {
    let policy = Policy::new(name, quota.parse().unwrap()).unwrap();
    [Arc::new(policy.with_penalty(penalty).unwrap())]
}

/// Ten seconds, twenty, forty; forgiven after a hundred.
pub(super) fn growing() -> Penalty {
    Penalty::new(secs(10.0))
        .growing(2, secs(40.0))
        .forgiven_after(secs(100.0))
}

fn retry_after(decision: &Decision) -> f64 {
    decision.retry_after().unwrap().as_secs_f64()
}

pub(super) fn is_blocked(decision: &Decision) -> Vec<bool> {
    let standings = decision.standings().iter();
    standings.map(|standing| standing.is_blocked()).collect()
}

pub fn a_denial_blocks_for_the_stated_time(store: &dyn Store) {
    for (name, quota) in ONE_A_MINUTE {
        let p = punished(name, quota, Penalty::new(secs(600.0)));
        passes(store, &p, 0.0);
        let first = take(store, &p, 1, 1.0);
        assert_eq!(first.retry_after(), Some(secs(600.0)), "{quota}");
        assert_eq!(is_blocked(&first), [true], "{quota}");
        denied(store, &p, 600.999_999, 0.000_001);
        passes(store, &p, 601.0);
    }
}

pub fn blocks_grow_by_the_factor_up_to_the_maximum(store: &dyn Store) {
    let p = punished("p", "1/s fixed-window", growing());
    let mut now = 0.0;
    for block in [10.0, 20.0, 40.0, 40.0, 40.0] {
        passes(store, &p, now);
        denied(store, &p, now, block);
        now += block;
    }
    let tripled = Penalty::new(secs(10.0)).growing(3, secs(100.0));
    let q = punished("q", "1/s fixed-window", tripled);
    for block in [10.0, 30.0, 90.0, 100.0] {
        passes(store, &q, now);
        denied(store, &q, now, block);
        now += block;
    }
}

pub fn denials_during_a_block_do_not_count(store: &dyn Store) {
    let p = punished("p", "1/s fixed-window", growing());
    passes(store, &p, 0.0);
    for tenth in 0..100 {
        let now = f64::from(tenth) / 10.0;
        let decision = take(store, &p, 1, now);
        assert_eq!(decision.retry_after(), Some(secs(10.0 - now)), "at {now}");
    }
    passes(store, &p, 10.0);
    denied(store, &p, 10.0, 20.0);
}

pub fn quiet_time_forgives(store: &dyn Store) {
    let p = punished("p", "1/s fixed-window", growing());
    passes(store, &p, 0.0);
    denied(store, &p, 0.0, 10.0);
    // A microsecond before the quiet time is over, the denial is remembered.
    passes(store, &p, 109.0);
    denied(store, &p, 109.999_999, 20.0);
    assert_eq!(
        take(store, &p, 0, 109.999_999).full_after(),
        secs(120.0),
        "as good as new after the block and the quiet time"
    );
    let full = 229.999_999;
    assert_eq!(peek(store, &p, 1, full).full_after(), Duration::ZERO);
    passes(store, &p, full);
    denied(store, &p, full, 10.0);
}

pub fn retry_after_of_a_blocked_key_is_the_first_instant_that_passes(store: &dyn Store) {
    // The block is shorter than the window: its end alone lets nothing pass.
    for (name, quota) in [
        ("f", "2/m fixed-window"),
        ("s", "2/m"),
        ("t", "2/m token-bucket"),
    ] {
        let p = punished(name, quota, growing());
        assert!(take(store, &p, 2, 0.0).is_allowed());
        let began = take(store, &p, 1, 1.0);
        for now in [1.0, 5.0, 10.0] {
            let blocked = take(store, &p, 1, now);
            let fits = now + retry_after(&blocked);
            assert!((fits - 1.0 - retry_after(&began)).abs() < 1e-7, "{quota}");
            let standing = &blocked.standings()[0];
            assert_eq!(standing.grows_after(), blocked.retry_after(), "{quota}");
            let early = peek(store, &p, 1, fits - 0.000_001);
            assert!(!early.is_allowed(), "{quota}");
            assert!(peek(store, &p, 1, fits).is_allowed(), "{quota}");
        }
    }
    // Two units fit later than one.
    let p = punished("two", "2/m token-bucket", Penalty::new(secs(40.0)));
    assert!(take(store, &p, 2, 0.0).is_allowed());
    let blocked = take(store, &p, 2, 0.0);
    assert_eq!(blocked.retry_after(), Some(secs(60.0)));
    assert_eq!(blocked.standings()[0].grows_after(), Some(secs(40.0)));
    assert_eq!(peek(store, &p, 1, 39.999_999).remaining(), 0);
    assert_eq!(peek(store, &p, 1, 40.0).remaining(), 1);
}

pub fn nothing_remains_during_a_block(store: &dyn Store) {
    let p = punished("p", "5/m", growing());
    assert!(take(store, &p, 3, 0.0).is_allowed());
    assert_eq!(peek(store, &p, 3, 0.0).remaining(), 2);
    assert_eq!(
        take(store, &p, 3, 0.0).remaining(),
        0,
        "two are left, and blocked"
    );
    denied(store, &p, 1.0, 9.0);
    let free = take(store, &p, 0, 1.0);
    assert!(free.is_allowed(), "what costs nothing passes");
    assert_eq!((free.remaining(), is_blocked(&free)), (0, vec![true]));
    assert_eq!(peek(store, &p, 1, 10.0).remaining(), 2);
    assert_eq!(is_blocked(&take(store, &p, 1, 10.0)), [false]);
}

pub fn peek_agrees_with_the_denial_that_would_block(store: &dyn Store) {
    let p = punished("p", "3/m fixed-window", growing());
    let free = punished("q", "3/m fixed-window", growing());
    for call in 0..400 {
        let now = f64::from(call);
        let cost = 1 + u64::from(call % 3 == 2);
        let seen = peek(store, &p, cost, now);
        assert_eq!(peek(store, &p, cost, now), seen, "a peek wrote something");
        let decided = take(store, &p, cost, now);
        assert_eq!(decided.verdict(), seen.verdict(), "at {now}");
        let (before, after) = (seen.standings()[0], decided.standings()[0]);
        assert_eq!(before.retry_after(), after.retry_after(), "at {now}");
        if decided.is_allowed() || before.is_blocked() {
            assert_eq!(before.remaining(), after.remaining() + after.charged());
            assert_eq!(before.is_blocked(), after.is_blocked());
        } else {
            assert!(after.is_blocked() && !before.is_blocked(), "at {now}");
        }
        let _ = peek(store, &free, 4, now);
    }
    assert_eq!(peek(store, &free, 1, 400.0).full_after(), Duration::ZERO);
}

pub fn only_the_policy_that_denies_blocks(store: &dyn Store) {
    let tight = punished("tight", "1/m fixed-window", growing());
    let wide = punished("wide", "2/m fixed-window", Penalty::new(secs(300.0)));
    let both = [Arc::clone(&tight[0]), Arc::clone(&wide[0])];
    passes(store, &both, 0.0);
    let first = take(store, &both, 1, 0.0);
    assert_eq!(
        (first.retry_after(), is_blocked(&first)),
        (Some(secs(60.0)), vec![true, false])
    );
    assert_eq!(remaining(&first), [0, 1], "all or nothing");
    passes(store, &wide, 1.0);
    // Now both deny: the one is blocked already, the other's block begins, each of its own length.
    let second = take(store, &both, 1, 2.0);
    assert_eq!(
        (second.retry_after(), is_blocked(&second)),
        (Some(secs(300.0)), vec![true, true])
    );
    let waits: Vec<_> = second
        .standings()
        .iter()
        .map(|standing| standing.retry_after())
        .collect();
    assert_eq!(waits, [Some(secs(58.0)), Some(secs(300.0))]);
    passes(store, &tight, 60.0);
    denied(store, &both, 301.999_999, 0.000_001);
    passes(store, &both, 302.0);
}

pub fn a_shadow_policy_blocks_only_itself(store: &dyn Store) {
    let watching = |name: &str, quota: &str| {
        let [policy] = punished(name, quota, growing());
        Arc::new(Arc::unwrap_or_clone(policy).with_mode(Mode::Shadow))
    };
    let [live] = punished("live", "4/m fixed-window", Penalty::new(secs(1.0)));
    let p = [live, watching("watch", "2/m fixed-window")];
    let taken: Vec<Decision> = (0..5).map(|_| take(store, &p, 1, 0.0)).collect();
    let verdicts: Vec<bool> = taken.iter().map(Decision::is_allowed).collect();
    assert_eq!(verdicts, [true, true, true, true, false]);
    let blocked: Vec<_> = taken.iter().map(is_blocked).collect();
    assert_eq!(
        blocked[1..4],
        [[false, false], [false, true], [false, true]]
    );
    assert_eq!(taken[2].remaining(), 1, "the block is the shadow's own");
    assert_eq!(taken[2].standings()[1].retry_after(), Some(secs(60.0)));
    // A request that does not pass anyway begins no block of a policy that watches.
    let [live] = punished("live-2", "1/h fixed-window", Penalty::new(secs(1.0)));
    let q = [live, watching("watch-2", "1/m fixed-window")];
    passes(store, &q, 0.0);
    let seen = peek(store, &q, 1, 0.0);
    assert_eq!(seen.standings()[1].retry_after(), Some(secs(60.0)));
    let decided = take(store, &q, 1, 0.0);
    assert_eq!(is_blocked(&decided), [true, false]);
    assert_eq!(decided.standings()[1].retry_after(), Some(secs(60.0)));
}

pub fn waiting_begins_no_block(store: &dyn Store) {
    let p = punished(
        "p",
        "1 per 10 seconds token-bucket",
        Penalty::new(secs(300.0)),
    );
    let reserve = |now: f64, patience: f64| {
        let checks = checks(&p, "ann", 1);
        wait(store.reserve(&checks, at(now), at(now + patience)))
    };
    passes(store, &p, 0.0);
    let refused = reserve(1.0, 5.0).unwrap_err();
    assert_eq!(refused, peek(store, &p, 1, 1.0), "it says what a peek says");
    assert_eq!(
        refused.retry_after(),
        Some(secs(300.0)),
        "a denial would begin a block"
    );
    let (turn, _) = reserve(1.0, 9.0).unwrap();
    assert_eq!(turn, at(10.0), "who waits waits for the units alone");
    passes(store, &p, 30.0);
    denied(store, &p, 30.0, 300.0);
}

pub fn a_turn_waits_for_the_end_of_a_block(store: &dyn Store) {
    let p = punished("p", "4/m token-bucket", Penalty::new(secs(20.0)));
    let reserve = |now: f64, patience: f64| {
        let checks = checks(&p, "ann", 1);
        wait(store.reserve(&checks, at(now), at(now + patience)))
    };
    assert!(take(store, &p, 4, 0.0).is_allowed());
    denied(store, &p, 0.0, 20.0);
    assert!(reserve(5.0, 14.9).is_err());
    assert_eq!(
        peek(store, &p, 1, 20.0).remaining(),
        1,
        "nothing was charged"
    );
    let (turn, receipt) = reserve(5.0, 15.0).unwrap();
    assert_eq!(turn, at(20.0), "there would be room from 15 on");
    denied(store, &p, 6.0, 24.0);
    assert_eq!(
        wait(store.refund(&checks(&p, "ann", 1), &receipt, at(7.0))).unwrap(),
        1
    );
    passes(store, &p, 20.0);
    // A policy that only watches keeps nobody waiting.
    let [watching] = punished("watch", "4/m token-bucket", Penalty::new(secs(20.0)));
    let watching = Arc::unwrap_or_clone(watching).with_mode(Mode::Shadow);
    let q = [
        super::steps::policy("live", "9/m token-bucket"),
        Arc::new(watching),
    ];
    (0..5).for_each(|_| passes(store, &q, 0.0));
    let checks = checks(&q, "ann", 1);
    let (turn, _) = wait(store.reserve(&checks, at(16.0), at(18.0))).unwrap();
    assert_eq!(turn, at(16.0));
    let watched = peek(store, &q, 1, 20.0).standings()[1].used();
    assert_eq!(watched, 3, "nothing was charged to the one that is blocked");
}

pub fn reset_lifts_a_block(store: &dyn Store) {
    let p = punished("p", "1/m", growing());
    let go = |key: &str| wait(store.decide(&checks(&p, key, 1), at(0.0))).is_allowed();
    assert!(go("ann") && go("bob") && !go("ann") && !go("bob"));
    assert!(wait(store.reset(&p[0], b"ann")).unwrap());
    assert!(!wait(store.reset(&p[0], b"ann")).unwrap());
    assert!(go("ann") && !go("bob"));
    assert_eq!(take(store, &p, 1, 0.0).retry_after(), Some(secs(60.0)));
    denied(store, &p, 70.0 - 60.000_001, 50.000_001);
    wait(store.reset_all(&p[0])).unwrap();
    assert!(go("ann") && go("bob"));
    // A block may be all there is of a key.
    let q = punished("q", "1/s", Penalty::new(secs(60.0)));
    passes(store, &q, 0.0);
    let _ = take(store, &q, 1, 0.0);
    denied(store, &q, 30.0, 30.0);
    assert!(wait(store.reset(&q[0], b"ann")).unwrap());
    passes(store, &q, 30.0);
}

pub fn refunds_leave_a_block_alone(store: &dyn Store) {
    let p = punished("p", "2/m", growing());
    let charged = take(store, &p, 2, 0.0);
    denied(store, &p, 0.0, 60.0);
    let receipt = charged.receipt().unwrap();
    let given_back = wait(store.refund(&checks(&p, "ann", 1), &receipt, at(1.0))).unwrap();
    assert_eq!(given_back, 2);
    denied(store, &p, 1.0, 9.0);
    passes(store, &p, 10.0);
    // Settling gives back as well, and charges without asking.
    let receipt = take(store, &p, 1, 10.0).receipt().unwrap();
    let _ = take(store, &p, 1, 10.0);
    denied(store, &p, 10.0, 60.0);
    wait(store.settle(&checks(&p, "ann", 0), &receipt, at(11.0))).unwrap();
    denied(store, &p, 11.0, 19.0);
    passes(store, &p, 30.0);
    denied(store, &p, 30.0, 40.0);
}

pub fn what_cannot_be_denied_for_a_time_begins_no_block(store: &dyn Store) {
    let p = punished("p", "2/m", growing());
    assert_eq!(take(store, &p, 3, 0.0).verdict(), Verdict::Never { max: 2 });
    let refused = [Arc::clone(&p[0]), super::steps::policy("d", "deny")];
    assert!(matches!(
        take(store, &refused, 1, 0.0).verdict(),
        Verdict::Refused { .. }
    ));
    assert_eq!(peek(store, &p, 2, 0.0).remaining(), 2);
    assert!(take(store, &p, 2, 0.0).is_allowed());
    denied(store, &p, 0.0, 60.0);
    let never = take(store, &p, 3, 1.0);
    assert_eq!(
        never.verdict(),
        Verdict::Never { max: 2 },
        "not even when it is blocked"
    );
}

pub fn a_denial_that_counts_is_charged_once_for_each_block(store: &dyn Store) {
    let [policy] = punished("p", "10/m fixed-window", growing());
    let counting = Arc::unwrap_or_clone(policy).counting_denied(true);
    let p = [Arc::new(counting)];
    assert!(take(store, &p, 7, 0.0).is_allowed());
    let first = take(store, &p, 7, 1.0);
    assert_eq!(
        (first.retry_after(), is_blocked(&first)),
        (Some(secs(59.0)), vec![true])
    );
    assert_eq!(
        peek(store, &p, 1, 11.0).remaining(),
        0,
        "what still fitted is charged"
    );
    let q = {
        let [policy] = punished("q", "10/m fixed-window", Penalty::new(secs(100.0)));
        [Arc::new(Arc::unwrap_or_clone(policy).counting_denied(true))]
    };
    assert!(take(store, &q, 7, 0.0).is_allowed());
    denied_cost(store, &q, 7, 1.0, 100.0);
    // The window that was charged is over; during the block nothing opens another one.
    denied_cost(store, &q, 7, 70.0, 31.0);
    assert_eq!(peek(store, &q, 1, 101.0).remaining(), 10);
}

fn denied_cost(store: &dyn Store, policies: &[Arc<Policy>], cost: u64, now: f64, wait: f64) {
    let decision = take(store, policies, cost, now);
    assert_eq!(decision.retry_after(), Some(secs(wait)), "at {now}");
}

pub fn a_block_and_a_clock_that_goes_back(store: &dyn Store) {
    let p = punished(
        "p",
        "1/s fixed-window",
        Penalty::new(secs(10.0)).forgiven_after(secs(20.0)),
    );
    passes(store, &p, 1000.0);
    denied(store, &p, 1000.0, 10.0);
    // An earlier reading waits longer, counted from itself.
    denied(store, &p, 990.0, 20.0);
    // Twice the longest block ahead still counts, whatever the quiet time; more does not.
    passes(store, &p, 989.0);
}

pub fn a_blocked_key_that_comes_back_as_told_passes_though_the_clock_went_back(store: &dyn Store) {
    let p = punished("p", "3 per 10 seconds", growing());
    for _ in 0..3 {
        passes(store, &p, 100.0);
    }
    denied(store, &p, 100.0, 10.0);
    for _ in 0..3 {
        passes(store, &p, 110.0);
    }
    denied(store, &p, 110.0, 20.0);
    // At 89 the units of 110 are too far ahead to count; at the end of the block they are not.
    let told = retry_after(&take(store, &p, 1, 89.0));
    passes(store, &p, 89.0 + told);
}

pub fn a_block_of_a_century_is_no_overflow(store: &dyn Store) {
    const CENTURY: u64 = 100 * 365 * 86_400;
    let half = Duration::from_secs(CENTURY / 2);
    for (name, penalty) in [
        ("a", Penalty::new(half)),
        (
            "b",
            Penalty::new(Duration::from_micros(1)).growing(u32::MAX, half),
        ),
        (
            "c",
            Penalty::new(Duration::from_micros(1))
                .growing(2, half)
                .forgiven_after(half),
        ),
    ] {
        let p = punished(name, "1/us", penalty);
        for now in [
            0,
            u64::MAX,
            u64::MAX / 2,
            1,
            1 << 53,
            (1 << 53) - 1,
            0,
            u64::MAX,
        ] {
            for _ in 0..70 {
                let checks = checks(&p, "ann", 1);
                let _ = wait(store.peek(&checks, Micros(now)));
                let decision = wait(store.decide(&checks, Micros(now)));
                let _ = wait(store.reserve(&checks, Micros(now), Micros(u64::MAX)));
                assert!(decision.retry_after().unwrap_or_default() <= 4 * half);
            }
        }
    }
}

pub fn a_hundred_parallel_denials_begin_one_block(store: &dyn Store) {
    for round in 0..100 {
        let p = punished("p", "1/s fixed-window", growing());
        let key = format!("round-{round}");
        let first = wait(store.decide(&checks(&p, &key, 1), at(0.0)));
        assert!(first.is_allowed());
        let start = &std::sync::Barrier::new(10);
        std::thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..10 {
                        let decision = wait(store.decide(&checks(&p, &key, 1), at(0.5)));
                        assert_eq!(decision.retry_after(), Some(secs(10.0)), "round {round}");
                    }
                });
            }
        });
        let go = |now| wait(store.decide(&checks(&p, &key, 1), at(now)));
        assert!(go(10.5).is_allowed());
        assert_eq!(
            go(10.5).retry_after(),
            Some(secs(20.0)),
            "one block in a row"
        );
    }
}
