//! A store that several gateways share: connecting to it, what it tells of itself, and where its keys are in a cluster.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tollgate::key::first_part;
use tollgate::{
    Answer, Checks, Clock, Decision, Micros, Outcome, Policy, Reason, Receipt, Store, StoreError,
    SystemClock,
};
use tollgate_gateway::counters::{Shared, SharedState};
use tollgate_redis::{ERROR_KINDS, Location, ROUND_TRIP_BOUNDS, RedisStore, Settings, Time};
use tollgate_rules::Counters;

use crate::builtin::protect;
use crate::failure::Failure;

/// The store that the rules name. One that cannot be reached is waited for while the gateway runs.
///
/// # Errors
/// What waiting does not mend: a wrong password, say.
pub(super) async fn connect(
    counters: &Counters,
    is_held: bool,
) -> Result<(Shared, RedisStore), Failure> {
    let cannot = |error: &dyn std::error::Error| {
        Failure::because("the counters' store cannot be used", error)
    };
    let location: Location = counters.url.parse().map_err(|error| cannot(&error))?;
    let shown = location.to_string();
    let mut settings = Settings::default();
    settings.deadline = counters.deadline;
    settings.prefix.clone_from(&counters.prefix);
    settings.nodes = counters.nodes;
    settings.time = match is_held {
        true => Time::Caller,
        false => Time::Server,
    };
    let store = RedisStore::connect(location, settings);
    let store = store.await.map_err(|error| cannot(&error))?;
    tracing::info!(
        store = shown,
        nodes = counters.nodes,
        "counters are shared; without their store this gateway has its part of each limit"
    );
    let (observed, told) = (store.clone(), store.clone());
    let clock = SystemClock::new();
    let state = Arc::new(move || state(&observed, clock.now()));
    let store: Arc<dyn Store> = match counters.is_cluster() {
        true => Arc::new(ByFirstPart(store)),
        false => Arc::new(store),
    };
    Ok((Shared::new(store, state, Handle::current()), told))
}

fn state(store: &RedisStore, now: Micros) -> SharedState {
    let (stats, near) = (store.stats(), store.near_stats());
    let since = stats.degraded_since();
    let bounds = ROUND_TRIP_BOUNDS.into_iter().chain([u64::MAX]);
    let bounds = bounds.map(Duration::from_micros);
    let failed = stats.errors();
    let errors = ERROR_KINDS.map(|kind| (kind, failed.get(kind).copied().unwrap_or(0)));
    SharedState {
        away_for: since.map(|since| Duration::from_micros(now.0.saturating_sub(since.0))),
        servers_away: stats.servers_away(),
        round_trips: bounds.zip(stats.round_trips()).collect(),
        round_trip_time: Duration::from_micros(stats.round_trip_micros()),
        in_flight: stats.in_flight(),
        connections: stats.connections(),
        errors: errors.to_vec(),
        reconnects: stats.reconnects(),
        scripts_sent: stats.scripts_sent(),
        redirects: stats.redirects(),
        keys_reset: stats.garbage_resets(),
        under_newer_rules: stats.decided_under_newer_rules(),
        late_slots: stats.late_slots(),
        paid: near.paid(),
        remembered: near.remembered(),
        leased: near.leased(),
        returned: near.returned(),
    }
}

/// A cluster, in which keys that begin with one part are on one server. The rules are held to that.
struct ByFirstPart(RedisStore);

/// The hash tag of a key. It follows from policy and key alone, so that whoever resets a key finds it. Log-ins count by
/// name and by address together, which have nothing in common: all of them are on one server.
fn tag<'k>(policy: &Policy, key: &'k [u8]) -> &'k [u8] {
    match policy.name().starts_with(protect::LOG_INS) {
        true => b"log-in",
        false => first_part(key).unwrap_or(b"global"),
    }
}

impl ByFirstPart {
    /// The store for these checks, unless their keys may be on several servers.
    fn of(&self, checks: &Checks<'_>) -> Result<RedisStore, Reason> {
        let mut tags = checks.iter().map(|check| tag(check.policy, check.key));
        let first = tags.next().unwrap_or_default();
        match tags.all(|tag| tag == first) {
            true => Ok(self.0.tagged(first)),
            false => Err(Reason::KeysApart),
        }
    }

    fn ask(
        &self,
        checks: &Checks<'_>,
        now: Micros,
        ask: impl FnOnce(RedisStore) -> Outcome,
    ) -> Outcome {
        match self.of(checks) {
            Ok(store) => ask(store),
            Err(reason) => Answer::Ready(Decision::refused(reason, now)),
        }
    }
}

impl Store for ByFirstPart {
    fn decide(&self, checks: &Checks<'_>, now: Micros) -> Outcome {
        self.ask(checks, now, |store| store.decide(checks, now))
    }

