//! What the admin socket tells of a gateway, as JSON, read into types. Texts become [`Plain`] here, and nowhere later.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use crate::plain::Plain;

/// `/monitor/overview`: everything at one instant, with the last 300 seconds.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Overview {
    #[serde(flatten)]
    pub(super) now: Now,
    pub(super) seconds: Vec<Second>,
}

/// One event of `/monitor/live`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Event {
    #[serde(flatten)]
    pub(super) now: Now,
    pub(super) second: Option<Second>,
}

/// Counts since the start, and states.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Now {
    pub(super) as_of: At,
    pub(super) totals: Traffic,
    pub(super) routes: Vec<Route>,
    pub(super) connections: u64,
    pub(super) store: Store,
    /// `None` where the rules have no accounts.
    pub(super) accounts: Option<AccountsState>,
}

/// How many requests ended how.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Traffic {
    pub(super) allowed: u64,
    pub(super) denied: u64,
    pub(super) unauthenticated: u64,
    pub(super) refused: u64,
    pub(super) failed: u64,
    pub(super) latency_us: Latency,
}

/// In microseconds; `None` where nothing was asked.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Latency {
    pub(super) p50: Option<u64>,
    pub(super) p95: Option<u64>,
    pub(super) p99: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Second {
    #[serde(flatten)]
    pub(super) traffic: Traffic,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Route {
    /// Empty for requests that met none.
    pub(super) route: Plain,
    #[serde(flatten)]
    pub(super) traffic: Traffic,
}

/// The store of the counters, by where it is.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Store {
    /// In the gateway.
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
        round_trips: u64,
        round_trip_us: Option<u64>,
        errors: u64,
    },
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct AccountsState {
    /// For how long the database has been away; `None` while it answers.
    pub(super) away_for_s: Option<u64>,
    pub(super) usage_rows_waiting: u64,
    pub(super) usage_dropped: u64,
}

/// `/monitor/keys`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Callers {
    /// How many keys there are, told of or not.
    pub(super) total: u64,
    pub(super) keys: Vec<Caller>,
}

/// A key and its use. Rates are requests per second.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Caller {
    pub(super) id: Plain,
    pub(super) name: Plain,
    pub(super) user: Plain,
    pub(super) current_per_s: u64,
    pub(super) avg_1m: f64,
    pub(super) avg_5m: f64,
    pub(super) allowed: u64,
    pub(super) denied: u64,
    /// `None` where nothing limits the key by who uses it.
    pub(super) remaining: Option<u64>,
    pub(super) last_seen: Option<At>,
}

/// `/monitor/heavy`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Heavy {
    pub(super) allowed: HeavyList,
    pub(super) denied: HeavyList,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct HeavyList {
    /// All requests, of everybody.
    pub(super) total: u64,
    pub(super) callers: Vec<HeavyCaller>,
}

/// Somebody who came at least `count - error` times, and at most `count` times.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct HeavyCaller {
    pub(super) kind: Plain,
    pub(super) id: Plain,
    pub(super) count: u64,
    pub(super) error: u64,
}

/// An instant by the gateway's clock, to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At(Timestamp);

impl Traffic {
    pub(super) fn requests(&self) -> u64 {
        [self.denied, self.unauthenticated, self.refused, self.failed]
            .iter()
            .fold(self.allowed, |sum, count| sum.saturating_add(*count))
    }

    /// What came after `earlier`, without latencies.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        Traffic {
            allowed: self.allowed.saturating_sub(earlier.allowed),
            denied: self.denied.saturating_sub(earlier.denied),
            unauthenticated: self.unauthenticated.saturating_sub(earlier.unauthenticated),
            refused: self.refused.saturating_sub(earlier.refused),
            failed: self.failed.saturating_sub(earlier.failed),
            latency_us: Latency::default(),
        }
    }
}

impl At {
    /// Whole seconds from `earlier` on; 0 if that is later.
    pub(super) fn seconds_since(self, earlier: At) -> u64 {
        let seconds = self.0.as_second() - earlier.0.as_second();
        u64::try_from(seconds).unwrap_or(0)
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m-%d %H:%M:%S UTC"))
    }
}

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(At).map_err(serde::de::Error::custom)
    }
}
