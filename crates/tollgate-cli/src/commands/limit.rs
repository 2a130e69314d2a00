//! `tollgate limit`: limits and counters of a running gateway.

mod show;

use http::Method;
use serde_json::{Value, json};

use crate::admin_client::{self, segment};
use crate::args::{LimitArgs, LimitCommand, ScopeArgs};
use crate::failure::Failure;
use crate::plain;

pub(crate) fn run(args: LimitArgs) -> Result<(), Failure> {
    let data = &args.data.data;
    let (method, target, body) = match &args.command {
        LimitCommand::List => {
            let answer = admin_client::done(data, Method::GET, "/limits", None)?;
            return list(&admin_client::json(&answer)?);
        }
        LimitCommand::Set {
            limit,
            quotas,
            scope,
        } => {
            let body = json!({ "quotas": quotas });
            (Method::PUT, quotas_of(limit, scope), Some(body))
        }
        LimitCommand::Unset { limit, scope } => (Method::DELETE, quotas_of(limit, scope), None),
        LimitCommand::Show {
            limit,
            key,
            api_key,
            json,
        } => {
            let target = counters_of(limit, key, api_key.as_deref(), false);
            let answer = admin_client::done(data, Method::GET, &target, None)?;
            match json {
                true => println!("{}", plain::escaped(answer.trim_end())),
                false => show::print(&admin_client::json(&answer)?, key, api_key.as_deref()),
            }
            return Ok(());
        }
        LimitCommand::Reset {
            limit,
            key,
            api_key,
            all,
        } => (
            Method::DELETE,
            counters_of(limit, key, api_key.as_deref(), *all),
            None,
        ),
    };
    let answer = admin_client::done(data, method, &target, body.as_ref())?;
    println!("{}", plain::line(answer.trim_end()));
    Ok(())
}

/// Where the quotas of a limit are, for whom the flags say.
fn quotas_of(limit: &str, scope: &ScopeArgs) -> String {
    let limit = segment(limit);
    let ScopeArgs { plan, user, key } = scope;
    match (plan, user, key) {
        (Some(plan), ..) => format!("/plans/{}/limits/{limit}", segment(plan)),
        (_, Some(user), _) => format!("/users/{}/limits/{limit}", segment(user)),
        (.., Some(key)) => format!("/keys/{}/limits/{limit}", segment(key)),
        _ => format!("/limits/{limit}/quotas"),
    }
}

fn counters_of(limit: &str, key: &[String], api_key: Option<&str>, all: bool) -> String {
    let mut query: Vec<(&str, &str)> = key.iter().map(|word| ("key", word.as_str())).collect();
    query.extend(api_key.map(|id| ("api-key", id)));
    if all {
        query.push(("all", "true"));
    }
    let query = serde_urlencoded::to_string(query).unwrap_or_default();
    format!("/limits/{}?{query}", segment(limit))
}

/// A line for each limit, and one for each of whom other quotas are for.
fn list(answer: &Value) -> Result<(), Failure> {
    let rows = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let joined = |value: &Value, with: &str| -> String {
        let texts: Vec<String> = rows(value).iter().map(text).collect();
        texts.join(with)
    };
    for limit in rows(&answer["limits"]) {
        let name = text(&limit["limit"]);
        match limit["key"].is_null() {
            true => println!("{name}  (not in these rules)"),
            false => println!(
                "{name}  by {}  {}",
                joined(&limit["key"], ", "),
                joined(&limit["rules"], "; ")
            ),
        }
        for one in rows(&limit["overrides"]) {
            let user = one["user"]
                .as_str()
                .map(|name| format!(" ({})", plain::line(name)));
            let unusable = one["unusable"].as_str();
            let unusable = unusable.map(|reason| format!("  unusable: {reason}"));
            println!(
                "  {}{}  {}{}",
                text(&one["for"]),
                user.unwrap_or_default(),
                text(&one["quotas"]),
                unusable.unwrap_or_default()
            );
        }
    }
    Ok(())
}
