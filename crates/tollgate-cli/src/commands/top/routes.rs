//! The table of routes: how fast each is asked, and what became of it since the start.

use std::cmp::Reverse;

use super::model::Model;
use super::reading::{Route, Traffic};
use super::table::{Column, Table};
use super::units::{count, latency};
use crate::plain::Plain;

/// The orders that there are, the first is the usual one.
pub(super) const SORTS: [&str; 3] = ["requests/s", "denied", "route"];

static COLUMNS: [Column; 8] = [
    Column {
        title: "route",
        width: 12,
    },
    Column {
        title: "req/s",
        width: 7,
    },
    Column {
        title: "denied/s",
        width: 8,
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
        title: "no auth",
        width: 7,
    },
    Column {
        title: "failed",
        width: 7,
    },
    Column {
        title: "p95",
        width: 8,
    },
];

pub(super) fn table(model: &Model, sort: usize) -> Table {
    let mut routes: Vec<(&Route, Option<Traffic>)> = model
        .now
        .routes
        .iter()
        .map(|route| (route, model.in_last_second(&route.route)))
        .collect();
    let name = |route: &Route| route.route.clone();
    match SORTS[sort % SORTS.len()] {
        "route" => routes.sort_by_key(|(route, _)| name(route)),
        "denied" => routes.sort_by_key(|(route, _)| (Reverse(route.traffic.denied), name(route))),
        _ => routes.sort_by_key(|(route, second)| {
            let second = second.map(|second| second.requests());
            (Reverse((second, route.traffic.requests())), name(route))
        }),
    }
    if routes.is_empty() {
        return Table::empty(&COLUMNS, "no route has been asked for yet");
    }
    Table {
        columns: &COLUMNS,
        rows: routes
            .into_iter()
            .map(|(route, second)| row(route, second))
            .collect(),
        note: None,
    }
}

fn row(route: &Route, second: Option<Traffic>) -> Vec<String> {
    let per_s =
        |of: fn(&Traffic) -> u64| second.map_or("-".to_owned(), |second| count(of(&second)));
    let traffic = &route.traffic;
    vec![
        if route.route == Plain::default() {
            "(no route)".to_owned()
        } else {
            route.route.to_string()
        },
        per_s(Traffic::requests),
        per_s(|second| second.denied),
        count(traffic.allowed),
        count(traffic.denied),
        count(traffic.unauthenticated),
        count(traffic.failed),
        latency(traffic.latency_us.p95),
    ]
}
