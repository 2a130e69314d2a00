//! A gateway for tests of what is shown, whose every number is known.

use serde_json::{Value, json};

use super::model::{Model, Update};
use super::reading::{Event, Overview};

fn traffic(allowed: u64) -> Value {
    json!({
        "allowed": allowed, "denied": allowed / 4, "unauthenticated": 3, "refused": 0, "failed": 0,
        "latency_us": { "avg": 700, "p50": 500, "p95": 2_500, "p99": null },
    })
}

fn now(allowed: u64) -> Value {
    let mut now = json!({
        "as_of": "2027-01-15T08:00:10Z",
        "totals": traffic(allowed),
        "connections": 12,
        "store": { "kind": "memory", "keys": 1_234, "memory_bytes": 3_355_444, "live_evictions": 0, "newcomers_without_room": 0 },
        "accounts": { "away_for_s": null, "usage_rows_waiting": 7, "usage_dropped": 0 },
    });
    let routes = [("GET /limit", allowed), ("", 0), ("POST /login", 2)];
    let routes = routes.map(|(route, allowed)| {
        let mut shown = traffic(allowed);
        shown["route"] = json!(route);
        shown
    });
    now["routes"] = json!(routes);
    now
}

/// After so many requests were allowed, with no second behind it.
pub(super) fn overview(allowed: u64) -> Overview {
    let mut overview = now(allowed);
    overview["seconds"] = json!([]);
    serde_json::from_value(overview).unwrap()
}

/// The next event, after so many were allowed in all, as many as in its second.
pub(super) fn event(allowed: u64) -> Event {
    let mut event = now(allowed);
    event["second"] = traffic(allowed);
    serde_json::from_value(event).unwrap()
}

/// With five minutes behind it, callers and heavy hitters.
pub(super) fn full() -> Model {
    let mut model = Model::new(overview(0));
    for second in 0..300 {
        model.take(Update::Event(event(second)));
    }
    let key = |user: &str,
               name: &str,
               rate: f64,
               denied: u64,
               remaining: Option<u64>,
               seen: Option<&str>| {
        json!({
            "id": format!("id-{user}"), "name": name, "user": user, "current_per_s": 3, "avg_1m": rate, "avg_5m": rate / 2.0,
            "allowed": 1_000, "denied": denied, "remaining": remaining, "last_seen": seen,
        })
    };
    let callers = json!({ "total": 1_000, "keys": [
        key("ann", "ci", 1.5, 0, Some(10), Some("2027-01-15T08:00:07Z")),
        key("bob\u{1b}[2J", "漢字\u{202e}", 250.0, 12_345, None, None),
    ] });
    model.take(Update::Callers(
        Ok(serde_json::from_value(callers).unwrap()),
    ));
    let heavy = json!({
        "allowed": { "total": 1_000, "callers": [
            { "kind": "key", "id": "id-ann", "count": 600, "error": 2 },
            { "kind": "address", "id": "192.0.2.1", "count": 400, "error": 0 },
        ] },
        "denied": { "total": 10, "callers": [{ "kind": "address", "id": "192.0.2.1", "count": 10, "error": 0 }] },
    });
    model.take(Update::Heavy(Ok(serde_json::from_value(heavy).unwrap())));
    model
}
