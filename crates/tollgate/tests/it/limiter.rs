//! The limiter as its users call it: the five timelines of the hourly module, and the edges of the interface.

use std::sync::Arc;

use tollgate::algorithm::{Denied, Facts};
use tollgate::{
    Algorithm, AlgorithmKind, Check, Checks, Decision, Limiter, LimiterBuilder, ManualClock,
    MemoryStore, Micros, Mode, Policy, PolicyError, Quota, Reason, State, Verdict,
};

fn hourly() -> Limiter {
    Limiter::new("100 per hour".parse::<Quota>().unwrap()).unwrap()
}

fn at(seconds: f64) -> Micros {
    Micros(1_800_000_000_000_000 + (seconds * 1e6) as u64)
}

#[test]
fn of_101_calls_at_once_the_101st_is_denied_and_none_before_it() {
    let limiter = hourly();
    let passed: Vec<bool> = (0..101)
        .map(|_| limiter.check_at("ann", at(0.0)).is_allowed())
        .collect();
    assert!(passed[..100].iter().all(|passed| *passed) && !passed[100]);
}

#[test]
fn of_200_calls_over_half_an_hour_the_first_hundred_pass() {
    let limiter = hourly();
    for call in 0..200 {
        assert_eq!(
            limiter
                .check_at("ann", at(f64::from(call) * 9.0))
                .is_allowed(),
            call < 100,
            "call {}",
            call + 1
        );
    }
}

#[test]
fn a_hundred_calls_over_one_hour_all_pass() {
    let limiter = hourly();
    assert!((0..100).all(|call| {
        limiter
            .check_at("ann", at(f64::from(call) * 36.0))
            .is_allowed()
    }));
}

#[test]
fn of_200_calls_over_one_hour_the_first_hundred_pass_and_so_does_the_one_at_3600() {
    let limiter = hourly();
    for call in 0..200 {
        assert_eq!(
            limiter
                .check_at("ann", at(f64::from(call) * 18.0))
                .is_allowed(),
            call < 100,
            "call {}",
            call + 1
        );
    }
    assert!(limiter.check_at("ann", at(3600.0)).is_allowed());
}

#[test]
fn three_requesters_are_limited_independently() {
    let limiter = hourly();
    for round in 0..101 {
        for requester in ["ann", "bob", "cy"] {
            assert_eq!(
                limiter
                    .check_at(requester, at(f64::from(round)))
                    .is_allowed(),
                round < 100,
                "{requester} round {round}"
            );
        }
    }
}

#[test]
fn strategies_are_interchangeable_by_one_argument() {
    for kind in [
        AlgorithmKind::SlidingWindow,
        AlgorithmKind::TokenBucket,
        AlgorithmKind::FixedWindow,
    ] {
        let limiter = Limiter::new(Quota::per_hour(100).unwrap().counted_by(kind)).unwrap();
        let passed = (0..101)
            .filter(|_| limiter.check_at("ann", at(0.0)).is_allowed())
            .count();
        assert_eq!(passed, 100, "{kind:?}");
    }
}

#[test]
fn state_is_reset_per_key_and_entirely() {
    let limiter = Limiter::new(Quota::per_hour(1).unwrap()).unwrap();
    let go = |key: &str| limiter.check_at(key, at(0.0)).is_allowed();
    assert!(go("ann") && go("bob") && !go("ann"));
    assert!(limiter.reset("ann"));
    assert!(go("ann") && !go("bob"));
    limiter.reset_all();
    assert!(go("ann") && go("bob"));
}

#[test]
fn a_reset_tells_whether_any_policy_knew_the_key() {
    let quotas = Quota::parse_list("1 per minute; 1 per hour").unwrap();
    let limiter = Limiter::builder().quotas(quotas).build().unwrap();
    assert!(!limiter.reset("ann"));
    assert!(limiter.check_at("ann", at(0.0)).is_allowed());
    assert!(limiter.reset("ann"));
    assert!(!limiter.reset("ann"));
}

#[test]
fn a_refund_makes_room_for_another() {
    let clock = Arc::new(ManualClock::new(at(0.0)));
    let limiter = Limiter::builder()
        .quotas(Quota::per_hour(1).unwrap())
        .clock(clock)
        .build()
        .unwrap();
    let receipt = limiter.check("ann").receipt().unwrap();
    assert!(!limiter.check("ann").is_allowed());
    assert_eq!(limiter.refund("ann", &receipt), 1);
    assert!(limiter.check("ann").is_allowed());
}

