//! One server: connections to it that are made again when they end, and whether it is asked at all.

mod upkeep;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use redis::aio::MultiplexedConnection;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tollgate::{Clock, SystemClock};

use super::ahead::Ahead;
use super::breaker::Breaker;
use super::dial::Dialer;
use super::stats::Stats;
use crate::error::LinkError;
use crate::location::Address;

/// So many calls in a row that are not answered end their connection: others may be well.
const UNANSWERED_MAX: u32 = 5;

/// A server that is called. Its tasks end with it.
pub(super) struct Node {
    shared: Arc<Shared>,
    tasks: Vec<AbortHandle>,
}

/// What the nodes of one link have in common.
pub(super) struct Common {
    pub(super) dialer: Dialer,
    pub(super) stats: Arc<Stats>,
    pub(super) clock: SystemClock,
    /// Told when slots may have gone to other nodes.
    pub(super) stale: Notify,
    pub(super) runtime: Handle,
}

struct Shared {
    common: Arc<Common>,
    /// `None`: where sentinels say.
    address: Option<Address>,
    probe_key: Mutex<String>,
    places: Vec<Place>,
    /// Where the next looks first who may have any connection.
    next: AtomicUsize,
    in_flight: AtomicUsize,
    is_open: AtomicBool,
    breaker: Mutex<Breaker>,
    ahead: Ahead,
    is_inspected: AtomicBool,
    /// A connection has come, or the breaker has changed.
    changed: Notify,
    first_came: Notify,
    opened: Notify,
    /// How the last attempt to connect ended.
    attempt: watch::Sender<Option<Result<(), LinkError>>>,
}

#[derive(Default)]
struct Place {
    connection: RwLock<Option<MultiplexedConnection>>,
    /// Calls in a row that were not answered in time.
    unanswered: AtomicU32,
    cut: Notify,
}

impl Node {
    /// A node that begins to connect at once.
    pub(super) fn new(common: &Arc<Common>, address: Option<Address>, probe_key: String) -> Self {
        let connections = common.dialer.settings.connections.max(1);
        let shared = Arc::new(Shared {
            common: Arc::clone(common),
            address,
            probe_key: Mutex::new(probe_key),
            places: (0..connections).map(|_| Place::default()).collect(),
            next: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            is_open: AtomicBool::new(false),
            breaker: Mutex::default(),
            ahead: Ahead::default(),
            is_inspected: AtomicBool::new(false),
            changed: Notify::new(),
            first_came: Notify::new(),
            opened: Notify::new(),
            attempt: watch::Sender::new(None),
        });
        let keep = |place| {
            common
                .runtime
                .spawn(Arc::clone(&shared).keep(place))
                .abort_handle()
        };
        let mut tasks: Vec<_> = (0..connections).map(keep).collect();
        tasks.push(
            common
                .runtime
                .spawn(Arc::clone(&shared).probe_while_open())
                .abort_handle(),
        );
        Node { shared, tasks }
    }

    /// Where it is, if that is said.
    pub(super) fn address(&self) -> Option<&Address> {
        self.shared.address.as_ref()
    }

    /// How the first attempt to connect ended, or the last.
    pub(super) async fn attempted(&self) -> Result<(), LinkError> {
        let mut attempt = self.shared.attempt.subscribe();
        let ended = attempt.wait_for(Option::is_some).await;
        ended
            .ok()
            .and_then(|ended| ended.clone())
            .unwrap_or(Err(LinkError::Away))
    }

    /// What is known of its clock.
    pub(super) fn ahead(&self) -> &Ahead {
        &self.shared.ahead
    }

    /// Whether it is not asked because it fails.
    pub(super) fn is_away(&self) -> bool {
        self.shared.is_open.load(Ordering::Acquire)
    }

    /// Its probes write this key from now on.
    pub(super) fn probe_by(&self, key: String) {
        *self
            .shared
            .probe_key
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = key;
    }

    pub(super) fn probe_key(&self) -> String {
        self.shared
            .probe_key
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A place for a call among those under way.
    pub(super) fn enter(&self) -> Result<Flight, LinkError> {
        if self.is_away() {
            return Err(LinkError::Away);
        }
        let max = self.shared.common.dialer.settings.in_flight_max;
        let flight = Flight(Arc::clone(&self.shared));
        self.shared
            .common
            .stats
            .in_flight
            .fetch_add(1, Ordering::Relaxed);
        if self.shared.in_flight.fetch_add(1, Ordering::AcqRel) >= max {
            return Err(LinkError::Saturated(max));
        }
        Ok(flight)
    }

    /// The connection of a slot and its place, as soon as there is one: always the same, while it lasts, so that calls
    /// about one key are carried out in the order in which they are sent.
    pub(super) async fn connection(
        &self,
        slot: u16,
    ) -> Result<(usize, MultiplexedConnection), LinkError> {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_away() {
                return Err(LinkError::Away);
            }
            if let Some(found) = self.shared.of_slot(slot.into()) {
                return Ok(found);
            }
            changed.await;
        }
    }

