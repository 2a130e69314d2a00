//! Units that are held in advance.

use std::sync::Arc;
use std::time::Duration;

use tollgate::algorithm::Charge;
use tollgate::decide::decide;
use tollgate::{Check, Lease, Micros, Policy};

use super::super::name::Named;
use super::super::visits::VISITS_MAX;
use super::super::{Near, Unspent};
use super::{START, grant, hear, policy, said};

/// A node that has been asked for the key often, and has leased so many units at START.
fn leased(check: &Check<'_>, units: u64) -> Near {
    let near = Near::default();
    hear(
        &near,
        &[*check],
        &said(check, 100),
        &grant(units),
        (START, START),
    );
    near
}

#[test]
fn units_held_in_advance_are_spent_until_none_is_left_or_the_lease_ends() {
    let policy = policy("10000 per second token-bucket");
    let check = Check {
        policy: &policy,
        key: b"ann",
        cost: 2,
    };
    let near = leased(&check, 5);
    let first = near.known_answer(&[check], START).unwrap();
    assert!(first.is_allowed() && first.is_estimated());
    assert_eq!(first.remaining(), 9_898 - 2, "of what the store said");
    assert_eq!(first.standings()[0].charged(), 2);
    let second = near.known_answer(&[check], START).unwrap();
    assert_eq!((second.is_allowed(), second.remaining()), (true, 9_898 - 4));
    assert!(
        near.known_answer(&[check], START).is_none(),
        "one unit does not pay for two"
    );

    let near = leased(&check, 500);
    let end = START + Duration::from_millis(100);
    assert!(near.known_answer(&[check], Micros(end.0 - 1)).is_some());
    assert!(near.known_answer(&[check], end).is_none());
    assert!(
        near.known_answer(&[check], Micros(START.0 - 1)).is_none(),
        "a clock that went back"
    );
}

#[test]
fn a_request_that_is_covered_in_part_goes_to_the_store_whole() {
    let (one, other) = (
        policy("10000 per second token-bucket"),
        policy("10 per second token-bucket"),
    );
    let covered = Check {
        policy: &one,
        key: b"ann",
        cost: 1,
    };
    let near = leased(&covered, 5);
    let bare = Check {
        policy: &other,
        key: b"address",
        cost: 1,
    };
    assert!(near.known_answer(&[covered, bare], START).is_none());
    hear(&near, &[bare], &said(&bare, 0), &grant(1), (START, START));
    assert!(near.known_answer(&[covered, bare], START).is_some());
    assert!(near.known_answer(&[covered, bare], START).is_none());
    assert_eq!(
        near.known_answer(&[covered], START).unwrap().standings()[0].remaining(),
        9_899 - 2,
        "nothing was spent in vain"
    );
    let exact = Arc::new(Policy::new("q", "5 per second".parse().unwrap()).unwrap());
    let exact = Check {
        policy: &exact,
        key: b"ann",
        cost: 1,
    };
    assert!(near.known_answer(&[covered, exact], START).is_none());
}

#[test]
fn a_key_that_is_rarely_asked_for_wants_nothing_and_a_hot_one_as_much_as_it_needs() {
    let policy = policy("10000 per second token-bucket");
    let check = Check {
        policy: &policy,
        key: b"ann",
        cost: 1,
    };
    let near = Near::default();
    for second in 0..10 {
        let now = START + Duration::from_secs(second);
        assert!(near.known_answer(&[check], now).is_none());
        assert!(near.wants(None, &[check], now).is_empty());
    }
    let now = START + Duration::from_secs(20);
    let wants: Vec<u64> = (0..1_000)
        .map(|_| {
            assert!(near.known_answer(&[check], now).is_none());
            let wants = near.wants(None, &[check], now).first().copied();
            hear(&near, &[check], &said(&check, 0), &grant(0), (now, now));
            wants.unwrap_or_default()
        })
        .collect();
    assert_eq!((wants[0], wants[1], wants[99]), (0, 2, 100));
    assert_eq!(wants[999], 500, "a twentieth of the bucket");
}

