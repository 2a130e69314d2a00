//! Which route a request takes: one, in whatever way its path is spelled.

use http::Method;
use tollgate_rules::path::{PathError, normalise};
use tollgate_rules::{Found, RuleSet};

use crate::rules;

/// One route for each pattern; its name is the pattern.
fn table(patterns: &[&str]) -> RuleSet {
    let routes = patterns.iter().map(|pattern| {
        format!("[[routes]]\nmatch = \"{pattern}\"\nrespond = {{ text = \"x\" }}\n")
    });
    rules(&routes.collect::<String>())
}

/// `ROUTE as PATH`, `404`, `405 ALLOW`, `options ALLOW`, or why the path is refused.
fn found(rules: &RuleSet, method: &str, target: &str) -> String {
    let normal = match normalise(target) {
        Ok(normal) => normal,
        Err(why) => return why.to_string(),
    };
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    match rules.routes.find(&method, normal) {
        Found::Route { route, path, .. } => format!("{} as {path}", route.name),
        Found::MethodNotAllowed { allow } => format!("405 {allow}"),
        Found::Options { allow } => format!("options {allow}"),
        Found::NotFound => "404".to_owned(),
    }
}

#[test]
fn every_spelling_of_a_path_takes_its_route_and_is_forwarded_in_one_form() {
    let rules = table(&["GET /Admin/users", "GET /{*rest}"]);
    for spelling in [
        "/Admin/users",
        "//Admin/users",
        "/Admin//users",
        "/Admin/users/",
        "/Admin/users//",
        "/./Admin/users",
        "/Admin/./users",
        "/Admin/users/.",
        "/x/../Admin/users",
        "/Admin/x/../users",
        "/Admin/users/x/..",
        "/%41dmin/users",
        "/%41%64min/%75sers",
        "/x/%2e%2e/Admin/users",
        "/x/%2E./Admin/users",
        "/Admin/%2e/users",
        "/admin/users",
        "/ADMIN/USERS",
        "/aDMIN/%55SERS/",
    ] {
        assert_eq!(
            found(&rules, "GET", spelling),
            "GET /Admin/users as /Admin/users",
            "{spelling}"
        );
    }
}

#[test]
fn a_character_that_need_not_be_encoded_is_one_character_in_both_spellings() {
    let rules = table(&[
        "GET /a!b",
        "GET /c+d",
        "GET /e:f@g",
        "GET /(h)",
        "GET /i,j=k",
        "GET /l'm",
        "GET /n*o$p&q",
        "GET /{*rest}",
    ]);
    for (target, path) in [
        ("/a%21b", "/a!b"),
        ("/c%2Bd", "/c+d"),
        ("/c%2bd", "/c+d"),
        ("/e%3af%40g", "/e:f@g"),
        ("/%28h%29", "/(h)"),
        ("/i%2Cj%3Dk", "/i,j=k"),
        ("/l%27m", "/l'm"),
        ("/n%2Ao%24p%26q", "/n*o$p&q"),
    ] {
        for target in [target, path] {
            assert_eq!(
                found(&rules, "GET", target),
                format!("GET {path} as {path}"),
                "{target}"
            );
        }
    }
    // And one that must be encoded is, however it came.
    for (raw, encoded) in [
        ("/{", "/%7B"),
        ("/|", "/%7C"),
        ("/\"", "/%22"),
        ("/^", "/%5E"),
        ("/<>", "/%3C%3E"),
        ("/`", "/%60"),
        ("/[]", "/%5B%5D"),
        ("/é", "/%C3%A9"),
    ] {
        assert_eq!(normalise(raw).unwrap(), encoded);
        assert_eq!(normalise(encoded).unwrap(), encoded);
    }
}

#[test]
fn a_path_that_servers_read_differently_is_refused_and_reaches_no_route() {
    let rules = table(&["/{*rest}"]);
    for (target, why) in [
        ("/admin%2Fusers", PathError::HiddenSlash),
        ("/admin%2fusers", PathError::HiddenSlash),
        ("/admin%5Cusers", PathError::HiddenSlash),
        ("/admin\\users", PathError::HiddenSlash),
        ("/admin;v=1", PathError::Parameter),
        ("/admin%3Bv=1", PathError::Parameter),
        ("/admin%00", PathError::Characters),
        ("/admin%0a", PathError::Characters),
        ("/admin%7f", PathError::Characters),
        ("/%c0%ae%c0%ae/x", PathError::Characters),
        ("/%ff", PathError::Characters),
        ("/%zz", PathError::Percent),
        ("/%", PathError::Percent),
        ("/..", PathError::AboveRoot),
        ("/a/../../b", PathError::AboveRoot),
        ("/%2e%2e/b", PathError::AboveRoot),
        ("a", PathError::NoSlash),
        ("*", PathError::NoSlash),
        ("", PathError::NoSlash),
    ] {
        assert_eq!(normalise(target), Err(why), "{target}");
        assert_eq!(found(&rules, "GET", target), why.to_string());
    }
}

