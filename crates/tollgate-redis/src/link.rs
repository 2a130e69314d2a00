//! The way to the store: one call is at most one round trip and ends within its deadline, whatever becomes of the servers.

mod ahead;
mod backoff;
mod breaker;
mod diagnose;
mod dial;
mod forget;
mod guard;
mod node;
mod probe;
mod refusal;
mod routes;
mod seen_through;
pub(crate) mod slots;
mod stats;

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, Value};
use tokio::sync::{Notify, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tollgate::{Clock, Micros, SystemClock};

use crate::error::LinkError;
use crate::location::Location;
use crate::script::Script;
use crate::settings::Settings;
use dial::Dialer;
use node::{Common, Node};
use refusal::Refusal;
use routes::Routes;
use seen_through::{LATE_MAX, SeenThrough};
use slots::slot;

pub(crate) use seen_through::Late;
pub use stats::{ROUND_TRIP_BOUNDS, Stats};

/// How often one call is sent on by nodes of a cluster.
const HOPS_MAX: u32 = 5;
/// Before a call is tried again whose keys are on two nodes for the moment.
const SLOT_MOVES: Duration = Duration::from_millis(2);
/// The way to one store. Clones are the same way.
#[derive(Clone)]
pub(crate) struct Link(Arc<Inner>);

struct Inner {
    routes: Arc<Routes>,
    common: Arc<Common>,
    /// Of calls that are seen through.
    late: Arc<Semaphore>,
    follower: Option<AbortHandle>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.follower.iter().for_each(AbortHandle::abort);
    }
}

impl Link {
    /// Connects, as far as that is possible now: a store that cannot be reached is [`LinkError::Away`] to calls until it
    /// can. The connections live on the runtime that this is called on.
    ///
    /// # Errors
    /// What waiting does not mend: wrong passwords, missing permissions, no TLS, the wrong kind of server, settings of 0.
    pub(crate) async fn connect(location: Location, settings: Settings) -> Result<Self, LinkError> {
        settings.check()?;
        let common = Arc::new(Common {
            dialer: Dialer::new(location, settings)?,
            stats: Arc::default(),
            clock: SystemClock::new(),
            stale: Notify::new(),
            runtime: tokio::runtime::Handle::current(),
        });
        let routes = Arc::new(Routes::new(&common));
        let mut without = None;
        if let Routes::Cluster(cluster) = &*routes {
            without = tolerated(cluster.refresh().await)?;
        }
        for node in routes.masters() {
            // Every attempt ends by itself.
            without = without.or(tolerated(node.attempted().await)?);
        }
        common.dialer.has_started();
        if let Some(error) = without {
            tracing::warn!(%error, "starting without the store, or a part of it");
        }
        let follower = matches!(*routes, Routes::Cluster(_)).then(|| {
            let routes = Arc::clone(&routes);
            let follow = async move {
                if let Routes::Cluster(cluster) = &*routes {
                    cluster.follow().await;
                }
            };
            common.runtime.spawn(follow).abort_handle()
        });
        Ok(Link(Arc::new(Inner {
            routes,
            common,
            late: Arc::new(Semaphore::new(LATE_MAX)),
            follower,
        })))
    }

    /// What has been counted so far.
    pub(crate) fn stats(&self) -> &Arc<Stats> {
        &self.0.common.stats
    }

    /// Notes that so many keys held what is no state of ours, and began anew.
    pub(crate) fn count_garbage(&self, keys: u64) {
        self.stats().garbage_resets.fetch_add(keys, Relaxed);
    }

    /// Counts a call whose answer was no good to whoever asked.
    pub(crate) fn count_failed(&self, error: &LinkError) {
        self.stats().failed(error);
    }

    /// Notes a decision under the numbers of newer rules, and tells how many there were before.
    pub(crate) fn count_governed(&self) -> u64 {
        self.stats().governed.fetch_add(1, Relaxed)
    }

    /// What the clock of the server that has `key` says at `sent`, at the latest. `None` while it has said nothing.
    pub(crate) fn server_clock(&self, key: &[u8], sent: Micros) -> Option<Micros> {
        let node = self.0.routes.of(slot(key)).ok()?;
        node.ahead().at(sent)
    }

    /// Hears what the clock of the server that has `key` said to a call sent at `sent`.
    pub(crate) fn heard_time(&self, key: &[u8], sent: Micros, said: Micros) {
        if let Ok(node) = self.0.routes.of(slot(key)) {
            node.ahead().heard(sent, said);
        }
    }

    /// This process's clock, by which calls are sent.
    pub(crate) fn now(&self) -> Micros {
        self.0.common.clock.now()
    }

    /// Runs `script` once with `keys` (all of one slot) and `arguments`: by its digest, and by its text where the server
    /// does not know it yet.
    ///
    /// # Errors
    /// Why there is no result. After [`LinkError::Timeout`] and [`LinkError::Broken`] the script may have run: such a call
    /// counts as carried out, and is not repeated.
    pub(crate) async fn call(
        &self,
        script: &Script,
        keys: Vec<Vec<u8>>,
        arguments: Vec<Vec<u8>>,
    ) -> Result<Value, LinkError> {
        let asked = Asked::default();
        let began = self.now();
        let call = Call {
            script,
            keys: &keys,
            arguments: &arguments,
        };
        let called = timeout(self.deadline(), self.send(&call, &asked)).await;
        self.heard(&asked, began, called.ok())
    }

