//! What a stranger can make grow, and cannot.

use super::super::asked::{DESCRIPTORS_MAX, ENTRIES_MAX};
use super::super::messages::{RateLimitOverride, Unit};
use super::super::metrics::VALUES_MAX;
use super::super::overrides::OVERRIDES_MAX;
use super::*;

#[test]
fn a_value_that_is_longer_than_a_key_is_limited_like_any_other() {
    for decide in ["together", "apart"] {
        let fixture = Fixture::native(&format!(
            "[service.domains.d]\ndecide = \"{decide}\"\n[[service.domains.d.descriptors]]\nentries = [\"a\"]\nquotas = [\"2 per day\"]\n"
        ));
        let long = "v".repeat(60_000);
        let (one, other) = (format!("{long}1"), format!("{long}2"));
        assert_eq!(
            fixture.pass(&descriptor(&[("a", &one)]), 3),
            [true, true, false]
        );
        assert_eq!(
            fixture.pass(&descriptor(&[("a", &other)]), 3),
            [true, true, false]
        );
    }
}

#[test]
fn descriptors_and_entries_beyond_their_bounds_and_more_limits_than_a_decision_can_have_are_errors()
{
    let quotas: Vec<String> = (1..=9).map(|n| format!("\"1000 per {n} hours\"")).collect();
    let fixture = Fixture::native(&format!(
        "[[service.domains.d.descriptors]]\nentries = [\"a\"]\nquotas = [{}]\n",
        quotas.join(", ")
    ));
    let many = vec![descriptor(&[("b", "")]); DESCRIPTORS_MAX];
    fixture.ask(&many);
    let beyond = vec![descriptor(&[("b", "")]); DESCRIPTORS_MAX + 1];
    assert!(fixture.try_ask(&request("d", &beyond)).is_err());
    fixture.ask(&[descriptor(&[("b", ""); ENTRIES_MAX])]);
    let beyond = [descriptor(&[("b", ""); ENTRIES_MAX + 1])];
    assert!(fixture.try_ask(&request("d", &beyond)).is_err());
    let two = [descriptor(&[("a", "1")]), descriptor(&[("a", "2")])];
    assert_eq!(
        fixture.try_ask(&request("d", &two)).unwrap_err(),
        Refused::TOO_MANY
    );
    assert_eq!(
        fixture.left(&[("a", "1")]),
        1_000,
        "an error charges nothing"
    );
}

#[test]
fn limits_that_requests_bring_are_bounded_over_all_domains_and_those_that_are_known_go_on() {
    let fixture = Fixture::native(
        "[[service.domains.d.descriptors]]\nentries = [\"a\"]\nquotas = [\"2 per day\"]\n[[service.domains.e.descriptors]]\nentries = [\"a\"]\nquotas = [\"2 per day\"]\n",
    );
    let bring = |domain: &str, requests: usize| {
        let limit = RateLimitOverride {
            requests_per_unit: requests as u32,
            unit: Unit::Hour as i32,
            unit_multiplier: None,
        };
        let descriptor = RateLimitDescriptor {
            limit: Some(limit),
            ..descriptor(&[("a", "x")])
        };
        fixture.try_ask(&request(domain, &[descriptor])).is_ok()
    };
    let half = OVERRIDES_MAX / 2;
    assert!((1..=half).all(|requests| bring("d", requests)));
    assert!((1..=half).all(|requests| bring("e", requests)));
    assert!(!bring("d", half + 1) && !bring("e", half + 1));
    assert!(bring("d", half) && bring("e", 1), "who is known goes on");
    fixture
        .clock
        .advance(std::time::Duration::from_secs(86_400));
    let in_a_day = (1..=2 * OVERRIDES_MAX).filter(|requests| bring("d", half + requests));
    assert_eq!(in_a_day.count(), OVERRIDES_MAX);
    let known = fixture.domains.known();
    assert!(known.domain("d").unwrap().overrides.len() <= OVERRIDES_MAX);
}

#[test]
fn metrics_tell_values_apart_where_they_are_told_to_and_up_to_a_bound() {
    let fixture = Fixture::native(
        "[[service.domains.d.descriptors]]\nentries = [\"a\", \"b\"]\nmetric_values = [\"b\"]\nquotas = [\"2 per day\"]\n",
    );
    for value in 0..VALUES_MAX + 50 {
        fixture.ask(&[descriptor(&[("a", "secret"), ("b", &value.to_string())])]);
    }
    let metrics = fixture.metrics.encode();
    assert!(metrics.contains("descriptor=\"a/b=7\",outcome=\"ok\"} 1"));
    assert!(metrics.contains("descriptor=\"other\",outcome=\"ok\"} 50"));
    assert!(!metrics.contains("secret"));
    assert!(metrics.lines().count() < VALUES_MAX + 100);
}