#[test]
fn while_one_request_asks_for_units_no_other_does() {
    let policy = policy("10000 per second token-bucket");
    let check = Check {
        policy: &policy,
        key: b"ann",
        cost: 1,
    };
    let near = Near::default();
    assert!(near.wants(None, &[check], START).is_empty());
    for _ in 0..5 {
        assert!(near.known_answer(&[check], START).is_none());
    }
    assert_eq!(near.wants(None, &[check], START)[..], [5]);
    assert!(near.wants(None, &[check], START).is_empty());
    let later = START + Duration::from_millis(300);
    assert!(near.known_answer(&[check], later).is_none());
    assert!(near.known_answer(&[check], later).is_none());
    assert_eq!(
        near.wants(None, &[check], later)[..],
        [2],
        "its answer was lost"
    );
}

#[test]
fn an_answer_to_who_asked_for_no_units_is_not_the_one_that_is_awaited() {
    let policy = policy("10000 per second token-bucket");
    let [ann, bob] = [&b"ann"[..], b"bob"].map(|key| Check {
        policy: &policy,
        key,
        cost: 1,
    });
    let near = Near::default();
    for _ in 0..5 {
        assert!(near.known_answer(&[ann, bob], START).is_none());
    }
    // What a first look makes, the demand is noted in.
    assert!(near.wants(None, &[ann, bob], START).is_empty());
    for _ in 0..5 {
        assert!(near.known_answer(&[ann, bob], START).is_none());
    }
    assert_eq!(near.wants(None, &[ann], START)[..], [5]);
    let at = |ms| START + Duration::from_millis(ms);
    let wanted = near.wants(None, &[ann, bob], at(1));
    assert_eq!(wanted[..], [0, 5]);
    let asked = near.asks(None, &[ann, bob], &wanted, at(1));
    let mut slots = [None, None];
    let said = decide(&[ann, bob], &mut slots, START);
    let granted = [Charge::default(), grant(5)[0]];
    near.learn(None, &[ann, bob], &said, &granted, (asked, at(2)));
    assert!(near.wants(None, &[ann], at(3)).is_empty(), "asked twice");
    // Nor is one that comes when another has asked since.
    let again = at(300);
    for _ in 0..2 {
        assert!(near.known_answer(&[ann], again).is_none());
    }
    assert_eq!(near.wants(None, &[ann], again)[..], [2]);
    let said = super::said(&ann, 0);
    hear(&near, &[ann], &said, &[Charge::default()], (START, again));
    assert!(near.wants(None, &[ann], again).is_empty());
    hear(&near, &[ann], &said, &[Charge::default()], (again, again));
    assert!(!near.wants(None, &[ann], again).is_empty());
}

#[test]
fn what_is_left_of_a_lease_that_another_replaces_is_given_back() {
    let policy = policy("10000 per second token-bucket");
    let check = Check {
        policy: &policy,
        key: b"ann",
        cost: 1,
    };
    let near = leased(&check, 5);
    assert!(near.known_answer(&[check], START).is_some());
    let then = START + Duration::from_millis(1);
    let granted = [Charge {
        cost: 7,
        mark: (3, 4),
    }];
    hear(&near, &[check], &said(&check, 105), &granted, (then, then));
    let unspent = near.unspent(then).unwrap();
    assert_eq!((unspent.charge.cost, unspent.charge.mark), (4, (1, 2)));
    assert_eq!(&unspent.key[..], b"ann");
    assert!(near.is_charged(&unspent));
    assert_eq!(near.stats().returned(), 4);
    assert!(near.unspent(then).is_none());
    let spent = (0..9).filter(|_| near.known_answer(&[check], then).is_some());
    assert_eq!(spent.count(), 7);
}

