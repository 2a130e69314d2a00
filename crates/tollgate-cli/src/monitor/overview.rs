//! The traffic of the whole gateway, as JSON.

use std::cmp::Reverse;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use tollgate_accounts::Accounts;
use tollgate_gateway::counters::StoreState;
use tollgate_gateway::ending::Ending;
use tollgate_gateway::live::{RouteTraffic, Second, Traffic};

use super::Monitor;
use super::streams::{Source, json_event};
use crate::time::rfc3339;

/// Routes in an event of the stream: those with the most requests.
pub(crate) const ROUTES_STREAMED_MAX: usize = 100;

/// Everything at one instant, with the last 300 seconds.
#[derive(Serialize)]
pub(crate) struct Overview {
    #[serde(flatten)]
    now: Now,
    seconds: Vec<SecondShown>,
}

/// One event of the stream.
#[derive(Serialize)]
struct Event {
    #[serde(flatten)]
    now: Now,
    second: Option<SecondShown>,
}

#[derive(Serialize)]
struct Now {
    as_of: String,
    /// Since the start.
    totals: TrafficShown,
    routes: Vec<RouteShown>,
    connections: u64,
    store: StoreShown,
    /// `None` where the rules have no accounts.
    accounts: Option<AccountsShown>,
}

#[derive(Serialize)]
struct TrafficShown {
    allowed: u64,
    denied: u64,
    unauthenticated: u64,
    refused: u64,
    failed: u64,
    latency_us: Latency,
}

/// In microseconds; `None` where nothing was asked.
#[derive(Serialize)]
struct Latency {
    avg: Option<u64>,
    p50: Option<u64>,
    p95: Option<u64>,
    p99: Option<u64>,
}

#[derive(Serialize)]
struct RouteShown {
    route: String,
    #[serde(flatten)]
    traffic: TrafficShown,
}

#[derive(Serialize)]
struct SecondShown {
    at: String,
    connections: u64,
    #[serde(flatten)]
    traffic: TrafficShown,
}

/// The store, by where it is.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum StoreShown {
    /// In this process.
    Memory {
        keys: u64,
        memory_bytes: u64,
        live_evictions: u64,
        newcomers_without_room: u64,
    },
    /// Shared with others.
    Shared {
        /// For how long decisions have been made without it; `None` while it answers.
        away_for_s: Option<u64>,
        /// Since the start.
        round_trips: u64,
        /// How long one took, in the mean.
        round_trip_us: Option<u64>,
        /// Calls that failed.
        errors: u64,
    },
}

#[derive(Serialize)]
struct AccountsShown {
    /// For how long the database has been away; `None` while it answers.
    away_for_s: Option<u64>,
    usage_rows_waiting: usize,
    usage_dropped: u64,
}

/// The stream of the whole gateway, for administrators.
pub(crate) struct Everything(Arc<Monitor>);

impl Source for Everything {
    async fn event(&mut self) -> Option<Bytes> {
        Some(json_event(&self.0.event()))
    }
}

impl Monitor {
    /// The traffic of the whole gateway.
    pub(crate) fn overview(&self) -> Overview {
        let seconds = self.history().seconds().map(SecondShown::of).collect();
        let now = self.now(usize::MAX);
        Overview { now, seconds }
    }

    pub(crate) fn everything(self: &Arc<Self>) -> Everything {
        Everything(Arc::clone(self))
    }

    fn event(&self) -> Event {
        let second = self.history().seconds().next_back().map(SecondShown::of);
        let now = self.now(ROUTES_STREAMED_MAX);
        Event { now, second }
    }

    fn now(&self, routes_max: usize) -> Now {
        let now = self.clock.now();
        let metrics = self.gateway.metrics();
        let mut routes: Vec<RouteTraffic> = metrics.traffic_by_route().collect();
        if routes.len() > routes_max {
            routes.sort_by_key(|route| Reverse(route.traffic.requests()));
            routes.truncate(routes_max);
        }
        Now {
            as_of: rfc3339(now),
            totals: TrafficShown::of(&metrics.traffic()),
            routes: routes.into_iter().map(RouteShown::of).collect(),
            connections: self.connections(),
            store: StoreShown::of(&self.counters.state(now)),
            accounts: self.accounts.as_ref().map(AccountsShown::of),
        }
    }
}

impl StoreShown {
    pub(crate) fn of(state: &StoreState) -> Self {
        match state {
            StoreState::Memory(stats) => StoreShown::Memory {
                keys: stats.keys,
                memory_bytes: stats.bytes,
                live_evictions: stats.live_evictions,
                newcomers_without_room: stats.newcomers_without_room,
            },
            StoreState::Shared(state) => StoreShown::Shared {
                away_for_s: state.away_for.map(|away| away.as_secs()),
                round_trips: state.answered(),
                round_trip_us: state.mean_round_trip_us(),
                errors: state.errors.iter().map(|(_, count)| count).sum(),
            },
        }
    }
}

impl AccountsShown {
    fn of(accounts: &Accounts) -> Self {
        AccountsShown {
            away_for_s: accounts.away_for().map(|away| away.as_secs()),
            usage_rows_waiting: accounts.usage().rows_waiting(),
            usage_dropped: accounts.usage().dropped(),
        }
    }
}

impl TrafficShown {
    fn of(traffic: &Traffic) -> Self {
        let durations = &traffic.durations;
        let percentile = |percent| durations.percentile_us(percent);
        TrafficShown {
            allowed: traffic.ended(Ending::Allowed),
            denied: traffic.ended(Ending::Denied),
            unauthenticated: traffic.ended(Ending::Unauthenticated),
            refused: traffic.ended(Ending::Refused),
            failed: traffic.ended(Ending::Failed),
            latency_us: Latency {
                avg: (durations.count() > 0).then(|| durations.mean_us()),
                p50: percentile(50),
                p95: percentile(95),
                p99: percentile(99),
            },
        }
    }
}

impl RouteShown {
    fn of(route: RouteTraffic) -> Self {
        RouteShown {
            traffic: TrafficShown::of(&route.traffic),
            route: route.route.to_string(),
        }
    }
}

impl SecondShown {
    fn of(second: &Second) -> Self {
        SecondShown {
            at: rfc3339(second.at),
            connections: second.connections,
            traffic: TrafficShown::of(&second.traffic),
        }
    }
}