#[test]
fn the_one_form_of_a_path_is_its_own() {
    let mut random = tollgate_testkit::Random::new();
    let pieces = [
        "/", "/", ".", "..", "a", "B", "%41", "%2e", "%C3%A9", "é", "%25", "%20", " ", "+", "%2B",
        "!", "{", "~", "%7e", "?", "#", "|",
    ];
    let mut normal_paths = 0;
    for _ in 0..50_000 {
        let path: String = std::iter::once("/")
            .chain(
                (0..random.below(12))
                    .map(|_| *random.pick(&pieces))
                    .collect::<Vec<_>>(),
            )
            .collect();
        let Ok(normal) = normalise(&path) else {
            continue;
        };
        normal_paths += 1;
        assert_eq!(normalise(&normal).unwrap(), normal, "{path}");
        assert!(normal.is_ascii(), "{path}");
        assert!(
            !normal.contains("//") && !normal.contains("/./") && !normal.contains("/../"),
            "{path}: {normal}"
        );
    }
    assert!(normal_paths > 10_000);
}

#[test]
fn get_answers_head_and_head_of_its_own_stands_before() {
    let rules = table(&["GET /a", "GET /b", "HEAD /b", "POST /c", "/d"]);
    assert_eq!(found(&rules, "HEAD", "/a"), "GET /a as /a");
    assert_eq!(found(&rules, "HEAD", "/b"), "HEAD /b as /b");
    assert_eq!(found(&rules, "HEAD", "/c"), "405 POST, OPTIONS");
    assert_eq!(found(&rules, "HEAD", "/d"), "/d as /d");
}

#[test]
fn a_known_path_with_another_method_says_which_are_allowed() {
    let rules = table(&["GET /a", "POST /a", "DELETE /b", "/c", "OPTIONS /d"]);
    assert_eq!(found(&rules, "PUT", "/a"), "405 GET, POST, HEAD, OPTIONS");
    assert_eq!(found(&rules, "PUT", "/A/"), "405 GET, POST, HEAD, OPTIONS");
    assert_eq!(found(&rules, "GET", "/b"), "405 DELETE, OPTIONS");
    assert_eq!(found(&rules, "GET", "/d"), "405 OPTIONS");
    assert_eq!(found(&rules, "get", "/a"), "405 GET, POST, HEAD, OPTIONS");
    assert_eq!(found(&rules, "PUT", "/e"), "404");
    // A route for every method still takes none that opens tunnels or echoes.
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "FOO"] {
        assert_eq!(found(&rules, method, "/c"), "/c as /c");
    }
    for method in ["CONNECT", "TRACE"] {
        assert_eq!(
            found(&rules, method, "/c"),
            "405 GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS"
        );
    }
}

#[test]
fn options_is_answered_unless_a_route_asks_for_it() {
    let rules = table(&["GET /a", "/b", "OPTIONS /c", "GET /c"]);
    assert_eq!(found(&rules, "OPTIONS", "/a"), "options GET, HEAD, OPTIONS");
    assert_eq!(
        found(&rules, "OPTIONS", "/b"),
        "options GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS"
    );
    assert_eq!(found(&rules, "OPTIONS", "/c"), "OPTIONS /c as /c");
    assert_eq!(found(&rules, "OPTIONS", "/d"), "404");
}

