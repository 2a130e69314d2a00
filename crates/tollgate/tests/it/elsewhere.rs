//! What stores elsewhere, and the nodes that ask them, take from this crate.

use std::sync::Arc;
use std::time::Duration;

use tollgate::algorithm::Charge;
use tollgate::decide::{self, Stored};
use tollgate::{
    Check, Checks, Decision, Lease, Limiter, Micros, Numbers, Penalty, Policy, PolicyError, Quota,
    Verdict,
};

const NOW: Micros = Micros(1_000_000_000_000);

fn policy(quota: &str) -> Policy {
    Policy::new("p", quota.parse().unwrap()).unwrap()
}

fn check(policy: &Arc<Policy>) -> Check<'_> {
    Check {
        policy,
        key: b"ann",
        cost: 1,
    }
}

fn allowed(policy: &Arc<Policy>, slots: &mut [Option<Stored>]) -> Decision {
    let decision = decide::decide(&[check(policy)], slots, NOW);
    assert!(decision.is_allowed());
    decision
}

#[test]
fn a_lease_takes_what_is_wanted_but_at_most_a_quarter_of_what_remains() {
    for (wanted, taken) in [(0, 0), (1, 1), (24, 24), (25, 24), (100, 24)] {
        let policy = Arc::new(policy("100 per second token-bucket").with_lease(Lease::Units(100)));
        let mut slots = [None];
        let _ = allowed(&policy, &mut slots);
        let charges = decide::lease(&[check(&policy)], &mut slots, NOW, &[wanted]);
        assert_eq!(
            charges.iter().map(|charge| charge.cost).collect::<Vec<_>>(),
            [taken]
        );
        let left = decide::peek(&[check(&policy)], &slots, NOW).remaining();
        // What is leased is charged as at the end of the lease, so a node loses what refills until then as well.
        assert!(left <= 99 - taken && (taken > 0 || left == 99), "{left}");
    }
}

#[test]
fn without_terms_nothing_is_leased() {
    let policy = Arc::new(policy("100 per second token-bucket"));
    let mut slots = [None];
    let _ = allowed(&policy, &mut slots);
    let before = decide::peek(&[check(&policy)], &slots, NOW).remaining();
    let charges = decide::lease(&[check(&policy)], &mut slots, NOW, &[10]);
    assert_eq!(charges[0].cost, 0);
    assert_eq!(
        decide::peek(&[check(&policy)], &slots, NOW).remaining(),
        before
    );
}

#[test]
fn a_denial_that_is_told_again_later_waits_so_much_shorter() {
    let policy = Arc::new(policy("1 per 10 seconds token-bucket"));
    let mut slots = [None];
    let _ = allowed(&policy, &mut slots);
    let denied = decide::decide(&[check(&policy)], &mut slots, NOW);
    assert!(!denied.is_estimated());
    let later = denied.remembered(Duration::from_secs(3));
    let retry_after = Duration::from_secs(7);
    assert_eq!(later.verdict(), Verdict::Deny { retry_after });
    assert_eq!(later.standings()[0].retry_after(), Some(retry_after));
    assert!(later.is_estimated() && !later.is_degraded());
    let later = denied.remembered(Duration::from_millis(2_500));
    assert_eq!(
        later.retry_after_secs(),
        Some(8),
        "whole, and never too early"
    );
    let later = denied.degraded().remembered(Duration::from_secs(3));
    assert!(later.is_degraded());
}

#[test]
fn a_denied_request_leaves_the_state_of_another_algorithm_where_it_is() {
    let before = Arc::new(policy("5 per minute fixed-window"));
    let after = Arc::new(policy("5 per minute token-bucket"));
    let never = Arc::new(Policy::new("never", Quota::deny()).unwrap());
    let mut slots = [None, None];
    let _ = decide::decide(&[check(&before)], &mut slots[..1], NOW);
    let denied = decide::decide(&[check(&after), check(&never)], &mut slots, NOW);
    assert!(!denied.is_allowed());
    let left = decide::peek(&[check(&before)], &slots[..1], NOW).remaining();
    assert_eq!(left, 4);
}

#[test]
fn what_a_node_pays_from_its_own_units_stands_with_what_it_has_left() {
    let policy = Arc::new(policy("5 per 10 seconds token-bucket"));
    let standing = allowed(&policy, &mut [None]).standings()[0];
    let charge = Charge {
        cost: 2,
        ..Charge::default()
    };
    for (left, remaining) in [(3, 3), (9, 5)] {
        let later = standing.later_with(Duration::from_secs(1), left, charge);
        assert_eq!((later.remaining(), later.charged()), (remaining, 2));
        let second = Duration::from_secs(1);
        assert_eq!(
            (later.grows_after(), later.full_after()),
            (Some(second), second)
        );
    }
}

