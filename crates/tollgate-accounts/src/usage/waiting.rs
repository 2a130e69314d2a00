//! Counts that wait to be written, by key, user, route and minute.

use std::collections::HashMap;
use std::sync::Arc;

use tollgate::Micros;

use super::counts::UsageCounts;
use super::{ROWS_WAITING_MAX, SHARDS, Step, Who};

pub(super) const ROWS_MAX: usize = ROWS_WAITING_MAX / SHARDS;

/// What one row of the table `usage` is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Row {
    pub(super) who: Who,
    pub(super) route: Arc<str>,
    pub(super) minute: Micros,
}

/// What is to be added to one row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Added {
    pub(super) counts: UsageCounts,
    /// Denials by each policy: a request that several deny is one of each.
    pub(super) denied_by: Vec<(Arc<str>, u64)>,
    /// The newest request among them.
    pub(super) last: Micros,
}

impl Added {
    pub(super) fn merge(&mut self, more: Self) {
        self.counts.add(&more.counts);
        for (policy, denied) in more.denied_by {
            self.deny_by(&policy, denied);
        }
        self.last = self.last.max(more.last);
    }

    /// As many policies as a route and a key have, so a walk finds the one.
    pub(super) fn deny_by(&mut self, policy: &str, denied: u64) {
        match self
            .denied_by
            .iter_mut()
            .find(|(name, _)| **name == *policy)
        {
            Some((_, count)) => *count += denied,
            None => self.denied_by.push((policy.into(), denied)),
        }
    }
}

/// What one caller has to be written: a row for each route since the last writing, rarely more than a few.
#[derive(Default)]
pub(super) struct OwnRows(Vec<(Arc<str>, Micros, Added)>);

impl OwnRows {
    pub(super) fn find(&mut self, route: &Arc<str>, now: Micros) -> Option<&mut Added> {
        let minute = Step::Minute.start_of(now);
        let mut rows = self.0.iter_mut();
        let found = rows.find(|(known, at, _)| *at == minute && same(known, route));
        found.map(|(_, _, added)| added)
    }

    pub(super) fn insert(&mut self, route: &Arc<str>, now: Micros) -> &mut Added {
        let minute = Step::Minute.start_of(now);
        let place = self.0.len();
        self.0.push((route.clone(), minute, Added::default()));
        &mut self.0[place].2
    }

    /// The rows, with whom they are about.
    pub(super) fn take<'a>(&'a mut self, who: &'a Who) -> impl Iterator<Item = (Row, Added)> + 'a {
        self.0.drain(..).map(|(route, minute, added)| {
            let who = who.clone();
            (Row { who, route, minute }, added)
        })
    }
}

/// Routes are named once, so nearly always one look at the pointer is enough.
fn same(one: &Arc<str>, other: &Arc<str>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

/// Rows that stand beside their callers: those whose caller is followed no more.
#[derive(Default)]
pub(super) struct Strays(HashMap<Row, Added>);

impl Strays {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn find(&mut self, row: &Row) -> Option<&mut Added> {
        self.0.get_mut(row)
    }

    pub(super) fn merge(&mut self, row: Row, added: Added) {
        self.0.entry(row).or_default().merge(added);
    }

    pub(super) fn take(&mut self) -> HashMap<Row, Added> {
        std::mem::take(&mut self.0)
    }
}
