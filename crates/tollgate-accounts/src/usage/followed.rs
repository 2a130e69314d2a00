//! The callers that one shard follows: their rates, their last seconds, and what of theirs is to be written.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use foldhash::fast::RandomState;
use tollgate::Micros;

use super::counts::UsageCounts;
use super::rates::{KeyRate, Ring};
use super::seconds::Seconds;
use super::waiting::{Added, OwnRows, ROWS_MAX, Row, Strays};
use super::{CALLERS_FOLLOWED_MAX, SHARDS, Step, Who};
use crate::id::UserId;

pub(super) const FOLLOWED_MAX: usize = CALLERS_FOLLOWED_MAX / SHARDS;

/// One shard of [`Usage`](super::Usage). What a request costs here is one look-up, when its caller is followed.
#[derive(Default)]
pub(super) struct Shard {
    /// By [`Who::id`]: random ids of ours, so that nobody can choose those that meet.
    callers: HashMap<Arc<str>, Caller, RandomState>,
    strays: Strays,
    /// Rows of all callers, without the strays.
    rows: usize,
    seconds_kept: usize,
}

struct Caller {
    who: Who,
    ring: Ring,
    seconds: Seconds,
    counts: UsageCounts,
    last_seen: Micros,
    rows: OwnRows,
}

impl Shard {
    /// False when there was no room for one more row: then only the rates know of it.
    #[must_use]
    pub(super) fn count(
        &mut self,
        who: Who<&str>,
        route: &Arc<str>,
        counts: &UsageCounts,
        denied_by: &[&str],
        now: Micros,
    ) -> bool {
        if !self.callers.contains_key(who.id()) {
            self.follow(who, now);
        }
        let Some(caller) = self.callers.get_mut(who.id()) else {
            return false;
        };
        let requests = counts.requests();
        caller.ring.count(requests, now);
        caller.seconds.count(counts, now, &mut self.seconds_kept);
        caller.counts.add(counts);
        if requests > 0 {
            caller.last_seen = caller.last_seen.max(now);
        }
        let room = self.rows + self.strays.len() < ROWS_MAX;
        let added = match caller.rows.find(route, now) {
            Some(added) => added,
            None if room => {
                self.rows += 1;
                caller.rows.insert(route, now)
            }
            None => match self.strays.find(&row(&caller.who, route, now)) {
                Some(added) => added,
                None => return false,
            },
        };
        added.counts.add(counts);
        for policy in denied_by {
            added.deny_by(policy, 1);
        }
        if requests > 0 {
            added.last = added.last.max(now);
        }
        true
    }

    /// What waits to be written.
    pub(super) fn take(&mut self) -> HashMap<Row, Added> {
        let mut taken = self.strays.take();
        for caller in self.callers.values_mut() {
            for (row, added) in caller.rows.take(&caller.who) {
                match taken.entry(row) {
                    Entry::Occupied(known) => known.into_mut().merge(added),
                    Entry::Vacant(place) => drop(place.insert(added)),
                }
            }
        }
        self.rows = 0;
        taken
    }

    pub(super) fn rows_waiting(&self) -> usize {
        self.rows + self.strays.len()
    }

    pub(super) fn rates(&self, now: Micros) -> impl Iterator<Item = KeyRate> + '_ {
        self.callers.values().map(move |caller| caller.rate(now))
    }

    pub(super) fn rate(&self, id: &str, now: Micros) -> Option<KeyRate> {
        self.callers.get(id).map(|caller| caller.rate(now))
    }

    pub(super) fn seconds(&self, id: &str, from: u64, to: u64) -> Vec<(u64, UsageCounts)> {
        let caller = self.callers.get(id);
        caller.map_or_else(Vec::new, |caller| {
            caller.seconds.between(from, to).collect()
        })
    }

    /// The same of everybody who is this user, with any key.
    pub(super) fn seconds_by(&self, user: &UserId, from: u64, to: u64) -> Vec<(u64, UsageCounts)> {
        let callers = self.callers.values();
        let theirs = callers.filter(|caller| *caller.who.user == *user.as_str());
        theirs
            .flat_map(|caller| caller.seconds.between(from, to))
            .collect()
    }

    fn follow(&mut self, who: Who<&str>, now: Micros) {
        self.make_room();
        let caller = Caller {
            who: Who {
                key: who.key.map(Into::into),
                user: who.user.into(),
            },
            ring: Ring::new(now),
            seconds: Seconds::default(),
            counts: UsageCounts::default(),
            last_seen: Micros(0),
            rows: OwnRows::default(),
        };
        self.callers.insert(who.id().into(), caller);
    }

    /// The caller that was not seen for the longest time gives way; what of theirs is to be written stays.
    fn make_room(&mut self) {
        if self.callers.len() < FOLLOWED_MAX {
            return;
        }
        let oldest = self
            .callers
            .iter()
            .min_by_key(|(_, caller)| caller.last_seen);
        let Some(id) = oldest.map(|(id, _)| id.clone()) else {
            return;
        };
        if let Some(mut caller) = self.callers.remove(&id) {
            self.seconds_kept -= caller.seconds.len();
            for (row, added) in caller.rows.take(&caller.who) {
                self.rows -= 1;
                self.strays.merge(row, added);
            }
        }
    }
}

