//! How this gateway is: `/health`.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tollgate::Micros;

use super::Admin;
use crate::monitor::StoreShown;
use crate::time;

pub(super) fn routes() -> Router<Arc<Admin>> {
    Router::new().route("/health", get(show))
}

async fn show(State(admin): State<Arc<Admin>>) -> Json<Value> {
    let now = admin.clock.now();
    let store = store(&admin, now);
    let accounts = admin.accounts.as_ref().map(|accounts| {
        let usage = accounts.usage();
        json!({
            "up": accounts.away_for().is_none(),
            "away_for_s": accounts.away_for().map(|away| away.as_secs()),
            "changes_unread_for_s": accounts.unread_for().as_secs(),
            "usage_rows_waiting": usage.rows_waiting(),
            "usage_dropped": usage.dropped(),
        })
    });
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "as_of": time::rfc3339(now),
        "started_at": time::rfc3339(admin.started),
        "uptime_s": now.as_secs().saturating_sub(admin.started.as_secs()),
        "stopping": *admin.stopping.borrow(),
        "connections": admin.gateway.metrics().connections.get(),
        "rules": admin.version.shown(),
        "store": store,
        "accounts": accounts,
    }))
}

/// As the overview tells of it, and what it may take.
fn store(admin: &Admin, now: Micros) -> Value {
    let shown = StoreShown::of(&admin.counters.state(now));
    let mut shown = serde_json::to_value(shown).unwrap_or_default();
    if let (Value::Object(members), true) = (&mut shown, admin.counters.is_memory()) {
        let max = admin.rules.counters.memory_bytes_max;
        members.insert("memory_bytes_max".to_owned(), max.into());
    }
    shown
}
