//! What is measured of descriptors and of the files that they come from.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tollgate_rules::domain::{Descriptor, Domain};

use super::messages::Entry;

/// The most values that metrics tell apart, over all descriptors that are to tell them: requests choose them.
pub const VALUES_MAX: usize = 1_000;
/// The longest label that is made of values.
const LABEL_CHARS_MAX: usize = 200;

/// How a descriptor of a request was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Ok,
    OverLimit,
    /// It would have been over its limit, which only watches.
    ShadowOverLimit,
}

const OUTCOMES: [&str; 3] = ["ok", "over_limit", "shadow_over_limit"];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    domain: String,
    descriptor: String,
    outcome: &'static str,
}

/// The metrics of the domains.
pub struct GrpcMetrics {
    registry: Registry,
    descriptors: Family<Labels, Counter>,
    /// Labels that were made of values.
    values: Mutex<std::collections::HashSet<String>>,
    loads: Counter,
    kept_out: Counter,
    current: Gauge<u64, AtomicU64>,
    refunds_lost: Counter,
    late: Counter,
}

/// The counters of one descriptor.
pub(super) struct OfDescriptor {
    counters: [Counter; OUTCOMES.len()],
    domain: String,
    /// Which entries are told apart by their value, if any is.
    measured: Option<Vec<bool>>,
}

impl GrpcMetrics {
    /// Metrics that have counted nothing.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("tollgate_service");
        let metrics = GrpcMetrics {
            descriptors: Family::default(),
            values: Mutex::default(),
            loads: Counter::default(),
            kept_out: Counter::default(),
            current: Gauge::default(),
            refunds_lost: Counter::default(),
            late: Counter::default(),
            registry: Registry::default(),
        };
        registry.register(
            "descriptors",
            "Descriptors of requests that met one of a domain, by how they were",
            metrics.descriptors.clone(),
        );
        registry.register(
            "domain_loads",
            "How often the files of domains were read",
            metrics.loads.clone(),
        );
        registry.register(
            "domain_load_errors",
            "How often a file of a domain was changed and kept out, because it is wrong",
            metrics.kept_out.clone(),
        );
        registry.register(
            "domains_current",
            "Whether the domains are those of the files as they are now, 1 or 0",
            metrics.current.clone(),
        );
        registry.register(
            "refunds_lost",
            "Hits that were to be given back and could not be",
            metrics.refunds_lost.clone(),
        );
        registry.register(
            "store_late",
            "Decisions over gRPC that were made without the shared store, because its answer would have come too late",
            metrics.late.clone(),
        );
        GrpcMetrics {
            registry,
            ..metrics
        }
    }

    /// All of them as text, without the mark of the end: other metrics may follow.
    pub fn encode(&self) -> String {
        let mut encoded = String::new();
        // Writing into a string does not fail.
        let _ = text::encode_registry(&mut encoded, &self.registry);
        encoded
    }

    pub(super) fn loaded(&self) {
        self.loads.inc();
        self.current.set(1);
    }

    pub(super) fn is_current(&self, is_current: bool) {
        self.current.set(u64::from(is_current));
    }

    pub(super) fn kept_out(&self) {
        self.kept_out.inc();
        self.current.set(0);
    }

    pub(super) fn refund_lost(&self, hits: u64) {
        self.refunds_lost.inc_by(hits);
    }

    pub(super) fn late(&self) {
        self.late.inc();
    }

    pub(super) fn of_domain(&self, domain: &Domain) -> Vec<OfDescriptor> {
        let of = |descriptor: &std::sync::Arc<Descriptor>| {
            let any = descriptor.measured.contains(&true);
            OfDescriptor {
                counters: self.counters(&domain.name, &descriptor.label),
                domain: domain.name.clone(),
                measured: any.then(|| descriptor.measured.clone()),
            }
        };
        domain.descriptors().iter().map(of).collect()
    }

    fn counters(&self, domain: &str, descriptor: &str) -> [Counter; OUTCOMES.len()] {
        OUTCOMES.map(|outcome| {
            self.descriptors.get_or_create_owned(&Labels {
                domain: domain.to_owned(),
                descriptor: descriptor.to_owned(),
                outcome,
            })
        })
    }

    /// Counts a descriptor of a request, with the entries that it had.
    pub(super) fn descriptor(&self, of: &OfDescriptor, entries: &[Entry], outcome: Outcome) {
        let Some(measured) = &of.measured else {
            of.counters[outcome as usize].inc();
            return;
        };
        let labels = Labels {
            domain: of.domain.clone(),
            descriptor: self.by_values(measured, entries),
            outcome: OUTCOMES[outcome as usize],
        };
        self.descriptors.get_or_create(&labels).inc();
    }

    /// A label with values in it, or `other` when there are too many of them.
    fn by_values(&self, measured: &[bool], entries: &[Entry]) -> String {
        let words = entries
            .iter()
            .zip(measured)
            .map(|(entry, measured)| match measured {
                true => format!("{}={}", entry.key, entry.value),
                false => entry.key.clone(),
            });
        let label: String = words.collect::<Vec<_>>().join("/");
        let label: String = label.chars().take(LABEL_CHARS_MAX).collect();
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        if values.contains(&label) {
            return label;
        }
        if values.len() >= VALUES_MAX {
            return "other".to_owned();
        }
        values.insert(label.clone());
        label
    }
}

impl Default for GrpcMetrics {
    fn default() -> Self {
        GrpcMetrics::new()
    }
}