    /// One at hand, whether it is asked by others or not.
    pub(super) fn at_hand(&self) -> Option<MultiplexedConnection> {
        self.shared.any().map(|(_, connection)| connection)
    }

    /// Hears how a call ended that went over the connection at `place`, if it came so far.
    pub(super) fn heard(&self, place: Option<usize>, error: Option<&LinkError>) {
        if let Some(place) = place {
            self.shared.places[place].heard(error);
        }
        self.shared.heard(error);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        let mut breaker = self.shared.breaker();
        if breaker.end() {
            self.shared.common.stats.came_back();
        }
    }
}

/// A call under way.
pub(super) struct Flight(Arc<Shared>);

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
        self.0
            .common
            .stats
            .in_flight
            .fetch_sub(1, Ordering::Relaxed);
    }
}

impl Place {
    fn heard(&self, error: Option<&LinkError>) {
        if !matches!(error, Some(LinkError::Timeout(_))) {
            self.unanswered.store(0, Ordering::Relaxed);
        } else if self.unanswered.fetch_add(1, Ordering::Relaxed) + 1 >= UNANSWERED_MAX {
            self.unanswered.store(0, Ordering::Relaxed);
            self.cut.notify_waiters();
        }
    }
}

impl Shared {
    /// The connection of a slot. While that one does not answer, they take turns, so that a dead one costs few calls.
    fn of_slot(&self, slot: usize) -> Option<(usize, MultiplexedConnection)> {
        let first = slot % self.places.len();
        match self.places[first].unanswered.load(Ordering::Relaxed) {
            0 => self.nearest(first),
            _ => self.any(),
        }
    }

    fn any(&self) -> Option<(usize, MultiplexedConnection)> {
        self.nearest(self.next.fetch_add(1, Ordering::Relaxed) % self.places.len())
    }

    /// The connection at a place, counted round and round, or the next that there is.
    fn nearest(&self, first: usize) -> Option<(usize, MultiplexedConnection)> {
        let count = self.places.len();
        let mut places = (first..first + count).map(|place| place % count);
        places.find_map(|place| {
            let connection = self.places[place]
                .connection
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            Some((place, connection.clone()?))
        })
    }

    fn heard(&self, error: Option<&LinkError>) {
        let has_failed = error.is_some_and(LinkError::is_of_server);
        let now = self.common.clock.now();
        let opens = {
            let mut breaker = self.breaker();
            let opens = breaker.heard(has_failed, now);
            if let Some(error) = error.filter(|_| opens) {
                self.went(&breaker, error);
            }
            opens
        };
        let Some(error) = error else {
            return;
        };
        // Connections on which nothing comes may be dead without a word.
        if error.is_of_place() || (opens && matches!(error, LinkError::Timeout(_))) {
            self.places
                .iter()
                .for_each(|place| place.cut.notify_waiters());
        }
    }

    /// Opens the breaker at once.
    fn trip(&self, error: &LinkError) {
        let mut breaker = self.breaker();
        if breaker.trip() {
            self.went(&breaker, error);
        }
    }

    /// Tells the breaker of a probe, and whether that has closed it.
    fn probed(&self, is_good: bool) -> bool {
        let mut breaker = self.breaker();
        let closes = breaker.probed(is_good);
        if closes {
            self.came_back(&breaker);
        }
        closes
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes along with an open breaker; it is held meanwhile, so that whoever closes it comes after.
    fn went(&self, _opened: &MutexGuard<'_, Breaker>, error: &LinkError) {
        // Whoever starts says it, or does not start.
        if !self.common.dialer.is_starting() {
            tracing::warn!(server = %self.name(), %error, "the store is away");
        }
        self.common.stats.went(self.common.clock.now());
        self.is_open.store(true, Ordering::Release);
        self.opened.notify_one();
        self.changed.notify_waiters();
        self.common.stale.notify_one();
    }

    fn came_back(&self, _closed: &MutexGuard<'_, Breaker>) {
        tracing::info!(server = %self.name(), "the store is back");
        self.common.stats.came_back();
        self.is_open.store(false, Ordering::Release);
        self.changed.notify_waiters();
    }

    fn name(&self) -> String {
        self.address.as_ref().map_or_else(
            || self.common.dialer.location.to_string(),
            Address::to_string,
        )
    }
}

#[cfg(test)]
mod tests;