#[test]
fn a_decision_in_the_place_of_others_tells_their_limits() {
    let policy = Arc::new(policy("5 per 10 seconds token-bucket"));
    let decision = allowed(&policy, &mut [None]);
    for (others, limit, remaining) in [(Some(3), 3, 3), (Some(9), 9, 4), (None, 5, 4)] {
        let told = decision.clone().in_place_of([others]);
        let standing = told.standings()[0];
        assert_eq!((standing.limit(), standing.remaining()), (limit, remaining));
        assert!(told.is_degraded() && standing.is_known());
    }
    let mut more = check(&policy);
    more.cost = 10;
    let never = decide::decide(&[more], &mut [None], NOW);
    assert_eq!(never.verdict(), Verdict::Never { max: 5 });
    let told = never.in_place_of([Some(9)]);
    assert_eq!(told.verdict(), Verdict::Never { max: 9 });
    let unlimited = allowed(
        &Arc::new(Policy::new("p", Quota::unlimited()).unwrap()),
        &mut [None],
    );
    let open = unlimited.in_place_of([Some(3)]).standings()[0];
    assert_eq!(
        (open.limit(), open.remaining(), open.is_known()),
        (3, 3, false)
    );
}

#[test]
fn a_decision_that_left_nothing_tells_what_the_next_unit_would_be_told() {
    let policy = Arc::new(policy("2 per 10 seconds token-bucket"));
    let mut slots = [None];
    assert_eq!(allowed(&policy, &mut slots).exhausted(), None);
    let last = allowed(&policy, &mut slots);
    let next = last.exhausted().unwrap();
    let asked = decide::decide(&[check(&policy)], &mut slots, NOW);
    assert_eq!(next.verdict(), asked.verdict());
    assert_eq!(
        (last.standings()[0].charged(), next.standings()[0].charged()),
        (1, 0)
    );
    let retry_after = Duration::from_secs(5);
    assert_eq!(next.verdict(), Verdict::Deny { retry_after });
}

#[test]
fn a_receipt_is_degraded_only_when_it_says_so() {
    let policy = Arc::new(policy("2 per minute"));
    let receipt = allowed(&policy, &mut [None]).receipt().unwrap();
    assert!(!receipt.is_degraded());
    assert!(receipt.degraded().is_degraded());
}

#[test]
fn what_several_checks_were_charged_is_given_back_to_the_unit() {
    let limiter = Limiter::new(Quota::per_second(1).unwrap()).unwrap();
    let [user, address] = ["5 per minute", "7 per minute"].map(|quota| Arc::new(policy(quota)));
    let mut checks = Checks::new();
    checks.push(check(&user)).unwrap();
    let of_address = Check {
        policy: &address,
        key: b"192.0.2.1",
        cost: 3,
    };
    checks.push(of_address).unwrap();
    let receipt = limiter.check_all(&checks).receipt().unwrap();
    let costs = receipt.charges().iter().map(|charge| charge.cost);
    assert!(costs.eq([1, 3]));
    assert_eq!(limiter.refund_all(&checks, &receipt), 4);
    assert_eq!(limiter.refund_all(&checks, &receipt), 0);
}

#[test]
fn a_charge_is_not_given_back_to_the_units_of_another_algorithm() {
    let both = ["2 concurrent", "5 per minute token-bucket"].map(|quota| Arc::new(policy(quota)));
    for [charged, counts] in [[0, 1], [1, 0]].map(|places| places.map(|place: usize| &both[place]))
    {
        let receipt = allowed(charged, &mut [None]).receipt().unwrap();
        let mut slots = [None];
        let _ = allowed(counts, &mut slots);
        let given_back = decide::refund(&[check(charged)], &mut slots, &receipt, NOW);
        let left = decide::peek(&[check(counts)], &slots, NOW).standings()[0].used();
        assert_eq!((given_back, left), (0, 1), "{charged:?}");
    }
}

#[test]
fn a_policy_of_the_blocks_of_a_penalty_comes_back_from_its_numbers() {
    let penalty = Penalty::new(Duration::from_secs(60)).growing(2, Duration::from_secs(600));
    let policy = Policy::of_numbers("p", &Numbers::Penalty(penalty), 0).unwrap();
    // The quiet time, where none was said, is worked out.
    let numbers = policy.numbers().unwrap();
    assert!(matches!(numbers, Numbers::Penalty(found) if found.block() == Duration::from_secs(60)));
    let again = Policy::of_numbers("p", &numbers, 0).unwrap();
    assert_eq!(again.numbers(), Some(numbers));
}

#[test]
fn too_much_for_an_algorithm_is_told_with_the_most_it_counts() {
    let max = (1 << 31) - 1;
    let quota = |limit: u64| format!("{limit} per hour sliding-counter").parse().unwrap();
    assert!(Policy::new("p", quota(max)).is_ok());
    let refused = Policy::new("p", quota(max + 1)).unwrap_err();
    assert!(
        matches!(refused, PolicyError::TooMuch(_, told) if told == max),
        "{refused}"
    );
}

#[test]
fn a_quota_of_two_algorithms_is_refused_with_the_reason() {
    let refused = "5 per minute token-bucket fixed-window".parse::<Quota>();
    let refused = refused.unwrap_err();
    assert_eq!(refused.message(), "a quota has one algorithm");
    assert_eq!(refused.span(), 26..38);
}
