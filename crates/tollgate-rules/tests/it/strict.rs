//! Nothing in the file is ignored, guessed or half understood.

use crate::{ROUTE, complaint, complaints, read};

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
fn a_limit_that_does_not_exist_is_refused_wherever_a_route_or_the_defaults_name_it() {
    let named = "[limits.per-user]\nkey = \"client-ip\"\nquotas = [\"5 per minute\"]\n";
    let responding = "respond = { text = \"x\" }\nlimits = [\"per-usr\"]";
    let (message, help) = complaint(&format!("{named}{}", route(responding)));
    assert_eq!(message, "there is no limit `per-usr`");
    assert_eq!(help, "did you mean `per-user`?");
    let shown = "builtin = \"remaining\"\nof = [\"per-usr\", \"per-user\"]";
    assert_eq!(
        complaint(&format!("{named}{}", route(shown))).0,
        "there is no limit `per-usr`"
    );
    let (message, help) = complaint(&format!("[defaults]\nlimits = [\"nobody\"]\n{ROUTE}"));
    assert_eq!(message, "there is no limit `nobody`");
    assert!(help.contains("[limits.NAME]"), "{help}");
}

#[test]
fn a_wrong_default_is_said_once_however_many_routes_it_is_for_and_even_when_it_is_for_none() {
    let routes = |own: &str| -> String {
        (0..3)
            .map(|n| {
                format!("[[routes]]\nmatch = \"GET /{n}\"\nrespond = {{ text = \"x\" }}\n{own}\n")
            })
            .collect()
    };
    for own in ["", "limits = []"] {
        let text = format!("[defaults]\nlimits = [\"nobody\"]\n{}", routes(own));
        assert_eq!(complaint(&text).0, "there is no limit `nobody`", "{own}");
    }
}

#[test]
fn two_routes_with_one_method_and_path_are_refused_in_every_spelling() {
    let two = |first: &str, second: &str| {
        let route = |pattern: &str| {
            format!("[[routes]]\nmatch = {pattern}\nrespond = {{ text = \"x\" }}\n")
        };
        format!("{}{}", route(first), route(second))
    };
    for (first, second) in [
        ("\"GET /a\"", "\"GET /a\""),
        ("\"GET /a\"", "\"GET /A\""),
        ("\"/a\"", "\"/a\""),
        ("[\"POST /b\", \"GET /a\"]", "\"GET /a\""),
        ("\"GET /a/{x}\"", "\"GET /A/{x}\""),
        ("\"GET /{*rest}\"", "\"GET /{*rest}\""),
    ] {
        let (message, _) = complaint(&two(first, second));
        assert!(
            message.ends_with("another route has this method and path already"),
            "{message}"
        );
    }
    let (message, _) = complaint(&two("\"GET /a/{x}\"", "\"GET /a/{y}\""));
    assert_eq!(
        message,
        "`GET /a/{y}` cannot be a route: it cannot be told apart from `/a/{x}`"
    );
    // One route may name a path twice only by two methods.
    assert!(read(&route("respond = { text = \"x\" }")).is_ok());
    let twice = "[[routes]]\nmatch = [\"GET /a\", \"GET /a\"]\nrespond = { text = \"x\" }\n";
    assert!(complaint(twice).0.contains("already"));
}