#[test]
fn a_wildcard_takes_all_that_follows_and_the_path_before_it() {
    let rules = table(&["GET /docs/{*rest}", "GET /api/{*rest}", "POST /api"]);
    for (target, answer) in [
        ("/docs/a", "GET /docs/{*rest} as /docs/a"),
        ("/docs/a/b/c", "GET /docs/{*rest} as /docs/a/b/c"),
        ("/DOCS/Ab", "GET /docs/{*rest} as /docs/Ab"),
        ("/docs", "GET /docs/{*rest} as /docs"),
        ("/docs/", "GET /docs/{*rest} as /docs"),
        ("/Docs", "GET /docs/{*rest} as /docs"),
        ("/docsx", "404"),
        // The parent is another route's: nothing is implied.
        ("/api", "405 POST, OPTIONS"),
        ("/api/x", "GET /api/{*rest} as /api/x"),
    ] {
        assert_eq!(found(&rules, "GET", target), answer, "{target}");
    }
    let all = table(&["/{*rest}"]);
    for (target, answer) in [
        ("/", "/{*rest} as /"),
        ("//", "/{*rest} as /"),
        ("/a/b", "/{*rest} as /a/b"),
    ] {
        assert_eq!(found(&all, "GET", target), answer, "{target}");
    }
    let named: Vec<&str> = rules
        .routes
        .endpoints()
        .map(|(pattern, ..)| pattern)
        .collect();
    assert_eq!(
        named,
        ["/docs/{*rest}", "/api/{*rest}", "/api"],
        "what is implied is not listed"
    );
}

#[test]
fn a_parameter_is_one_segment_and_a_literal_stands_before_it() {
    let rules = table(&[
        "GET /u/{id}",
        "GET /u/me",
        "GET /u/{id}/keys",
        "GET /{*rest}",
    ]);
    for (target, answer) in [
        ("/u/7", "GET /u/{id} as /u/7"),
        ("/U/Ann", "GET /u/{id} as /u/Ann"),
        ("/u/ME", "GET /u/me as /u/me"),
        ("/u/%6De", "GET /u/me as /u/me"),
        ("/u/7/", "GET /u/{id} as /u/7"),
        ("/u/7/KEYS", "GET /u/{id}/keys as /u/7/keys"),
        ("/u", "GET /{*rest} as /u"),
        ("/u/7/x", "GET /{*rest} as /u/7/x"),
    ] {
        assert_eq!(found(&rules, "GET", target), answer, "{target}");
    }
}

#[test]
fn a_slash_at_the_end_changes_nothing_and_the_route_says_which_spelling_is_forwarded() {
    let rules = table(&[
        "GET /bare",
        "GET /slash/",
        "GET /u/{id}/",
        "GET /docs/{*rest}",
        "GET /{*rest}",
    ]);
    for (target, answer) in [
        ("/bare", "GET /bare as /bare"),
        ("/bare/", "GET /bare as /bare"),
        ("/slash", "GET /slash/ as /slash/"),
        ("/SLASH/", "GET /slash/ as /slash/"),
        ("/u/Ann", "GET /u/{id}/ as /u/Ann/"),
        ("/u/Ann/", "GET /u/{id}/ as /u/Ann/"),
        ("/docs/", "GET /docs/{*rest} as /docs"),
        ("/docs/a/", "GET /docs/{*rest} as /docs/a/"),
        ("/other/", "GET /{*rest} as /other/"),
        ("/", "GET /{*rest} as /"),
    ] {
        assert_eq!(found(&rules, "GET", target), answer, "{target}");
    }
}

#[test]
fn the_literal_part_of_a_match_is_told_apart_from_what_follows_it() {
    let rules = table(&["GET /docs/{*rest}", "GET /plain", "GET /{*all}"]);
    for (target, literal) in [
        ("/docs/a/b", "/docs"),
        ("/docs", "/docs"),
        ("/plain", "/plain"),
        ("/x/y", ""),
        ("/", "/"),
    ] {
        let Found::Route {
            path,
            literal_bytes,
            ..
        } = rules.routes.find(&Method::GET, target.into())
        else {
            panic!("{target}")
        };
        assert_eq!(&path[..literal_bytes], literal, "{target}");
    }
}

#[test]
fn of_many_routes_each_finds_its_own() {
    let patterns: Vec<String> = (0..200).map(|n| format!("GET /Route{n}/{{x}}")).collect();
    for count in [1, 2, 10, 99, 100, 101, 200] {
        let names: Vec<&str> = patterns[..count].iter().map(String::as_str).collect();
        let rules = table(&names);
        for (n, name) in names.iter().enumerate() {
            let answer = format!("{name} as /Route{n}/Y");
            assert_eq!(found(&rules, "GET", &format!("/rOUTE{n}/Y")), answer);
        }
        assert_eq!(found(&rules, "GET", &format!("/route{count}/y")), "404");
    }
}