#[test]
fn a_key_beyond_the_limit_is_refused_and_not_stored() {
    let limiter = hourly();
    let refused = limiter.check(vec![b'x'; 1025]);
    assert!(matches!(
        refused.verdict(),
        Verdict::Refused {
            reason: tollgate::Reason::KeyTooLong
        }
    ));
    let mut decisions = Vec::new();
    limiter.check_batch([[b'x'; 1025]; 2], &mut decisions);
    let verdicts: Vec<_> = decisions.iter().map(Decision::verdict).collect();
    assert_eq!(verdicts, [refused.verdict(); 2]);
    assert_eq!(limiter.store().stats(tollgate::Micros(0)).keys, 0);
    limiter.check_batch([[b'x'; 1024]; 2], &mut decisions);
    assert!(decisions.iter().all(Decision::is_allowed));
    let both = Limiter::new(Quota::parse_list("5 per minute; 9 per hour").unwrap()).unwrap();
    assert!(both.check([b'x'; 1024]).is_allowed());
    assert!(!both.check([b'x'; 1025]).is_allowed());
}

#[test]
fn policies_are_told_in_the_order_of_every_decisions_standings() {
    let quotas = Quota::parse_list("9 per day; 5 per hour; 7 per minute").unwrap();
    let limiter = Limiter::builder().quotas(quotas).build().unwrap();
    let capacities = limiter.policies().iter().map(|policy| policy.capacity());
    let decision = limiter.check("ann");
    let limits = decision.standings().iter().map(|one| Some(one.limit()));
    assert!(capacities.eq(limits) && limiter.policies().len() == 3);
}

#[test]
fn a_decision_says_whether_it_was_made_without_its_store() {
    let decision = hourly().check_at("ann", at(7.0));
    assert_eq!(decision.at(), at(7.0));
    assert!(!decision.is_degraded());
    let degraded = decision.clone().degraded();
    assert!(degraded.is_degraded());
    assert_eq!(degraded.verdict(), decision.verdict());
}

#[test]
fn a_limiter_that_cannot_be_meant_is_refused_when_it_is_built() {
    let build = |builder: LimiterBuilder| builder.build().err().unwrap();
    assert_eq!(build(Limiter::builder()), PolicyError::Empty);
    assert_eq!(
        build(Limiter::builder().quotas(Quota::parse_list("5/m; 6/m").unwrap())),
        PolicyError::SameName("minute".into())
    );
    let policies = |count: u64| {
        let named = |n: u64| Policy::new(&format!("p{n}"), Quota::per_second(n).unwrap()).unwrap();
        let add = |builder: LimiterBuilder, n| builder.policy(named(n));
        (1..=count).fold(Limiter::builder(), add)
    };
    assert!(policies(16).build().is_ok());
    assert_eq!(build(policies(17)), PolicyError::TooMany { max: 16 });
    for name in ["", "no \"quotes\"", "no blanks", &"long".repeat(33)] {
        let named = Limiter::builder().named(name, Quota::per_second(1).unwrap());
        assert_eq!(build(named), PolicyError::Name, "{name}");
    }
    let fine = Quota::per_second(1 << 53).unwrap().burst(1 << 53).unwrap();
    assert!(Policy::new("p", fine).is_ok());
    let prime = Quota::new(
        9_007_199_254_740_881,
        std::time::Duration::from_micros(1_000_003),
    )
    .unwrap()
    .burst(9_007_199_254_740_881)
    .unwrap();
    assert!(
        Policy::new("p", prime).is_ok(),
        "the tick becomes the period"
    );
    let large = "1 per 1000003 us burst 9007199254740992".parse().unwrap();
    assert!(matches!(
        Policy::new("p", large),
        Err(PolicyError::TooFine(_)) | Ok(_)
    ));
    let zone = "5 per day calendar Mars/Olympus".parse().unwrap();
    assert_eq!(
        Policy::new("p", zone).unwrap_err(),
        PolicyError::Zone("Mars/Olympus".into())
    );
}

#[test]
fn a_calendar_window_ends_with_the_day_of_its_zone() {
    // 2026-11-21T22:00:00Z is 23:00 in Berlin.
    let evening = Micros::from_secs(1_795_298_400);
    let limiter =
        Limiter::new("2 per day calendar Europe/Berlin".parse::<Quota>().unwrap()).unwrap();
    assert!(
        limiter.check_at("ann", evening).is_allowed()
            && limiter.check_at("ann", evening).is_allowed()
    );
    assert_eq!(
        limiter.check_at("ann", evening).retry_after_secs(),
        Some(3600)
    );
    assert!(
        limiter
            .check_at("ann", Micros(evening.0 + 3_600_000_000))
            .is_allowed()
    );
}

#[test]
fn a_shared_store_keeps_limiters_apart_by_the_names_of_their_policies() {
    let store = Arc::new(tollgate::MemoryStore::new());
    let limiter = |name: &str| {
        Limiter::builder()
            .store(Arc::clone(&store))
            .named(name, Quota::per_hour(1).unwrap())
            .build()
            .unwrap()
    };
    let (one, other) = (limiter("one"), limiter("other"));
    assert!(one.check("ann").is_allowed() && other.check("ann").is_allowed());
    one.reset_all();
    assert!(one.check("ann").is_allowed() && !other.check("ann").is_allowed());
}

