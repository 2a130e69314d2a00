use std::time::Duration;

use tollgate::Verdict;

use super::*;

fn away(nodes: u32) -> Away {
    Away::new(nodes, MemoryStore::BYTES_MIN, Arc::default())
}

fn policy(name: &str, quota: &str, on_error: OnError) -> Arc<Policy> {
    let policy = Policy::new(name, quota.parse().unwrap()).unwrap();
    Arc::new(policy.with_on_error(on_error))
}

fn check(policy: &Arc<Policy>) -> Check<'_> {
    Check {
        policy,
        key: b"ann",
        cost: 1,
    }
}

fn at(seconds: u64) -> Micros {
    Micros::from_secs(1_800_000_000 + seconds)
}

/// How many of twenty requests pass.
fn passed(away: &Away, checks: &[Check<'_>]) -> usize {
    (0..20)
        .filter(|_| away.decide(checks, at(0)).is_allowed())
        .count()
}

#[test]
fn local_is_this_nodes_share_of_every_algorithm_at_least_one() {
    for (quota, nodes, share) in [
        ("10 per minute", 3, 3),
        ("10 per minute", 1, 10),
        ("10 per minute", 11, 1),
        ("10 per minute fixed-window", 3, 3),
        ("10 per minute sliding-counter", 3, 3),
        ("10 per minute burst 6", 3, 2),
        ("10 per minute burst 18", 3, 6),
        ("10 concurrent", 3, 3),
    ] {
        let policy = policy("p", quota, OnError::Local);
        assert_eq!(
            passed(&away(nodes), &[check(&policy)]),
            share,
            "{quota} of {nodes}"
        );
    }
}

#[test]
fn every_decision_says_that_it_is_degraded() {
    let away = away(2);
    for on_error in [OnError::Open, OnError::Closed, OnError::Local] {
        let policy = policy("p", "2 per minute", on_error);
        for _ in 0..3 {
            assert!(away.decide(&[check(&policy)], at(0)).is_degraded());
            assert!(away.peek(&[check(&policy)], at(0)).is_degraded());
        }
    }
}

#[test]
fn open_passes_and_is_counted() {
    let away = away(2);
    let policy = policy("p", "1 per minute", OnError::Open);
    assert_eq!(passed(&away, &[check(&policy)]), 20);
    assert_eq!(away.stats.admitted_open(), 20);
    assert_eq!(
        (away.stats.decided_local(), away.stats.refused_closed()),
        (0, 0)
    );
    assert_eq!(
        away.decide(&[check(&policy)], at(0)).receipt(),
        None,
        "nothing is charged"
    );
}

#[test]
fn closed_refuses_without_a_time_to_come_back_and_charges_nobody() {
    let away = away(1);
    let (closed, local) = (
        policy("c", "9 per minute", OnError::Closed),
        policy("l", "1 per minute", OnError::Local),
    );
    let decision = away.decide(&[check(&local), check(&closed)], at(0));
    assert_eq!(
        decision.verdict(),
        Verdict::Refused {
            reason: Reason::StoreClosed
        }
    );
    assert_eq!(decision.retry_after(), None);
    assert_eq!(away.stats.refused_closed(), 1);
    assert!(away.decide(&[check(&local)], at(0)).is_allowed());
}

#[test]
fn what_only_the_whole_limit_holds_wants_the_store_and_what_is_more_than_that_never_passes() {
    let away = away(4);
    let verdicts = |policy: &Arc<Policy>, cost| {
        let checks = [Check {
            cost,
            ..check(policy)
        }];
        let reserved = away.reserve(&checks, at(0), at(600));
        let reserved = reserved.map_or_else(|denied| denied.verdict(), |_| Verdict::Allow);
        [
            away.peek(&checks, at(0)).verdict(),
            away.decide(&checks, at(0)).verdict(),
            reserved,
        ]
    };
    let reason = Reason::StoreClosed;
    for quota in ["8 per day", "8 per day burst 8", "8 concurrent"] {
        let local = policy("p", quota, OnError::Local);
        for cost in [3, 8] {
            assert_eq!(verdicts(&local, cost), [Verdict::Refused { reason }; 3]);
        }
        assert_eq!(verdicts(&local, 9), [Verdict::Never { max: 8 }; 3]);
        assert!(away.decide(&[check(&local)], at(0)).is_allowed());
        assert_eq!(away.peek(&[check(&local)], at(0)).remaining(), 1);
        let open = policy("open", quota, OnError::Open);
        assert_eq!(verdicts(&open, 3), [Verdict::Allow; 3]);
        let shadow = Policy::new("shadow", quota.parse().unwrap()).unwrap();
        let shadow = Arc::new(shadow.with_mode(Mode::Shadow));
        assert_eq!(verdicts(&shadow, 3), [Verdict::Allow; 3]);
        away.reset(&local, b"ann");
    }
}

#[test]
fn checks_of_one_request_are_charged_all_or_none() {
    let away = away(2);
    let open = policy("open", "1 per minute", OnError::Open);
    let (narrow, wide) = (
        policy("narrow", "4 per minute", OnError::Local),
        policy("wide", "100 per hour", OnError::Local),
    );
    let checks = [check(&open), check(&wide), check(&narrow)];
    assert_eq!(passed(&away, &checks), 2);
    let standings = away.peek(&checks, at(0)).standings().to_vec();
    // The limits are those of the policies, what remains is of this node's part, and of what is open nothing is known.
    let told = standings
        .iter()
        .map(|one| (one.limit(), one.remaining(), one.is_known()));
    let told: Vec<_> = told.collect();
    assert_eq!(told, [(1, 1, false), (100, 48, true), (4, 0, true)]);
    assert_eq!(
        (away.stats.admitted_open(), away.stats.decided_local()),
        (2, 20)
    );
}

#[test]
fn deny_and_unlimited_and_policies_that_only_watch_are_what_they_always_are() {
    let away = away(2);
    for on_error in [OnError::Open, OnError::Closed, OnError::Local] {
        let deny = policy("deny", "deny", on_error);
        let decision = away.decide(&[check(&deny)], at(0));
        assert_eq!(
            decision.verdict(),
            Verdict::Refused {
                reason: Reason::Policy
            }
        );
        assert_eq!(
            passed(&away, &[check(&policy("free", "unlimited", on_error))]),
            20
        );
        let shadow = Policy::new("shadow", "1 per minute".parse().unwrap()).unwrap();
        let shadow = Arc::new(shadow.with_mode(Mode::Shadow).with_on_error(on_error));
        assert_eq!(passed(&away, &[check(&shadow)]), 20);
    }
}

#[test]
fn what_was_charged_here_is_given_back_here() {
    let away = away(2);
    let policy = policy("p", "4 concurrent", OnError::Local);
    let checks = [check(&policy)];
    let receipts: Vec<_> = (0..2)
        .map(|_| away.decide(&checks, at(0)).receipt().unwrap())
        .collect();
    assert!(receipts.iter().all(Receipt::is_degraded));
    assert!(!away.decide(&checks, at(0)).is_allowed());
    assert_eq!(away.refund(&checks, &receipts[0], at(1)), 1);
    assert!(away.decide(&checks, at(1)).is_allowed());
}

#[test]
fn turns_and_settling_are_those_of_the_share() {
    let away = away(2);
    let policy = policy("p", "2 per minute", OnError::Local);
    let checks = [check(&policy)];
    assert!(away.decide(&checks, at(0)).is_allowed());
    let (turn, receipt) = away.reserve(&checks, at(0), at(60)).unwrap();
    assert_eq!(turn, at(60));
    assert!(receipt.is_degraded());
    let none = [Check {
        cost: 0,
        ..checks[0]
    }];
    away.settle(&none, &receipt, at(0));
    assert_eq!(away.reserve(&checks, at(0), at(60)).unwrap().0, at(60));
    let denied = away.reserve(&checks, at(0), at(60)).unwrap_err();
    assert!(denied.is_degraded());
    let closed = self::policy("c", "2 per minute", OnError::Closed);
    assert!(away.reserve(&[check(&closed)], at(0), at(60)).is_err());
}

#[test]
fn a_share_is_full_again_when_its_window_is_over() {
    let away = away(2);
    let policy = policy("p", "2 per minute", OnError::Local);
    let decision = |seconds| away.decide(&[check(&policy)], at(seconds));
    assert!(decision(0).is_allowed());
    assert_eq!(decision(1).retry_after(), Some(Duration::from_secs(59)));
    assert!(decision(60).is_allowed());
}

#[test]
fn more_policies_than_are_kept_are_decided_all_the_same() {
    let away = away(2);
    let policies: Vec<_> = (0..STAND_INS_MAX + 10)
        .map(|_| policy("p", "2 per minute", OnError::Local))
        .collect();
    assert!(away.decide(&[check(&policies[0])], at(0)).is_allowed());
    assert!(
        policies
            .iter()
            .skip(1)
            .all(|policy| !away.decide(&[check(policy)], at(1)).is_allowed())
    );
    assert!(away.stand_ins.read().unwrap().len() <= STAND_INS_MAX);
}

#[test]
fn turns_are_counted_as_decisions_are() {
    let away = away(2);
    for on_error in [OnError::Local, OnError::Open, OnError::Closed] {
        let policy = policy("p", "2 per minute", on_error);
        let _ = away.reserve(&[check(&policy)], at(0), at(60));
    }
    let counts = (
        away.stats.decided_local(),
        away.stats.admitted_open(),
        away.stats.refused_closed(),
    );
    assert_eq!(counts, (1, 1, 1));
}

#[test]
fn many_at_once_have_one_share_of_a_policy() {
    let away = away(2);
    let policy = policy("p", "40 per minute", OnError::Local);
    let passed = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| passed(&away, &[check(&policy)])))
            .collect();
        let each = threads.into_iter().map(|thread| thread.join().unwrap());
        each.sum::<usize>()
    });
    assert_eq!(passed, 20);
    assert_eq!(away.stand_ins.read().unwrap().len(), 1);
}
