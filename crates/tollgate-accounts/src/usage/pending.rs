//! Counts that wait to be written, merged by key, user, route and minute.

use std::collections::HashMap;
use std::sync::Arc;

use tollgate::Micros;

use super::{Outcome, ROWS_PENDING_MAX, SHARDS, Who};

const ROWS_MAX: usize = ROWS_PENDING_MAX / SHARDS;

const MINUTE: u64 = 60_000_000;

/// One row of the table `usage`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Row {
    pub(super) who: Who,
    pub(super) route: Arc<str>,
    pub(super) minute: Micros,
}

impl Row {
    pub(super) fn new(who: Who, route: Arc<str>, now: Micros) -> Self {
        let minute = Micros(now.0 - now.0 % MINUTE);
        Self { who, route, minute }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) allowed: u64,
    pub(super) denied: u64,
    pub(super) failed: u64,
    /// The newest request among them.
    pub(super) last: Micros,
}

impl Counts {
    pub(super) fn one(outcome: Outcome, now: Micros) -> Self {
        let one_if = |counted| u64::from(outcome == counted);
        Self {
            allowed: one_if(Outcome::Allowed),
            denied: one_if(Outcome::Denied),
            failed: one_if(Outcome::Failed),
            last: now,
        }
    }

    pub(super) fn add(&mut self, more: &Self) {
        self.allowed += more.allowed;
        self.denied += more.denied;
        self.failed += more.failed;
        self.last = self.last.max(more.last);
    }

    pub(super) fn requests(&self) -> u64 {
        self.allowed + self.denied + self.failed
    }
}

/// The rows of one shard.
#[derive(Default)]
pub(super) struct Pending(HashMap<Row, Counts>);

impl Pending {
    /// False when there was no room for one more row.
    #[must_use]
    pub(super) fn add(&mut self, row: Row, counts: Counts) -> bool {
        if let Some(known) = self.0.get_mut(&row) {
            known.add(&counts);
            return true;
        }
        let room = self.0.len() < ROWS_MAX;
        if room {
            self.0.insert(row, counts);
        }
        room
    }

    pub(super) fn take(&mut self) -> HashMap<Row, Counts> {
        std::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(user: &str, second: u64) -> Row {
        let who = Who {
            key: None,
            user: user.into(),
        };
        Row::new(who, "r".into(), Micros::from_secs(second))
    }

    #[test]
    fn requests_of_one_minute_are_one_row_and_the_next_minute_is_another() {
        let mut pending = Pending::default();
        let counts = |second| Counts::one(Outcome::Denied, Micros::from_secs(second));
        assert!(pending.add(row("ann", 60), counts(60)));
        assert!(pending.add(row("ann", 119), counts(119)));
        assert!(pending.add(row("ann", 120), counts(120)));
        let rows = pending.take();
        assert_eq!(rows.len(), 2);
        let first = &rows[&row("ann", 60)];
        assert_eq!((first.denied, first.last), (2, Micros::from_secs(119)));
        assert!(pending.take().is_empty());
    }

    #[test]
    fn a_full_shard_still_counts_the_rows_it_has() {
        let mut pending = Pending::default();
        let counts = || Counts::one(Outcome::Allowed, Micros(0));
        for user in 0..ROWS_MAX {
            assert!(pending.add(row(&user.to_string(), 0), counts()));
        }
        assert!(!pending.add(row("newcomer", 0), counts()));
        assert!(pending.add(row("0", 0), counts()));
        assert_eq!(pending.take().len(), ROWS_MAX);
    }
}
