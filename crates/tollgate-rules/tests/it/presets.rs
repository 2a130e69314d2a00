//! The five presets say what they promise.

use http::{Method, StatusCode};
use tollgate_rules::{
    Action, Auth, Builtin, Found, Head, KeyPart, Overrides, Route, RuleSet, Upstream,
};

const PRESETS: [(&str, &str); 5] = [
    (
        "random-number",
        include_str!("../../../../examples/random-number/tollgate.toml"),
    ),
    (
        "hello-by-ip",
        include_str!("../../../../examples/hello-by-ip/tollgate.toml"),
    ),
    (
        "pages",
        include_str!("../../../../examples/pages/tollgate.toml"),
    ),
    (
        "hourly-module",
        include_str!("../../../../examples/hourly-module/tollgate.toml"),
    ),
    (
        "per-api-key",
        include_str!("../../../../examples/per-api-key/tollgate.toml"),
    ),
];

fn preset(name: &str) -> RuleSet {
    let (_, text) = PRESETS.iter().find(|(known, _)| *known == name).unwrap();
    crate::rules(text)
}

fn route<'r>(rules: &'r RuleSet, method: Method, path: &'r str) -> &'r Route {
    match rules.routes.find(&method, path.into()) {
        Found::Route { route, .. } => route,
        other => panic!("{method} {path}: {other:?}"),
    }
}

fn quotas(rules: &RuleSet, limit: &str) -> Vec<(String, String)> {
    let limit = rules.limit(limit).unwrap();
    let policies = limit.policies.iter();
    policies
        .map(|policy| {
            (
                policy.name().to_owned(),
                policy.quota().unwrap().to_string(),
            )
        })
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|(name, quota)| ((*name).to_owned(), (*quota).to_owned()))
        .collect()
}

#[test]
fn every_folder_of_examples_is_a_preset_and_every_preset_is_right() {
    let mut folders: Vec<String> = std::fs::read_dir("../../examples")
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().join("tollgate.toml").exists())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    folders.sort();
    let mut names: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
    // These are about gateways that share a store, and about Envoy.
    names.extend(["cluster", "envoy"]);
    names.sort();
    assert_eq!(folders, names);
    crate::rules(include_str!("../../../../examples/cluster/tollgate.toml"));
    crate::rules(include_str!("../../../../examples/envoy/tollgate.toml"));
    for (name, text) in PRESETS {
        let rules = crate::rules(text);
        assert!(!rules.routes.routes().is_empty(), "{name}");
        let loopback = rules.server.listen.ip().is_loopback();
        assert!(loopback, "{name} is open to the network by default");
        assert!(
            rules.server.trusted_proxies.is_empty(),
            "{name} believes somebody"
        );
    }
}

#[test]
fn the_number_presets_charge_a_minute_and_an_hour_together_and_refuse_with_403() {
    for (name, port) in [("random-number", 8000), ("pages", 7000)] {
        let rules = preset(name);
        assert_eq!(rules.server.listen.port(), port);
        assert_eq!(
            quotas(&rules, "per-user"),
            pairs(&[
                ("per-user.minute", "5 per minute fixed-window"),
                ("per-user.hour", "300 per hour fixed-window")
            ])
        );
        assert_eq!(
            rules.limit("per-user").unwrap().key.parts(),
            [KeyPart::User]
        );
        let call = route(&rules, Method::GET, "/call_api");
        assert_eq!(call.auth, [Auth::Session, Auth::Bearer, Auth::ApiKey]);
        assert_eq!(
            (call.status.unauthenticated, call.status.limited),
            (StatusCode::FORBIDDEN, StatusCode::FORBIDDEN)
        );
        assert!(call.page);
        assert_eq!(call.limits.len(), 1);
        for path in ["/see_remaining_limits", "/see_remaining_limit"] {
            let shown = route(&rules, Method::GET, path);
            let Action::Builtin {
                builtin: Builtin::Remaining,
                of,
            } = &shown.action
            else {
                panic!("{:?}", shown.action)
            };
            assert_eq!(of[0].name, "per-user");
            assert!(shown.limits.is_empty(), "it charges nothing");
            assert!(!shown.auth.is_empty());
        }
    }
}

