//! What limits a route has, what they are called, and what they are keyed by.

use http::{HeaderMap, HeaderName, StatusCode};
use tollgate::{Mode, Reason};
use tollgate_rules::{KeyPart, RuleSet, Subject};

use crate::rules;

const RESPOND: &str = "respond = { text = \"x\" }\n";

fn names(rules: &RuleSet, route: usize) -> Vec<&str> {
    let limits = &rules.routes.routes()[route].limits;
    limits.iter().map(|limit| limit.name.as_str()).collect()
}

fn policies<'r>(rules: &'r RuleSet, limit: &str) -> Vec<&'r str> {
    let limit = rules
        .limit(limit)
        .unwrap_or_else(|| panic!("no limit {limit}"));
    limit.policies.iter().map(|policy| policy.name()).collect()
}

fn inline(pattern: &str, limits: &str) -> RuleSet {
    rules(&format!(
        "[[routes]]\nmatch = \"{pattern}\"\nlimits = [{limits}]\n{RESPOND}"
    ))
}

#[test]
fn an_inline_limit_has_the_key_it_says_and_the_name_of_its_route() {
    let rules = inline("GET /fast", "\"5 per minute by client-ip, route\"");
    let limit = rules.limit("fast").unwrap();
    let address = KeyPart::ClientIp { ipv6_prefix: 64 };
    assert_eq!(limit.key.parts(), [address.clone(), KeyPart::Route]);
    assert_eq!(policies(&rules, "fast"), ["fast.minute"]);
    let rules = inline("GET /fast", "\"5 per minute; 300/hour\"");
    assert_eq!(rules.limit("fast").unwrap().key.parts(), [address]);
    assert_eq!(policies(&rules, "fast"), ["fast.minute", "fast.hour"]);
    for (key, part) in [
        ("global", KeyPart::Global),
        (
            "header:X-Tenant",
            KeyPart::Header(HeaderName::from_static("x-tenant")),
        ),
        ("cookie:a", KeyPart::Cookie("a".into())),
        ("query:b", KeyPart::Query("b".into())),
    ] {
        let rules = inline("GET /fast", &format!("\"5/m by {key}\""));
        assert_eq!(rules.limit("fast").unwrap().key.parts(), [part]);
    }
}

#[test]
fn an_inline_limit_always_gets_a_name_that_fields_and_metrics_can_carry() {
    for (pattern, name) in [
        ("GET /a/b-c", "a-b-c"),
        ("GET /hello/{name}", "hello-name"),
        ("/{*rest}", "rest"),
        ("GET /", "route"),
        ("GET /own", "route"),
        ("GET /2fast", "route"),
        ("GET /%C3%A9", "C3-A9"),
    ] {
        assert_eq!(names(&inline(pattern, "\"5/m\""), 0), [name], "{pattern}");
    }
    let long = format!("GET /{}", "x".repeat(200));
    assert_eq!(names(&inline(&long, "\"5/m\""), 0), ["route"]);
}

#[test]
fn two_texts_never_share_a_name_and_one_text_of_one_route_is_one_limit() {
    let rules = rules(&format!(
        "[limits.fast]\nkey = \"global\"\nquotas = [\"1 per day\"]\n\
         [[routes]]\nmatch = \"GET /fast\"\nlimits = [\"2/s\", \"9/m\"]\n{RESPOND}\
         [[routes]]\nmatch = \"POST /fast\"\nlimits = [\"2/s\"]\n{RESPOND}\
         [[routes]]\nmatch = \"PUT /fast\"\nlimits = [\"2/s by global\", \"fast\"]\n{RESPOND}"
    ));
    assert_eq!(names(&rules, 0), ["fast-2", "fast-3"]);
    assert_eq!(names(&rules, 1), ["fast-2"]);
    assert_eq!(names(&rules, 2), ["fast-4", "fast"]);
    assert_eq!(policies(&rules, "fast"), ["fast.day"]);
    assert_eq!(policies(&rules, "fast-2"), ["fast-2.second"]);
}

