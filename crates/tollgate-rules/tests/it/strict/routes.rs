//! What a route may be, and which limits it may name.

use super::route;
use crate::{ROUTE, complaint, read};

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
fn an_answer_that_says_it_is_json_is_json() {
    for right in [
        r#"json = '{"ok":[1,true,null]}'"#,
        r#"json = "7""#,
        r#"text = "not json""#,
        r#"text = "{}", type = "application/problem+json; charset=utf-8""#,
        r#"text = "{", type = "text/html""#,
        r#"json = "{", type = "application/jsonl""#,
    ] {
        let text = route(&format!("respond = {{ {right} }}"));
        assert!(read(&text).is_ok(), "{right}");
    }
    for wrong in [
        r#"json = "{'ok': true}""#,
        r#"json = "{} {}""#,
        r#"json = """#,
        r#"text = "{", type = "application/json""#,
        r#"text = "{", type = "Application/Problem+JSON; charset=utf-8""#,
    ] {
        let (message, _) = complaint(&route(&format!("respond = {{ {wrong} }}")));
        assert!(
            message.starts_with("this is no JSON: "),
            "{wrong}: {message}"
        );
        assert!(message.contains(" at line 1 column "), "{wrong}: {message}");
    }
}
