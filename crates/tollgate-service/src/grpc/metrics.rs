//! What is measured of descriptors and of the files that they come from.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tollgate_rules::domain::{Descriptor, Domain};

use super::messages::Entry;

/// The most values that metrics tell apart, over all descriptors that are to tell them: requests choose them.
pub(super) const VALUES_MAX: usize = 1_000;
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

/// What descriptors that are told apart by values count as, beyond their bound.
const OTHER: &str = "other";

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
    series: Mutex<Series>,
    loads: Counter,
    kept_out: Counter,
    current: Gauge<u64, AtomicU64>,
    refunds_lost: Counter,
    late: Counter,
}

/// Of which domain, and under which label, descriptors are counted.
type Counted = (String, String);

/// What has been counted, so that it can be forgotten with its descriptor.
#[derive(Default)]
struct Series {
    descriptors: HashSet<Counted>,
    /// Labels that were made of values, and the label of the descriptor that they are of.
    values: HashMap<Counted, String>,
}

/// The counters of one descriptor.
pub(super) struct OfDescriptor {
    counters: [Counter; OUTCOMES.len()],
    domain: String,
    label: String,
    /// Which entries are told apart by their value, if any is.
    measured: Option<Vec<bool>>,
}

impl GrpcMetrics {
    /// Metrics that have counted nothing.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("tollgate_service");
        let metrics = GrpcMetrics {
            descriptors: Family::default(),
            series: Mutex::default(),
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

    pub(super) fn set_current(&self, is_current: bool) {
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
                label: descriptor.label.clone(),
                measured: any.then(|| descriptor.measured.clone()),
            }
        };
        domain.descriptors().iter().map(of).collect()
    }

    /// Forgets what was counted of descriptors that none of these domains has.
    pub(super) fn keep<'d>(&self, domains: impl Iterator<Item = &'d Domain>) {
        let of = |domain: &'d Domain| {
            let each = domain.descriptors().iter();
            each.map(move |descriptor| (domain.name.clone(), descriptor.label.clone()))
        };
        let domains: Vec<&Domain> = domains.collect();
        let other = domains
            .iter()
            .map(|domain| (domain.name.clone(), OTHER.to_owned()));
        let known: HashSet<Counted> = domains.iter().copied().flat_map(of).chain(other).collect();
        let mut series = self.lock();
        let Series {
            descriptors,
            values,
        } = &mut *series;
        let gone = descriptors.extract_if(|counted| !known.contains(counted));
        gone.for_each(|counted| self.forget(counted));
        let of_gone = |(domain, _): &Counted, label: &mut String| {
            !known.contains(&(domain.clone(), label.clone()))
        };
        let gone = values.extract_if(of_gone);
        gone.for_each(|(counted, _)| self.forget(counted));
    }

    fn forget(&self, (domain, descriptor): Counted) {
        for outcome in OUTCOMES {
            let (domain, descriptor) = (domain.clone(), descriptor.clone());
            self.descriptors.remove(&Labels {
                domain,
                descriptor,
                outcome,
            });
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Series> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counters(&self, domain: &str, descriptor: &str) -> [Counter; OUTCOMES.len()] {
        let counted = (domain.to_owned(), descriptor.to_owned());
        self.lock().descriptors.insert(counted);
        OUTCOMES.map(|outcome| {
            self.descriptors.get_or_create_owned(&Labels {
                domain: domain.to_owned(),
                descriptor: descriptor.to_owned(),
                outcome,
            })
        })
    }

    /// Counts a descriptor of a request, with the entries that it had.
    pub(super) fn descriptor(&self, of: &OfDescriptor, entries: &[Entry<'_>], outcome: Outcome) {
        let Some(measured) = &of.measured else {
            of.counters[outcome as usize].inc();
            return;
        };
        let labels = Labels {
            domain: of.domain.clone(),
            descriptor: self.by_values(of, measured, entries),
            outcome: OUTCOMES[outcome as usize],
        };
        self.descriptors.get_or_create(&labels).inc();
    }

    /// A label with values in it, or `other` when there are too many of them.
    fn by_values(&self, of: &OfDescriptor, measured: &[bool], entries: &[Entry<'_>]) -> String {
        let words = entries
            .iter()
            .zip(measured)
            .map(|(entry, measured)| match measured {
                true => format!("{}={}", entry.key, entry.value),
                false => entry.key.to_owned(),
            });
        let label: String = words.collect::<Vec<_>>().join("/");
        let label: String = label.chars().take(LABEL_CHARS_MAX).collect();
        let counted = (of.domain.clone(), label);
        let mut series = self.lock();
        if series.values.contains_key(&counted) {
            return counted.1;
        }
        if series.values.len() >= VALUES_MAX {
            let other = (of.domain.clone(), OTHER.to_owned());
            series.descriptors.insert(other);
            return OTHER.to_owned();
        }
        let label = counted.1.clone();
        series.values.insert(counted, of.label.clone());
        label
    }
}

impl Default for GrpcMetrics {
    fn default() -> Self {
        GrpcMetrics::new()
    }
}
