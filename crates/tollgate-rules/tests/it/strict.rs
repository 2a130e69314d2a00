//! Nothing in the file is ignored, guessed or half understood.

mod limits;
mod once;
mod places;
mod routes;

use crate::{ROUTE, complaint, complaints};

/// A file with one route whose body is `body`.
fn route(body: &str) -> String {
    format!("[[routes]]\nmatch = \"GET /\"\n{body}\n")
}

/// A file with one limit whose body is `body`, and a route that is right.
fn limit(body: &str) -> String {
    format!("[limits.a]\n{body}\n{ROUTE}")
}

#[test]
fn an_unknown_key_is_refused_wherever_it_stands_and_the_nearest_known_one_is_suggested() {
    let responding = "respond = { text = \"x\" }\n";
    let cases = [
        (
            format!("[sever]\nlisten = \"127.0.0.1:1\"\n{ROUTE}"),
            "sever",
            "server",
        ),
        (
            format!("[server]\nlissten = \"127.0.0.1:1\"\n{ROUTE}"),
            "lissten",
            "listen",
        ),
        (
            format!("[counters]\nurll = \"memory:\"\n{ROUTE}"),
            "urll",
            "url",
        ),
        (
            format!("[accounts]\nsession_ttl = 5\n{ROUTE}"),
            "session_ttl",
            "session_ttl_s",
        ),
        (
            format!("[accounts.protection]\nlogin_per_acount = \"5 per minute\"\n{ROUTE}"),
            "login_per_acount",
            "login_per_account",
        ),
        (
            format!("[fields]\nlegcy = \"none\"\n{ROUTE}"),
            "legcy",
            "legacy",
        ),
        (
            format!("[defaults]\nlimit = []\n{ROUTE}"),
            "limit",
            "limits",
        ),
        (
            limit("key = \"client-ip\"\nquota = [\"5 per minute\"]\nquotas = [\"5 per minute\"]"),
            "quota",
            "quotas",
        ),
        (route(&format!("{responding}metod = \"GET\"")), "metod", ""),
        (route(&format!("{responding}lmits = []")), "lmits", "limits"),
        (
            route(&format!("{responding}status = {{ limted = 403 }}")),
            "limted",
            "limited",
        ),
        (
            route("respond = { text = \"x\", statu = 200 }"),
            "statu",
            "status",
        ),
        (
            route(&format!("{responding}text = {{ limted = \"x\" }}")),
            "limted",
            "limited",
        ),
    ];
    for (text, unknown, near) in cases {
        let (message, help) = complaint(&text);
        assert!(
            message.starts_with(&format!("unknown key `{unknown}`")),
            "{message}"
        );
        match near {
            "" => assert!(help.starts_with("known here: match,"), "{help}"),
            near => assert_eq!(help, format!("did you mean `{near}`?")),
        }
    }
}

#[test]
fn a_value_of_the_wrong_type_is_refused_with_the_type_that_is_expected_and_the_one_found() {
    let cases = [
        (
            format!("server = 5\n{ROUTE}"),
            "`server` must be a table, found integer",
        ),
        (
            format!("[server]\nlisten = 8000\n{ROUTE}"),
            "`listen` must be a string, found integer",
        ),
        (
            format!("[server]\naccess_log = \"yes\"\n{ROUTE}"),
            "`access_log` must be true or false, found string",
        ),
        (
            format!("[server]\nworkers = \"2\"\n{ROUTE}"),
            "`workers` must be a whole number, found string",
        ),
        (
            format!("[server]\nworkers = 1.5\n{ROUTE}"),
            "`workers` must be a whole number, found float",
        ),
        (
            format!("[server]\ntrusted_proxies = [1]\n{ROUTE}"),
            "`trusted_proxies` must be a string, found integer",
        ),
        (
            "routes = \"GET /\"\n".to_owned(),
            "`routes` must be an array, found string",
        ),
        (
            route("respond = \"x\""),
            "`respond` must be a table, found string",
        ),
        (
            route("respond = { text = 5 }"),
            "`text` must be a string, found integer",
        ),
        (
            limit("key = 5\nquotas = [\"5 per minute\"]"),
            "`key` must be a string or an array of strings, found integer",
        ),
        (
            limit("key = \"user\"\nquotas = 5"),
            "`quotas` must be a string or an array of strings, found integer",
        ),
        (
            limit("key = \"user\"\nquotas = [5]"),
            "`quotas` must be a string, found integer",
        ),
        (
            format!("limits = []\n{ROUTE}"),
            "`limits` must be a table, found array",
        ),
        (
            format!("[[limits.a]]\nkey = \"user\"\n{ROUTE}"),
            "`a` must be a table, found array",
        ),
    ];
    for (text, expected) in cases {
        let errors = complaints(&text);
        let messages: Vec<&str> = errors.iter().map(|error| error.message()).collect();
        assert!(messages.contains(&expected), "{expected}: {messages:?}");
    }
}

