//! What a limit, its quotas, its key and its penalty may be.

use super::{limit, route};
use crate::{complaint, complaints, read};

#[test]
fn a_penalty_says_what_is_missing_and_what_its_values_can_be() {
    let penalty = |table: &str| {
        let body = format!("key = \"client-ip\"\nquotas = [\"5 per minute\"]\npenalty = {table}");
        complaint(&limit(&body))
    };
    for (table, message, help) in [
        (
            "{ block_max = \"1 hour\" }",
            "a penalty needs a `block`: how long a key is held off",
            "like `penalty = { block = \"1 minute\" }`",
        ),
        (
            "{ block = \"1 minute\", factor = 2 }",
            "`factor` needs a `block_max`: how long a block can become",
            "like `block_max = \"1 hour\"`",
        ),
        (
            "{ block = \"1 minute\", factor = 0, block_max = \"1 hour\" }",
            "`factor` must be between 1 and 4294967295",
            "",
        ),
        (
            "{ block = \"1 minute\", factor = 1.5, block_max = \"1 hour\" }",
            "`factor` must be a whole number, found float",
            "",
        ),
        (
            "{ block = 60 }",
            "`block` must be a string, found integer",
            "",
        ),
        (
            "{ block = \"0 seconds\" }",
            "a period of 0 is no period",
            "",
        ),
        (
            "{ block = \"1.5 minutes\" }",
            "`1.5` is not a whole, positive number (write `90 seconds` for a minute and a half)",
            "",
        ),
        (
            "{ block = \"1 minute 5\" }",
            "expected the end, found `5`",
            "",
        ),
        (
            "{ block = \"1 century\" }",
            "the longest block and the quiet time together are longer than a century",
            "",
        ),
        (
            "{ block = \"1 minute\", quiet = \"2 centuries\" }",
            "the period is longer than a century",
            "",
        ),
        (
            "\"1 minute\"",
            "`penalty` must be a table, found string",
            "",
        ),
    ] {
        assert_eq!(
            penalty(table),
            (message.to_owned(), help.to_owned()),
            "{table}"
        );
    }
}

#[test]
fn a_part_of_a_key_that_does_not_exist_is_refused() {
    let keyed = |key: &str| limit(&format!("key = {key}\nquotas = [\"5 per minute\"]"));
    for (key, message, help) in [
        (
            "\"client_ip\"",
            "`client_ip` is no part of a key",
            "did you mean `client-ip`?",
        ),
        (
            "\"usr\"",
            "`usr` is no part of a key",
            "did you mean `user`?",
        ),
        (
            "\"ip\"",
            "`ip` is no part of a key",
            "one of: client-ip, user, api-key, route, global, header:NAME, cookie:NAME, query:NAME, claim:NAME",
        ),
        (
            "\"\"",
            "`` is no part of a key",
            "one of: client-ip, user, api-key, route, global, header:NAME, cookie:NAME, query:NAME, claim:NAME",
        ),
        (
            "\"header:\"",
            "`` is no name of a header field",
            "one of: client-ip, user, api-key, route, global, header:NAME, cookie:NAME, query:NAME, claim:NAME",
        ),
        (
            "\"header:a b\"",
            "`a b` is no name of a header field",
            "one of: client-ip, user, api-key, route, global, header:NAME, cookie:NAME, query:NAME, claim:NAME",
        ),
        (
            "\"cookie:\"",
            "`cookie:` is no part of a key",
            "one of: client-ip, user, api-key, route, global, header:NAME, cookie:NAME, query:NAME, claim:NAME",
        ),
        (
            "\"body:x\"",
            "`body:x` is no part of a key",
            "one of: client-ip, user, api-key, route, global, header:NAME, cookie:NAME, query:NAME, claim:NAME",
        ),
    ] {
        assert_eq!(
            complaint(&keyed(key)),
            (message.to_owned(), help.to_owned()),
            "{key}"
        );
    }
    let errors = complaints(&keyed("[]"));
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0]
            .message()
            .starts_with("a key has at least one part")
    );
    assert_eq!(errors[0].line(), 2, "it points at the key");
    let (message, _) = complaint(&limit("quotas = [\"5 per minute\"]"));
    assert!(
        message.starts_with("the limit `a` needs a `key`"),
        "{message}"
    );
    let inline =
        route("respond = { text = \"x\" }\nlimits = [\"5 per minute by client-ip, rute\"]");
    assert_eq!(complaint(&inline).1, "did you mean `route`?");
}

