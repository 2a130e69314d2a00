//! Stores on servers of their own, for threads that have no runtime.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::runtime::Runtime;
use tollgate::store::{Answer, Outcome, StoreError};
use tollgate::{Checks, Decision, Micros, Policy, Receipt, Store};
use tollgate_redis::{RedisStore, Settings, Time};
use tollgate_testkit::redis::{RedisEngine, RedisServer};

/// A store whose answers may be awaited on any thread, and its server.
pub(crate) struct OnRuntime {
    pub(crate) store: RedisStore,
    _server: RedisServer,
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().unwrap())
}

pub(crate) fn store(engine: RedisEngine) -> OnRuntime {
    let server = RedisServer::new(engine);
    let mut settings = Settings::default();
    // Patient, since machines that test are busy.
    settings.deadline = Duration::from_secs(20);
    settings.time = Time::Caller;
    let connect = RedisStore::connect(server.url().parse().unwrap(), settings);
    OnRuntime {
        store: runtime().block_on(connect).unwrap(),
        _server: server,
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