#[test]
fn a_number_out_of_its_range_is_refused_and_every_way_to_write_one_within_is_read() {
    let body_bytes_max = |value: &str| {
        format!("[server]\nheader_bytes_max = 8192\nbody_bytes_max = {value}\n{ROUTE}")
    };
    for value in ["-1", "1_099_511_627_777", "0xffff_ffff_ffff"] {
        let (message, _) = complaint(&body_bytes_max(value));
        assert_eq!(
            message,
            "`body_bytes_max` must be between 0 and 1099511627776"
        );
    }
    for (value, read_as) in [
        ("0", 0),
        ("1_000", 1_000),
        ("+7", 7),
        ("0x10", 16),
        ("0o17", 15),
        ("0b11", 3),
    ] {
        let rules = crate::rules(&body_bytes_max(value));
        assert_eq!(rules.server.body_bytes_max, read_as, "{value}");
    }
    // A proxy that waits for ever, or for no time at all, is neither.
    for key in ["read_timeout_s", "header_timeout_s", "drain_timeout_s"] {
        let (message, _) = complaint(&format!("[server]\n{key} = 0\n{ROUTE}"));
        assert!(
            message.starts_with(&format!("`{key}` must be between 1 and")),
            "{message}"
        );
    }
}

#[test]
fn a_word_that_is_none_of_the_choices_is_refused_with_the_nearest_or_with_all_of_them() {
    let (message, help) = complaint(&limit(
        "key = \"user\"\nalgorithm = \"fixd-window\"\nquotas = [\"5 per minute\"]",
    ));
    assert_eq!(message, "`algorithm` cannot be `fixd-window`");
    assert_eq!(help, "did you mean `fixed-window`?");
    let (message, help) = complaint(&route("builtin = \"teapot\""));
    assert_eq!(message, "`builtin` cannot be `teapot`");
    assert_eq!(
        help,
        "one of: signup, login, logout, password, token, jwks, remaining, home, keys, assets, docs, monitor, console, forward-auth"
    );
    let (message, help) = complaint(&route("respond = { text = \"x\" }\nauth = [\"sesion\"]"));
    assert_eq!(message, "`auth` cannot be `sesion`");
    assert_eq!(help, "did you mean `session`?");
}

#[test]
fn a_file_without_routes_is_refused() {
    let expected = "there is no `[[routes]]`: a gateway without a route answers nothing";
    for text in ["", "# nothing\n", "[server]\n", "routes = []\n"] {
        assert_eq!(complaint(text).0, expected, "{text:?}");
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once_in_the_order_of_the_file() {
    let text = "\
[server]
listen = \"nowhere\"
[limits.a]
key = \"usr\"
quotas = [\"5 per minut\"]
[[routes]]
match = \"get /\"
respond = { text = \"x\" }
[[routes]]
match = \"GET /b\"
limits = [\"b\"]
respond = { text = \"x\" }
colour = \"red\"
";
    let errors = complaints(text);
    let lines: Vec<usize> = errors.iter().map(|error| error.line()).collect();
    assert_eq!(lines, [2, 4, 5, 7, 11, 13], "{}", crate::printed(&errors));
}

#[test]
fn what_is_no_toml_is_told_with_what_was_probably_meant() {
    let quotes = Some("text needs quotes, as in `key = \"client-ip\"`");
    for (text, help) in [
        ("[server]\nlisten = 127.0.0.1:8000\n", quotes),
        ("[limits.a]\nkey = client-ip\n", quotes),
        ("[[routes]]\nlimits = [per-user]\n", quotes),
        ("[[routes]]\nupstream = http://127.0.0.1\n", quotes),
        (
            "[server]\nlisten: \"127.0.0.1:8000\"\n",
            Some("write `=`, not `:`"),
        ),
        (
            "[routes]\nmatch = \"/a\"\n",
            Some("write `[[routes]]`: each route is a table of its own"),
        ),
        ("version = 2026-13-01T00:00:00Z\n", None),
        ("[server]\nlisten = \"127.0.0.1:8000\n", None),
        ("routes = 5\n", None),
    ] {
        assert_eq!(complaint(text).1, help.unwrap_or_default(), "{text}");
    }
}