#[test]
fn what_nobody_spends_is_given_back_before_it_ends() {
    let policy = policy("10000 per second token-bucket");
    let check = Check {
        policy: &policy,
        key: b"ann",
        cost: 1,
    };
    let near = leased(&check, 5);
    assert!(near.known_answer(&[check], START).is_some());
    assert!(near.unspent(START + Duration::from_millis(49)).is_none());
    let unspent = near.unspent(START + Duration::from_millis(50)).unwrap();
    assert_eq!((unspent.charge.cost, unspent.charge.mark), (4, (1, 2)));
    assert_eq!(&unspent.key[..], b"ann");
    assert!(near.is_charged(&unspent));
    assert!(
        near.known_answer(&[check], START + Duration::from_millis(50))
            .is_none()
    );
    assert!(near.unspent(START + Duration::from_secs(1)).is_none());

    let busy = leased(&check, 5);
    assert!(
        busy.known_answer(&[check], START + Duration::from_millis(49))
            .is_some()
    );
    assert!(busy.unspent(START + Duration::from_millis(50)).is_none());
    assert!(busy.unspent(START + Duration::from_millis(75)).is_some());
}

#[test]
fn a_lease_that_ends_soon_is_given_back_though_longer_ones_came_before() {
    // A lease lasts 2 s, or 100 ms.
    let (slow, fast) = (
        policy("6000 per minute token-bucket"),
        policy("10000 per second token-bucket"),
    );
    let check = |policy, key| Check {
        policy,
        key,
        cost: 1,
    };
    let near = Near::default();
    for check in [check(&slow, b"ann"), check(&fast, b"bob")] {
        let said = said(&check, 100);
        hear(&near, &[check], &said, &grant(5), (START, START));
    }
    let unspent = |ms| {
        let unspent = near.unspent(START + Duration::from_millis(ms));
        unspent.map(|unspent| unspent.key)
    };
    assert_eq!(unspent(60).as_deref(), Some(&b"bob"[..]));
    assert_eq!(unspent(60), None);
    assert_eq!(unspent(1_500).as_deref(), Some(&b"ann"[..]));
}

#[test]
fn no_more_leases_are_looked_at_again_than_there_is_room_for() {
    let policy = policy("10000 per second token-bucket");
    let near = Near::default();
    for key in 0..VISITS_MAX + 100 {
        let key = key.to_string();
        let check = Check {
            policy: &policy,
            key: key.as_bytes(),
            cost: 1,
        };
        let said = said(&check, 100);
        hear(&near, &[check], &said, &grant(5), (START, START));
    }
    assert_eq!(near.visits_len(), VISITS_MAX);
}

#[test]
fn however_often_units_of_a_key_are_granted_it_is_looked_at_again_once() {
    let policy = policy("10000 per second token-bucket");
    let check = Check {
        policy: &policy,
        key: b"ann",
        cost: 1,
    };
    let near = Near::default();
    for ms in 0..1_000 {
        let now = START + Duration::from_millis(ms);
        let said = said(&check, 100);
        hear(&near, &[check], &said, &grant(2), (now, now));
        assert!(near.known_answer(&[check], now).is_some());
        assert!(near.known_answer(&[check], now).is_some());
        hear(&near, &[check], &said, &grant(1), (now, now));
        assert!(near.unspent(now).is_none(), "all are spent");
        assert_eq!(near.visits_len(), 1, "after {ms} ms");
        assert!(near.known_answer(&[check], now).is_some());
    }
    // A lease that ends sooner is looked at sooner.
    let slow = Policy::new("slow", "6000 per minute token-bucket".parse().unwrap()).unwrap();
    let slow = Arc::new(slow.with_lease(Lease::Auto));
    let near = Near::default();
    let now = START + Duration::from_secs(2);
    for (sent, cost) in [(now, 5), (START, 6)] {
        let check = Check {
            policy: &slow,
            ..check
        };
        hear(
            &near,
            &[check],
            &said(&check, 9),
            &grant(cost),
            (sent, sent),
        );
    }
    let at = |ms| near.unspent(START + Duration::from_millis(ms));
    let units = |unspent: Option<Unspent>| unspent.map(|unspent| unspent.charge.cost);
    assert_eq!(units(at(1_000)), Some(5), "replaced");
    assert_eq!(units(at(1_000)), Some(6));
    assert_eq!(near.visits_len(), 1);
    assert!(at(3_000).is_none());
    assert_eq!(near.visits_len(), 0);
}

