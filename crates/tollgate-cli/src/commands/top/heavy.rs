//! The table of heavy hitters: who asks most and who is refused most, of everybody, also without an account.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::callers::called;
use super::model::Model;
use super::reading::{HeavyCaller, HeavyList};
use super::table::{Column, Table};
use super::units::{count, percent};
use crate::plain::Plain;

/// The orders that there are, the first is the usual one.
pub(super) const SORTS: [&str; 2] = ["allowed", "denied"];

/// Counts may be too high by what stands behind them.
static COLUMNS: [Column; 7] = [
    Column {
        title: "caller, in 5 to 10 minutes",
        width: 26,
    },
    Column {
        title: "allowed",
        width: 7,
    },
    Column {
        title: "off by",
        width: 7,
    },
    Column {
        title: "share",
        width: 6,
    },
    Column {
        title: "denied",
        width: 7,
    },
    Column {
        title: "off by",
        width: 7,
    },
    Column {
        title: "share",
        width: 6,
    },
];

type Known<'m> = HashMap<(&'m Plain, &'m Plain), [Option<&'m HeavyCaller>; 2]>;

pub(super) fn table(model: &Model, sort: usize) -> Table {
    let heavy = match &model.heavy {
        None => return Table::empty(&COLUMNS, "not read yet"),
        Some(Err(why)) => return Table::empty(&COLUMNS, why.as_str()),
        Some(Ok(heavy)) => heavy,
    };
    let lists = [&heavy.allowed, &heavy.denied];
    let mut known = Known::new();
    for (at, list) in lists.iter().enumerate() {
        for caller in &list.callers {
            known.entry((&caller.kind, &caller.id)).or_default()[at] = Some(caller);
        }
    }
    let mut rows: Vec<_> = known.into_iter().collect();
    let counted = |caller: Option<&HeavyCaller>| caller.map(|caller| caller.count);
    let first = sort % SORTS.len();
    rows.sort_by_key(|(who, counts)| {
        let [by, then] = [counts[first], counts[1 - first]].map(counted);
        (Reverse((by, then)), *who)
    });
    if rows.is_empty() {
        return Table::empty(&COLUMNS, "nobody has asked in the last minutes");
    }
    let rows = rows.into_iter().map(|((kind, id), counts)| {
        let mut row = vec![name(model, kind, id)];
        row.extend(
            lists
                .iter()
                .zip(counts)
                .flat_map(|(list, caller)| cells(list, caller)),
        );
        row
    });
    Table {
        columns: &COLUMNS,
        rows: rows.collect(),
        note: None,
    }
}

/// A key is called by its name where that is known.
fn name(model: &Model, kind: &Plain, id: &Plain) -> String {
    let keys = model
        .callers
        .iter()
        .flatten()
        .flat_map(|callers| &callers.keys);
    let mut keys = keys.filter(|key| kind.as_str() == "key" && key.id == *id);
    match keys.next() {
        Some(key) => called(key),
        None => format!("{kind} {id}"),
    }
}

fn cells(list: &HeavyList, caller: Option<&HeavyCaller>) -> [String; 3] {
    match caller {
        None => ["-"; 3].map(str::to_owned),
        Some(caller) => [
            count(caller.count),
            count(caller.error),
            percent(caller.count, list.total),
        ],
    }
}
