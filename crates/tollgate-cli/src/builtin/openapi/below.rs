//! Some built-ins answer several questions below one pattern; the document has a path for each.

use serde_json::{Map, Value};
use tollgate_rules::{Action, Builtin, Route, RuleSet};

/// The paths below the console's pattern, and what they do.
const CONSOLE: &str = include_str!("../../../../../web/openapi/console.json");

/// What stands below the monitor's `{*rest}`, and what its operations' names begin with.
const BELOW_KEYS: [(&str, &str); 3] = [
    ("{id}", "key "),
    ("{id}/series", "series "),
    ("live", "live "),
];
const BELOW: [(&str, &str); 4] = [
    ("keys", ""),
    ("keys/{id}", "key "),
    ("keys/{id}/series", "series "),
    ("live", "live "),
];

/// Adds what the console does to the parts of the document, and returns its paths; none where the rules have no console.
pub(super) fn console(rules: &RuleSet, parts: &mut Value) -> Vec<String> {
    let mut endpoints = rules.routes.endpoints();
    if !endpoints.any(|(_, _, route)| ends_in(route, Builtin::Console)) {
        return Vec::new();
    }
    let mut console: Value = serde_json::from_str(CONSOLE).unwrap_or_default();
    for (kind, components) in members(console["components"].take()) {
        for (name, component) in members(components) {
            parts["components"][&kind][name] = component;
        }
    }
    let mut paths = Vec::new();
    for (path, operations) in members(console["paths"].take()) {
        for (method, operation) in members(operations) {
            // What another built-in does as well goes by its name.
            let operation = match operation.as_str() {
                Some(name) => parts["operations"][name].clone(),
                None => operation,
            };
            parts["operations"][format!("console {path} {method}")] = operation;
        }
        paths.push(path);
    }
    paths
}

/// The paths of a pattern, each with what its operations' names begin with; of most routes the pattern alone.
pub(super) fn paths(pattern: &str, route: &Route, console: &[String]) -> Vec<(String, String)> {
    let alone = || vec![(pattern.to_owned(), String::new())];
    let Some((above, _)) = pattern.split_once("{*") else {
        return alone();
    };
    let below = |path: &str, part: &str| (format!("{above}{path}"), part.to_owned());
    if ends_in(route, Builtin::Console) {
        let paths = console.iter();
        return paths.map(|path| below(path, &format!("{path} "))).collect();
    }
    if !ends_in(route, Builtin::Monitor) {
        return alone();
    }
    let known: &[_] = match above.ends_with("/keys/") {
        true => &BELOW_KEYS,
        false => &BELOW,
    };
    known.iter().map(|(path, part)| below(path, part)).collect()
}

fn ends_in(route: &Route, wanted: Builtin) -> bool {
    matches!(&route.action, Action::Builtin { builtin, .. } if *builtin == wanted)
}

fn members(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
