//! Files that change.

use std::time::Duration;

use tollgate_gateway::counters::{Shared, SharedState};
use tollgate_redis::{RedisStore, Settings};
use tollgate_testkit::redis::{RedisEngine, RedisServer};

use super::super::asked::Asked;
use super::super::domains::Known;
use super::*;

fn limits(requests: u32) -> String {
    format!(
        "domain: d\ndescriptors:\n  - key: a\n    rate_limit: {{unit: day, requests_per_unit: {requests}}}\n"
    )
}

/// Puts another file in its place, as an editor does.
fn replace(fixture: &Fixture, text: &str) {
    replace_file(fixture, 0, text);
}

fn replace_file(fixture: &Fixture, place: usize, text: &str) {
    let file = &fixture.files[place];
    let beside = file.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(beside, file).unwrap();
    fixture.domains.read_changed();
}

#[test]
fn a_file_that_changes_is_read_again_and_counters_stay() {
    let fixture = Fixture::yaml(&limits(5));
    let a = descriptor(&[("a", "x")]);
    assert_eq!(fixture.pass(&a, 4), [true; 4]);
    replace(&fixture, &limits(6));
    assert_eq!(fixture.left(&[("a", "x")]), 2);
    replace(&fixture, &limits(3));
    assert_eq!(fixture.pass(&a, 1), [false]);
    assert!(
        fixture
            .metrics
            .encode()
            .contains("tollgate_service_domain_loads_total 3")
    );
}

#[test]
fn a_file_that_is_wrong_is_kept_out_and_measured_until_it_is_right_again() {
    let fixture = Fixture::yaml(&limits(5));
    let measured = |kept_out: u32, current: u32| {
        let metrics = fixture.metrics.encode();
        let told = format!("tollgate_service_domain_load_errors_total {kept_out}\n");
        let state = format!("tollgate_service_domains_current {current}\n");
        assert!(
            metrics.contains(&told) && metrics.contains(&state),
            "{metrics}"
        );
    };
    measured(0, 1);
    replace(&fixture, "domain: d\ndescriptors: [{keey: a}]\n");
    measured(1, 0);
    assert_eq!(fixture.left(&[("a", "x")]), 5, "what was read before stays");
    fixture.domains.read_changed();
    measured(1, 0);
    replace(&fixture, &limits(7));
    measured(1, 1);
    assert_eq!(fixture.left(&[("a", "x")]), 7);
    std::fs::remove_file(&fixture.files[0]).unwrap();
    fixture.domains.read_changed();
    measured(1, 1);
    assert_eq!(
        fixture.left(&[("a", "x")]),
        7,
        "a file that is gone has not changed"
    );
}

#[test]
fn a_file_with_the_same_limits_is_counted_under_the_same_policies() {
    let fixture = Fixture::yaml(&limits(5));
    let policy = || {
        let known = fixture.domains.known();
        let found = known.domain("d").unwrap().domain.find([("a", "")]).cloned();
        Arc::clone(&found.unwrap().policies()[0])
    };
    let before = policy();
    replace(&fixture, &format!("# a comment\n{}", limits(5)));
    assert!(Arc::ptr_eq(&before, &policy()));
}

#[test]
fn files_that_cannot_stand_beside_each_other_are_measured_until_one_is_changed() {
    let other = limits(5).replace("domain: d", "domain: e");
    let fixture = Fixture::files(&[&limits(5), &other]);
    let is_current = |current: u32| {
        let state = format!("tollgate_service_domains_current {current}\n");
        fixture.metrics.encode().contains(&state)
    };
    assert!(is_current(1));
    replace_file(&fixture, 1, &limits(9));
    assert!(is_current(0));
    fixture.domains.read_changed();
    assert!(is_current(0), "a second later it is no better");
    assert_eq!(fixture.left(&[("a", "x")]), 5, "what was read before stays");
    replace_file(&fixture, 1, &other);
    assert!(is_current(1));
}

#[test]
fn what_was_counted_of_a_descriptor_that_is_gone_is_told_no_longer() {
    let with = |name: &str, keys: &[&str]| {
        let each = keys.iter().map(|key| {
            format!("  - key: {key}\n    value_to_metric: true\n    rate_limit: {{unit: day, requests_per_unit: 5}}\n")
        });
        format!("domain: {name}\ndescriptors:\n{}", each.collect::<String>())
    };
    let fixture = Fixture::yaml(&with("d", &["a", "b"]));
    fixture.ask(&[descriptor(&[("a", "x")])]);
    fixture.ask(&[descriptor(&[("b", "y")])]);
    let series = |labels: &str| fixture.metrics.encode().contains(labels);
    let (a, b) = (
        "domain=\"d\",descriptor=\"a=x\"",
        "domain=\"d\",descriptor=\"b=y\"",
    );
    assert!(series(a) && series(b));
    replace(&fixture, &with("d", &["a", "c"]));
    assert!(series(a), "{}", fixture.metrics.encode());
    assert!(!series(b) && !series("descriptor=\"b\""));
    assert!(series("descriptor=\"c\""));
    replace(&fixture, &with("e", &["a"]));
    assert!(!series("domain=\"d\"") && series("domain=\"e\""));
}

#[test]
fn limits_that_requests_brought_are_no_newcomers_to_a_domain_that_is_read_again() {
    let fixture = Fixture::yaml(&limits(5));
    let brought = RateLimitDescriptor {
        limit: Some(super::super::messages::RateLimitOverride {
            requests_per_unit: 3,
            unit: super::super::messages::Unit::Hour as i32,
            unit_multiplier: None,
        }),
        ..descriptor(&[("a", "x")])
    };
    assert_eq!(fixture.pass(&brought, 2), [true; 2]);
    replace(&fixture, &limits(6));
    let known = fixture.domains.known();
    assert_eq!(known.domain("d").unwrap().overrides.len(), 1);
    assert_eq!(fixture.pass(&brought, 2), [true, false]);
}

/// Otherwise it would move what is counted to the old numbers, as if these were the newest.
#[tokio::test]
async fn a_request_under_way_is_decided_under_the_version_of_the_limits_that_it_took() {
    let server = RedisServer::new(RedisEngine::Redis);
    let a_minute = Duration::from_secs(60);
    let patient = Settings::default().with_deadline(a_minute);
    let patient = patient.with_connect_timeout(a_minute);
    let store = RedisStore::connect(server.url().parse().unwrap(), patient);
    let store = store.await.unwrap();
    let shared = Shared::new(
        Arc::new(store.clone()),
        Arc::new(SharedState::default),
        tokio::runtime::Handle::current(),
    );
    let counters = Counters::from(shared);
    let of_file = counters.clone();
    let on_loaded: OnLoaded = Box::new(move |_| {
        store.raise_version(store.version() + 1);
        of_file.through(Arc::new(store.with_own_version()))
    });
    let limits = |requests| limits(requests).replace("day", "year");
    let fixture = Fixture::loading("", &[&limits(6)], counters, Some(on_loaded));
    let asked = request("d", &[descriptor(&[("a", "x")])]);
    let pass = async |known: &Known| {
        let asked = Asked::of(&asked, known, START).unwrap();
        let patient = Deadline::of(&HeaderMap::new());
        let decided = fixture.grpc.decide(&asked, patient, START).await;
        !decided.unwrap()[0].is_over
    };
    let old = fixture.domains.known();
    replace(&fixture, &limits(3));
    let new = fixture.domains.known();
    assert!(pass(&new).await && pass(&new).await && pass(&old).await);
    assert!(!pass(&old).await, "of the new limit nothing is left");
    assert!(!pass(&new).await);
}
