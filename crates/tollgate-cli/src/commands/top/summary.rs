//! What stands above the tables: how many requests ended how, latencies, and the states of counters and accounts.

use super::model::{Model, SECONDS_KEPT};
use super::reading::{AccountsState, Latency, Store, Traffic};
use super::spark::spark;
use super::units::{bytes, count, lasting, latency};

/// How requests end, in the order of their lines.
pub(super) const ENDINGS: [Ending; 5] = [
    Ending {
        name: "allowed",
        of: |traffic| traffic.allowed,
    },
    Ending {
        name: "denied",
        of: |traffic| traffic.denied,
    },
    Ending {
        name: "unauthenticated",
        of: |traffic| traffic.unauthenticated,
    },
    Ending {
        name: "refused",
        of: |traffic| traffic.refused,
    },
    Ending {
        name: "failed",
        of: |traffic| traffic.failed,
    },
];

/// Cells of a line of an ending before its bars.
pub(super) const BEFORE_BARS: usize = 47;

pub(super) struct Ending {
    pub(super) name: &'static str,
    of: fn(&Traffic) -> u64,
}

impl Ending {
    /// Its numbers, in [`BEFORE_BARS`] cells.
    pub(super) fn numbers(&self, model: &Model) -> String {
        let newest = model.seconds.back().map_or(0, self.of);
        let peak = model.seconds.iter().map(self.of).max().unwrap_or(0);
        let total = (self.of)(&model.now.totals);
        format!(
            " {:<16}{:>8}{:>8}{:>12}  ",
            self.name,
            count(newest),
            count(peak),
            count(total)
        )
    }

    /// Its last five minutes.
    pub(super) fn bars(&self, model: &Model, width: usize) -> String {
        let counts: Vec<u64> = model.seconds.iter().map(self.of).collect();
        spark(&counts, SECONDS_KEPT, width)
    }
}

/// What stands above the endings.
pub(super) fn heading() -> String {
    format!(
        " {:<16}{:>8}{:>8}{:>12}  last 5 minutes",
        "requests", "per s", "peak", "since start"
    )
}

/// The lines below the endings, each with its name.
pub(super) fn states(model: &Model) -> [(&'static str, String); 4] {
    let second = model.seconds.back().copied().unwrap_or_default();
    let now = &model.now;
    [
        ("latency, last s", percentiles(&second.latency_us)),
        (
            "latency, all",
            format!(
                "{}  {} connections",
                percentiles(&now.totals.latency_us),
                count(now.connections)
            ),
        ),
        ("counters", counters(&now.store)),
        ("accounts", accounts(now.accounts.as_ref())),
    ]
}

/// Whether what the line of this name tells of is not as it should be.
pub(super) fn is_degraded(name: &str, model: &Model) -> bool {
    let accounts = model.now.accounts.as_ref();
    match name {
        "accounts" => accounts.is_some_and(|accounts| accounts.away_for_s.is_some()),
        "counters" => matches!(
            model.now.store,
            Store::Shared {
                away_for_s: Some(_),
                ..
            }
        ),
        _ => false,
    }
}

fn counters(store: &Store) -> String {
    match *store {
        Store::Memory {
            keys,
            memory_bytes,
            live_evictions,
            newcomers_without_room,
        } => format!(
            "{} keys  {}  {} evicted alive  {} without room",
            count(keys),
            bytes(memory_bytes),
            count(live_evictions),
            count(newcomers_without_room)
        ),
        Store::Shared {
            away_for_s,
            round_trips,
            round_trip_us,
            errors,
        } => format!(
            "shared store {}  {} round trips  {} each  {} errors",
            up_or_away(away_for_s),
            count(round_trips),
            latency(round_trip_us),
            count(errors)
        ),
    }
}

fn up_or_away(away_for_s: Option<u64>) -> String {
    match away_for_s {
        None => "up".to_owned(),
        Some(seconds) => format!("away for {}", lasting(seconds)),
    }
}

fn percentiles(of: &Latency) -> String {
    let [p50, p95, p99] = [of.p50, of.p95, of.p99].map(latency);
    format!("p50 {p50:<8} p95 {p95:<8} p99 {p99:<8}")
}

fn accounts(state: Option<&AccountsState>) -> String {
    let Some(state) = state else {
        return "not in these rules".to_owned();
    };
    let database = up_or_away(state.away_for_s);
    let [waiting, dropped] = [state.usage_rows_waiting, state.usage_dropped].map(count);
    format!("database {database}  usage: {waiting} waiting, {dropped} dropped")
}
