//! What goes on in this gateway: a reading of its counters each second, and streams of it.

mod heavy;
mod overview;
mod streams;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tollgate::Clock;
use tollgate_accounts::Accounts;
use tollgate_gateway::live::History;
use tollgate_gateway::{Counters, Gateway};

pub(crate) use overview::{ROUTES_STREAMED_MAX, StoreShown};
pub(crate) use streams::{Place, Places, Source, json_event, stream};

const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// Streams of users that are open at the same time, and those of one of them.
const USER_STREAMS_MAX: usize = 64;
const STREAMS_PER_USER_MAX: usize = 4;

/// Streams on the admin socket that are open at the same time.
const ADMIN_STREAMS_MAX: usize = 16;

/// What the monitor answers from.
pub(crate) struct Monitor {
    gateway: Arc<Gateway>,
    accounts: Option<Accounts>,
    counters: Counters,
    clock: Arc<dyn Clock>,
    history: Mutex<History>,
    /// Changes with each reading.
    ticks: watch::Sender<()>,
    stopping: watch::Receiver<bool>,
    pub(crate) users: Places,
    pub(crate) admins: Places,
}

impl Monitor {
    /// Begins to read every second, as long as anybody holds what is returned.
    pub(crate) fn start(
        gateway: Arc<Gateway>,
        accounts: Option<Accounts>,
        counters: Counters,
        clock: Arc<dyn Clock>,
        stopping: watch::Receiver<bool>,
    ) -> Arc<Self> {
        let monitor = Arc::new(Monitor {
            gateway,
            accounts,
            counters,
            clock,
            history: Mutex::default(),
            ticks: watch::Sender::new(()),
            stopping,
            users: Places::new(USER_STREAMS_MAX, STREAMS_PER_USER_MAX),
            admins: Places::new(ADMIN_STREAMS_MAX, ADMIN_STREAMS_MAX),
        });
        let reader = Arc::downgrade(&monitor);
        tokio::spawn(async move {
            let mut ticks = interval(SAMPLE_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let Some(monitor) = reader.upgrade() else {
                    return;
                };
                monitor.sample();
            }
        });
        monitor
    }

    fn sample(&self) {
        let (traffic, connections) = (self.gateway.metrics().traffic(), self.connections());
        let now = self.clock.now();
        self.history().sample(traffic, connections, now);
        self.ticks.send_modify(|()| {});
    }

    fn connections(&self) -> u64 {
        let open = self.gateway.metrics().connections.get();
        u64::try_from(open).unwrap_or(0)
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of each reading.
    pub(crate) fn ticks(&self) -> watch::Receiver<()> {
        self.ticks.subscribe()
    }

    /// Tells when the gateway stops.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.clone()
    }
}
