//! What became of spans, in the Prometheus text format.

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

pub(super) struct Metrics {
    registry: Registry,
    /// The collector has taken them.
    pub(super) exported: Counter,
    /// They found no room, or the collector was away or did not want them.
    pub(super) dropped: Counter,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let (exported, dropped) = (Counter::default(), Counter::default());
        let mut registry = Registry::with_prefix("tollgate");
        registry.register(
            "spans_exported",
            "Spans that the collector has taken",
            exported.clone(),
        );
        registry.register(
            "spans_dropped",
            "Spans that found no room in the queue, or that the collector did not take",
            dropped.clone(),
        );
        Metrics {
            registry,
            exported,
            dropped,
        }
    }

    pub(super) fn encode(&self) -> String {
        let mut encoded = String::new();
        // Writing into a string does not fail.
        let _ = text::encode_registry(&mut encoded, &self.registry);
        encoded
    }
}
