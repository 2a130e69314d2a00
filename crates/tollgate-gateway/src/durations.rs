//! How long requests take: a histogram that metrics and the monitor read alike.
//!
//! The metrics library has one, behind a lock and without a way to read it; this one is a few atomics.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{MetricEncoder, NoLabelSet};

/// Upper bounds of the buckets, in microseconds; one more bucket is for what takes longer.
const BOUNDS_US: [u64; 17] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000,
];

const BUCKETS: usize = BOUNDS_US.len() + 1;

/// A histogram of durations. Clones count into the same one.
#[derive(Clone, Default)]
pub(crate) struct Durations(Arc<Cells>);

#[derive(Default)]
struct Cells {
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

/// What a histogram holds at one instant, or how much came between two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DurationCounts {
    buckets: [u64; BUCKETS],
    sum_us: u64,
}

impl Durations {
    pub(crate) fn observe(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
        self.0.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.0.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> DurationCounts {
        let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        DurationCounts {
            buckets: std::array::from_fn(|bucket| read(&self.0.buckets[bucket])),
            sum_us: read(&self.0.sum_us),
        }
    }
}

impl DurationCounts {
    pub(crate) fn add(&mut self, more: &Self) {
        for (count, more) in self.buckets.iter_mut().zip(more.buckets) {
            *count += more;
        }
        self.sum_us += more.sum_us;
    }

    /// What came since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let came = |bucket: usize| self.buckets[bucket].saturating_sub(earlier.buckets[bucket]);
        DurationCounts {
            buckets: std::array::from_fn(came),
            sum_us: self.sum_us.saturating_sub(earlier.sum_us),
        }
    }

    pub(crate) fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let seconds = |us: u64| us as f64 / 1e6;
        let bounds = BOUNDS_US.iter().map(|bound| seconds(*bound));
        let buckets: Vec<(f64, u64)> = bounds.chain([f64::INFINITY]).zip(self.buckets).collect();
        let (sum, count) = (seconds(self.sum_us), self.count());
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    /// How many durations there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Their mean in microseconds; 0 where there is none.
    pub fn mean_us(&self) -> u64 {
        self.sum_us.checked_div(self.count()).unwrap_or(0)
    }

    /// The duration in microseconds that `percent` of them do not pass, as far as buckets tell: within one it is taken
    /// to grow evenly. `None` where there is none; what is longer than every bound counts as the last bound.
    pub fn percentile_us(&self, percent: u64) -> Option<u64> {
        let count = self.count();
        let wanted = (count * percent).div_ceil(100).max(1);
        let mut below = 0;
        for (bucket, within) in self.buckets.iter().enumerate() {
            if below + within >= wanted && *within > 0 {
                let low = bucket.checked_sub(1).map_or(0, |before| BOUNDS_US[before]);
                let high = BOUNDS_US.get(bucket).copied().unwrap_or(low);
                return Some(low + (high - low) * (wanted - below) / within);
            }
            below += within;
        }
        None
    }
}

impl fmt::Debug for Durations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_lie_within_the_bucket_of_the_one_that_is_asked_for() {
        let durations = Durations::default();
        assert_eq!(durations.counts().percentile_us(50), None);
        for _ in 0..98 {
            durations.observe(Duration::from_micros(200));
        }
        durations.observe(Duration::from_millis(4));
        durations.observe(Duration::from_secs(60));
        let counts = durations.counts();
        let asked = |percent| counts.percentile_us(percent).unwrap();
        assert!((100..=250).contains(&asked(50)), "{}", asked(50));
        assert!((2_500..=5_000).contains(&asked(99)), "{}", asked(99));
        assert_eq!(asked(100), 30_000_000);
        assert_eq!((counts.count(), counts.mean_us()), (100, 600_236));
    }

    #[test]
    fn what_came_since_is_without_what_was_there() {
        let durations = Durations::default();
        durations.observe(Duration::from_secs(1));
        let before = durations.counts();
        durations.observe(Duration::from_micros(50));
        let since = durations.counts().since(&before);
        assert_eq!((since.count(), since.mean_us()), (1, 50));
        assert!(since.percentile_us(99).unwrap() <= 100);
    }
}
