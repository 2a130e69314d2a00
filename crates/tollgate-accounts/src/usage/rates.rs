//! Requests per second of each caller, from a ring of the last 300 seconds.

use tollgate::Micros;

use super::Who;
use super::counts::UsageCounts;
use super::seconds::SECONDS;
use crate::id::{KeyId, UserId};

/// The full seconds that averages look back on, and the one that is still running.
const SLOTS: u64 = SECONDS + 1;

/// How fast a key is used; all requests count, refused ones too.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyRate {
    /// The key, or `None` for what a user asked without one.
    pub key: Option<KeyId>,
    /// The user, `guest` for all guests together, or empty for requests without good credentials.
    pub user: UserId,
    /// Requests in the last full second.
    pub current_per_s: u32,
    /// Requests per second over the last 60 full seconds.
    pub avg_1m: f64,
    /// Requests per second over the last 300 full seconds.
    pub avg_5m: f64,
    /// All counts since this key is followed.
    pub counts: UsageCounts,
    /// The newest request.
    pub last_seen: Micros,
}

/// How many requests there were in each second.
pub(super) struct Ring {
    /// Requests of second `s` at `s % SLOTS`, for the `SLOTS` seconds that end with `newest`.
    slots: Box<[u32; SLOTS as usize]>,
    newest: u64,
}

impl Ring {
    pub(super) fn new(now: Micros) -> Self {
        Self {
            slots: Box::new([0; SLOTS as usize]),
            newest: now.as_secs(),
        }
    }

    /// A reading earlier than the newest second counts in that second.
    pub(super) fn count(&mut self, requests: u64, now: Micros) {
        let second = now.as_secs().max(self.newest);
        let passed = (second - self.newest).min(SLOTS);
        for skipped in 0..passed {
            self.slots[slot(second - skipped)] = 0;
        }
        self.newest = second;
        let count = &mut self.slots[slot(second)];
        *count = count.saturating_add(u32::try_from(requests).unwrap_or(u32::MAX));
    }

    pub(super) fn rate(
        &self,
        who: &Who,
        counts: &UsageCounts,
        last_seen: Micros,
        now: Micros,
    ) -> KeyRate {
        let running = now.as_secs();
        KeyRate {
            key: who.key.clone().map(KeyId::from),
            user: UserId::from(who.user.clone()),
            current_per_s: u32::try_from(self.sum(running, 1)).unwrap_or(u32::MAX),
            avg_1m: self.sum(running, 60) as f64 / 60.0,
            avg_5m: self.sum(running, SECONDS) as f64 / SECONDS as f64,
            counts: counts.clone(),
            last_seen,
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
    use super::*;

    fn count(ring: &mut Ring, second: u64) {
        ring.count(1, Micros::from_secs(second));
    }

    fn rate(ring: &Ring, second: u64) -> (u32, f64, f64) {
        let who = Who {
            key: None,
            user: "ann".into(),
        };
        let counts = UsageCounts::default();
        let rate = ring.rate(&who, &counts, Micros(0), Micros::from_secs(second));
        (rate.current_per_s, rate.avg_1m * 60.0, rate.avg_5m * 300.0)
    }

    #[test]
    fn the_running_second_does_not_count_yet() {
        let mut ring = Ring::new(Micros::from_secs(1000));
        count(&mut ring, 1000);
        count(&mut ring, 1000);
        assert_eq!(rate(&ring, 1000), (0, 0.0, 0.0));
        assert_eq!(rate(&ring, 1001), (2, 2.0, 2.0));
        assert_eq!(rate(&ring, 1002), (0, 2.0, 2.0));
    }

    #[test]
    fn a_request_leaves_each_average_when_its_time_is_over() {
        let mut ring = Ring::new(Micros::from_secs(1000));
        count(&mut ring, 1000);
        assert_eq!(rate(&ring, 1060), (0, 1.0, 1.0));
        assert_eq!(rate(&ring, 1061), (0, 0.0, 1.0));
        assert_eq!(rate(&ring, 1300), (0, 0.0, 1.0));
        assert_eq!(rate(&ring, 1301), (0, 0.0, 0.0));
    }

    #[test]
    fn a_gap_longer_than_the_ring_leaves_nothing_behind() {
        let mut ring = Ring::new(Micros::from_secs(1000));
        for second in 1000..1400 {
            count(&mut ring, second);
        }
        assert_eq!(rate(&ring, 1400), (1, 60.0, 300.0));
        count(&mut ring, 9000);
        assert_eq!(rate(&ring, 9001), (1, 1.0, 1.0));
    }

    #[test]
    fn a_clock_that_was_set_back_neither_panics_nor_loses_a_request() {
        let mut ring = Ring::new(Micros::from_secs(1000));
        count(&mut ring, 1000);
        count(&mut ring, 500);
        assert_eq!(rate(&ring, 400), (0, 0.0, 0.0));
        assert_eq!(rate(&ring, 1001), (2, 2.0, 2.0));
    }
}
