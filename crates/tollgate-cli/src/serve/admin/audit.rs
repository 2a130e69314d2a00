//! The log of changes: `/audit`.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde_json::json;
use tollgate_accounts::{Actor, AuditEntry};

use super::{Admin, answer};
use crate::time;

/// How many entries are shown where it is not said.
const ENTRIES: usize = 100;

pub(super) fn routes() -> Router<Arc<Admin>> {
    Router::new().route("/audit", get(list))
}

#[derive(serde::Deserialize)]
struct Page {
    before: Option<i64>,
    limit: Option<usize>,
}

/// The newest first; `before` the number of the last one seen goes on.
async fn list(
    State(admin): State<Arc<Admin>>,
    Extension(actor): Extension<Actor>,
    Query(page): Query<Page>,
) -> Result<Response, Response> {
    let accounts = admin.accounts_as(actor)?;
    let entries = accounts
        .audit_log(page.before, page.limit.unwrap_or(ENTRIES))
        .await
        .map_err(|error| answer::unavailable(&error))?;
    let shown = |entry: &AuditEntry| {
        json!({
            "seq": entry.seq,
            "at": time::rfc3339(entry.at),
            "actor": entry.actor,
            "actor_name": entry.actor_name,
            "action": entry.action,
            "subject": entry.subject,
            "subject_name": entry.subject_name,
            "detail": entry.detail,
        })
    };
    let entries: Vec<_> = entries.iter().map(shown).collect();
    Ok(Json(json!({ "entries": entries })).into_response())
}
