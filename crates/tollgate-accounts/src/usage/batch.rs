//! Rows on their way to the database, merged for each table before they are written.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tollgate::Micros;

use super::counts::UsageCounts;
use super::waiting::{Added, Row};
use super::{Step, Usage, lock};

/// How much of a route's name is written; what is longer finds no room in every database.
const ROUTE_CHARS_MAX: usize = 512;

/// What is written in one transaction.
pub(super) struct Batch {
    rows: HashMap<Row, Added>,
}

/// Which row of a table, in the order of its primary key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Empty for requests without a key.
    pub(super) key: Arc<str>,
    pub(super) user: Arc<str>,
    pub(super) route: Arc<str>,
}

impl Batch {
    /// What waits, if anything does.
    pub(super) fn take(usage: &Usage) -> Option<Self> {
        let rows = usage.shards.iter().flat_map(|shard| lock(shard).take());
        let rows: HashMap<_, _> = rows.collect();
        (!rows.is_empty()).then_some(Self { rows })
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The minute of its newest row.
    pub(super) fn newest(&self) -> Micros {
        let minutes = self.rows.keys().map(|row| row.minute);
        minutes.max().unwrap_or_default()
    }

    /// What is to be added to the table of this step, each row once.
    pub(super) fn counts(&self, step: Step) -> BTreeMap<(Place, Micros), UsageCounts> {
        let mut merged: BTreeMap<_, UsageCounts> = BTreeMap::new();
        for (row, added) in &self.rows {
            let start = step.start_of(row.minute);
            let counts = merged.entry((place(row), start)).or_default();
            counts.add(&added.counts);
        }
        merged
    }

    /// Denials by policy, of all steps.
    pub(super) fn denials(&self) -> BTreeMap<(Place, Arc<str>, u64, Micros), u64> {
        let mut merged = BTreeMap::new();
        for (row, added) in &self.rows {
            for (policy, denied) in &added.denied_by {
                for step in Step::ALL {
                    let start = step.start_of(row.minute);
                    let place = (place(row), policy.clone(), step.as_secs(), start);
                    *merged.entry(place).or_default() += denied;
                }
            }
        }
        merged
    }

    /// When each key was used last.
    pub(super) fn last_use(&self) -> BTreeMap<Arc<str>, Micros> {
        let mut last_use: BTreeMap<Arc<str>, Micros> = BTreeMap::new();
        for (row, added) in &self.rows {
            if let Some(key) = row.who.key.clone().filter(|_| added.last > Micros(0)) {
                let last = last_use.entry(key).or_default();
                *last = added.last.max(*last);
            }
        }
        last_use
    }
}

fn place(row: &Row) -> Place {
    let short = row.route.len() <= ROUTE_CHARS_MAX;
    Place {
        key: row.who.key.clone().unwrap_or_default(),
        user: row.who.user.clone(),
        route: match short {
            true => row.route.clone(),
            false => row
                .route
                .chars()
                .take(ROUTE_CHARS_MAX)
                .collect::<String>()
                .into(),
        },
    }
}