#[test]
fn a_quota_that_cannot_be_meant_is_refused() {
    let quotas = |quotas: &str| limit(&format!("key = \"client-ip\"\nquotas = {quotas}"));
    for (text, expected) in [
        (
            "[\"0 per minute\"]",
            "a limit of 0 is not a quota: write `deny`",
        ),
        ("[\"-1 per minute\"]", "not a whole, positive number"),
        ("[\"0.5/s\"]", "write `1 per 2 seconds`"),
        ("[\"5 per 0 seconds\"]", "a period of 0 is no period"),
        ("[\"18446744073709551616/s\"]", "too large"),
        ("[\"5 per minut\"]", "did you mean `minute`?"),
        ("[\"\"]", "expected a number of requests"),
        ("[\"5 per day calendar Nowhere/Land\"]", "Nowhere/Land"),
        ("[\"10\\u00a0/s\"]", "U+00A0"),
        ("[]", "a limit needs at least one quota"),
        ("{}", "a limit needs at least one quota"),
        (
            "{ minute = \"5 per minute; 6 per hour\" }",
            "a named window has one quota",
        ),
        (
            "{ \"a b\" = \"5 per minute\" }",
            "`a b` cannot name a window",
        ),
        ("{ minute = 5 }", "`minute` must be a string, found integer"),
    ] {
        let (message, _) = complaint(&quotas(text));
        assert!(message.contains(expected), "{text}: {message}");
    }
    let (message, _) = complaint(&limit("key = \"client-ip\""));
    assert!(
        message.starts_with("the limit `a` needs `quotas`"),
        "{message}"
    );
}

#[test]
fn two_quotas_of_one_limit_with_one_window_need_names() {
    for quotas in [
        "[\"5 per minute\", \"10 per minute\"]",
        "[\"5 per minute\", \"10 per 60 seconds\"]",
        "\"5 per minute; 10 per minute\"",
    ] {
        let (message, help) = complaint(&limit(&format!("key = \"client-ip\"\nquotas = {quotas}")));
        assert_eq!(
            message,
            "two quotas of the limit `a` have the window `minute`"
        );
        assert!(help.starts_with("give them names"), "{help}");
    }
    let named = "key = \"client-ip\"\nquotas = { strict = \"5 per minute\", lax = \"10 per minute fixed-window\" }";
    assert!(read(&limit(named)).is_ok());
    let inline = route("respond = { text = \"x\" }\nlimits = [\"5 per minute; 6 per minute\"]");
    assert_eq!(complaint(&inline).0, "two quotas have the window `minute`");
}

#[test]
fn every_mistake_in_a_list_of_quotas_is_told() {
    let told = |quotas: &str| -> Vec<String> {
        let body = format!("key = \"client-ip\"\nquotas = {quotas}");
        let told = complaints(&limit(&body));
        told.iter().map(|one| one.message().to_owned()).collect()
    };
    let units = told(r#"["5 per minut", "7 per day", "9 per yeer"]"#);
    assert_eq!(units.len(), 2, "{units:?}");
    assert!(units[0].contains("minut") && units[1].contains("yeer"));
    let named = told(r#"{ short = "5 per minut", "b c" = "7 per day", long = 3, last = "x" }"#);
    assert_eq!(named.len(), 4, "{named:?}");
    // What follows from a mistake is not told as well.
    assert_eq!(told(r#"["5 per minut"]"#).len(), 1);
}