#[test]
fn defaults_hold_where_a_route_says_nothing_are_replaced_by_its_own_and_kept_by_inherit() {
    let rules = rules(&format!(
        "[defaults]\nlimits = [\"5 per minute by client-ip, route\"]\n\
         [[routes]]\nmatch = \"GET /default\"\n{RESPOND}\
         [[routes]]\nmatch = \"GET /mine\"\nlimits = [\"2/s\"]\n{RESPOND}\
         [[routes]]\nmatch = \"GET /both\"\nlimits = [\"2/s\"]\ninherit = true\n{RESPOND}\
         [[routes]]\nmatch = \"GET /none\"\nlimits = []\n{RESPOND}\
         [[routes]]\nmatch = \"GET /proxied\"\nupstream = \"http://127.0.0.1:9\"\n\
         [[routes]]\nmatch = \"GET /docs\"\nbuiltin = \"docs\"\n\
         [[routes]]\nmatch = \"GET /token\"\nbuiltin = \"token\"\nlimits = [\"1/s\"]\ninherit = true\n"
    ));
    let of: Vec<Vec<&str>> = (0..7).map(|route| names(&rules, route)).collect();
    let none: Vec<&str> = vec![];
    assert_eq!(
        of,
        [
            vec!["default"],
            vec!["mine"],
            vec!["default", "both"],
            none.clone(),
            vec!["default"],
            none,
            vec!["default", "token"]
        ]
    );
    let shared = rules.limit("default").unwrap();
    for route in [0, 2, 4] {
        assert!(std::sync::Arc::ptr_eq(
            shared,
            &rules.routes.routes()[route].limits[0]
        ));
    }
}

#[test]
fn windows_are_named_after_their_length_or_as_the_file_says() {
    let rules = rules(&format!(
        "[limits.a]\nkey = \"global\"\nquotas = [\"1 per minute\", \"3 per 10 seconds\", \"9 per 36 hours\"]\n\
         [limits.b]\nkey = \"global\"\nquotas = {{ short = \"5 per minute\", long = \"9 per minute\" }}\n\
         [limits.c]\nkey = \"global\"\nquotas = \"5/m; 6/h\"\n{}",
        crate::ROUTE
    ));
    assert_eq!(policies(&rules, "a"), ["a.minute", "a.10s", "a.36h"]);
    let mut named = policies(&rules, "b");
    named.sort();
    assert_eq!(named, ["b.long", "b.short"]);
    assert_eq!(policies(&rules, "c"), ["c.minute", "c.hour"]);
}

#[test]
fn the_algorithm_of_a_limit_holds_for_each_quota_that_names_none() {
    let rules = rules(&format!(
        "[limits.a]\nkey = \"global\"\nalgorithm = \"fixed-window\"\n\
         quotas = [\"5 per minute\", \"9 per hour token-bucket\", \"7/d\"]\n{}",
        crate::ROUTE
    ));
    let quotas: Vec<String> = rules
        .limit("a")
        .unwrap()
        .policies
        .iter()
        .map(|policy| policy.quota().unwrap().to_string())
        .collect();
    assert_eq!(
        quotas,
        [
            "5 per minute fixed-window",
            "9 per hour token-bucket",
            "7 per day fixed-window"
        ]
    );
}

#[test]
fn a_limit_that_is_off_decides_nothing_and_one_in_shadow_only_watches() {
    let text = |mode: &str| {
        format!(
            "[limits.a]\nkey = \"global\"\nmode = \"{mode}\"\nquotas = [\"5/m\"]\n\
             [[routes]]\nmatch = \"GET /\"\nlimits = [\"a\"]\n{RESPOND}"
        )
    };
    assert_eq!(rules(&text("off")).limit("a").unwrap().policies.len(), 0);
    let mode = |mode: &str| rules(&text(mode)).limit("a").unwrap().policies[0].mode();
    assert_eq!(
        (mode("shadow"), mode("enforce")),
        (Mode::Shadow, Mode::Enforce)
    );
}

#[test]
fn a_penalty_holds_for_each_quota_of_its_limit_and_fills_in_what_is_not_said() {
    let secs = std::time::Duration::from_secs;
    for (written, told) in [
        ("{ block = \"1 minute\" }", (60, 1, 60, 60)),
        ("{ block = \"1m\", factor = 1 }", (60, 1, 60, 60)),
        (
            "{ block = \"minute\", block_max = \"1 hour\" }",
            (60, 2, 3_600, 3_600),
        ),
        (
            "{ block = \"90 s\", factor = 3, block_max = \"1 hour\", quiet = \"1 day\" }",
            (90, 3, 3_600, 86_400),
        ),
    ] {
        let rules = rules(&format!(
            "[limits.a]\nkey = \"global\"\nmode = \"shadow\"\nquotas = [\"5 per minute\", \"9 per hour token-bucket\"]\n\
             penalty = {written}\n[[routes]]\nmatch = \"GET /\"\nlimits = [\"a\", \"5 per second\"]\n{RESPOND}"
        ));
        let policies = &rules.limit("a").unwrap().policies;
        assert_eq!(policies.len(), 2);
        for policy in policies {
            let penalty = policy.penalty().unwrap();
            let (block, factor, block_max, quiet) = told;
            assert_eq!(
                (
                    penalty.block(),
                    penalty.factor(),
                    penalty.block_max(),
                    penalty.quiet()
                ),
                (secs(block), factor, secs(block_max), secs(quiet)),
                "{written}"
            );
            assert_eq!(policy.mode(), Mode::Shadow);
        }
        assert_eq!(rules.limits[1].policies[0].penalty(), None);
    }
    let section = rules(&format!(
        "[limits.a]\nkey = \"global\"\nquotas = \"5/m\"\n[limits.a.penalty]\nblock = \"7 s\"\n{}",
        crate::ROUTE
    ));
    let penalty = section.limit("a").unwrap().policies[0].penalty().unwrap();
    assert_eq!(penalty.block(), secs(7));
}

