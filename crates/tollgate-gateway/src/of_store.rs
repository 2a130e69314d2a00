//! What the store of the counters has to say about itself, as metrics: by where it is.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use tollgate::MemoryStats;

use crate::counters::{SharedState, StoreState};

type Number = Gauge<u64, AtomicU64>;
type Seconds = Gauge<f64, AtomicU64>;

/// Of a store in this process, or of a shared one. What is there is decided by the first reading's kind.
pub(crate) enum OfStore {
    Memory(OfMemory),
    Shared(OfShared),
}

#[derive(Default)]
pub(crate) struct OfMemory {
    keys: Number,
    bytes: Number,
    live_evictions: Number,
    newcomers_without_room: Number,
}

#[derive(Default)]
pub(crate) struct OfShared {
    up: Number,
    away: Seconds,
    servers_away: Number,
    round_trips: Number,
    round_trip_time: Seconds,
    in_flight: Number,
    errors: Family<ErrorLabels, Number>,
    reconnects: Number,
    scripts_sent: Number,
    redirects: Number,
    keys_reset: Number,
    paid: Number,
    remembered: Number,
    leased: Number,
    returned: Number,
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
            "Keys in the store, in a large one estimated from a sample: few may read as none",
            of.keys.clone(),
        );
        registry.register_with_unit(
            "store_memory",
            "Memory of the store, estimated",
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
        registry.register(
            "round_trips",
            "Calls that the shared store answered",
            of.round_trips.clone(),
        );
        registry.register_with_unit(
            "round_trip_time",
            "How long these took together",
            Unit::Seconds,
            of.round_trip_time.clone(),
        );
        registry.register(
            "calls_in_flight",
            "Calls on their way",
            of.in_flight.clone(),
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
        self.round_trips.set(state.round_trips);
        self.round_trip_time
            .set(state.round_trip_time.as_secs_f64());
        self.in_flight.set(state.in_flight);
        for (kind, count) in &state.errors {
            let labels = ErrorLabels { kind };
            self.errors.get_or_create(&labels).set(*count);
        }
        self.reconnects.set(state.reconnects);
        self.scripts_sent.set(state.scripts_sent);
        self.redirects.set(state.redirects);
        self.keys_reset.set(state.keys_reset);
        self.paid.set(state.paid);
        self.remembered.set(state.remembered);
        self.leased.set(state.leased);
        self.returned.set(state.returned);
    }
}
