//! What is measured of the service, in the Prometheus text format. Labels are of fixed sets: never a key or a client.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tollgate::{Decision, Verdict};
use tollgate_gateway::tls::Spoken;

/// In which language a decision was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Redis's.
    Resp,
    /// Plain HTTP with JSON.
    Http,
    /// Envoy's rate-limit service.
    Grpc,
}

impl Protocol {
    /// What it is called within TLS.
    pub(crate) fn spoken(self) -> Spoken {
        match self {
            Protocol::Resp => Spoken::Unnamed,
            Protocol::Http => Spoken::Http1,
            Protocol::Grpc => Spoken::Http2,
        }
    }

    /// As metrics and threads are named after it.
    pub(crate) fn name(self) -> &'static str {
        PROTOCOLS[self as usize]
    }
}

const PROTOCOLS: [&str; 3] = ["resp", "http", "grpc"];

/// How a decision was.
const OUTCOMES: [&str; 3] = ["allowed", "denied", "refused"];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    protocol: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProtocolLabels {
    protocol: &'static str,
}

/// The metrics of all protocols.
pub struct Metrics {
    registry: Registry,
    decisions: [[Counter; OUTCOMES.len()]; PROTOCOLS.len()],
    errors: [Counter; PROTOCOLS.len()],
    connections: [Gauge; PROTOCOLS.len()],
    tls_handshakes_failed: [Counter; PROTOCOLS.len()],
}

/// Counts a connection while it is open, however it ends.
pub struct Open<'m>(&'m Gauge);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// Metrics that have counted nothing.
    pub fn new() -> Self {
        let decisions = Family::<DecisionLabels, Counter>::default();
        let errors = Family::<ProtocolLabels, Counter>::default();
        let connections = Family::<ProtocolLabels, Gauge>::default();
        let tls_handshakes_failed = Family::<ProtocolLabels, Counter>::default();
        let mut registry = Registry::with_prefix("tollgate_service");
        registry.register(
            "decisions",
            "Decisions of the service, by protocol and how they were",
            decisions.clone(),
        );
        registry.register(
            "errors",
            "Questions that were answered with an error, by protocol",
            errors.clone(),
        );
        registry.register(
            "connections",
            "Open connections of the service, by protocol",
            connections.clone(),
        );
        registry.register(
            "tls_handshakes_failed",
            "Connections that ended before they were encrypted, by protocol",
            tls_handshakes_failed.clone(),
        );
        Metrics {
            registry,
            decisions: PROTOCOLS.map(|protocol| {
                OUTCOMES.map(|outcome| {
                    decisions.get_or_create_owned(&DecisionLabels { protocol, outcome })
                })
            }),
            errors: PROTOCOLS
                .map(|protocol| errors.get_or_create_owned(&ProtocolLabels { protocol })),
            connections: PROTOCOLS
                .map(|protocol| connections.get_or_create_owned(&ProtocolLabels { protocol })),
            tls_handshakes_failed: PROTOCOLS.map(|protocol| {
                tls_handshakes_failed.get_or_create_owned(&ProtocolLabels { protocol })
            }),
        }
    }

    /// Counts decisions of one protocol: how many allowed, denied, and refused without a time to come back.
    pub fn decisions(&self, protocol: Protocol, tally: Tally) {
        for (counter, count) in self.decisions[protocol as usize].iter().zip(tally.0) {
            if count > 0 {
                counter.inc_by(count);
            }
        }
    }

    /// Counts a question that was answered with an error.
    pub fn error(&self, protocol: Protocol) {
        self.errors[protocol as usize].inc();
    }

    /// Counts connections that ended before they were encrypted.
    pub(crate) fn tls_handshakes_failed(&self, protocol: Protocol) -> &Counter {
        &self.tls_handshakes_failed[protocol as usize]
    }

    /// Counts a connection until what is returned is dropped.
    pub fn open(&self, protocol: Protocol) -> Open<'_> {
        let gauge = &self.connections[protocol as usize];
        gauge.inc();
        Open(gauge)
    }

    /// All of them as text, without the mark of the end: other metrics may follow.
    pub fn encode(&self) -> String {
        let mut encoded = String::new();
        // Writing into a string does not fail.
        let _ = text::encode_registry(&mut encoded, &self.registry);
        encoded
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

/// Decisions that are counted together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally([u64; OUTCOMES.len()]);

impl Tally {
    /// Just this decision.
    pub fn of(decision: &Decision) -> Self {
        let mut tally = Tally::default();
        tally.add(decision);
        tally
    }

    /// Adds a decision.
    pub fn add(&mut self, decision: &Decision) {
        let outcome = match decision.verdict() {
            Verdict::Allow => 0,
            Verdict::Deny { .. } | Verdict::Never { .. } => 1,
            Verdict::Refused { .. } => 2,
        };
        self.0[outcome] += 1;
    }
}
