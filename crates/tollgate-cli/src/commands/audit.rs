//! `tollgate audit`: what has been changed in a running gateway's accounts, and by whom.

use http::Method;
use serde_json::Value;

use super::table;
use crate::admin_client;
use crate::args::AuditArgs;
use crate::failure::Failure;
use crate::plain;

/// The newest first, a line each.
pub(crate) fn run(args: &AuditArgs) -> Result<(), Failure> {
    let before = args.before.map(|before| format!("&before={before}"));
    let target = format!("/audit?limit={}{}", args.limit, before.unwrap_or_default());
    let answer = admin_client::done(&args.data.data, Method::GET, &target, None)?;
    let answer = admin_client::json(&answer)?;
    let row = |entry: &Value| {
        let known = |field: &str| entry[field].as_str().map(plain::line);
        let text = |field: &str| known(field).unwrap_or_default();
        [
            entry["seq"].to_string(),
            text("at"),
            known("actor_name").unwrap_or_else(|| text("actor")),
            text("action"),
            named(&text("subject"), &answer["names"]),
            text("detail"),
        ]
    };
    let entries = answer["entries"].as_array().into_iter().flatten();
    let rows: Vec<_> = entries.map(row).collect();
    table::print(["NUMBER", "TIME", "WHO", "DID", "TO", "DETAIL"], &rows);
    Ok(())
}

/// `user:ID` and `key:ID` with the names of those who are still there.
fn named(subject: &str, names: &Value) -> String {
    let id = subject.split_once(':').map_or("", |(_, id)| id);
    let known = |field: &str| names[id][field].as_str().map(plain::line);
    match (known("user"), known("name")) {
        (Some(user), Some(key)) => format!("{subject} ({user} / {key})"),
        (None, Some(name)) => format!("{subject} ({name})"),
        _ => subject.to_owned(),
    }
}
