//! What the link has seen: counts that only grow, and how it stands.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError, RwLock};

use tollgate::Micros;

use crate::error::{ERROR_KINDS, LinkError};

/// Upper bounds of the histogram of round trips, in microseconds; what took longer than the last is in one more place.
pub const ROUND_TRIP_BOUNDS: [u64; 12] = [
    50, 100, 200, 300, 500, 1_000, 2_000, 5_000, 10_000, 25_000, 50_000, 100_000,
];

/// Counts of a store on Redis. Reading them costs nobody anything.
#[derive(Debug, Default)]
pub struct Stats {
    round_trips: [AtomicU64; ROUND_TRIP_BOUNDS.len() + 1],
    round_trip_micros: AtomicU64,
    /// By word; the words are few and fixed.
    errors: RwLock<BTreeMap<&'static str, AtomicU64>>,
    pub(crate) in_flight: AtomicU64,
    connections: AtomicU64,
    pub(crate) reconnects: AtomicU64,
    pub(crate) scripts_sent: AtomicU64,
    pub(crate) redirects: AtomicU64,
    pub(crate) garbage_resets: AtomicU64,
    pub(crate) governed: AtomicU64,
    pub(crate) late_slots: AtomicU64,
    pub(crate) admitted_open: AtomicU64,
    pub(crate) refused_closed: AtomicU64,
    pub(crate) decided_local: AtomicU64,
    /// Held while both of the two below change.
    away_changes: Mutex<()>,
    away: AtomicU64,
    degraded_since: AtomicU64,
}

impl Stats {
    /// How many answered calls took at most as long as each of [`ROUND_TRIP_BOUNDS`] but longer than the one before; the
    /// last took longer than all.
    pub fn round_trips(&self) -> [u64; ROUND_TRIP_BOUNDS.len() + 1] {
        std::array::from_fn(|place| self.round_trips[place].load(Relaxed))
    }

    /// How long all answered calls took together, in microseconds.
    pub fn round_trip_micros(&self) -> u64 {
        self.round_trip_micros.load(Relaxed)
    }

    /// How many calls failed, by a word for each reason, of [`ERROR_KINDS`](crate::ERROR_KINDS); only those that happened.
    pub fn errors(&self) -> BTreeMap<&'static str, u64> {
        let errors = self.errors.read().unwrap_or_else(PoisonError::into_inner);
        let counts = errors
            .iter()
            .map(|(word, count)| (*word, count.load(Relaxed)));
        counts.collect()
    }

    /// How many calls wait for an answer now.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Relaxed)
    }

    /// How many connections are up now.
    pub fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// How many connections were made after the first of each place.
    pub fn reconnects(&self) -> u64 {
        self.reconnects.load(Relaxed)
    }

    /// How often a script's text was sent because a server did not know its digest.
    pub fn scripts_sent(&self) -> u64 {
        self.scripts_sent.load(Relaxed)
    }

    /// How often a node of a cluster sent a call to another.
    pub fn redirects(&self) -> u64 {
        self.redirects.load(Relaxed)
    }

    /// How many keys held what is no state of ours and began anew.
    pub fn garbage_resets(&self) -> u64 {
        self.garbage_resets.load(Relaxed)
    }

    /// How many decisions were made by other numbers than those of this node's rules, because another node with newer
    /// rules has written a state.
    pub fn decided_under_newer_rules(&self) -> u64 {
        self.governed.load(Relaxed)
    }

    /// How many slots of `concurrency` policies were given back because the answer that took them came when nobody waited
    /// for it any more.
    pub fn late_slots(&self) -> u64 {
        self.late_slots.load(Relaxed)
    }

    /// How many decisions were made without the store and had a check that `open` let pass.
    pub fn admitted_open(&self) -> u64 {
        self.admitted_open.load(Relaxed)
    }

    /// How many requests were refused because `closed` wants the store, or because they cost more than a share holds.
    pub fn refused_closed(&self) -> u64 {
        self.refused_closed.load(Relaxed)
    }

    /// How many decisions were made without the store and had a check against this node's share.
    pub fn decided_local(&self) -> u64 {
        self.decided_local.load(Relaxed)
    }

    /// How many servers are not asked because they fail: 0 when all is well.
    pub fn servers_away(&self) -> u64 {
        self.away.load(Relaxed)
    }

    /// Since when some server is away, in the system's clock; `None` when all is well.
    pub fn degraded_since(&self) -> Option<Micros> {
        Some(self.degraded_since.load(Relaxed))
            .filter(|since| *since > 0)
            .map(Micros)
    }

    /// Counts a connection for as long as the guard lives.
    pub(super) fn connected(&self) -> Connected<'_> {
        self.connections.fetch_add(1, Relaxed);
        Connected(self)
    }

    pub(super) fn answered(&self, micros: u64) {
        let place = ROUND_TRIP_BOUNDS.partition_point(|bound| *bound < micros);
        self.round_trips[place].fetch_add(1, Relaxed);
        self.round_trip_micros.fetch_add(micros, Relaxed);
    }

    pub(super) fn failed(&self, error: &LinkError) {
        let word = error.word();
        debug_assert!(ERROR_KINDS.contains(&word), "{word}");
        let errors = self.errors.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = errors.get(word) {
            count.fetch_add(1, Relaxed);
            return;
        }
        drop(errors);
        // The first of its kind.
        let mut errors = self.errors.write().unwrap_or_else(PoisonError::into_inner);
        errors.entry(word).or_default().fetch_add(1, Relaxed);
    }

    fn away_changes(&self) -> std::sync::MutexGuard<'_, ()> {
        self.away_changes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn went(&self, now: Micros) {
        let _changes = self.away_changes();
        if self.away.fetch_add(1, Relaxed) == 0 {
            self.degraded_since.store(now.0, Relaxed);
        }
    }

    pub(super) fn came_back(&self) {
        let _changes = self.away_changes();
        if self.away.fetch_sub(1, Relaxed) == 1 {
            self.degraded_since.store(0, Relaxed);
        }
    }
}

/// A connection that is up.
pub(super) struct Connected<'a>(&'a Stats);

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_is_counted_whoever_counts_the_first() {
        let stats = Stats::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).for_each(|_| stats.failed(&LinkError::Broken)));
            }
        });
        stats.failed(&LinkError::Away);
        assert_eq!(stats.errors(), [("away", 1), ("broken", 4_000)].into());
    }

    #[test]
    fn as_long_as_some_server_is_away_it_is_said_since_when() {
        let stats = Stats::default();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..200_000 {
                        stats.went(Micros(1));
                        assert!(stats.degraded_since().is_some());
                        stats.came_back();
                    }
                });
            }
        });
        assert_eq!((stats.servers_away(), stats.degraded_since()), (0, None));
    }
}
