//! Routes where proxies ask, and those that end elsewhere.

use http::Method;
use std::borrow::Cow;

use tollgate_rules::{Action, Found};

use crate::{complaint, complaints, printed, rules};

const ASKED: &str = "[server]\ntrusted_proxies = [\"10.0.0.0/8\"]\n[[routes]]\nmatch = \"/v1/auth\"\nbuiltin = \"forward-auth\"\n";

fn route(lines: &str) -> String {
    format!("{ASKED}[[routes]]\nmatch = \"GET /call\"\n{lines}\n")
}

#[test]
fn a_route_may_end_elsewhere_where_proxies_can_ask_about_it() {
    let known = rules(&route("limits = [\"5 per minute\"]"));
    let ends: Vec<_> = known
        .routes
        .routes()
        .iter()
        .map(|route| &route.action)
        .collect();
    assert!(matches!(ends[..], [Action::ForwardAuth, Action::Elsewhere]));
    let alone = "[[routes]]\nmatch = \"GET /call\"\nlimits = [\"5 per minute\"]\n";
    let (message, help) = complaint(alone);
    assert!(
        message.starts_with("a route has exactly one of"),
        "{message}"
    );
    assert!(help.contains("builtin = \"forward-auth\""), "{help}");
    // The order of the file says nothing.
    assert_eq!(rules(&format!("{alone}{ASKED}")).routes.routes().len(), 2);
}

#[test]
fn proxies_ask_with_every_method_and_no_options_is_answered_before_it_is_understood() {
    for lines in [ASKED.to_owned(), ASKED.replace("/v1", "GET /v1")] {
        let known = rules(&lines);
        for method in [Method::GET, Method::OPTIONS] {
            let found = known.routes.find(&method, Cow::Borrowed("/v1/auth"));
            assert!(
                matches!(found, Found::Route { route, .. } if matches!(route.action, Action::ForwardAuth)),
                "{method}"
            );
        }
    }
}

#[test]
fn where_proxies_ask_there_is_a_path_and_nothing_else() {
    for (key, value) in [
        ("auth", "[\"api-key\"]"),
        ("limits", "[\"5 per minute\"]"),
        ("upstream", "\"http://127.0.0.1:1\""),
        ("status", "{ limited = 403 }"),
        ("head", "\"local\""),
    ] {
        let (message, _) = complaint(&format!("{ASKED}{key} = {value}\n"));
        assert_eq!(message, format!("unknown key `{key}` in `routes`"));
    }
    let nobody = ASKED.replace("\"10.0.0.0/8\"", "");
    let (message, help) = complaint(&nobody);
    assert_eq!(
        message,
        "nobody may ask `forward-auth`: no proxy is believed"
    );
    assert!(help.contains("trusted_proxies"), "{help}");
    let (message, _) = complaint(
        "[server]\ntrusted_proxies = [\"10.0.0.0/8\"]\n[[routes]]\nbuiltin = \"forward-auth\"\n",
    );
    assert!(message.contains("needs a `match`"), "{message}");
    let (message, _) = complaint(&ASKED.replace("/v1/auth", "/v1/{*rest}"));
    assert!(message.contains("without parameters"), "{message}");
    let taken =
        format!("[[routes]]\nmatch = \"OPTIONS /v1/auth\"\nrespond = {{ text = \"x\" }}\n{ASKED}");
    assert!(printed(&complaints(&taken)).contains("`/v1/auth` cannot be a route"));
}

#[test]
fn what_is_only_asked_about_holds_no_slot() {
    let (message, help) = complaint(&route("limits = [\"2 concurrent by client-ip\"]"));
    assert!(
        message.contains("counts requests that are under way"),
        "{message}"
    );
    assert!(help.contains("`upstream`"), "{help}");
    let with_upstream = "limits = [\"2 concurrent by client-ip\"]\nupstream = \"demo:random\"";
    rules(&route(with_upstream));
    let defaults = format!("[defaults]\nlimits = [\"2 concurrent\"]\n{}", route(""));
    complaint(&defaults);
}

#[test]
fn the_rules_of_the_page_and_of_the_recipe_are_right() {
    let page = include_str!("../../../../docs/service.md");
    let section = page.split("## Forward authentication").nth(1).unwrap();
    let block = section.split("```toml\n").nth(1).unwrap();
    rules(block.split("```").next().unwrap());
    let recipe = include_str!("../../../../deploy/nginx/forward-auth.conf");
    let lines = recipe
        .lines()
        .filter_map(|line| line.strip_prefix("#     "));
    let known = rules(&lines.collect::<Vec<_>>().join("\n"));
    assert_eq!(known.routes.routes().len(), 2);
}
