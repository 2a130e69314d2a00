//! Counts that somebody else keeps, exported as counters.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// The newest reading of a count that only grows. Clones are of the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Total(Arc<AtomicU64>);

impl Total {
    /// Takes a reading. One that is older than what is known, read by another thread meanwhile, changes nothing.
    pub(crate) fn set(&self, count: u64) {
        self.0.fetch_max(count, Ordering::Relaxed);
    }
}

impl TypedMetric for Total {
    const TYPE: MetricType = MetricType::Counter;
}

impl EncodeMetric for Total {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let count = self.0.load(Ordering::Relaxed);
        encoder.encode_counter::<NoLabelSet, _, u64>(&count, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_never_goes_back() {
        let total = Total::default();
        let clone = total.clone();
        total.set(7);
        clone.set(5);
        assert_eq!(total.0.load(Ordering::Relaxed), 7);
    }
}
