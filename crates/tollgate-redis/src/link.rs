//! The way to the store: one call is at most one round trip and ends within its deadline, whatever becomes of the servers.

mod backoff;
mod breaker;
mod dial;
mod error;
mod forget;
mod guard;
mod node;
mod probe;
mod routes;
pub(crate) mod slots;
mod stats;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, Value};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tollgate::{Clock, SystemClock};

use crate::away::Away;
use crate::location::Location;
use crate::script::Script;
use crate::settings::Settings;
use dial::Dialer;
use error::Refusal;
use node::{Common, Node};
use routes::Routes;
use slots::slot;

pub use error::LinkError;
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
    away: Away,
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
        if let Routes::Cluster(cluster) = &*routes {
            tolerate(cluster.refresh().await)?;
        }
        for node in routes.masters() {
            // Every attempt ends by itself.
            tolerate(node.attempted().await)?;
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
        let Settings {
            nodes,
            local_bytes_max,
            ..
        } = common.dialer.settings;
        let away = Away::new(nodes, local_bytes_max, Arc::clone(&common.stats));
        Ok(Link(Arc::new(Inner {
            routes,
            common,
            away,
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

    /// Who decides when [`call`](Link::call) fails.
    pub(crate) fn away(&self) -> &Away {
        &self.0.away
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
        let Common {
            stats,
            clock,
            dialer,
            ..
        } = &*self.0.common;
        let deadline = dialer.settings.deadline;
        let began = clock.now();
        let mut asked = Asked::default();
        let call = Call {
            script,
            keys: &keys,
            arguments: &arguments,
        };
        let called = timeout(deadline, self.send(&call, &mut asked)).await;
        let result = called.unwrap_or(Err(LinkError::Timeout(deadline)));
        asked.answered(result.as_ref().err());
        match &result {
            Ok(_) => stats.answered(clock.now().0.saturating_sub(began.0)),
            Err(error) => {
                stats.failed(error);
                if *error == LinkError::ClusterDown {
                    self.0.common.stale.notify_one();
                }
            }
        }
        result
    }

    async fn send(&self, call: &Call<'_>, asked: &mut Asked) -> Result<Value, LinkError> {
        let slot = slot(call.keys.first().map_or(&[][..], Vec::as_slice));
        let mut node = self.0.routes.of(slot)?;
        let mut is_asking = false;
        for _ in 0..=HOPS_MAX {
            let _flight = node.enter()?;
            asked.node = Some(Arc::clone(&node));
            let (place, mut connection) = node.connection().await?;
            asked.place = Some(place);
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
    node: Option<Arc<Node>>,
    place: Option<usize>,
}

impl Asked {
    /// Tells the node, and asks nobody any more.
    fn answered(&mut self, error: Option<&LinkError>) {
        let place = self.place.take();
        if let Some(node) = self.node.take() {
            node.heard(place, error);
        }
    }
}

/// At the start: what time may mend is no reason to stop.
fn tolerate(attempted: Result<(), LinkError>) -> Result<(), LinkError> {
    match attempted {
        Err(error) if error.is_permanent() => Err(error),
        Err(error) => {
            tracing::warn!(%error, "starting without the store");
            Ok(())
        }
        Ok(()) => Ok(()),
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
        let broken = |error| Refusal::Failed(error::broken(error));
        if !is_asking {
            return error::result(
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
        error::result(replies.pop().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