    /// The same, for whoever may go before the answer is there: the link hears all the same how the call ends. An answer
    /// that comes when nobody waits for it any more, since it is late or whoever asked has gone, is handed to `late`.
    pub(crate) async fn call_through(
        &self,
        script: &'static Script,
        keys: Vec<Vec<u8>>,
        arguments: Vec<Vec<u8>>,
        late: Option<Late>,
    ) -> Result<Value, LinkError> {
        let asked = Arc::new(Asked::default());
        let (link, asked_there) = (self.clone(), Arc::clone(&asked));
        let call = Box::pin(async move {
            let call = Call {
                script,
                keys: &keys,
                arguments: &arguments,
            };
            link.send(&call, &asked_there).await
        });
        SeenThrough::new(self, call, asked, late).answer().await
    }

    /// Does what nobody waits for.
    pub(crate) fn beside(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.common.runtime.spawn(work);
    }

    fn deadline(&self) -> Duration {
        self.0.common.dialer.settings.deadline
    }

    /// How a call ended that began at `began`: `None` if its time was over.
    fn heard(
        &self,
        asked: &Asked,
        began: Micros,
        called: Option<Result<Value, LinkError>>,
    ) -> Result<Value, LinkError> {
        let stats = self.stats();
        let result = called.unwrap_or(Err(LinkError::Timeout(self.deadline())));
        asked.answered(result.as_ref().err());
        match &result {
            Ok(_) => stats.answered(self.now().0.saturating_sub(began.0)),
            Err(error) => {
                stats.failed(error);
                if *error == LinkError::ClusterDown {
                    self.0.common.stale.notify_one();
                }
            }
        }
        result
    }

    async fn send(&self, call: &Call<'_>, asked: &Asked) -> Result<Value, LinkError> {
        let slot = slot(call.keys.first().map_or(&[][..], Vec::as_slice));
        let mut node = self.0.routes.of(slot)?;
        let mut is_asking = false;
        for _ in 0..=HOPS_MAX {
            let _flight = node.enter()?;
            asked.is_now(Arc::clone(&node));
            let (place, mut connection) = node.connection(slot).await?;
            asked.sends_over(place);
            let answer = match call
                .run(&mut connection, is_asking, &call.by_digest())
                .await
            {
                Err(Refusal::NoScript) => {
                    self.stats().scripts_sent.fetch_add(1, Relaxed);
                    call.run(&mut connection, is_asking, &call.by_text()).await
                }
                answer => answer,
            };
            let (host, port, of_slot) = match answer {
                Ok(value) => return Ok(value),
                Err(Refusal::Failed(error)) => return Err(error),
                Err(Refusal::NoScript) => return Err(LinkError::Script("NOSCRIPT".to_owned())),
                Err(Refusal::TryAgain) => {
                    tokio::time::sleep(SLOT_MOVES).await;
                    continue;
                }
                Err(Refusal::Moved(host, port)) => (host, port, Some(slot)),
                Err(Refusal::Ask(host, port)) => (host, port, None),
            };
            self.stats().redirects.fetch_add(1, Relaxed);
            is_asking = of_slot.is_none();
            asked.answered(None);
            node = self.0.routes.named(&node, &host, port, of_slot)?;
        }
        Err(LinkError::Redirected(HOPS_MAX))
    }
}

/// Who was asked last: whoever is to blame if nothing comes of it.
#[derive(Default)]
struct Asked {
    last: Mutex<(Option<Arc<Node>>, Option<usize>)>,
    is_sent: AtomicBool,
}

impl Asked {
    fn last(&self) -> std::sync::MutexGuard<'_, (Option<Arc<Node>>, Option<usize>)> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_now(&self, node: Arc<Node>) {
        *self.last() = (Some(node), None);
    }

    fn sends_over(&self, place: usize) {
        self.last().1 = Some(place);
        self.is_sent.store(true, Relaxed);
    }

    /// Whether a server may have heard of the call.
    fn is_sent(&self) -> bool {
        self.is_sent.load(Relaxed)
    }

    /// Tells the node, and asks nobody any more.
    fn answered(&self, error: Option<&LinkError>) {
        let (node, place) = std::mem::take(&mut *self.last());
        if let Some(node) = node {
            node.heard(place, error);
        }
    }
}

/// At the start: what time may mend is no reason to stop.
fn tolerated(attempted: Result<(), LinkError>) -> Result<Option<LinkError>, LinkError> {
    match attempted {
        Err(error) if error.is_permanent() => Err(error),
        attempted => Ok(attempted.err()),
    }
}

/// What is to be run.
struct Call<'a> {
    script: &'a Script,
    keys: &'a [Vec<u8>],
    arguments: &'a [Vec<u8>],
}

impl Call<'_> {
    fn by_digest(&self) -> Cmd {
        self.command("EVALSHA", &self.script.sha)
    }

    fn by_text(&self) -> Cmd {
        self.command("EVAL", &self.script.text)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command
            .arg(script)
            .arg(self.keys.len())
            .arg(self.keys)
            .arg(self.arguments);
        command
    }

    async fn run(
        &self,
        connection: &mut MultiplexedConnection,
        is_asking: bool,
        command: &Cmd,
    ) -> Result<Value, Refusal> {
        let broken = |error| Refusal::Failed(refusal::broken(error));
        if !is_asking {
            return refusal::result(
                connection
                    .send_packed_command(command)
                    .await
                    .map_err(broken)?,
            );
        }
        let mut pipeline = Pipeline::new();
        pipeline.cmd("ASKING").add_command(command.clone());
        let mut replies = connection
            .send_packed_commands(&pipeline, 1, 1)
            .await
            .map_err(broken)?;
        refusal::result(replies.pop().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
