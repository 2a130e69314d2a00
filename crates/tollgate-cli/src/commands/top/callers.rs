//! The table of callers: each API key, how fast it is used and what it has left.

use std::cmp::Reverse;

use super::model::Model;
use super::reading::{At, Caller};
use super::table::{Column, Table};
use super::units::{count, lasting, rate};

/// The orders that there are, the first is the usual one.
pub(super) const SORTS: [&str; 3] = ["rate", "denied", "last seen"];

static COLUMNS: [Column; 8] = [
    Column {
        title: "user / key",
        width: 12,
    },
    Column {
        title: "now/s",
        width: 6,
    },
    Column {
        title: "1 min/s",
        width: 7,
    },
    Column {
        title: "5 min/s",
        width: 7,
    },
    Column {
        title: "allowed",
        width: 7,
    },
    Column {
        title: "denied",
        width: 7,
    },
    Column {
        title: "left",
        width: 8,
    },
    Column {
        title: "last seen",
        width: 10,
    },
];

/// What the gateway is asked to put first, so that the right ones are among those that it tells of.
pub(super) fn asked_order(sort: usize) -> &'static str {
    ["rate", "denied", "last_seen"][sort % SORTS.len()]
}

pub(super) fn table(model: &Model, sort: usize) -> Table {
    let callers = match &model.callers {
        None => return Table::empty(&COLUMNS, "not read yet"),
        Some(Err(why)) => return Table::empty(&COLUMNS, why.as_str()),
        Some(Ok(callers)) => callers,
    };
    let mut keys: Vec<&Caller> = callers.keys.iter().collect();
    // Names come last, so that equal ones do not change places.
    keys.sort_by_key(|key| (key.user.clone(), key.name.clone(), key.id.clone()));
    match asked_order(sort) {
        "denied" => keys.sort_by_key(|key| Reverse(key.denied)),
        "last_seen" => keys.sort_by_key(|key| Reverse(key.last_seen)),
        _ => keys.sort_by(|one, other| other.avg_1m.total_cmp(&one.avg_1m)),
    }
    let shown = keys.len() as u64;
    let note = match callers.total {
        0 => Some("there are no keys yet".to_owned()),
        total if total > shown => Some(format!(
            "the first {} of {} keys",
            count(shown),
            count(total)
        )),
        _ => None,
    };
    let now = model.now.as_of;
    Table {
        columns: &COLUMNS,
        rows: keys.into_iter().map(|key| row(key, now)).collect(),
        note,
    }
}

/// A key as it is called in tables.
pub(super) fn called(key: &Caller) -> String {
    format!("{} / {}", key.user, key.name)
}

fn row(key: &Caller, now: At) -> Vec<String> {
    vec![
        called(key),
        count(key.current_per_s),
        rate(key.avg_1m),
        rate(key.avg_5m),
        count(key.allowed),
        count(key.denied),
        key.remaining.map_or("no limit".to_owned(), count),
        key.last_seen.map_or("never".to_owned(), |seen| {
            format!("{} ago", lasting(now.seconds_since(seen)))
        }),
    ]
}