#[test]
fn the_pages_preset_calls_another_process_and_lets_no_prefetch_or_head_through() {
    let rules = preset("pages");
    let call = route(&rules, Method::GET, "/call_api");
    assert_eq!((call.head, call.refuse_prefetch), (Head::Local, true));
    let process = Some("127.0.0.1:8000".parse().unwrap());
    assert_eq!(rules.upstreams, [Upstream::Demo { process }]);
    for path in ["/assets/style.css", "/docs", "/", "/login", "/signup"] {
        assert!(
            route(&rules, Method::GET, path).limits.is_empty(),
            "{path} is charged"
        );
    }
}

#[test]
fn the_hello_preset_limits_by_address_and_each_route_as_it_says() {
    let rules = preset("hello-by-ip");
    let limits_of = |path: &str| -> Vec<(String, String)> {
        let route = route(&rules, Method::GET, path);
        let limits = route.limits.iter().map(|limit| &limit.name);
        limits.flat_map(|limit| quotas(&rules, limit)).collect()
    };
    let parts = |limit: &str| rules.limit(limit).unwrap().key.parts().to_vec();
    let address = KeyPart::ClientIp { ipv6_prefix: 64 };
    assert_eq!(
        limits_of("/"),
        pairs(&[("per-address.10s", "3 per 10 seconds")])
    );
    assert_eq!(parts("per-address"), std::slice::from_ref(&address));
    // A route's own limits replace the defaults, unless it inherits them as well.
    assert_eq!(
        limits_of("/fast"),
        pairs(&[("fast.second", "2 per second")])
    );
    assert_eq!(
        limits_of("/hello/ann"),
        pairs(&[("default.minute", "5 per minute")])
    );
    assert_eq!(parts("default"), [address, KeyPart::Route]);
    assert_eq!(
        limits_of("/strict"),
        pairs(&[
            ("default.minute", "5 per minute"),
            ("strict.second", "2 per second")
        ])
    );
    for free in ["/get-auth-token", "/docs", "/assets/x"] {
        assert_eq!(limits_of(free), [], "{free}");
    }
    let protection = &rules.accounts.protection;
    assert_eq!(protection.token_per_address[0].to_string(), "30 per minute");
    assert_eq!(
        protection.credentials_per_address[0].to_string(),
        "30 per minute"
    );
}

#[test]
fn the_hourly_preset_says_how_long_to_wait_in_its_own_words() {
    let rules = preset("hourly-module");
    assert_eq!(
        quotas(&rules, "hourly"),
        pairs(&[("hourly.hour", "100 per hour")])
    );
    let root = route(&rules, Method::GET, "/");
    assert_eq!(
        root.limited_text.as_deref(),
        Some("Rate limit exceeded. Try again in {retry_after} seconds")
    );
    assert_eq!(root.status.limited, StatusCode::TOO_MANY_REQUESTS);
}

#[test]
fn the_key_preset_counts_all_keys_of_a_user_together() {
    let rules = preset("per-api-key");
    assert_eq!(
        quotas(&rules, "per-user"),
        pairs(&[("per-user.second", "10 per second")])
    );
    let limit = route(&rules, Method::GET, "/limit");
    assert_eq!(limit.auth, [Auth::ApiKey]);
    assert_eq!(
        rules.limit("per-user").unwrap().key.parts(),
        [KeyPart::User]
    );
    assert_eq!(limit.status.unauthenticated, StatusCode::UNAUTHORIZED);
    assert_eq!(limit.status.limited, StatusCode::TOO_MANY_REQUESTS);
}

#[test]
fn an_upstream_of_the_command_line_stands_in_the_place_of_every_one_in_the_file() {
    let upstream = Upstream::parse("http://127.0.0.1:9000/random").unwrap();
    let overrides = Overrides {
        counters: None,
        upstream: Some(upstream.clone()),
        ..Overrides::default()
    };
    for (name, text) in PRESETS {
        let rules = RuleSet::parse(name, text, &overrides).unwrap();
        assert!(
            rules.upstreams.iter().all(|known| *known == upstream),
            "{name}"
        );
    }
    let Upstream::Server { authority, path } = upstream else {
        panic!()
    };
    assert_eq!(
        (authority.as_str(), path.as_deref()),
        ("127.0.0.1:9000", Some("/random"))
    );
}