#[test]
fn resetting_a_policy_takes_no_lease_of_another_along() {
    let kept = policy("10000 per second token-bucket");
    let other = Policy::new("other", "10000 per second token-bucket".parse().unwrap()).unwrap();
    let other = Arc::new(other.with_lease(Lease::Auto));
    let near = Near::default();
    let checks = [&kept, &other].map(|policy| Check {
        policy,
        key: b"ann",
        cost: 1,
    });
    for check in checks {
        let said = said(&check, 100);
        hear(&near, &[check], &said, &grant(5), (START, START));
    }
    near.forget_all(&other);
    let pays = checks.map(|check| near.known_answer(&[check], START).is_some());
    assert_eq!(pays, [true, false]);
}

#[test]
fn units_that_were_granted_while_their_key_was_reset_are_not_spent() {
    let policy = policy("10000 per second token-bucket");
    let check = |key| Check {
        policy: &policy,
        key,
        cost: 1,
    };
    let (ann, bob) = (check(b"ann"), check(b"bob"));
    let resets: [fn(&Near, &Check<'_>); 2] = [
        |near, check| near.forget(None, check.policy, check.key),
        |near, check| near.forget_all(check.policy),
    ];
    for reset in resets {
        let near = Near::default();
        let asked = near.asks(None, &[ann], &[5], START);
        reset(&near, &ann);
        near.learn(None, &[ann], &said(&ann, 100), &grant(5), (asked, START));
        assert!(near.known_answer(&[ann], START).is_none());
        assert!(near.unspent(START + Duration::from_millis(60)).is_none());
        // The next ones are as good as ever, and so are those of other keys.
        for check in [ann, bob] {
            hear(
                &near,
                &[check],
                &said(&check, 100),
                &grant(5),
                (START, START),
            );
            assert!(near.known_answer(&[check], START).is_some());
        }
    }
    // What is given back says nothing about what was granted meanwhile.
    let near = Near::default();
    let asked = near.asks(None, &[ann], &[5], START);
    near.forget_denials(None, &[ann]);
    near.learn(None, &[ann], &said(&ann, 100), &grant(5), (asked, START));
    assert!(near.known_answer(&[ann], START).is_some());
}

#[test]
fn what_a_reset_has_forgotten_is_not_given_back() {
    let policy = policy("10000 per second token-bucket");
    let check = |key| Check {
        policy: &policy,
        key,
        cost: 1,
    };
    let near = Near::default();
    near.forget(None, &policy, b"ann");
    // Of keys that fall into one place all are taken to be reset.
    let is_elsewhere = |key: &&[u8]| {
        let (tag, policy) = (None, policy.name());
        near.resets(Named { tag, policy, key }) == 0
    };
    let others: [&[u8]; 4] = [b"bob", b"eve", b"kim", b"lee"];
    let other = others.into_iter().find(is_elsewhere).unwrap();
    for check in [check(b"ann"), check(other)] {
        hear(
            &near,
            &[check],
            &said(&check, 100),
            &grant(5),
            (START, START),
        );
    }
    let mut unspent: Vec<_> =
        std::iter::from_fn(|| near.unspent(START + Duration::from_millis(60))).collect();
    unspent.sort_by(|one, other| one.key.cmp(&other.key));
    near.forget(None, &policy, b"ann");
    let charged: Vec<bool> = unspent
        .iter()
        .map(|unspent| near.is_charged(unspent))
        .collect();
    assert_eq!(charged, [false, true]);
}