#[test]
fn a_limit_by_caller_needs_a_route_that_asks_who_calls() {
    for key in ["\"user\"", "\"api-key\"", "[\"client-ip\", \"user\"]"] {
        let named = format!("[limits.a]\nkey = {key}\nquotas = [\"5 per minute\"]\n");
        let open = "respond = { text = \"x\" }\nlimits = [\"a\"]\n";
        let (message, help) = complaint(&format!("{named}{}", route(open)));
        assert_eq!(
            message,
            "`a` limits by the caller, but this route asks nobody who they are"
        );
        assert!(help.starts_with("add `auth`"), "{help}");
        let closed = format!("{open}auth = [\"api-key\"]");
        assert!(read(&format!("{named}{}", route(&closed))).is_ok());
        for missing in ["skip", "anonymous"] {
            let text = format!("{named}missing = \"{missing}\"\n{}", route(open));
            assert!(read(&text).is_ok(), "{missing}");
        }
    }
    let inline = "respond = { text = \"x\" }\nlimits = [\"5 per minute by user\"]";
    assert!(complaint(&route(inline)).0.contains("asks nobody"));
    let default = format!("[defaults]\nlimits = [\"5 per minute by user\"]\n{ROUTE}");
    assert!(complaint(&default).0.contains("asks nobody"));
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
fn a_limit_is_charged_once_by_a_route_and_never_twice_in_silence() {
    let named = "[limits.a]\nkey = \"client-ip\"\nquotas = [\"5 per minute\"]\n";
    let twice = route("respond = { text = \"x\" }\nlimits = [\"a\", \"a\"]");
    assert_eq!(
        complaint(&format!("{named}{twice}")).0,
        "`a` is among the limits of this route already"
    );
    let inherited = route("respond = { text = \"x\" }\nlimits = [\"a\"]\ninherit = true");
    let rules = crate::rules(&format!("[defaults]\nlimits = [\"a\"]\n{named}{inherited}"));
    assert_eq!(rules.routes.routes()[0].limits.len(), 1);
}

#[test]
fn a_match_is_one_known_method_and_a_path_that_requests_can_have() {
    let matched =
        |pattern: &str| format!("[[routes]]\nmatch = {pattern}\nrespond = {{ text = \"x\" }}\n");
    for (pattern, message, help) in [
        ("\"get /\"", "`get` is no method", "did you mean `GET`?"),
        (
            "\"FETCH /\"",
            "`FETCH` is no method",
            "one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
        ),
        (
            "\"TRACE /\"",
            "`TRACE` is no method",
            "one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
        ),
        (
            "\"GET\"",
            "`GET` cannot be matched: a path begins with `/`",
            "",
        ),
        (
            "\"GET a\"",
            "`a` cannot be matched: a path begins with `/`",
            "",
        ),
        (
            "\"GET / HTTP/1.1\"",
            "a match is a method and a path, like \"GET /call_api\", or a path alone",
            "",
        ),
        (
            "\"\"",
            "a match is a method and a path, like \"GET /call_api\", or a path alone",
            "",
        ),
        (
            "\"GET //a\"",
            "`//a` cannot be matched: it is never matched: requests are matched as `/a`",
            "",
        ),
        (
            "\"GET /%61\"",
            "`/%61` cannot be matched: it is never matched: requests are matched as `/a`",
            "",
        ),
        (
            "\"GET /a%2Fb\"",
            "`/a%2Fb` cannot be matched: the path has an encoded slash or a backslash",
            "",
        ),
        (
            "\"GET /a;b\"",
            "`/a;b` cannot be matched: the path has a `;`",
            "",
        ),
        (
            "\"GET /a/../b\"",
            "`/a/../b` cannot be matched: it is never matched: requests are matched as `/b`",
            "",
        ),
        // A parameter elsewhere in the pattern excuses nothing.
        (
            "\"GET /a//{x}\"",
            "`/a//{x}` cannot be matched: it is never matched: requests are matched as `/a/{x}`",
            "",
        ),
        (
            "\"GET /%61/{x}\"",
            "`/%61/{x}` cannot be matched: it is never matched: requests are matched as `/a/{x}`",
            "",
        ),
        (
            "\"GET /a/{*rest}/b\"",
            "`GET /a/{*rest}/b` cannot be a route: write `{name}` for one segment, and `{*rest}` at the end for all that follow",
            "",
        ),
        (
            "\"GET /{}\"",
            "`/{}` cannot be matched: write `{name}` for one segment, and `{*rest}` at the end for all that follow",
            "",
        ),
        (
            "[]",
            "a route needs a `match`, like `match = \"GET /call_api\"`",
            "",
        ),
    ] {
        assert_eq!(
            complaint(&matched(pattern)),
            (message.to_owned(), help.to_owned()),
            "{pattern}"
        );
    }
    let (message, _) = complaint("[[routes]]\nrespond = { text = \"x\" }\n");
    assert_eq!(
        message,
        "a route needs a `match`, like `match = \"GET /call_api\"`"
    );
}

#[test]
fn a_route_ends_in_exactly_one_thing() {
    let one = "a route has exactly one of `upstream`, `respond` and `builtin`";
    assert_eq!(complaint(&route("")).0, one);
    let two = route("upstream = \"demo:random\"\nrespond = { text = \"x\" }");
    assert_eq!(complaint(&two).0, one);
    let body = "`respond` has exactly one of `text` and `json`, each a string";
    assert_eq!(complaint(&route("respond = {}")).0, body);
    let both = route("respond = { text = \"x\", json = \"{}\" }");
    assert_eq!(complaint(&both).0, body);
    assert!(
        complaint(&route("builtin = \"remaining\""))
            .0
            .contains("needs `of`")
    );
    for elsewhere in [
        "upstream = \"demo:random\"",
        "respond = { text = \"x\" }",
        "builtin = \"docs\"",
    ] {
        let text = route(&format!("{elsewhere}\nof = [\"5 per minute\"]"));
        assert_eq!(
            complaint(&text).0,
            "`of` is for `builtin = \"remaining\"` and `builtin = \"monitor\"`"
        );
    }
}

#[test]
fn an_upstream_is_a_plain_url_without_credentials_or_the_demo() {
    for (url, expected) in [
        ("https://example.org", "put the TLS end in front"),
        (
            "http://u:p@example.org",
            "credentials do not belong into a URL",
        ),
        ("http://example.org/?a=1", "has no query"),
        ("ftp://example.org", "is no URL"),
        ("127.0.0.1:9000", "is no URL"),
        ("", "is no URL"),
        ("http://127.0.0.1:99999", "is no URL"),
        ("demo:clock", "there is no demo API `clock`"),
        ("demo:random@here", "`here` is no address"),
    ] {
        let (message, _) = complaint(&route(&format!("upstream = \"{url}\"")));
        assert!(message.contains(expected), "{url}: {message}");
    }
}

#[test]
fn places_where_accounts_cannot_live_are_refused_and_repeat_no_password() {
    for (url, shown) in [
        (
            "oracle://ann:s3cr3t@h:1521/db",
            "oracle://ann:******@h:1521/db",
        ),
        ("mysql://ann:s3cr3t@h", "mysql://ann:******@h"),
        ("oracle://ann:s3cr3t/x@h", "oracle://ann:********@h"),
        ("postgres:db", "postgres:db"),
        ("sqlite:", "sqlite:"),
        ("tollgate.db", "tollgate.db"),
    ] {
        let errors = complaints(&format!("[accounts]\nurl = \"{url}\"\n{ROUTE}"));
        let message = format!("accounts cannot live in `{shown}`");
        assert_eq!((errors[0].message(), errors[0].line()), (&*message, 2));
        let shown = crate::printed(&errors);
        for way in ["sqlite:FILE", "postgres://", "mysql://"] {
            assert!(shown.contains(way), "{shown}");
        }
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }
}

#[test]
fn accounts_live_in_any_of_three_databases_and_no_debug_form_shows_the_password() {
    for url in [
        "sqlite:a.db",
        "sqlite::memory:",
        "postgres://ann:s3cr3t@h/db",
        "postgresql:///db?host=/run/postgresql",
        "mysql://ann:s3cr3t@h:3306/db",
        "mariadb://ann:s3cr3t@h/db",
    ] {
        let text = format!("[accounts]\nurl = \"{url}\"\n{ROUTE}");
        let rules = read(&text).unwrap();
        assert_eq!(rules.accounts.url, url);
        assert!(!format!("{rules:?}").contains("s3cr3t"));
    }
}

#[test]
fn addresses_networks_origins_and_names_are_checked() {
    for (text, expected) in [
        (
            "[server]\nlisten = \"localhost\"\n",
            "`localhost` is not an address",
        ),
        (
            "[server]\nlisten = \"127.0.0.1:70000\"\n",
            "`127.0.0.1:70000` is not an address",
        ),
        (
            "[server]\ntrusted_proxies = [\"10.0.0.0/33\"]\n",
            "`10.0.0.0/33` is not a network",
        ),
        (
            "[server]\ncors_origins = [\"https://a.example/\"]\n",
            "is no origin",
        ),
        (
            "[limits.\"a b\"]\nkey = \"user\"\nquotas = [\"5 per minute\"]\n",
            "`a b` cannot name a limit",
        ),
        (
            "[limits.own]\nkey = \"api-key\"\nquotas = [\"5 per minute\"]\n",
            "`own` is the name of every API key's own quota",
        ),
        (
            "[limits.cl]\nkey = \"user\"\nquotas = { throttle = \"5 per minute\" }\n",
            "`cl.throttle` counts what is asked by `CL.THROTTLE`",
        ),
        (
            "[limits.1st]\nkey = \"user\"\nquotas = [\"5 per minute\"]\n",
            "`1st` cannot name a limit",
        ),
        (
            "[limits.a]\nkey = \"user\"\nquotas = [\"5 per minute\"]\nexempt = [\"ci\"]\n",
            "`ci` is neither a network nor `user:NAME`",
        ),
        (
            "[limits.a]\nkey = \"client-ip\"\nipv6_prefix = 129\nquotas = [\"5 per minute\"]\n",
            "`ipv6_prefix` must be between 16 and 128",
        ),
        (
            "[defaults]\nstatus = { limited = 200 }\n",
            "`limited` must be between 400 and 599",
        ),
    ] {
        let (message, _) = complaint(&format!("{text}{ROUTE}"));
        assert!(message.contains(expected), "{message}");
    }
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
