//! `tollgate audit`: what has been changed in a running gateway's accounts, and by whom.

use http::Method;

use crate::admin_client;
use crate::args::AuditArgs;
use crate::failure::Failure;
use crate::plain;

/// The newest first, a line each: number, time, actor, action, subject, detail.
pub(crate) fn run(args: &AuditArgs) -> Result<(), Failure> {
    let before = args.before.map(|before| format!("&before={before}"));
    let target = format!("/audit?limit={}{}", args.limit, before.unwrap_or_default());
    let answer = admin_client::done(&args.data.data, Method::GET, &target, None)?;
    let answer = admin_client::json(&answer)?;
    for entry in answer["entries"].as_array().into_iter().flatten() {
        let text = |field: &str| entry[field].as_str().map(plain::line).unwrap_or_default();
        let name = entry["actor_name"].as_str().map(plain::line);
        let actor = name.unwrap_or_else(|| text("actor"));
        println!(
            "{}  {}  {actor}  {}  {}  {}",
            entry["seq"],
            text("at"),
            text("action"),
            text("subject"),
            text("detail")
        );
    }
    Ok(())
}