impl Caller {
    fn rate(&self, now: Micros) -> KeyRate {
        self.ring.rate(&self.who, &self.counts, self.last_seen, now)
    }
}

fn row(who: &Who, route: &Arc<str>, now: Micros) -> Row {
    Row {
        who: who.clone(),
        route: route.clone(),
        minute: Step::Minute.start_of(now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied() -> UsageCounts {
        UsageCounts {
            denied: 1,
            ..UsageCounts::default()
        }
    }

    fn who(user: &str) -> Who<&str> {
        Who { key: None, user }
    }

    fn count(shard: &mut Shard, user: &str, route: &Arc<str>, second: u64) -> bool {
        let now = Micros::from_secs(second);
        shard.count(who(user), route, &denied(), &["per-user.minute"], now)
    }

    #[test]
    fn requests_of_one_minute_are_one_row_and_the_next_minute_is_another() {
        let (mut shard, route) = (Shard::default(), "r".into());
        for second in [60, 119, 120] {
            assert!(count(&mut shard, "ann", &route, second));
        }
        assert_eq!(shard.rows_waiting(), 2);
        let rows = shard.take();
        let ann = Who {
            key: None,
            user: "ann".into(),
        };
        let first = &rows[&row(&ann, &route, Micros::from_secs(60))];
        assert_eq!(
            (first.counts.denied, first.last),
            (2, Micros::from_secs(119))
        );
        assert_eq!(first.denied_by, [("per-user.minute".into(), 2)]);
        assert_eq!((rows.len(), shard.rows_waiting()), (2, 0));
        assert!(shard.take().is_empty());
    }

    #[test]
    fn a_full_shard_still_counts_the_rows_it_has() {
        let mut shard = Shard::default();
        let route = |number: usize| Arc::from(number.to_string());
        for number in 0..ROWS_MAX {
            assert!(count(&mut shard, "ann", &route(number), 0));
        }
        assert!(!count(&mut shard, "ann", &route(ROWS_MAX), 0));
        assert!(count(&mut shard, "ann", &route(0), 0));
        let rows = shard.take();
        let all: u64 = rows.values().map(|added| added.counts.denied).sum();
        assert_eq!((rows.len(), all), (ROWS_MAX, ROWS_MAX as u64 + 1));
    }

    #[test]
    fn the_least_recently_seen_is_followed_no_more_and_what_they_asked_is_still_written() {
        let (mut shard, route) = (Shard::default(), "r".into());
        for user in 0..FOLLOWED_MAX as u64 {
            assert!(count(&mut shard, &user.to_string(), &route, 1000 + user));
        }
        assert!(count(&mut shard, "0", &route, 9000));
        assert!(count(&mut shard, "newcomer", &route, 9001));
        let now = Micros::from_secs(9001);
        assert_eq!(shard.rates(now).count(), FOLLOWED_MAX);
        assert!(shard.rate("0", now).is_some());
        assert!(shard.rate("1", now).is_none());
        assert_eq!(shard.seconds_kept, FOLLOWED_MAX);
        let rows = shard.take();
        let all: u64 = rows.values().map(|added| added.counts.denied).sum();
        assert_eq!(all, FOLLOWED_MAX as u64 + 2);
    }
}
