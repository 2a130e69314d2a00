//! The OpenAPI 3.1 document of a rule set: what its routes are, ask for and answer.
//!
//! `web/openapi/parts.json` says what each kind of route does, `console.json` what stands below that of the console;
//! what the rules decide is added here.

mod below;
#[cfg(test)]
mod tests;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use tollgate_rules::{Action, Auth, Builtin, Limit, Respond, Route, RuleSet, Upstream};

const PARTS: &str = include_str!("../../../../web/openapi/parts.json");

/// What stands in the document for a route of any method.
const ANY: [&str; 5] = ["get", "post", "put", "patch", "delete"];
/// The methods that a document can have.
const KNOWN: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];

pub(super) fn document(rules: &RuleSet) -> Value {
    let mut parts: Value = serde_json::from_str(PARTS).unwrap_or_default();
    let console = below::console(rules, &mut parts);
    let mut paths = Map::new();
    let endpoints = rules.routes.endpoints();
    for (pattern, method, route, part) in endpoints.flat_map(|(pattern, method, route)| {
        let paths = below::paths(pattern, route, &console).into_iter();
        paths.map(move |(pattern, part)| (pattern, method, route, part))
    }) {
        let path = paths
            .entry(pattern.replace("{*", "{"))
            .or_insert_with(|| path_item(&pattern));
        for name in names(method) {
            let Some(operation) = operation(&parts, rules, &format!("{part}{name}"), route) else {
                continue;
            };
            // A method that is named goes before any method, whichever comes first.
            if method.is_some() || path.get(&name).is_none() {
                path[name] = operation;
            }
        }
    }
    paths.retain(|_, path| KNOWN.iter().any(|method| path.get(method).is_some()));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tollgate",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What this gateway answers. Refusals are problem documents (RFC 9457).",
        },
        "tags": tags(&parts, &paths),
        "paths": paths,
        "components": parts["components"].take(),
    })
}

/// The tags that these paths have, in the order in which a reader wants them.
fn tags(parts: &Value, paths: &Map<String, Value>) -> Vec<Value> {
    let operations = paths.values().filter_map(Value::as_object);
    let operations = operations.flat_map(Map::values);
    let used: Vec<&Value> = operations
        .filter_map(|operation| operation["tags"].as_array())
        .flatten()
        .collect();
    let known = parts["tags"].as_array().into_iter().flatten();
    known
        .filter(|tag| used.contains(&&tag["name"]))
        .cloned()
        .collect()
}

fn names(method: Option<&Method>) -> Vec<String> {
    match method {
        None => ANY.map(str::to_owned).to_vec(),
        Some(method) => {
            let name = method.as_str().to_ascii_lowercase();
            if KNOWN.contains(&name.as_str()) {
                vec![name]
            } else {
                Vec::new()
            }
        }
    }
}

/// A path with the parameters that its pattern names.
fn path_item(pattern: &str) -> Value {
    let names = pattern
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next());
    let parameter = |name: &str| json!({ "name": name.trim_start_matches('*'), "in": "path", "required": true, "schema": { "type": "string" } });
    let parameters: Vec<Value> = names.map(parameter).collect();
    if parameters.is_empty() {
        json!({})
    } else {
        json!({ "parameters": parameters })
    }
}

/// `None` for what is there for browsers only.
fn operation(parts: &Value, rules: &RuleSet, method: &str, route: &Route) -> Option<Value> {
    let part = |name: &str| parts["operations"].get(name).cloned();
    let mut operation = match &route.action {
        Action::Builtin { builtin, .. } => part(&format!("{} {method}", name_of(*builtin)))?,
        Action::Respond(respond) => fixed(respond),
        Action::Upstream { upstream } => match rules.upstreams.get(*upstream) {
            Some(Upstream::Demo { .. }) => part("number")?,
            _ => part("upstream")?,
        },
        // Clients meet it where the proxy is that asks here.
        Action::Elsewhere => part("upstream")?,
        Action::ForwardAuth => return None,
    };
    operation["security"] = route
        .auth
        .iter()
        .map(|auth| json!({ scheme(*auth): [] }))
        .collect();
    if let Some(text) = description(route) {
        let before = operation["description"]
            .as_str()
            .map(|before| format!("{before} "));
        operation["description"] = json!(before.unwrap_or_default() + &text);
    }
    refusals(&mut operation["responses"], method, route);
    Some(operation)
}

