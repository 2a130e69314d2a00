//! The log of changes: `/audit`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde_json::{Map, Value, json};
use tollgate_accounts::{Actor, AuditEntry, KeyId, Label, UserId};

use super::{Admin, answer};
use crate::{names, time};

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
            "detail": entry.detail,
        })
    };
    let (users, keys) = mentioned(&entries);
    let names = names::soon(&accounts, &users, &keys).await;
    let entries: Vec<_> = entries.iter().map(shown).collect();
    Ok(
        Json(
            json!({ "entries": entries, "names": names.iter().map(named).collect::<Map<_, _>>() }),
        )
        .into_response(),
    )
}

/// A user by name, and a key by its own and its user's.
fn named((id, label): (&String, &Label)) -> (String, Value) {
    let shown = match &label.owner {
        Some(owner) => json!({ "name": label.name, "user": owner }),
        None => json!({ "name": label.name }),
    };
    (id.clone(), shown)
}

/// The users and keys that entries are about, each once: `user:ID` and `key:ID`, in their subjects and details.
fn mentioned(entries: &[AuditEntry]) -> (Vec<UserId>, Vec<KeyId>) {
    let (mut users, mut keys) = (BTreeSet::new(), BTreeSet::new());
    let texts = entries
        .iter()
        .flat_map(|entry| [&entry.subject, &entry.detail]);
    for word in texts.flat_map(|text| text.split([' ', ','])) {
        match word.split_once(':') {
            Some(("user", id)) if is_id(id) => users.insert(UserId::from(id)),
            Some(("key", id)) if is_id(id) => keys.insert(KeyId::from(id)),
            _ => false,
        };
    }
    (users.into_iter().collect(), keys.into_iter().collect())
}

fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
