//! Since when rules are so, and what they say.

use tollgate::Micros;

use crate::{ROUTE, complaint, read};

#[test]
fn a_version_is_an_instant_and_nothing_else() {
    let version = |written: &str| format!("version = {written}\n{ROUTE}");
    let instant = Micros::from_secs(1_795_341_600);
    for written in [
        "2026-11-22T10:00:00Z",
        "2026-11-22 10:00:00Z",
        "2026-11-22T12:00:00+02:00",
    ] {
        assert_eq!(
            read(&version(written)).unwrap().version,
            Some(instant),
            "{written}"
        );
    }
    assert_eq!(read(ROUTE).unwrap().version, None);
    for wrong in [
        "2026-11-22",
        "2026-11-22T10:00:00",
        "10:00:00",
        "1969-01-01T00:00:00Z",
        "\"2026-11-22T10:00:00Z\"",
        "7",
    ] {
        let (said, _) = complaint(&version(wrong));
        assert!(said.contains("2026-11-22T10:00:00Z"), "{wrong}: {said}");
    }
}

#[test]
fn what_rules_say_is_the_same_number_whatever_else_stands_in_the_file() {
    let limits = |quotas: &str| format!("[limits.a]\nkey = \"client-ip\"\nquotas = \"{quotas}\"\n");
    let number = |text: &str| read(text).unwrap().contents();
    let one = number(&(limits("5 per minute") + ROUTE));
    let same = [
        format!(
            "version = 2026-11-22T10:00:00Z\n# Ours.\n{}{ROUTE}",
            limits("5/m")
        ),
        format!(
            "[server]\nlisten = \"127.0.0.1:1\"\n{}{ROUTE}",
            limits("5 per 60 seconds")
        ),
    ];
    for text in same {
        assert_eq!(number(&text), one, "{text}");
    }
    let others = [
        limits("6 per minute") + ROUTE,
        limits("5 per minute fixed-window") + ROUTE,
        limits("5 per minute") + "count_denied = true\n" + ROUTE,
        limits("5 per minute").replace("limits.a", "limits.b") + ROUTE,
        limits("5 per minute")
            + "[accounts.protection]\nlogin_per_account = \"7 per minute\"\n"
            + ROUTE,
        ROUTE.to_owned(),
    ];
    for text in others {
        assert_ne!(number(&text), one, "{text}");
    }
}
