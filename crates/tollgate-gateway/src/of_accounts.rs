//! What the accounts have to say about themselves, as metrics.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use tollgate_accounts::Accounts;

use crate::total::Total;

/// The metrics. Without accounts nothing is amiss.
#[derive(Default)]
pub(crate) struct OfAccounts {
    up: Gauge<u64, AtomicU64>,
    changes_unread: Gauge<f64, AtomicU64>,
    usage_dropped: Total,
    usage_rows_waiting: Gauge<u64, AtomicU64>,
    hashes_waiting: Gauge<u64, AtomicU64>,
    hashes_refused: Total,
}

impl OfAccounts {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let of = OfAccounts::default();
        registry.register(
            "accounts_up",
            "Whether the accounts database answers, 1 or 0; 1 where there are no accounts",
            of.up.clone(),
        );
        registry.register_with_unit(
            "accounts_changes_unread",
            "How long ago changes of accounts that others make were last read",
            Unit::Seconds,
            of.changes_unread.clone(),
        );
        registry.register(
            "usage_dropped",
            "Requests whose usage found no room",
            of.usage_dropped.clone(),
        );
        registry.register(
            "usage_rows_waiting",
            "Rows of usage that wait to be written",
            of.usage_rows_waiting.clone(),
        );
        registry.register(
            "password_hashes_waiting",
            "Passwords that are being hashed or wait for it",
            of.hashes_waiting.clone(),
        );
        registry.register(
            "password_hashes_refused",
            "Passwords that were not hashed because too many waited",
            of.hashes_refused.clone(),
        );
        of
    }

    pub(crate) fn set(&self, accounts: Option<&Accounts>) {
        let away_for = accounts.and_then(Accounts::away_for);
        self.up.set(u64::from(away_for.is_none()));
        let unread_for = accounts.map_or(Duration::ZERO, Accounts::unread_for);
        self.changes_unread.set(unread_for.as_secs_f64());
        let Some(accounts) = accounts else { return };
        let usage = accounts.usage();
        self.usage_dropped.set(usage.dropped());
        self.usage_rows_waiting.set(usage.rows_waiting() as u64);
        self.hashes_waiting.set(accounts.hashes_waiting() as u64);
        self.hashes_refused.set(accounts.hashes_refused());
    }
}
