//! Reading usage back: over time, by key, and in all.

use std::sync::Arc;

use tollgate::Micros;
use tollgate_accounts::{Asked, Credential, Outcome, Step, UsageCounts, UsagePoint, UserId};

use super::fixture::{Fixture, PASSWORD};
use super::usage::measured;

#[tokio::test]
async fn every_step_holds_all_counts_and_all_steps_add_up_to_the_same() {
    let (fixture, _) = Fixture::with_ann().await;
    let key = fixture.new_key("ci").await;
    let usage = fixture.accounts.usage();
    let routes = [Arc::from("GET /a"), Arc::from("GET /b")];
    // Ten batches over ten hours and two days: the clock begins at 13:46:40.
    for _ in 0..10 {
        for route in &routes {
            for outcome in [Outcome::Allowed, Outcome::Denied, Outcome::Failed] {
                usage.record(&measured(Some(&key), route, outcome), fixture.now());
            }
        }
        usage.record_bytes(Some(&key), &routes[0], (1, 10), fixture.now());
        usage.flush().await.unwrap();
        fixture.advance_secs(4_100);
    }
    let asked = Asked::WithKey(key.key.clone().unwrap());
    let expected = UsageCounts {
        allowed: 20,
        denied: 20,
        failed: 20,
        unauthenticated: 0,
        answers: [20, 0, 20, 20],
        latency_us: 20 * 3_010,
        latency_us_max: 2_000,
        bytes_in: 60 * 7 + 10,
        bytes_out: 60 * 100 + 100,
    };
    for (step, points) in [(Step::Minute, 10), (Step::Hour, 10), (Step::Day, 2)] {
        let series = usage
            .series(&asked, step, Micros(0), fixture.now())
            .await
            .unwrap();
        assert_eq!(series.len(), points, "{step:?}");
        assert!(series.keys().all(|at| *at == step.start_of(*at)));
        let sum = |of: fn(&UsageCounts) -> u64| {
            series.values().map(|point| of(&point.counts)).sum::<u64>()
        };
        assert_eq!(sum(UsageCounts::requests), 60);
        assert_eq!(sum(|counts| counts.answers[2]), 20);
        assert_eq!(sum(|counts| counts.latency_us), expected.latency_us);
        assert_eq!(sum(|counts| counts.bytes_in), expected.bytes_in);
        assert_eq!(sum(|counts| counts.bytes_out), expected.bytes_out);
        assert!(
            series
                .values()
                .all(|point| point.counts.latency_us_max == 2_000)
        );
        for policy in ["per-user.minute", "own.second"] {
            let denied: u64 = series.values().map(|point| point.denied_by[policy]).sum();
            assert_eq!(denied, 20, "{step:?} {policy}");
        }
    }
    let totals = fixture.other_process().await;
    let ids = [key.key.clone().unwrap()];
    let totals = totals.usage().counts_by_key(&ids).await.unwrap();
    assert_eq!(totals[key.key.as_ref().unwrap()], expected);
    let nobodys = usage.counts_by_key(&["0".into()]).await.unwrap();
    assert!(nobodys.is_empty());
}

#[tokio::test]
async fn a_range_begins_with_its_first_step_and_ends_before_its_last() {
    let (fixture, ann) = Fixture::with_ann().await;
    let key = fixture.new_key("ci").await;
    for _ in 0..4 {
        fixture.record(&key, Outcome::Allowed);
        fixture.advance_secs(60);
    }
    let usage = fixture.accounts.usage();
    usage.flush().await.unwrap();
    let first = Step::Minute.start_of(Micros::from_secs(1_000_000));
    let minute = |number: u64| Micros(first.0 + number * 60_000_000);
    let begins = async |asked: Asked, from, to| -> Vec<Micros> {
        let series = usage.series(&asked, Step::Minute, from, to).await.unwrap();
        series.into_keys().collect()
    };
    let asked = || Asked::WithKey(key.key.clone().unwrap());
    assert_eq!(
        begins(asked(), minute(1), minute(3)).await,
        [minute(1), minute(2)]
    );
    for other in [
        Asked::Without(ann.id),
        Asked::ByNobody,
        Asked::WithKey("no key \0 ".into()),
        Asked::Without("\0 ".into()),
        Asked::By("\0 ".into()),
        Asked::By("nobody".into()),
    ] {
        assert!(begins(other, minute(0), minute(9)).await.is_empty());
    }
}

