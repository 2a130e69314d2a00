use super::*;

#[test]
fn every_way_of_writing_a_quota_prints_in_one_canonical_form() {
    let cases = [
        ("5 per minute", "5 per minute"),
        ("5/minute", "5 per minute"),
        ("5/M", "5 per minute"),
        ("10 Concurrent", "10 concurrent"),
        ("10 concurrent for 60 s", "10 concurrent"),
        (
            "3 per 90 seconds concurrency",
            "3 concurrent for 90 seconds",
        ),
        ("100/h sliding-counter", "100 per hour sliding-counter"),
        ("  5 PER 60 Seconds ", "5 per minute"),
        ("3 per 10 seconds", "3 per 10 seconds"),
        ("3/10s", "3 per 10 seconds"),
        ("3 per 10 secs", "3 per 10 seconds"),
        ("1_000/day", "1000 per day"),
        ("100 per 90 mins", "100 per 90 minutes"),
        ("10 per second burst 20", "10 per second burst 20"),
        ("10/s gcra", "10 per second token-bucket"),
        ("10/s leaky-bucket burst 10", "10 per second token-bucket"),
        ("1000 per day fixed-window", "1000 per day fixed-window"),
        ("1000 per day calendar", "1000 per day calendar UTC"),
        (
            "1000/month fixed-window calendar Europe/Berlin",
            "1000 per month calendar Europe/Berlin",
        ),
        ("5/m calendar fixed-window", "5 per minute calendar UTC"),
        ("1 per century", "1 per century"),
        ("7 per 500 ms", "7 per 500 milliseconds"),
        ("deny", "deny"),
        ("Unlimited", "unlimited"),
    ];
    for (text, canonical) in cases {
        let quota: Quota = text
            .parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(quota.to_string(), canonical, "{text}");
        assert_eq!(quota.to_string().parse(), Ok(quota), "{text}");
    }
    assert_eq!(Quota::parse_list("100/hour; 5/minute").unwrap().len(), 2);
}

#[test]
fn a_wrong_quota_says_where_what_and_what_was_probably_meant() {
    let cases = [
        ("0/s", 0..1, "deny"),
        ("-1 per minute", 0..2, "positive"),
        ("5 per 0 seconds", 6..7, "period of 0"),
        ("18446744073709551616/s", 0..20, "too large"),
        ("9007199254740993/s", 0..16, "too large"),
        ("0.5/s", 0..3, "1 per 2 seconds"),
        ("2 per centuries century", 16..23, "expected"),
        ("2 per 2 centuries", 6..17, "century"),
        ("10/s/s", 4..6, "the end"),
        ("10/s per minute", 5..8, "expected"),
        ("10\u{a0}/s", 2..4, "U+00A0"),
        ("10/\u{455}", 3..5, "U+0455"),
        ("\u{661}/s", 0..2, "U+0661"),
        ("+10/s", 0..3, "positive"),
        ("0x10/s", 1..4, "per"),
        ("NaN/s", 0..5, "number"),
        ("", 0..0, "nothing more"),
        ("/", 0..1, "number"),
        ("10", 2..2, "per"),
        ("10/", 3..3, "unit"),
        ("5 per minut", 6..11, "did you mean `minute`"),
        (
            "5 per minute fixd-window",
            13..24,
            "did you mean `fixed-window`",
        ),
        ("5 per minute burst 0", 19..20, "at least 1"),
        (
            "5 per minute sliding-window burst 5",
            34..35,
            "token-bucket",
        ),
        ("5 per minute burst 5 burst 6", 21..26, "twice"),
        ("5 per 2 days calendar", 13..21, "calendar window"),
        ("5 per minute calendar burst 6", 13..21, "no burst"),
        ("5 per minute; DROP", 14..18, "number"),
    ];
    for (text, span, part) in cases {
        let error = Quota::parse_list(text).expect_err(text);
        assert!(error.to_string().contains(part), "{text}: {error}");
        if !matches!(text, "18446744073709551616/s" | "0x10/s") {
            assert_eq!(error.span(), span, "{text}: {error}");
        }
    }
    assert!(
        "1".repeat(1 << 20)
            .parse::<Quota>()
            .unwrap_err()
            .to_string()
            .len()
            < 200
    );
}

#[test]
fn a_suggestion_is_made_where_something_is_near() {
    let suggestion = |text: &str| {
        let error = text.parse::<Quota>().unwrap_err();
        error.suggestion().map(str::to_owned)
    };
    let near = suggestion("5 per minut");
    assert_eq!(near.as_deref(), Some("did you mean `minute`?"));
    assert_eq!(suggestion("5 per fortnight"), None);
}

#[test]
fn a_length_of_time_is_read_as_the_period_of_a_quota() {
    for text in ["90 seconds", "1h", "day", " 7 us ", "36500 days", "century"] {
        let quota: Quota = format!("1 per {text}").parse().unwrap();
        assert_eq!(parse_duration(text).ok(), quota.period(), "{text}");
    }
    for text in ["", "5", "0 s", "0.5 s", "-1 day", "1 day 2", "2 centuries"] {
        assert!(parse_duration(text).is_err(), "{text}");
    }
}

#[test]
fn a_burst_is_refused_where_a_fixed_window_is_the_default() {
    let error = Quota::parse_with("5/s burst 9", AlgorithmKind::FixedWindow).unwrap_err();
    assert!(error.to_string().contains("token-bucket"), "{error}");
    assert!(Quota::parse_with("5/s gcra burst 9", AlgorithmKind::FixedWindow).is_ok());
    assert!(Quota::parse_with("5/s burst 9", AlgorithmKind::SlidingWindow).is_ok());
}

#[test]
fn a_list_is_counted_by_the_default_where_it_names_no_algorithm() {
    let list = Quota::parse_list_with("5/s; 9/m gcra", AlgorithmKind::FixedWindow).unwrap();
    let named = Quota::parse_list("5/s fixed-window, 9/m gcra").unwrap();
    assert_eq!((list.len(), list), (2, named));
}

#[test]
fn a_window_has_a_short_name() {
    let name = |text: &str| text.parse::<Quota>().unwrap().window_name();
    assert_eq!(
        ["5 per minute", "3 per 10 seconds", "9/36h", "1/us"].map(name),
        ["minute", "10s", "36h", "microsecond"]
    );
}
