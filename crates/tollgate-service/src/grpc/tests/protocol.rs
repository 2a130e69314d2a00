//! The traps of the protocol.

use super::super::messages::{RateLimitOverride, Unit};
use super::*;

const FIVE: &str = "
[[service.domains.d.descriptors]]
entries = [\"a\"]
name = \"five\"
quotas = [\"5 per minute fixed-window\"]
";

#[test]
fn an_unknown_domain_and_a_descriptor_without_a_limit_are_within_their_limits() {
    let fixture = Fixture::native(FIVE);
    let unknown = fixture
        .try_ask(&request("other", &[descriptor(&[("a", "")])]))
        .unwrap();
    assert_eq!(unknown.overall_code, Code::Ok as i32);
    assert_eq!(unknown.statuses[0].code, Code::Ok as i32);
    let answer = fixture.ask(&[
        descriptor(&[("b", "")]),
        descriptor(&[]),
        descriptor(&[("a", "x")]),
    ]);
    assert_eq!(told(&answer), [(true, 0), (true, 0), (true, 4)]);
    assert_eq!(answer.statuses[0].current_limit, None);
    assert_eq!(answer.statuses[0].duration_until_reset, None);
}

#[test]
fn a_request_without_a_domain_or_descriptors_is_an_error_and_never_an_empty_answer() {
    let fixture = Fixture::native(FIVE);
    assert!(
        fixture
            .try_ask(&request("", &[descriptor(&[("a", "")])]))
            .is_err()
    );
    assert!(fixture.try_ask(&request("d", &[])).is_err());
}

#[test]
fn a_status_tells_the_limit_what_is_left_and_when_to_come_back() {
    let fixture = Fixture::native(FIVE);
    fixture.clock.advance(std::time::Duration::from_millis(500));
    let first = fixture.ask(&[descriptor(&[("a", "x")])]);
    let limit = first.statuses[0].current_limit.clone().unwrap();
    assert_eq!(
        (limit.requests_per_unit, limit.unit),
        (5, Unit::Minute as i32)
    );
    assert_eq!((limit.name.as_str(), limit.unit_multiplier), ("five", None));
    assert_eq!(first.statuses[0].limit_remaining, 4);
    assert_eq!(
        fixture.pass(&descriptor(&[("a", "x")]), 5),
        [true, true, true, true, false]
    );
    fixture.clock.advance(std::time::Duration::from_millis(500));
    let over = fixture.ask(&[descriptor(&[("a", "x")])]);
    assert_eq!(told(&over), [(false, 0)]);
    // 59.5 s: Envoy drops parts of a second, and who comes then must be let in.
    assert_eq!(over.statuses[0].duration_until_reset.unwrap().seconds, 60);
    assert_eq!(
        fixture.pass(&descriptor(&[("a", "y")]), 1),
        [true],
        "another value counts for itself"
    );
}

#[test]
fn no_hits_of_a_request_are_one_and_those_of_a_descriptor_come_before_them() {
    let fixture = Fixture::native(FIVE);
    let mut asked = request("d", &[descriptor(&[("a", "x")]), hits(&[("a", "y")], 2)]);
    fixture.try_ask(&asked).unwrap();
    assert_eq!(
        (fixture.left(&[("a", "x")]), fixture.left(&[("a", "y")])),
        (4, 3)
    );
    asked.hits_addend = 3;
    fixture.try_ask(&asked).unwrap();
    assert_eq!(
        (fixture.left(&[("a", "x")]), fixture.left(&[("a", "y")])),
        (1, 1)
    );
}

#[test]
fn no_hits_of_a_descriptor_are_a_look_which_charges_nothing_and_tells_when_nothing_is_left() {
    let fixture = Fixture::native(FIVE);
    let look = hits(&[("a", "x")], 0);
    assert_eq!(fixture.pass(&look, 20), [true; 20]);
    assert_eq!(fixture.left(&[("a", "x")]), 5);
    fixture.ask(&[hits(&[("a", "x")], 5)]);
    let over = fixture.ask(std::slice::from_ref(&look));
    assert_eq!(told(&over), [(false, 0)]);
    assert_eq!(over.statuses[0].duration_until_reset.unwrap().seconds, 60);
}

#[test]
fn a_look_that_finds_nothing_left_keeps_the_others_from_being_charged() {
    let fixture = Fixture::native(FIVE);
    fixture.ask(&[hits(&[("a", "x")], 5)]);
    let answer = fixture.ask(&[hits(&[("a", "x")], 0), descriptor(&[("a", "y")])]);
    assert_eq!(told(&answer), [(false, 0), (true, 5)]);
    assert_eq!(fixture.left(&[("a", "y")]), 5);
}

#[test]
fn negative_hits_give_back_and_never_deny() {
    for domain in [
        FIVE,
        &FIVE.replace("fixed-window", "sliding-window"),
        &FIVE.replace("fixed-window", "token-bucket"),
        &FIVE.replace("fixed-window", "sliding-counter"),
        &FIVE.replace("fixed-window", "calendar UTC"),
    ] {
        let fixture = Fixture::native(domain);
        let key = [("a", "x")];
        // There is nothing yet to give back, and later there is less than what is given.
        assert_eq!(
            told(&fixture.ask(&[give_back(&key, 3)])),
            [(true, 5)],
            "{domain}"
        );
        assert_eq!(
            fixture.pass(&descriptor(&key), 6),
            [true, true, true, true, true, false]
        );
        assert_eq!(
            told(&fixture.ask(&[give_back(&key, 2)])),
            [(true, 2)],
            "{domain}"
        );
        assert_eq!(
            told(&fixture.ask(&[give_back(&key, 100)])),
            [(true, 5)],
            "{domain}"
        );
        assert_eq!(fixture.pass(&descriptor(&key), 1), [true]);
    }
}

#[test]
fn a_limit_of_the_request_stands_in_the_place_of_the_configured_one() {
    let fixture = Fixture::native(FIVE);
    let with = |requests, unit: Unit, multiplier| RateLimitDescriptor {
        limit: Some(RateLimitOverride {
            requests_per_unit: requests,
            unit: unit as i32,
            unit_multiplier: multiplier,
        }),
        ..descriptor(&[("a", "x")])
    };
    let two = with(2, Unit::Minute, Some(5));
    assert_eq!(fixture.pass(&two, 3), [true, true, false]);
    let told_limit = fixture.ask(std::slice::from_ref(&two)).statuses[0]
        .current_limit
        .clone();
    let limit = told_limit.unwrap();
    let shape = (limit.requests_per_unit, limit.unit, limit.unit_multiplier);
    assert_eq!(shape, (2, Unit::Minute as i32, Some(5)));
    assert_eq!(
        fixture.left(&[("a", "x")]),
        5,
        "the configured one counts for itself"
    );
    // Its units stay when its number changes.
    assert_eq!(
        told(&fixture.ask(&[with(4, Unit::Minute, Some(5))])),
        [(true, 1)]
    );
    assert_eq!(
        told(&fixture.ask(&[with(0, Unit::Day, None)])),
        [(false, 0)]
    );
    let nothing = request("d", &[with(5, Unit::Unknown, None)]);
    assert!(fixture.try_ask(&nothing).is_err());
    // A descriptor that nothing is configured for is limited by what it brings; only the domain must be known.
    let other = RateLimitDescriptor {
        limit: two.limit,
        ..descriptor(&[("b", "x")])
    };
    assert_eq!(fixture.pass(&other, 3), [true, true, false]);
    let unknown = fixture
        .try_ask(&request("other", &[with(0, Unit::Day, None)]))
        .unwrap();
    assert!(is_ok(&unknown));
}

#[test]
fn a_week_is_the_seventh_unit_and_windows_are_told_in_the_largest_unit() {
    for (quota, unit, multiplier) in [
        ("5 per second", Unit::Second, None),
        ("5 per 90 seconds", Unit::Second, Some(90)),
        ("5 per 5 minutes", Unit::Minute, Some(5)),
        ("5 per 24 hours", Unit::Day, None),
        ("5 per week", Unit::Week, None),
        ("5 per 14 days", Unit::Week, Some(2)),
        ("5 per month", Unit::Month, None),
        ("5 per year", Unit::Year, None),
        ("5 per 100 milliseconds", Unit::Second, None),
        ("5 per day calendar UTC", Unit::Day, None),
    ] {
        let fixture = Fixture::native(&FIVE.replace("5 per minute fixed-window", quota));
        let limit = fixture.ask(&[descriptor(&[("a", "")])]).statuses[0]
            .current_limit
            .clone();
        let limit = limit.unwrap();
        assert_eq!(
            (limit.unit, limit.unit_multiplier),
            (unit as i32, multiplier),
            "{quota}"
        );
    }
    assert_eq!(Unit::Week as i32, 7);
}

#[test]
fn the_response_to_the_client_is_given_the_fields_of_the_standard_unless_the_rules_say_no() {
    let fixture = Fixture::native(FIVE);
    let fields = |fixture: &Fixture| -> Vec<(String, String)> {
        let fields = fixture
            .ask(&[descriptor(&[("a", "x")])])
            .response_headers_to_add;
        fields
            .into_iter()
            .map(|field| {
                (
                    field.key.to_string(),
                    field.value.to_str().unwrap().to_owned(),
                )
            })
            .collect()
    };
    let policy = (
        "ratelimit-policy".to_owned(),
        "\"d/a.minute\";q=5;w=60".to_owned(),
    );
    let standing = |left| {
        (
            "ratelimit".to_owned(),
            format!("\"d/a.minute\";r={left};t=60"),
        )
    };
    assert_eq!(fields(&fixture), [policy.clone(), standing(4)]);
    fixture.ask(&[hits(&[("a", "x")], 4)]);
    let wait = ("retry-after".to_owned(), "60".to_owned());
    assert_eq!(fields(&fixture), [policy, standing(0), wait]);
    let silent = Fixture::native(&format!("fields = false\n{FIVE}"));
    assert_eq!(fields(&silent), []);
}

#[test]
fn what_a_denied_client_reads_and_what_passing_descriptors_tell_is_the_domains() {
    let fixture = Fixture::native(
        "[service.domains.d]\ndenied_body = \"slow down\"\n\
         [[service.domains.d.descriptors]]\nentries = [\"a\"]\nquotas = [\"1 per day\"]\nmetadata = { tier = \"gold\", weight = 2, beta = true }\n",
    );
    let passed = fixture.ask(&[descriptor(&[("a", "")])]);
    assert!(passed.raw_body.is_empty());
    let metadata = format!("{:?}", passed.dynamic_metadata.unwrap());
    for word in ["metadata", "tier", "gold", "weight", "2.0", "beta"] {
        assert!(metadata.contains(word), "{metadata}");
    }
    let denied = fixture.ask(&[descriptor(&[("a", "")])]);
    assert_eq!(
        (&denied.raw_body[..], denied.dynamic_metadata),
        (&b"slow down"[..], None)
    );
}
