//! Requests per second of each key, from a ring of the last 300 seconds.

use std::collections::HashMap;

use tollgate::Micros;

use super::pending::Counts;
use super::{RATES_TRACKED_MAX, SHARDS, Who};
use crate::id::{KeyId, UserId};

const TRACKED_MAX: usize = RATES_TRACKED_MAX / SHARDS;

/// The full seconds that averages look back on.
const SECONDS: u64 = 300;

/// The full seconds, and the one that is still running.
const SLOTS: u64 = SECONDS + 1;

/// How fast a key is used; all requests count, refused ones too.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyRate {
    /// The key, or `None` for what a user asked without one.
    pub key: Option<KeyId>,
    /// The user, `guest` for all guests together.
    pub user: UserId,
    /// Requests in the last full second.
    pub current_per_s: u32,
    /// Requests per second over the last 60 full seconds.
    pub avg_1m: f64,
    /// Requests per second over the last 300 full seconds.
    pub avg_5m: f64,
    /// Requests that passed since this key is followed.
    pub allowed: u64,
    /// Requests that were refused since then.
    pub denied: u64,
    /// Requests that the upstream failed since then.
    pub failed: u64,
    /// The newest request.
    pub last_seen: Micros,
}

/// The rings of one shard.
#[derive(Default)]
pub(super) struct Rates(HashMap<Who, Ring>);

impl Rates {
    pub(super) fn count(&mut self, who: &Who, counts: &Counts, now: Micros) {
        if !self.0.contains_key(who) {
            self.make_room();
            self.0.insert(who.clone(), Ring::new(now));
        }
        if let Some(ring) = self.0.get_mut(who) {
            ring.count(counts, now);
        }
    }

    pub(super) fn all(&self, now: Micros) -> Vec<KeyRate> {
        self.0
            .iter()
            .map(|(who, ring)| ring.rate(who, now))
            .collect()
    }

    fn make_room(&mut self) {
        if self.0.len() < TRACKED_MAX {
            return;
        }
        let oldest = self.0.iter().min_by_key(|(_, ring)| ring.total.last);
        if let Some(who) = oldest.map(|(who, _)| who.clone()) {
            self.0.remove(&who);
        }
    }
}

struct Ring {
    /// Requests of second `s` at `s % SLOTS`, for the `SLOTS` seconds that end with `newest`.
    slots: Box<[u32; SLOTS as usize]>,
    newest: u64,
    total: Counts,
}

impl Ring {
    fn new(now: Micros) -> Self {
        Self {
            slots: Box::new([0; SLOTS as usize]),
            newest: now.as_secs(),
            total: Counts::default(),
        }
    }

    /// A reading earlier than the newest second counts in that second.
    fn count(&mut self, counts: &Counts, now: Micros) {
        let second = now.as_secs().max(self.newest);
        let passed = (second - self.newest).min(SLOTS);
        for skipped in 0..passed {
            self.slots[slot(second - skipped)] = 0;
        }
        self.newest = second;
        self.slots[slot(second)] += 1;
        self.total.add(counts);
    }

    fn rate(&self, who: &Who, now: Micros) -> KeyRate {
        let running = now.as_secs();
        KeyRate {
            key: who.key.clone(),
            user: who.user.clone(),
            current_per_s: self.sum(running, 1) as u32,
            avg_1m: self.sum(running, 60) as f64 / 60.0,
            avg_5m: self.sum(running, SECONDS) as f64 / SECONDS as f64,
            allowed: self.total.allowed,
            denied: self.total.denied,
            failed: self.total.failed,
            last_seen: self.total.last,
        }
    }

    /// The requests of the `seconds` full seconds before the running one.
    fn sum(&self, running: u64, seconds: u64) -> u64 {
        let oldest_kept = (self.newest + 1).saturating_sub(SLOTS);
        let first = running.saturating_sub(seconds).max(oldest_kept);
        let last = running.min(self.newest + 1);
        (first..last)
            .map(|second| u64::from(self.slots[slot(second)]))
            .sum()
    }
}

fn slot(second: u64) -> usize {
    (second % SLOTS) as usize
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    fn who(user: &str) -> Who {
        Who {
            key: None,
            user: user.into(),
        }
    }

    fn count(rates: &mut Rates, user: &str, second: u64) {
        let now = Micros::from_secs(second);
        rates.count(&who(user), &Counts::one(Outcome::Allowed, now), now);
    }

    fn rate(rates: &Rates, second: u64) -> (u32, f64, f64) {
        let rate = &rates.all(Micros::from_secs(second))[0];
        (rate.current_per_s, rate.avg_1m * 60.0, rate.avg_5m * 300.0)
    }

    #[test]
    fn the_running_second_does_not_count_yet() {
        let mut rates = Rates::default();
        count(&mut rates, "ann", 1000);
        count(&mut rates, "ann", 1000);
        assert_eq!(rate(&rates, 1000), (0, 0.0, 0.0));
        assert_eq!(rate(&rates, 1001), (2, 2.0, 2.0));
        assert_eq!(rate(&rates, 1002), (0, 2.0, 2.0));
    }

    #[test]
    fn a_request_leaves_each_average_when_its_time_is_over() {
        let mut rates = Rates::default();
        count(&mut rates, "ann", 1000);
        assert_eq!(rate(&rates, 1060), (0, 1.0, 1.0));
        assert_eq!(rate(&rates, 1061), (0, 0.0, 1.0));
        assert_eq!(rate(&rates, 1300), (0, 0.0, 1.0));
        assert_eq!(rate(&rates, 1301), (0, 0.0, 0.0));
    }

    #[test]
    fn a_gap_longer_than_the_ring_leaves_nothing_behind() {
        let mut rates = Rates::default();
        for second in 1000..1400 {
            count(&mut rates, "ann", second);
        }
        assert_eq!(rate(&rates, 1400), (1, 60.0, 300.0));
        count(&mut rates, "ann", 9000);
        assert_eq!(rate(&rates, 9001), (1, 1.0, 1.0));
    }

    #[test]
    fn a_clock_that_was_set_back_neither_panics_nor_loses_a_request() {
        let mut rates = Rates::default();
        count(&mut rates, "ann", 1000);
        count(&mut rates, "ann", 500);
        assert_eq!(rate(&rates, 400), (0, 0.0, 0.0));
        assert_eq!(rate(&rates, 1001), (2, 2.0, 2.0));
    }

    #[test]
    fn when_full_the_least_recently_seen_gives_way() {
        let mut rates = Rates::default();
        for user in 0..TRACKED_MAX as u64 {
            count(&mut rates, &user.to_string(), 1000 + user);
        }
        count(&mut rates, "0", 9000);
        count(&mut rates, "newcomer", 9001);
        assert_eq!(rates.0.len(), TRACKED_MAX);
        assert!(rates.0.contains_key(&who("0")));
        assert!(!rates.0.contains_key(&who("1")));
    }
}
