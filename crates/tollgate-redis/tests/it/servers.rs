//! Stores on servers of their own, for threads that have no runtime.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::runtime::Runtime;
use tollgate::store::{Answer, Outcome, StoreError};
use tollgate::{Checks, Decision, Micros, Policy, Receipt, Store};
use tollgate_redis::{RedisStore, Settings, Time};
use tollgate_testkit::redis::{RedisEngine, RedisServer};

/// A store whose answers may be awaited on any thread, and its server where it has one of its own.
pub(crate) struct OnRuntime {
    pub(crate) store: RedisStore,
    _server: Option<RedisServer>,
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().unwrap())
}

/// Patient, since machines that test are busy.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.deadline = Duration::from_secs(20);
    settings.connect_timeout = Duration::from_secs(20);
    settings
}

/// Decides by each caller's clock.
pub(crate) fn by_callers_clock() -> Settings {
    let mut settings = settings();
    settings.time = Time::Caller;
    settings
}

pub(crate) fn connect(url: &str, settings: Settings) -> RedisStore {
    let connect = RedisStore::connect(url.parse().unwrap(), settings);
    runtime().block_on(connect).unwrap()
}

pub(crate) fn on_server(engine: RedisEngine) -> OnRuntime {
    let server = RedisServer::new(engine);
    OnRuntime {
        store: connect(&server.url(), by_callers_clock()),
        _server: Some(server),
    }
}

impl OnRuntime {
    pub(crate) fn new(store: RedisStore) -> Self {
        let _server = None;
        OnRuntime { store, _server }
    }
}

fn spawned<T: Send + 'static>(answer: Answer<T>) -> Answer<T>
where
    Answer<T>: Future<Output = T>,
{
    match answer {
        Answer::Ready(answer) => Answer::Ready(answer),
        Answer::Pending(future) => {
            let task = runtime().spawn(future);
            Answer::Pending(Box::pin(async { task.await.unwrap() }))
        }
    }
}

impl Store for OnRuntime {
    fn decide(&self, checks: &Checks<'_>, now: Micros) -> Outcome {
        spawned(self.store.decide(checks, now))
    }

    fn peek(&self, checks: &Checks<'_>, now: Micros) -> Outcome {
        spawned(self.store.peek(checks, now))
    }

    fn refund(
        &self,
        checks: &Checks<'_>,
        receipt: &Receipt,
        now: Micros,
    ) -> Answer<Result<u64, StoreError>> {
        spawned(self.store.refund(checks, receipt, now))
    }

    fn release(&self, checks: &Checks<'_>, now: Micros) -> Answer<Result<u64, StoreError>> {
        spawned(self.store.release(checks, now))
    }

    fn settle(
        &self,
        checks: &Checks<'_>,
        receipt: &Receipt,
        now: Micros,
    ) -> Answer<Result<(), StoreError>> {
        spawned(self.store.settle(checks, receipt, now))
    }

    fn reserve(
        &self,
        checks: &Checks<'_>,
        now: Micros,
        until: Micros,
    ) -> Answer<Result<(Micros, Receipt), Decision>> {
        spawned(self.store.reserve(checks, now, until))
    }

    fn reset(&self, policy: &Policy, key: &[u8]) -> Answer<Result<bool, StoreError>> {
        spawned(self.store.reset(policy, key))
    }

    fn reset_all(&self, policy: &Policy) -> Answer<Result<(), StoreError>> {
        spawned(self.store.reset_all(policy))
    }
}
