//! Tollgate. Every call of its API in this workspace is here.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tollgate::{Limiter, MemoryStore, Micros, OnFull, Quota};

use crate::keys::Key;
use crate::peer::Peer;
use crate::workload::{self, Bucket};

/// Places in use at planned load, of all.
const PLANNED_LOAD: f64 = 0.575;
/// Bytes of a place for a state of fixed size.
const SLOT_BYTES: f64 = 16.0;
/// Bytes of a place for a log.
const LOG_BYTES: f64 = 64.0;
/// Of the memory for logs, what is for places; the rest is for logs that do not fit one.
const LOG_PLACES: f64 = 0.75;
/// What a store keeps for logs, and for states of fixed size, even where none come.
const LOGS_BYTES_MIN: usize = (4 << 20) / 3 * 4 + 4;
const SLOTS_BYTES_MIN: usize = 1 << 20;

/// How large a store is.
#[derive(Clone, Copy, Debug)]
pub enum Room {
    /// At planned load when so many keys with states of fixed size are there.
    Slots(u64),
    /// At planned load when so many keys with logs are there.
    Logs(u64),
    /// So many bytes, shared out as the store does by itself.
    Bytes(usize),
}

impl Room {
    fn store(self) -> MemoryStore {
        let planned = |keys: u64, bytes: f64| (keys as f64 * bytes / PLANNED_LOAD) as usize;
        let store = MemoryStore::builder().on_full(OnFull::Open);
        match self {
            Room::Slots(keys) => store
                .max_memory(planned(keys, SLOT_BYTES) + LOGS_BYTES_MIN)
                .log_percent(0),
            Room::Logs(keys) => store
                .max_memory(planned(keys, LOG_BYTES / LOG_PLACES) + SLOTS_BYTES_MIN)
                .log_percent(100),
            Room::Bytes(bytes) => store.max_memory(bytes),
        }
        .build()
    }
}

/// Decisions of a batch.
pub const BATCH: usize = 16;

/// A limiter on a store of its own.
pub struct Ours(Limiter);

impl Ours {
    /// A limiter by this quota, in the notation.
    ///
    /// # Errors
    /// A quota that cannot be read or counted.
    pub fn new(quota: &str, room: Room) -> Result<Self, String> {
        Ours::on(quota, Arc::new(room.store()))
    }

    /// A token bucket, with room for so many keys.
    ///
    /// # Errors
    /// As [`new`](Ours::new).
    pub fn with_bucket(bucket: Bucket, keys: u64) -> Result<Self, String> {
        let (secs, burst) = (bucket.emission.as_secs(), bucket.burst);
        Ours::new(
            &format!("1 per {secs} seconds burst {burst}"),
            Room::Slots(keys),
        )
    }

    /// Another limiter on the same store.
    ///
    /// # Errors
    /// As [`new`](Ours::new).
    pub fn beside(&self, quota: &str) -> Result<Self, String> {
        Ours::on(quota, Arc::clone(self.0.store()))
    }

    fn on(quota: &str, store: Arc<MemoryStore>) -> Result<Self, String> {
        let quota: Quota = quota
            .parse()
            .map_err(|error| format!("`{quota}`: {error}"))?;
        let limiter = Limiter::builder().quotas(quota).store(store).build();
        limiter.map(Ours).map_err(|error| error.to_string())
    }

    /// One decision, by the limiter's own clock.
    pub fn check(&self, key: impl AsRef<[u8]>) -> bool {
        self.0.check(key).is_allowed()
    }

    /// For how many of `keys` a decision would pass, charging nothing.
    pub fn would_pass<K: Key + ?Sized>(&self, keys: u64) -> u64 {
        let passes = |key: &&K| self.0.peek(key.bytes()).is_allowed();
        workload::each(keys)
            .map(|numbers| {
                K::cut(&K::store(&numbers))
                    .into_iter()
                    .filter(passes)
                    .count() as u64
            })
            .sum()
    }

    /// How often a key in use gave way for another, or a newcomer found no room.
    pub fn lost(&self) -> u64 {
        let stats = self.0.store().stats(now());
        stats.live_evictions + stats.newcomers_without_room
    }
}

impl<K: Key + ?Sized> Peer<K> for Ours {
    fn hits(&self, keys: &[&K]) -> usize {
        keys.iter().filter(|key| self.check(key.bytes())).count()
    }

    fn lost(&self) -> u64 {
        Ours::lost(self)
    }
}

/// The same, sixteen keys at a time.
pub struct Batched(pub Ours);

impl<K: Key + ?Sized> Peer<K> for Batched {
    fn hits(&self, keys: &[&K]) -> usize {
        let Batched(Ours(limiter)) = self;
        let (mut buffer, mut decisions, mut passed) = (Vec::new(), Vec::new(), 0);
        for keys in keys.chunks(BATCH) {
            limiter.check_batch(K::batch(keys, &mut buffer), &mut decisions);
            passed += decisions
                .iter()
                .filter(|decision| decision.is_allowed())
                .count();
        }
        passed
    }

    fn lost(&self) -> u64 {
        self.0.lost()
    }
}

/// The same at an instant that is passed in, with nothing of the decision left out.
pub struct AtInstant(pub Ours);

impl<K: Key + ?Sized> Peer<K> for AtInstant {
    fn hits(&self, keys: &[&K]) -> usize {
        let now = now();
        keys.iter()
            .filter(|key| black_box(&self.0.0.check_at(key.bytes(), now)).is_allowed())
            .count()
    }

    fn lost(&self) -> u64 {
        self.0.lost()
    }
}

fn now() -> Micros {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Micros(since_epoch.as_micros() as u64)
}
