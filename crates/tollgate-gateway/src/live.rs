//! What goes on, second by second: the differences between readings of what metrics count anyway, so that a request
//! pays nothing for it.

use std::collections::VecDeque;
use std::sync::Arc;

use tollgate::Micros;

use crate::durations::DurationCounts;
use crate::ending::{ENDINGS, Ending};

/// How many readings are kept.
pub const LIVE_SECONDS: usize = 300;

/// Everything that was counted up to one instant, or what came between two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    endings: [u64; ENDINGS.len()],
    /// How long requests took.
    pub durations: DurationCounts,
}

/// The traffic of one route since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTraffic {
    /// The route's name, empty for requests that met none.
    pub route: Arc<str>,
    /// What was counted.
    pub traffic: Traffic,
}

/// What came between two readings, a second apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Second {
    /// When the later one was taken.
    pub at: Micros,
    /// What came.
    pub traffic: Traffic,
    /// Open connections at that instant.
    pub connections: u64,
}

/// The last readings.
#[derive(Debug, Default)]
pub struct History {
    seconds: VecDeque<Second>,
    newest: Traffic,
}

impl Traffic {
    pub(crate) fn new(endings: [u64; ENDINGS.len()], durations: DurationCounts) -> Self {
        Traffic { endings, durations }
    }

    /// How many requests ended so.
    pub fn ended(&self, ending: Ending) -> u64 {
        self.endings[ending as usize]
    }

    /// How many requests there were.
    pub fn requests(&self) -> u64 {
        self.endings.iter().sum()
    }

    pub(crate) fn add(&mut self, more: &Self) {
        for (count, more) in self.endings.iter_mut().zip(more.endings) {
            *count += more;
        }
        self.durations.add(&more.durations);
    }

    fn since(&self, earlier: &Self) -> Self {
        let came = |ending: usize| self.endings[ending].saturating_sub(earlier.endings[ending]);
        Traffic {
            endings: std::array::from_fn(came),
            durations: self.durations.since(&earlier.durations),
        }
    }
}

impl History {
    /// Takes a reading, and keeps what came since the last one.
    pub fn sample(&mut self, newest: Traffic, connections: u64, at: Micros) {
        if self.seconds.len() == LIVE_SECONDS {
            self.seconds.pop_front();
        }
        let traffic = newest.since(&self.newest);
        self.seconds.push_back(Second {
            at,
            traffic,
            connections,
        });
        self.newest = newest;
    }

    /// The last seconds, the oldest first.
    pub fn seconds(&self) -> impl DoubleEndedIterator<Item = &Second> {
        self.seconds.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_what_came_since_the_one_before_and_only_so_many_are_kept() {
        let mut history = History::default();
        let reading = |allowed| Traffic::new([allowed, 0, 0, 0, 0], DurationCounts::default());
        for second in 1..=400 {
            history.sample(reading(second * second), 7, Micros::from_secs(second));
        }
        assert_eq!(history.seconds().count(), LIVE_SECONDS);
        let newest = history.seconds().next_back().unwrap();
        assert_eq!(newest.traffic.ended(Ending::Allowed), 400 * 400 - 399 * 399);
        assert_eq!((newest.at, newest.connections), (Micros::from_secs(400), 7));
        let oldest = history.seconds().next().unwrap();
        assert_eq!(oldest.at, Micros::from_secs(101));
    }
}
