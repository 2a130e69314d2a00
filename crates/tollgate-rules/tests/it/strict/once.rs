//! A mistake is told without what follows from it.

use super::{limit, route};
use crate::{ROUTE, complaint};

const CHARGES_A: &str = "respond = { text = \"x\" }\nlimits = [\"a\"]";

/// A file with a limit `a` of this body, and a route that charges it.
fn charged(body: &str) -> String {
    format!("[limits.a]\n{body}\n{}", route(CHARGES_A))
}

#[test]
fn a_limit_that_is_wrong_is_not_missing_where_it_is_named() {
    let quotas = "quotas = [\"5 per minute\"]";
    for (text, message) in [
        (
            charged(&format!("key = \"usr\"\n{quotas}")),
            "`usr` is no part of a key",
        ),
        (
            format!(
                "[defaults]\nlimits = [\"a\"]\n{}",
                limit(&format!("key = \"usr\"\n{quotas}"))
            ),
            "`usr` is no part of a key",
        ),
        (
            format!(
                "[limits.1st]\nkey = \"client-ip\"\n{quotas}\n{}",
                route("respond = { text = \"x\" }\nlimits = [\"1st\"]")
            ),
            "`1st` cannot name a limit",
        ),
        (
            format!("limits = []\n{}", route(CHARGES_A)),
            "`limits` must be a table, found array",
        ),
        (
            format!(
                "[limit.a]\nkey = \"client-ip\"\n{quotas}\n{}",
                route(CHARGES_A)
            ),
            "unknown key `limit` in the rules file",
        ),
        (
            format!(
                "[limits.a]\nkey = \"usr\"\n{quotas}\n{}",
                route("builtin = \"remaining\"\nof = [\"a\"]")
            ),
            "`usr` is no part of a key",
        ),
        (
            route("builtin = \"remaining\"\nof = [\"a\"]"),
            "there is no limit `a`",
        ),
    ] {
        assert_eq!(complaint(&text).0, message, "{text}");
    }
    // The name of one that is wrong is as good a suggestion as any.
    let text = format!(
        "[limits.per-user]\nkey = \"usr\"\n{quotas}\n{}",
        route("respond = { text = \"x\" }\nlimits = [\"per-usr\"]")
    );
    let helps: Vec<_> = crate::complaints(&text)
        .iter()
        .map(|mistake| mistake.help().map(str::to_owned))
        .collect();
    let meant = |word: &str| Some(format!("did you mean `{word}`?"));
    assert_eq!(helps, [meant("user"), meant("per-user")]);
}

#[test]
fn a_key_that_is_misspelt_is_not_missing_as_well() {
    let by_user =
        "[limits.a]\nkey = \"user\"\nquotas = [\"5 per minute\"]\n[[routes]]\nmatch = \"GET /\"\n";
    for (text, key) in [
        (
            limit("key = \"client-ip\"\nquota = [\"5 per minute\"]"),
            "quota",
        ),
        (
            limit("keys = \"user\"\nquotas = [\"5 per minute\"]"),
            "keys",
        ),
        (
            format!(
                "[[routes]]\nmach = \"GET /\"\n{}",
                "respond = { text = \"x\" }\n"
            ),
            "mach",
        ),
        (route("upstraem = \"http://127.0.0.1:1\""), "upstraem"),
        (
            format!("{by_user}auht = [\"api-key\"]\n{CHARGES_A}\n"),
            "auht",
        ),
        (ROUTE.replace("routes", "route"), "route"),
    ] {
        let message = complaint(&text).0;
        assert!(
            message.starts_with(&format!("unknown key `{key}` in ")),
            "{text}: {message}"
        );
    }
}

#[test]
fn what_could_not_be_read_is_not_taken_for_absent() {
    let by_user =
        "[limits.a]\nkey = \"user\"\nquotas = [\"5 per minute\"]\n[[routes]]\nmatch = \"GET /\"\n";
    let elsewhere = "[[routes]]\nmatch = \"GET /b\"\n";
    for (text, message) in [
        (
            format!("{by_user}auth = [\"sesion\"]\nscopes = [\"read\"]\n{CHARGES_A}\n"),
            "`auth` cannot be `sesion`",
        ),
        (
            format!("{by_user}auth = 5\n{CHARGES_A}\n"),
            "`auth` must be a string or an array of strings, found integer",
        ),
        (
            "[service]\nresp = \"localhost:6380\"\n".to_owned(),
            "`localhost:6380` is not an address, like `127.0.0.1:6380`",
        ),
        (
            "[service]\nhttp = \"0.0.0.0:8090\"\ntoken = 5\n".to_owned(),
            "`token` must be a string, found integer",
        ),
        (
            format!("{}{elsewhere}", route("builtin = \"forwrd-auth\"")),
            "`builtin` cannot be `forwrd-auth`",
        ),
    ] {
        assert_eq!(complaint(&text).0, message, "{text}");
    }
}
