use std::sync::Arc;
use std::time::Duration;

use tollgate::algorithm::Charge;
use tollgate::decide::{cells, decide};
use tollgate::{Check, Decision, Lease, Micros, Policy};

use super::{Look, Near};

const START: Micros = Micros::from_secs(1_000_000);

fn policy(quota: &str) -> Arc<Policy> {
    Arc::new(
        Policy::new("p", quota.parse().unwrap())
            .unwrap()
            .with_lease(Lease::Auto),
    )
}

/// What a store says to one check of a key that has used `used` units.
fn said(check: &Check<'_>, used: u64) -> Decision {
    let mut slots = vec![None; cells(&[*check]).len()];
    if used > 0 {
        let _ = decide(
            &[Check {
                cost: used,
                ..*check
            }],
            &mut slots,
            START,
        );
    }
    decide(&[*check], &mut slots, START)
}

fn grant(units: u64) -> [Charge; 1] {
    [Charge {
        cost: units,
        mark: (1, 2),
    }]
}

/// A node that has been asked for the key often, and has leased so many units at START.
fn leased(check: &Check<'_>, units: u64) -> Near {
    let near = Near::default();
    near.learn(
        None,
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
    near.learn(None, &[bare], &said(&bare, 0), &grant(1), (START, START));
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
            near.learn(None, &[check], &said(&check, 0), &grant(0), (now, now));
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
fn what_nobody_spends_is_given_back_before_it_ends() {
    let policy = policy("10000 per second token-bucket");
    let check = Check {
        policy: &policy,
        key: b"ann",
        cost: 1,
    };
    let near = leased(&check, 5);
    assert!(near.known_answer(&[check], START).is_some());
    assert!(near.unspent(START + Duration::from_millis(49)).is_empty());
    let unspent = near.unspent(START + Duration::from_millis(50));
    assert_eq!(
        (
            unspent.len(),
            unspent[0].charge.cost,
            unspent[0].charge.mark
        ),
        (1, 4, (1, 2))
    );
    assert_eq!(&unspent[0].key[..], b"ann");
    assert!(
        near.known_answer(&[check], START + Duration::from_millis(50))
            .is_none()
    );
    assert!(near.unspent(START + Duration::from_secs(1)).is_empty());

    let busy = leased(&check, 5);
    assert!(
        busy.known_answer(&[check], START + Duration::from_millis(49))
            .is_some()
    );
    assert!(busy.unspent(START + Duration::from_millis(50)).is_empty());
    assert_eq!(busy.unspent(START + Duration::from_millis(75)).len(), 1);
}

#[test]
fn a_denial_is_remembered_until_its_wait_is_over_or_for_a_second() {
    let policy = policy("10 per second token-bucket");
    let check = Check {
        policy: &policy,
        key: b"ann",
        cost: 1,
    };
    let near = Near::default();
    let denied = said(&check, 10);
    assert_eq!(denied.retry_after(), Some(Duration::from_millis(100)));
    near.learn(None, &[check], &denied, &[], (START, START));
    let after = |micros| near.known_answer(&[check], Micros(START.0 + micros));
    let again = after(40_000).unwrap();
    assert!(again.is_estimated());
    assert_eq!(again.retry_after(), Some(Duration::from_millis(60)));
    assert_eq!(
        after(99_999).unwrap().retry_after(),
        Some(Duration::from_micros(1))
    );
    assert!(after(100_000).is_none());
    for other in [
        Check { cost: 2, ..check },
        Check {
            key: b"bob",
            ..check
        },
    ] {
        assert!(near.known_answer(&[other], START).is_none());
    }
    let changed =
        Arc::new(Policy::new("p", "20 per second token-bucket".parse().unwrap()).unwrap());
    assert!(
        near.known_answer(
            &[Check {
                policy: &changed,
                ..check
            }],
            START
        )
        .is_none()
    );
    near.forget(None, &policy, b"ann");
    assert!(after(0).is_none());

    let slow = Arc::new(Policy::new("p", "5 per hour".parse().unwrap()).unwrap());
    let check = Check {
        policy: &slow,
        key: b"ann",
        cost: 1,
    };
    near.learn(None, &[check], &said(&check, 5), &[], (START, START));
    assert!(
        near.known_answer(&[check], Micros(START.0 + 999_999))
            .is_some()
    );
    assert!(
        near.known_answer(&[check], Micros(START.0 + 1_000_000))
            .is_none()
    );
    near.forget_denials(None, &[check]);
    assert!(near.known_answer(&[check], START).is_none());
}

#[test]
fn a_denial_that_something_else_than_time_can_end_is_not_remembered() {
    let near = Near::default();
    let slots = Arc::new(Policy::new("p", "1 concurrent".parse().unwrap()).unwrap());
    let counting = Policy::new("p", "5 per hour".parse().unwrap())
        .unwrap()
        .counting_denied(true);
    for policy in [slots, Arc::new(counting)] {
        let check = Check {
            policy: &policy,
            key: b"ann",
            cost: 1,
        };
        let denied = said(&check, policy.capacity().unwrap());
        assert!(!denied.is_allowed());
        near.learn(None, &[check], &denied, &[], (START, START));
        assert!(near.known_answer(&[check], START).is_none());
    }
}

#[test]
fn where_the_last_unit_went_the_next_request_is_denied_without_asking() {
    let policy = policy("10 per second token-bucket");
    let check = Check {
        policy: &policy,
        key: b"ann",
        cost: 1,
    };
    let near = Near::default();
    let last = said(&check, 9);
    assert!(last.is_allowed());
    near.learn(None, &[check], &last, &[], (START, START));
    let next = near.known_answer(&[check], START).unwrap();
    assert_eq!(next.retry_after(), Some(Duration::from_millis(100)));
    assert_eq!(next.standings()[0].charged(), 0);
    let third = said(&check, 8);
    near.learn(None, &[check], &third, &[], (START, START));
    assert!(near.known_answer(&[check], START).is_none(), "one is left");
    let dear = Check { cost: 2, ..check };
    near.learn(None, &[dear], &said(&dear, 8), &[], (START, START));
    assert!(near.known_answer(&[dear], START).is_none());
}

#[test]
fn when_a_denial_is_over_one_request_asks_and_the_others_wait_for_what_it_hears() {
    let policy = policy("10 per second token-bucket");
    let check = Check {
        policy: &policy,
        key: b"ann",
        cost: 1,
    };
    let near = Near::default();
    near.learn(None, &[check], &said(&check, 10), &[], (START, START));
    let over = START + Duration::from_millis(100);
    let Look::Ask(Some(probe)) = near.look(None, &[check], over) else {
        panic!("nobody asks yet");
    };
    let Look::Wait(heard) = near.look(None, &[check], over) else {
        panic!("one asks already");
    };
    near.learn(None, &[check], &said(&check, 9), &[], (over, over));
    assert!(!heard.is_closed());
    drop(probe);
    assert!(heard.is_closed());
    assert!(
        near.known_answer(&[check], over).is_some(),
        "the unit is gone again"
    );

    let again = over + Duration::from_millis(100);
    let Look::Ask(Some(gone)) = near.look(None, &[check], again) else {
        panic!("nobody asks yet");
    };
    drop(gone);
    assert!(
        matches!(near.look(None, &[check], again), Look::Ask(Some(_))),
        "who asked went away without an answer"
    );
}

#[test]
fn a_denial_that_was_on_its_way_while_its_key_was_reset_or_given_units_back_is_not_remembered() {
    let policy = policy("2 per minute");
    let check = |key| Check {
        policy: &policy,
        key,
        cost: 1,
    };
    let (ann, bob) = (check(b"ann"), check(b"bob"));
    let changes: [fn(&Near, &Check<'_>); 3] = [
        |near, check| near.forget(None, check.policy, check.key),
        |near, check| near.forget_denials(None, &[*check]),
        |near, check| near.forget_all(check.policy),
    ];
    for change in changes {
        let near = Near::default();
        let asked = near.generation(None, &[ann]);
        change(&near, &ann);
        let denied = said(&ann, 2);
        near.learn_of(asked, None, &[ann], &denied, &[], (START, START));
        assert!(near.known_answer(&[ann], START).is_none());
        // The next one is as good as ever, and keys that nobody has changed are remembered.
        for check in [ann, bob] {
            let asked = near.generation(None, &[check]);
            near.learn_of(asked, None, &[check], &denied, &[], (START, START));
            assert!(near.known_answer(&[check], START).is_some());
        }
    }
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
        near.learn(None, &[check], &said, &grant(5), (START, START));
    }
    let unspent = |ms| near.unspent(START + Duration::from_millis(ms));
    let soon: Vec<_> = unspent(60).into_iter().map(|unspent| unspent.key).collect();
    assert_eq!(soon, [(*b"bob").into()]);
    assert_eq!(unspent(1_500).len(), 1);
}

#[test]
fn no_more_leases_are_looked_at_again_than_there_is_room_for() {
    let policy = policy("10000 per second token-bucket");
    let near = Near::default();
    for key in 0..super::table::VISITS_MAX + 100 {
        let key = key.to_string();
        let check = Check {
            policy: &policy,
            key: key.as_bytes(),
            cost: 1,
        };
        let said = said(&check, 100);
        near.learn(None, &[check], &said, &grant(5), (START, START));
    }
    assert_eq!(near.visits_len(), super::table::VISITS_MAX);
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
        near.learn(None, &[check], &said, &grant(5), (START, START));
    }
    near.forget_all(&other);
    let pays = checks.map(|check| near.known_answer(&[check], START).is_some());
    assert_eq!(pays, [true, false]);
}
