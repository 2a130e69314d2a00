//! What the store of the counters has to say about itself, as metrics: by where it is.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{Registry, Unit};
use tollgate::MemoryStats;

use crate::counters::{SharedState, StoreState};
use crate::total::Total;

type Number = Gauge<u64, AtomicU64>;
type Seconds = Gauge<f64, AtomicU64>;

/// Of a store in this process, or of a shared one.
pub(crate) enum OfStore {
    Memory(OfMemory),
    Shared(OfShared),
}

#[derive(Default)]
pub(crate) struct OfMemory {
    keys: Number,
    bytes: Number,
    live_evictions: Total,
    newcomers_without_room: Total,
}

#[derive(Default)]
pub(crate) struct OfShared {
    up: Number,
    away: Seconds,
    servers_away: Number,
    round_trips: RoundTrips,
    in_flight: Number,
    connections: Number,
    errors: Family<ErrorLabels, Total>,
    reconnects: Total,
    scripts_sent: Total,
    redirects: Total,
    keys_reset: Total,
    under_newer_rules: Total,
    late_slots: Total,
    paid: Total,
    remembered: Total,
    leased: Total,
    returned: Total,
}

/// A histogram that was counted elsewhere.
#[derive(Clone, Debug, Default)]
struct RoundTrips(Arc<Mutex<Histogram>>);

#[derive(Debug, Default)]
struct Histogram {
    sum_s: f64,
    /// Upper bounds in seconds.
    buckets: Vec<(f64, u64)>,
}

impl RoundTrips {
    fn set(&self, state: &SharedState) {
        let bucket = |(place, (bound, count)): (usize, &(Duration, u64))| {
            let is_last = place + 1 == state.round_trips.len();
            let bound = if is_last {
                f64::INFINITY
            } else {
                bound.as_secs_f64()
            };
            (bound, *count)
        };
        *self.lock() = Histogram {
            sum_s: state.round_trip_time.as_secs_f64(),
            buckets: state.round_trips.iter().enumerate().map(bucket).collect(),
        };
    }

    fn lock(&self) -> MutexGuard<'_, Histogram> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TypedMetric for RoundTrips {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for RoundTrips {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let histogram = self.lock();
        let count = histogram.buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(histogram.sum_s, count, &histogram.buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    /// One of a fixed set.
    kind: &'static str,
}

impl OfStore {
    pub(crate) fn new(is_shared: bool, registry: &mut Registry) -> Self {
        match is_shared {
            true => OfStore::Shared(OfShared::new(registry)),
            false => OfStore::Memory(OfMemory::new(registry)),
        }
    }

    pub(crate) fn set(&self, state: &StoreState) {
        match (self, state) {
            (OfStore::Memory(of), StoreState::Memory(stats)) => of.set(stats),
            (OfStore::Shared(of), StoreState::Shared(state)) => of.set(state),
            // The rules say where the counters are, to both sides.
            _ => {}
        }
    }
}

impl OfMemory {
    fn new(registry: &mut Registry) -> Self {
        let of = OfMemory::default();
        registry.register(
            "store_keys",
            "Keys in the store, estimated from a sample where a large one has met many",
            of.keys.clone(),
        );
        registry.register_with_unit(
            "store_memory",
            "Memory that those keys take",
            Unit::Bytes,
            of.bytes.clone(),
        );
        registry.register(
            "store_live_evictions",
            "Keys with units in use that had to give way",
            of.live_evictions.clone(),
        );
        registry.register(
            "store_newcomers_without_room",
            "Keys that found no room",
            of.newcomers_without_room.clone(),
        );
        of
    }

    fn set(&self, stats: &MemoryStats) {
        self.keys.set(stats.keys);
        self.bytes.set(stats.bytes);
        self.live_evictions.set(stats.live_evictions);
        self.newcomers_without_room
            .set(stats.newcomers_without_room);
    }
}

impl OfShared {
    fn new(registry: &mut Registry) -> Self {
        let of = OfShared::default();
        let registry = registry.sub_registry_with_prefix("store");
        registry.register(
            "up",
            "Whether the shared store answers, 1 or 0: while it is 0, decisions are degraded",
            of.up.clone(),
        );
        registry.register_with_unit(
            "away",
            "For how long decisions have been made without the shared store; 0 while it answers",
            Unit::Seconds,
            of.away.clone(),
        );
        registry.register(
            "servers_away",
            "Servers of the shared store that are not asked because they fail",
            of.servers_away.clone(),
        );
        registry.register_with_unit(
            "round_trip",
            "How long calls took that the shared store answered",
            Unit::Seconds,
            of.round_trips.clone(),
        );
        registry.register(
            "calls_in_flight",
            "Calls on their way",
            of.in_flight.clone(),
        );
        registry.register(
            "connections",
            "Connections to the shared store that are up",
            of.connections.clone(),
        );
        registry.register(
            "errors",
            "Calls of the shared store that failed, by how",
            of.errors.clone(),
        );
        registry.register(
            "reconnects",
            "Connections that were made in the place of others",
            of.reconnects.clone(),
        );
        registry.register(
            "scripts_sent",
            "Scripts that were sent as a whole, because a server did not know them",
            of.scripts_sent.clone(),
        );
        registry.register(
            "redirects",
            "Calls that a node of a cluster sent on to another",
            of.redirects.clone(),
        );
        registry.register(
            "keys_reset",
            "Keys whose state could not be read, and was begun anew",
            of.keys_reset.clone(),
        );
        registry.register(
            "decisions_under_newer_rules",
            "Decisions by other numbers than those of the rules here: another gateway has newer ones",
            of.under_newer_rules.clone(),
        );
        registry.register(
            "late_slots",
            "Slots given back because the answer that took them came when nobody waited any more",
            of.late_slots.clone(),
        );
        registry.register(
            "decisions_paid",
            "Decisions made without asking the shared store, from units taken in advance",
            of.paid.clone(),
        );
        registry.register(
            "denials_remembered",
            "Denials told again without asking the shared store",
            of.remembered.clone(),
        );
        registry.register("units_leased", "Units taken in advance", of.leased.clone());
        registry.register(
            "units_returned",
            "Units taken in advance that were given back, since nobody asked",
            of.returned.clone(),
        );
        of
    }

    fn set(&self, state: &SharedState) {
        self.up.set(u64::from(state.away_for.is_none()));
        self.away
            .set(state.away_for.unwrap_or_default().as_secs_f64());
        self.servers_away.set(state.servers_away);
        self.round_trips.set(state);
        self.in_flight.set(state.in_flight);
        self.connections.set(state.connections);
        for (kind, count) in &state.errors {
            let labels = ErrorLabels { kind };
            self.errors.get_or_create(&labels).set(*count);
        }
        self.reconnects.set(state.reconnects);
        self.scripts_sent.set(state.scripts_sent);
        self.redirects.set(state.redirects);
        self.keys_reset.set(state.keys_reset);
        self.under_newer_rules.set(state.under_newer_rules);
        self.late_slots.set(state.late_slots);
        self.paid.set(state.paid);
        self.remembered.set(state.remembered);
        self.leased.set(state.leased);
        self.returned.set(state.returned);
    }
}