    fn peek(&self, checks: &Checks<'_>, now: Micros) -> Outcome {
        self.ask(checks, now, |store| store.peek(checks, now))
    }

    fn decide_within(&self, checks: &Checks<'_>, now: Micros, time: Duration) -> Outcome {
        self.ask(checks, now, |store| store.decide_within(checks, now, time))
    }

    fn peek_within(&self, checks: &Checks<'_>, now: Micros, time: Duration) -> Outcome {
        self.ask(checks, now, |store| store.peek_within(checks, now, time))
    }

    fn refund(
        &self,
        checks: &Checks<'_>,
        receipt: &Receipt,
        now: Micros,
    ) -> Answer<Result<u64, StoreError>> {
        match self.of(checks) {
            Ok(store) => store.refund(checks, receipt, now),
            Err(_) => Answer::Ready(Err(StoreError::KeysApart)),
        }
    }

    fn release(&self, checks: &Checks<'_>, now: Micros) -> Answer<Result<u64, StoreError>> {
        match self.of(checks) {
            Ok(store) => store.release(checks, now),
            Err(_) => Answer::Ready(Err(StoreError::KeysApart)),
        }
    }

    fn settle(
        &self,
        checks: &Checks<'_>,
        receipt: &Receipt,
        now: Micros,
    ) -> Answer<Result<(), StoreError>> {
        match self.of(checks) {
            Ok(store) => store.settle(checks, receipt, now),
            Err(_) => Answer::Ready(Err(StoreError::KeysApart)),
        }
    }

    fn reserve(
        &self,
        checks: &Checks<'_>,
        now: Micros,
        until: Micros,
    ) -> Answer<Result<(Micros, Receipt), Decision>> {
        match self.of(checks) {
            Ok(store) => store.reserve(checks, now, until),
            Err(reason) => Answer::Ready(Err(Decision::refused(reason, now))),
        }
    }

    fn reset(&self, policy: &Policy, key: &[u8]) -> Answer<Result<bool, StoreError>> {
        self.0.tagged(tag(policy, key)).reset(policy, key)
    }

    fn reset_all(&self, policy: &Policy) -> Answer<Result<(), StoreError>> {
        self.0.reset_all(policy)
    }
}

#[cfg(test)]
mod tests {
    use tollgate::Check;
    use tollgate::key::CompositeKey;
    use tollgate_testkit::redis::{RedisEngine, RedisServer};

    use super::*;

    fn key(parts: &[&str]) -> CompositeKey {
        let mut key = CompositeKey::new();
        parts.iter().for_each(|part| key.push(part.as_bytes()));
        key
    }

    #[test]
    fn keys_that_begin_with_one_part_have_one_tag_and_so_have_all_log_ins() {
        let policy = |name| Policy::new(name, "5 per minute".parse().unwrap()).unwrap();
        let tag_of = |name, parts: &[&str]| tag(&policy(name), key(parts).as_ref()).to_vec();
        let user = tag_of("per-user.minute", &["ann"]);
        assert_eq!(user, b"ann");
        assert_eq!(tag_of("own.minute", &["ann", "key"]), user);
        assert_ne!(tag_of("per-user.minute", &["anna"]), user);
        assert_eq!(tag_of("all.minute", &[]), b"global");
        let by_name = tag_of("accounts.login-per-account.15m", &["ann"]);
        assert_eq!(tag_of("accounts.login-per-address.15m", &["1234"]), by_name);
        assert_eq!(tag_of("accounts.password-per-account.15m", &["ann"]), user);
    }

    #[tokio::test]
    async fn by_first_part_too_those_who_wait_for_a_little_only_are_answered_in_time() {
        let mut server = RedisServer::new(RedisEngine::Redis);
        let a_minute = Duration::from_secs(60);
        let settings = Settings::default().with_deadline(a_minute);
        let store = RedisStore::connect(server.url().parse().unwrap(), settings);
        let store = ByFirstPart(store.await.unwrap());
        let policy = Arc::new(Policy::new("p", "5 per minute".parse().unwrap()).unwrap());
        let (policy, key, cost) = (&policy, key(&["ann"]), 1);
        let (mut checks, key) = (Checks::new(), key.as_ref());
        checks.push(Check { policy, key, cost }).unwrap();
        server.suspend();
        let (now, little) = (SystemClock::new().now(), Duration::from_millis(20));
        let both = async {
            let decided = store.decide_within(&checks, now, little).await;
            let seen = store.peek_within(&checks, now, little).await;
            (decided.is_degraded(), seen.is_degraded())
        };
        let both = tokio::time::timeout(a_minute / 2, both).await;
        assert_eq!(both, Ok((true, true)));
    }
}