#[test]
fn exemptions_hold_for_networks_and_for_users_by_name_in_any_case() {
    let rules = rules(&format!(
        "[limits.a]\nkey = \"client-ip\"\nquotas = [\"5/m\"]\n\
         exempt = [\"10.0.0.0/8\", \"192.0.2.7\", \"2001:db8::/32\", \"user:CI\"]\n{}",
        crate::ROUTE
    ));
    let headers = HeaderMap::new();
    let limited = |address: &str, user_name: Option<&str>| {
        let subject = Subject {
            address: address.parse().unwrap(),
            user: user_name.map(|_| "id"),
            user_name,
            api_key: None,
            claims: &[],
            headers: &headers,
            query: None,
            route: "GET /",
        };
        rules
            .limit("a")
            .unwrap()
            .key_of(&subject)
            .unwrap()
            .is_some()
    };
    for free in ["10.1.2.3", "::ffff:10.1.2.3", "192.0.2.7", "2001:db8::9"] {
        assert!(!limited(free, None), "{free}");
    }
    assert!(!limited("192.0.2.8", Some("ci")));
    assert!(limited("192.0.2.8", None));
    assert!(limited("192.0.2.8", Some("cid")));
    assert!(limited("11.0.0.1", None));
}

#[test]
fn a_request_without_its_key_is_refused_shared_or_let_be_as_the_limit_says() {
    let headers = HeaderMap::new();
    let nobody = Subject {
        address: "192.0.2.1".parse().unwrap(),
        user: None,
        user_name: None,
        api_key: None,
        claims: &[],
        headers: &headers,
        query: None,
        route: "GET /",
    };
    let decided = |missing: &str| {
        let rules = rules(&format!(
            "[limits.a]\nkey = \"header:x-tenant\"\nquotas = [\"5/m\"]\n{missing}\n{}",
            crate::ROUTE
        ));
        rules.limit("a").unwrap().key_of(&nobody)
    };
    assert_eq!(decided(""), Err(Reason::MissingKey));
    assert_eq!(decided("missing = \"deny\""), Err(Reason::MissingKey));
    assert_eq!(decided("missing = \"skip\""), Ok(None));
    assert!(decided("missing = \"anonymous\"").unwrap().is_some());
}

#[test]
fn the_key_that_a_person_names_is_the_one_that_requests_are_counted_under() {
    let rules = rules(&format!(
        "[limits.a]\nkey = [\"client-ip\", \"user\", \"global\", \"header:x\"]\nquotas = [\"5/m\"]\n{}",
        crate::ROUTE
    ));
    let mut headers = HeaderMap::new();
    headers.insert("x", "v".parse().unwrap());
    let subject = Subject {
        address: "::ffff:192.0.2.1".parse().unwrap(),
        user: Some("id"),
        user_name: Some("ann"),
        api_key: None,
        claims: &[],
        headers: &headers,
        query: None,
        route: "GET /",
    };
    let limit = rules.limit("a").unwrap();
    let counted = limit.key_of(&subject).unwrap();
    assert!(counted.is_some());
    assert_eq!(limit.key.key_from_words(&["192.0.2.1", "id", "v"]), counted);
    for wrong in [
        &["192.0.2.1", "id"][..],
        &["192.0.2.1", "id", "v", "w"],
        &["here", "id", "v"],
    ] {
        assert_eq!(limit.key.key_from_words(wrong), None, "{wrong:?}");
    }
}

#[test]
fn a_routes_status_stands_before_the_default_and_the_default_before_the_usual() {
    let rules = rules(&format!(
        "[defaults]\nstatus = {{ limited = 503 }}\n\
         [[routes]]\nmatch = \"GET /a\"\n{RESPOND}\
         [[routes]]\nmatch = \"GET /b\"\nstatus = {{ limited = 403, unauthenticated = 404 }}\n{RESPOND}\
         [[routes]]\nmatch = \"GET /c\"\nstatus = {{ unauthenticated = 403 }}\n{RESPOND}"
    ));
    let status: Vec<(StatusCode, StatusCode)> = rules
        .routes
        .routes()
        .iter()
        .map(|route| (route.status.unauthenticated, route.status.limited))
        .collect();
    let code = |code: u16| StatusCode::from_u16(code).unwrap();
    assert_eq!(
        status,
        [
            (code(401), code(503)),
            (code(404), code(403)),
            (code(403), code(503))
        ]
    );
}
