//! Denials that are remembered.

use std::sync::Arc;
use std::time::Duration;

use tollgate::{Check, Micros, Policy};

use super::super::{Look, Near};
use super::{START, hear, policy, said};

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
    hear(&near, &[check], &denied, &[], (START, START));
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
    hear(&near, &[check], &said(&check, 5), &[], (START, START));
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
        hear(&near, &[check], &denied, &[], (START, START));
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
    hear(&near, &[check], &last, &[], (START, START));
    let next = near.known_answer(&[check], START).unwrap();
    assert_eq!(next.retry_after(), Some(Duration::from_millis(100)));
    assert_eq!(next.standings()[0].charged(), 0);
    let third = said(&check, 8);
    hear(&near, &[check], &third, &[], (START, START));
    assert!(near.known_answer(&[check], START).is_none(), "one is left");
    let dear = Check { cost: 2, ..check };
    hear(&near, &[dear], &said(&dear, 8), &[], (START, START));
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
    hear(&near, &[check], &said(&check, 10), &[], (START, START));
    let over = START + Duration::from_millis(100);
    let Look::Ask(Some(probe)) = near.look(None, &[check], over) else {
        panic!("nobody asks yet");
    };
    let Look::Wait(heard) = near.look(None, &[check], over) else {
        panic!("one asks already");
    };
    hear(&near, &[check], &said(&check, 9), &[], (over, over));
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
        let asked = near.asks(None, &[ann], &[], START);
        change(&near, &ann);
        let denied = said(&ann, 2);
        near.learn(None, &[ann], &denied, &[], (asked, START));
        assert!(near.known_answer(&[ann], START).is_none());
        // The next one is as good as ever, and keys that nobody has changed are remembered.
        for check in [ann, bob] {
            hear(&near, &[check], &denied, &[], (START, START));
            assert!(near.known_answer(&[check], START).is_some());
        }
    }
}