#[test]
fn of_a_policy_that_denies_nothing_remains() {
    let limiter = Limiter::new(Quota::deny()).unwrap();
    let standing = limiter.check("ann").standings()[0];
    assert_eq!((standing.limit(), standing.remaining()), (0, 0));
}

#[test]
fn a_request_has_sixteen_checks_at_most() {
    let policy = Arc::new(Policy::new("p", Quota::per_hour(5).unwrap()).unwrap());
    let keys: Vec<String> = (0..17).map(|key| key.to_string()).collect();
    let check = |key: usize| Check {
        policy: &policy,
        key: keys[key].as_bytes(),
        cost: 1,
    };
    let mut checks = Checks::new();
    assert!((0..16).all(|key| checks.push(check(key)).is_ok()));
    assert_eq!(checks.push(check(16)), Err(Reason::TooManyChecks));
    // One more of a key that is there adds to its cost.
    assert_eq!(checks.push(check(15)), Ok(()));
    assert_eq!((checks.len(), checks[15].cost), (16, 2));
}

#[test]
fn shadow_is_a_mode_of_a_policy() {
    let shadow = Policy::new("watch", Quota::per_hour(1).unwrap())
        .unwrap()
        .with_mode(Mode::Shadow);
    let limiter = Limiter::builder().policy(shadow).build().unwrap();
    let first = limiter.check("ann");
    assert!(first.is_allowed() && first.standings()[0].is_shadow());
    let second = limiter.check("ann");
    assert!(second.is_allowed() && second.standings()[0].is_violated());
    assert!(!hourly().check("ann").standings()[0].is_shadow());
}

#[test]
fn a_batch_decides_what_its_checks_one_after_another_would() {
    let policy = |name: &str, quota: &str| {
        let policy = Policy::new(name, quota.parse().unwrap()).unwrap();
        Arc::new(policy.with_mode(if name == "watch" {
            Mode::Shadow
        } else {
            Mode::Enforce
        }))
    };
    let policies = [
        policy("bucket", "3 per minute token-bucket"),
        policy("window", "3 per minute"),
        policy("counter", "3 per minute sliding-counter"),
        policy("slots", "2 concurrent"),
        policy("none", "deny"),
        policy("watch", "1 per minute"),
    ];
    let keys: Vec<String> = (0..7).map(|key| "k".repeat(1 + 4 * key)).collect();
    let (together, alone) = (MemoryStore::new(), MemoryStore::new());
    let mut decisions = Vec::new();
    for (round, count) in [0, 1, 15, 16, 17, 100, 1].into_iter().enumerate() {
        let checks: Vec<Check<'_>> = (0..count)
            .map(|place| Check {
                policy: &policies[place * 5 % policies.len()],
                key: keys[place * 3 % keys.len()].as_bytes(),
                cost: [1, 1, 0, 2, 4][place % 5],
            })
            .collect();
        let now = at(round as f64 * 13.0);
        decisions.clear();
        together.decide_batch(&checks, now, &mut decisions);
        let one_by_one: Vec<Decision> = checks
            .iter()
            .map(|check| {
                let policy = Arc::new(Policy::clone(check.policy));
                let mut checks = Checks::new();
                checks
                    .push(Check {
                        policy: &policy,
                        ..*check
                    })
                    .unwrap();
                alone.decide(&checks, now)
            })
            .collect();
        assert_eq!(decisions, one_by_one);
    }
}

#[test]
fn what_an_algorithm_of_ones_own_says_of_no_time_is_a_denial() {
    let policy = Policy::custom("far", Arc::new(Far)).unwrap();
    let limiter = Limiter::builder().policy(policy).build().unwrap();
    for now in 0..5 {
        let verdict = limiter.check_at("ann", Micros(now)).verdict();
        assert!(
            matches!(verdict, Verdict::Deny { .. }),
            "{verdict:?} at {now}"
        );
    }
}

/// Denies until the end of all time.
#[derive(Debug)]
struct Far;

impl Algorithm for Far {
    fn name(&self) -> &'static str {
        "far"
    }

    fn capacity(&self) -> u64 {
        1
    }

    fn full_refill_micros(&self) -> u64 {
        1
    }

    fn step(&self, _: Option<State>, _: Micros, _: u64) -> Result<State, Denied> {
        let fits_at = Some(Micros(u64::MAX));
        Err(Denied { fits_at })
    }

    fn facts(&self, _: Option<&State>, _: Micros, _: u64) -> Facts {
        Facts {
            used: 1,
            remaining: 0,
            fits_at: Some(Micros(u64::MAX)),
            grows_at: Some(Micros(u64::MAX)),
            void_at: Micros(u64::MAX),
        }
    }
}
