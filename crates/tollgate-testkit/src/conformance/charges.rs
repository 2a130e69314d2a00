//! What a decision costs and what it does not: denials, peeks, refunds, resets, and keys that must not meet.

use std::sync::Arc;
use std::time::Duration;

use tollgate::{Check, Checks, Decision, Mode, Policy, Store, Verdict};

use super::steps::{at, checks, denied, passes, peek, policy, remaining, secs, take, wait};

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

pub fn what_is_released_is_given_back_whoever_took_it(store: &dyn Store) {
    for (place, quota) in [
        "5/m",
        "5/m token-bucket",
        "5/m fixed-window",
        "5/m sliding-counter",
        "5/m calendar",
    ]
    .into_iter()
    .enumerate()
    {
        let p = [policy(&format!("p{place}"), quota)];
        let release = |cost, now| wait(store.release(&checks(&p, "ann", cost), at(now))).unwrap();
        // The tests' epoch is forty seconds into its minute.
        assert_eq!(release(3, 20.0), 0, "{quota}: nothing is held");
        assert!(take(store, &p, 5, 20.0).is_allowed(), "{quota}");
        assert_eq!(release(2, 20.0), 2, "{quota}");
        assert_eq!(peek(store, &p, 1, 20.0).remaining(), 2, "{quota}");
        assert_eq!(release(9, 20.0), 3, "{quota}: no more than is held");
        assert_eq!(peek(store, &p, 1, 20.0).remaining(), 5, "{quota}");
        assert!(take(store, &p, 5, 20.0).is_allowed(), "{quota}");
        assert_eq!(release(5, 200.0), 0, "{quota}: they are past");
    }
    let several = [policy("q", "5/m"), policy("r", "9/h")];
    assert!(take(store, &several, 4, 0.0).is_allowed());
    let release = |cost| wait(store.release(&checks(&several, "ann", cost), at(0.0))).unwrap();
    assert_eq!(release(0), 0);
    assert_eq!(release(3), 6);
    assert_eq!(remaining(&peek(store, &several, 1, 0.0)), [4, 8]);
    assert_eq!(release(u64::MAX), 2);
    assert_eq!(remaining(&peek(store, &several, 1, 0.0)), [5, 9]);
    let slots = [policy("slots", "2 concurrent")];
    passes(store, &slots, 0.0);
    assert_eq!(
        wait(store.release(&checks(&slots, "ann", 1), at(1.0))).unwrap(),
        1
    );
    assert_eq!(peek(store, &slots, 1, 1.0).remaining(), 2);
}

pub fn what_is_released_is_the_newest_also_what_was_charged_in_advance(store: &dyn Store) {
    let window = [policy("w", "5/m")];
    let release = |p: &[Arc<Policy>], cost, now| {
        let released = store.release(&checks(p, "ann", cost), at(now));
        wait(released).unwrap()
    };
    assert!(take(store, &window, 3, 0.0).is_allowed());
    assert!(take(store, &window, 2, 10.0).is_allowed());
    let turn = store.reserve(&checks(&window, "ann", 1), at(20.0), at(90.0));
    assert_eq!(wait(turn).unwrap().0, at(60.0));
    assert_eq!(release(&window, 4, 20.0), 4);
    let left = peek(store, &window, 1, 20.0);
    assert_eq!(left.remaining(), 3);
    assert_eq!(
        left.full_after(),
        Duration::from_secs(40),
        "the oldest stay"
    );
    assert_eq!(release(&window, 4, 20.0), 2);
    let slots = [policy("slots", "5 concurrent")];
    assert!(take(store, &slots, 2, 0.0).is_allowed());
    assert!(take(store, &slots, 2, 1.0).is_allowed());
    assert_eq!(release(&slots, 3, 2.0), 3);
    assert_eq!(peek(store, &slots, 1, 2.0).remaining(), 4);
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