#[tokio::test]
async fn all_that_a_user_asked_is_what_was_asked_with_each_key_and_without() {
    let (fixture, ann) = Fixture::with_ann().await;
    let keys = [fixture.new_key("ci").await, fixture.new_key("laptop").await];
    let bob = fixture.accounts.sign_up("bob", PASSWORD).await.unwrap();
    let session = |name: &'static str| {
        let accounts = &fixture.accounts;
        async move {
            let login = accounts.log_in(name, PASSWORD).await.unwrap();
            let cookie = Credential::Session(login.session_secret.expose());
            accounts.identify(&cookie).await.unwrap().unwrap()
        }
    };
    let (anns, bobs) = (session("ann").await, session("bob").await);
    let start = fixture.now();
    for _ in 0..3 {
        fixture.record(&keys[0], Outcome::Allowed);
        fixture.record(&keys[1], Outcome::Denied);
        fixture.record(&anns, Outcome::Allowed);
        fixture.record(&bobs, Outcome::Failed);
        fixture.advance_secs(1);
    }
    let usage = fixture.accounts.usage();
    usage.flush().await.unwrap();
    let counts = async |user: &UserId| {
        let asked = Asked::By(user.clone());
        let end = Micros(fixture.now().0 + 1);
        let seconds = usage.seconds(&asked, start, end);
        let days = usage
            .series(&asked, Step::Day, Micros(0), end)
            .await
            .unwrap();
        let sums = |points: std::collections::BTreeMap<Micros, UsagePoint>| {
            let counts = points.into_values().map(|point| point.counts);
            counts.fold((0, 0, 0), |(allowed, denied, failed), counts| {
                let (more_allowed, more_denied) = (counts.allowed, counts.denied);
                (
                    allowed + more_allowed,
                    denied + more_denied,
                    failed + counts.failed,
                )
            })
        };
        assert_eq!(seconds.len(), 3);
        (sums(seconds), sums(days))
    };
    assert_eq!(counts(&ann.id).await, ((6, 3, 0), (6, 3, 0)));
    assert_eq!(counts(&bob.id).await, ((0, 0, 3), (0, 0, 3)));
    assert!(
        usage
            .seconds(&Asked::By("nobody".into()), start, fixture.now())
            .is_empty()
    );
}

#[tokio::test]
async fn seconds_come_from_memory_with_all_counts() {
    let (fixture, ann) = Fixture::with_ann().await;
    let key = fixture.new_key("ci").await;
    let usage = fixture.accounts.usage();
    let route = Arc::from("GET /limit");
    let start = fixture.now();
    for outcome in [Outcome::Allowed, Outcome::Denied] {
        usage.record(&measured(Some(&key), &route, outcome), fixture.now());
        fixture.advance_secs(2);
    }
    let asked = Asked::WithKey(key.key.clone().unwrap());
    let seconds = usage.seconds(&asked, start, fixture.now());
    let begins: Vec<u64> = seconds.keys().map(|at| at.as_secs()).collect();
    assert_eq!(begins, [1_000_000, 1_000_002]);
    let first = &seconds[&start].counts;
    assert_eq!(
        (
            first.allowed,
            first.answers,
            first.latency_us,
            first.bytes_out
        ),
        (1, [1, 0, 0, 0], 1_000, 100)
    );
    assert!(usage.seconds(&asked, start, start).is_empty());
    assert!(
        usage
            .seconds(&Asked::Without(ann.id), start, fixture.now())
            .is_empty()
    );
}