fn name_of(builtin: Builtin) -> &'static str {
    let mut names = Builtin::NAMES.into_iter();
    names
        .find(|(_, known)| *known == builtin)
        .map_or("", |(name, _)| name)
}

fn fixed(respond: &Respond) -> Value {
    let answer =
        json!({ "description": "The answer.", "content": { respond.content_type.as_str(): {} } });
    json!({ "tags": ["API"], "summary": "A fixed answer", "responses": { respond.status.as_str(): answer } })
}

fn scheme(auth: Auth) -> &'static str {
    match auth {
        Auth::Session => "session",
        Auth::Bearer => "bearer",
        Auth::ApiKey => "apiKey",
    }
}

/// The limits that the route charges, and those that it shows.
fn description(route: &Route) -> Option<String> {
    let list = |limits: &[std::sync::Arc<Limit>]| {
        let policies = limits.iter().flat_map(|limit| &limit.policies);
        let texts =
            policies.filter_map(|policy| Some(format!("`{}` {}", policy.name(), policy.quota()?)));
        Some(texts.collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty())
    };
    match &route.action {
        Action::Builtin { of, .. } if !of.is_empty() => Some(format!("Shows {}.", list(of)?)),
        _ => Some(format!("Limited by {}.", list(&route.limits)?)),
    }
}

/// What the route adds to the answers: the fields of its limits, and a refusal of each kind that it can come to.
fn refusals(responses: &mut Value, method: &str, route: &Route) {
    let limited = !route.limits.is_empty();
    if let Some(answers) = responses.as_object_mut().filter(|_| limited) {
        for answer in answers
            .values_mut()
            .filter(|answer| answer.get("$ref").is_none())
        {
            answer["headers"]["RateLimit"] = header("RateLimit");
            answer["headers"]["RateLimit-Policy"] = header("RateLimit-Policy");
        }
    }
    let builtin = match route.action {
        Action::Builtin { builtin, .. } => Some((builtin, method)),
        _ => None,
    };
    let guesses = matches!(builtin, Some((Builtin::Login, "post")));
    let protected = guesses
        || matches!(
            builtin,
            Some((Builtin::Signup | Builtin::Password, "post") | (Builtin::Token, "get"))
        );
    if !route.auth.is_empty() || guesses {
        refusal(
            responses,
            route.status.unauthenticated,
            "Not authenticated.",
            &["WWW-Authenticate"],
        );
    }
    if limited {
        let fields = ["RateLimit", "RateLimit-Policy", "Retry-After"];
        refusal(
            responses,
            route.status.limited,
            "Nothing is left for now.",
            &fields,
        );
    } else if protected {
        refusal(
            responses,
            route.status.limited,
            "Tried too often.",
            &["Retry-After"],
        );
    }
}

/// Adds a refusal; one status may stand for two kinds, told apart by their fields and the problem's type.
fn refusal(responses: &mut Value, status: StatusCode, description: &str, fields: &[&str]) {
    let response = &mut responses[status.as_str()];
    let before = response["description"]
        .as_str()
        .map(|before| format!("{before} Or: "));
    response["description"] = json!(before.unwrap_or_default() + description);
    for field in fields {
        response["headers"][*field] = header(field);
    }
    response["content"]["application/problem+json"]["schema"]["$ref"] =
        json!("#/components/schemas/Problem");
}

fn header(name: &str) -> Value {
    json!({ "$ref": format!("#/components/headers/{name}") })
}
