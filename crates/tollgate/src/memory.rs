//! States in this process: sharded maps under one bound of memory.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indexmap::{Equivalent, IndexMap};
use smallvec::SmallVec;

use crate::algorithm::{Entry, State};
use crate::decide::{self, Stored};
use crate::decision::{Decision, Reason, Receipt};
use crate::policy::Policy;
use crate::store::{Answer, Check, Checks, Outcome, Store, StoreError};
use crate::time::Micros;

/// Maps that are locked apart from each other.
const SHARDS: usize = 64;
/// Keys that are looked at when one has to give way.
const EVICTION_SAMPLE: usize = 8;
/// Keys that give way for one decision at most. A log grows by one entry a decision, so a few suffice.
const EVICTIONS_MAX: usize = 8;
/// What a cell costs beside its key and its log: the map's slot, and allocator overhead.
const CELL_BYTES: usize = 128;

/// What happens to a key that finds no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFull {
    /// It passes uncounted.
    #[default]
    Open,
    /// It is refused.
    Closed,
}

/// A store in this process. Decisions are linearisable; a key whose time has passed costs nothing to drop.
///
/// When the bound is reached, keys whose state is void go first, then, of a random sample, the key with the fewest
/// units in use, ties the newcomer.
pub struct MemoryStore {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    shard_bytes_max: usize,
    on_full: OnFull,
    live_evictions: AtomicU64,
    newcomers_without_room: AtomicU64,
}

/// What the store counts about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryStats {
    /// Keys held.
    pub keys: u64,
    /// Bytes in use, estimated.
    pub bytes: u64,
    /// Keys with units in use that had to give way.
    pub live_evictions: u64,
    /// Newcomers that found no room.
    pub newcomers_without_room: u64,
}

#[derive(Default)]
struct Shard {
    cells: IndexMap<CellKey, Cell, BuildHasherDefault<Carried>>,
    bytes: usize,
    /// Where the next sample starts.
    hand: usize,
}

struct Cell {
    stored: Stored,
    bytes: usize,
}

struct CellKey {
    hash: u64,
    policy: Box<str>,
    key: Box<[u8]>,
}

/// A cell's place, hashed once for every look that a decision takes at it.
struct CellQuery<'a> {
    hash: u64,
    policy: &'a str,
    key: &'a [u8],
}

impl PartialEq for CellKey {
    fn eq(&self, other: &CellKey) -> bool {
        self.key == other.key && self.policy == other.policy
    }
}

impl Eq for CellKey {}

impl Hash for CellKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Hash for CellQuery<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Equivalent<CellKey> for CellQuery<'_> {
    fn equivalent(&self, cell: &CellKey) -> bool {
        self.key == &*cell.key && self.policy == &*cell.policy
    }
}

/// Takes the hash that a key carries for its own.
#[derive(Default)]
struct Carried(u64);

impl Hasher for Carried {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes
            .iter()
            .for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl MemoryStore {
    /// Memory for states when nothing else is said: 256 MiB.
    pub const DEFAULT_BYTES_MAX: usize = 256 << 20;

    /// A store of at most [`DEFAULT_BYTES_MAX`](Self::DEFAULT_BYTES_MAX) that is open when full.
    pub fn new() -> Self {
        MemoryStore::with_bounds(Self::DEFAULT_BYTES_MAX, OnFull::default())
    }

    /// A store of at most `bytes_max`, and what to do with a newcomer that finds no room.
    pub fn with_bounds(bytes_max: usize, on_full: OnFull) -> Self {
        MemoryStore {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            shard_bytes_max: (bytes_max / SHARDS).max(4 * CELL_BYTES),
            on_full,
            live_evictions: AtomicU64::new(0),
            newcomers_without_room: AtomicU64::new(0),
        }
    }

    /// Decides and charges.
    pub fn decide(&self, checks: &Checks<'_>, now: Micros) -> Decision {
        let mut held = Held::lock(self, checks);
        let rooms: SmallVec<[bool; 2]> = (0..checks.len())
            .map(|index| held.has_room(index, checks[index].cost, now))
            .collect();
        if self.on_full == OnFull::Closed && rooms.contains(&false) {
            return Decision::refused(Reason::StoreFull, now);
        }
        let mut slots = held.take_slots();
        let decision = decide::decide(checks, &mut slots, now);
        for (index, slot) in slots.into_iter().enumerate() {
            held.put(index, slot.filter(|_| rooms[index]));
        }
        held.shrink(now);
        decision
    }

    /// Decides as [`decide`](MemoryStore::decide) would, charging and writing nothing.
    pub fn peek(&self, checks: &Checks<'_>, now: Micros) -> Decision {
        let mut held = Held::lock(self, checks);
        let slots = held.take_slots();
        let decision = decide::peek(checks, &slots, now);
        for (index, slot) in slots.into_iter().enumerate() {
            held.put(index, slot);
        }
        decision
    }

    /// Gives back what the charges of `receipt` still hold, and tells how many units that were.
    pub fn refund(&self, checks: &Checks<'_>, receipt: &Receipt, now: Micros) -> u64 {
        let mut held = Held::lock(self, checks);
        let mut slots = held.take_slots();
        let given_back = decide::refund(checks, &mut slots, receipt, now);
        for (index, slot) in slots.into_iter().enumerate() {
            held.put(index, slot);
        }
        given_back
    }

    /// Forgets what `key` has used under `policy`, and tells whether there was anything.
    pub fn reset(&self, policy: &Policy, key: &[u8]) -> bool {
        let query = self.query(policy.name(), key);
        let mut shard = lock(&self.shards[shard_of(&query)]);
        shard.write(&query, None)
    }

    /// Forgets what every key has used under `policy`.
    pub fn reset_all(&self, policy: &Policy) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.cells.retain(|key, _| &*key.policy != policy.name());
            shard.bytes = shard.cells.values().map(|cell| cell.bytes).sum();
        }
    }

    /// What the store counts about itself.
    pub fn stats(&self) -> MemoryStats {
        let mut stats = MemoryStats {
            live_evictions: self.live_evictions.load(Ordering::Relaxed),
            newcomers_without_room: self.newcomers_without_room.load(Ordering::Relaxed),
            ..MemoryStats::default()
        };
        for shard in &self.shards {
            let shard = lock(shard);
            stats.keys += shard.cells.len() as u64;
            stats.bytes += shard.bytes as u64;
        }
        stats
    }

    /// Calls `visit` for every state, one shard after the other.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&[u8], &Stored)) {
        for shard in &self.shards {
            lock(shard)
                .cells
                .iter()
                .for_each(|(key, cell)| visit(&key.key, &cell.stored));
        }
    }

    /// Puts a state in its place, unless the bound is reached.
    pub(crate) fn insert(&self, key: &[u8], stored: Stored) {
        let policy = Arc::clone(&stored.policy);
        let query = self.query(policy.name(), key);
        let mut shard = lock(&self.shards[shard_of(&query)]);
        if shard.bytes < self.shard_bytes_max {
            shard.write(&query, Some(stored));
        }
    }

    fn query<'q>(&self, policy: &'q str, key: &'q [u8]) -> CellQuery<'q> {
        let hash = self.hasher.hash_one((policy, key));
        CellQuery { hash, policy, key }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        MemoryStore::new()
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Store for MemoryStore {
    fn decide(&self, checks: &Checks<'_>, now: Micros) -> Outcome {
        Answer::Ready(self.decide(checks, now))
    }

    fn peek(&self, checks: &Checks<'_>, now: Micros) -> Outcome {
        Answer::Ready(self.peek(checks, now))
    }

    fn refund(
        &self,
        checks: &Checks<'_>,
        receipt: &Receipt,
        now: Micros,
    ) -> Answer<Result<u64, StoreError>> {
        Answer::Ready(Ok(self.refund(checks, receipt, now)))
    }

    fn reset(&self, policy: &Policy, key: &[u8]) -> Answer<Result<bool, StoreError>> {
        Answer::Ready(Ok(self.reset(policy, key)))
    }

    fn reset_all(&self, policy: &Policy) -> Answer<Result<(), StoreError>> {
        self.reset_all(policy);
        Answer::Ready(Ok(()))
    }
}

/// The shards of one request's checks, locked in the order of their index so that no two requests wait for each other.
struct Held<'s, 'c> {
    store: &'s MemoryStore,
    queries: SmallVec<[(usize, CellQuery<'c>); 2]>,
    shards: SmallVec<[(usize, MutexGuard<'s, Shard>); 2]>,
}

impl<'s, 'c> Held<'s, 'c> {
    fn lock(store: &'s MemoryStore, checks: &'c [Check<'c>]) -> Self {
        let queries: SmallVec<[(usize, CellQuery<'c>); 2]> = checks
            .iter()
            .map(|check| {
                let query = store.query(check.policy.name(), check.key);
                (shard_of(&query), query)
            })
            .collect();
        let mut order: SmallVec<[usize; 2]> = queries.iter().map(|(shard, _)| *shard).collect();
        order.sort_unstable();
        order.dedup();
        let shards = order
            .into_iter()
            .map(|index| (index, lock(&store.shards[index])))
            .collect();
        Held {
            store,
            queries,
            shards,
        }
    }

    fn shard(&mut self, index: usize) -> (&mut Shard, &CellQuery<'c>) {
        let (wanted, query) = &self.queries[index];
        let place = self
            .shards
            .iter()
            .position(|(shard, _)| shard == wanted)
            .unwrap_or_default();
        (&mut self.shards[place].1, query)
    }

    /// Whether the check's key has, or can be given, a place for a state of `cost` units.
    fn has_room(&mut self, index: usize, cost: u64, now: Micros) -> bool {
        let store = self.store;
        let (shard, query) = self.shard(index);
        let room = cost == 0
            || shard.bytes + cell_bytes(query, &State::Pair(0, 0)) <= store.shard_bytes_max
            || shard.cells.contains_key(query)
            || shard.evict_for(cost, now, &store.live_evictions);
        if !room {
            store.newcomers_without_room.fetch_add(1, Ordering::Relaxed);
        }
        room
    }

    fn take_slots(&mut self) -> SmallVec<[Option<Stored>; 2]> {
        (0..self.queries.len())
            .map(|index| {
                let (shard, query) = self.shard(index);
                shard.cells.get_mut(query).map(|cell| Stored {
                    policy: Arc::clone(&cell.stored.policy),
                    state: std::mem::replace(&mut cell.stored.state, State::Pair(0, 0)),
                })
            })
            .collect()
    }

    fn put(&mut self, index: usize, slot: Option<Stored>) {
        let (shard, query) = self.shard(index);
        shard.write(query, slot);
    }

    /// Holds the bound where a log has grown: others than the request's own keys give way.
    fn shrink(&mut self, now: Micros) {
        let store = self.store;
        for (_, shard) in &mut self.shards {
            for _ in 0..EVICTIONS_MAX {
                if shard.bytes <= store.shard_bytes_max {
                    break;
                }
                let own =
                    |key: &CellKey| self.queries.iter().any(|(_, query)| query.equivalent(key));
                let Some((used, index)) = shard.sample(now, own) else {
                    break;
                };
                shard.remove(index);
                store
                    .live_evictions
                    .fetch_add(u64::from(used > 0), Ordering::Relaxed);
            }
        }
    }
}

impl Shard {
    /// Keeps `slot` under the key, or removes the key, and tells whether it was there.
    fn write(&mut self, query: &CellQuery<'_>, slot: Option<Stored>) -> bool {
        let known = self.cells.get_index_of(query);
        match (known, slot) {
            (Some(index), Some(stored)) => {
                let bytes = cell_bytes(query, &stored.state);
                let cell = &mut self.cells[index];
                self.bytes = self.bytes - cell.bytes + bytes;
                *cell = Cell { stored, bytes };
            }
            (Some(index), None) => self.remove(index),
            (None, Some(stored)) => {
                let bytes = cell_bytes(query, &stored.state);
                self.bytes += bytes;
                self.cells.insert(
                    CellKey {
                        hash: query.hash,
                        policy: query.policy.into(),
                        key: query.key.into(),
                    },
                    Cell { stored, bytes },
                );
            }
            (None, None) => {}
        }
        known.is_some()
    }

    fn remove(&mut self, index: usize) {
        if let Some((_, cell)) = self.cells.swap_remove_index(index) {
            self.bytes -= cell.bytes;
        }
    }

    /// Of a sample, the key that has the fewest units in use, and how many: none when its time has passed.
    fn sample(&mut self, now: Micros, spared: impl Fn(&CellKey) -> bool) -> Option<(u64, usize)> {
        let mut least: Option<(u64, usize)> = None;
        for _ in 0..EVICTION_SAMPLE.min(self.cells.len()) {
            self.hand = (self.hand + 1) % self.cells.len();
            let Some((key, cell)) = self.cells.get_index(self.hand) else {
                continue;
            };
            let (used, void_at) = decide::in_use(&cell.stored, now);
            let used = if void_at <= now { 0 } else { used.max(1) };
            if !spared(key) && least.is_none_or(|(fewest, _)| used < fewest) {
                least = Some((used, self.hand));
            }
        }
        least
    }

    /// Makes room for a newcomer that will use `cost` units, and tells whether there is some: what is void goes, else
    /// the key with the fewest units in use, unless the newcomer would have no more.
    fn evict_for(&mut self, cost: u64, now: Micros, live_evictions: &AtomicU64) -> bool {
        match self.sample(now, |_| false) {
            Some((used, index)) if used < cost => {
                self.remove(index);
                live_evictions.fetch_add(u64::from(used > 0), Ordering::Relaxed);
                true
            }
            _ => false,
        }
    }
}

fn lock<T>(shard: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread can only panic here in an algorithm of its user's own; its keys then begin anew, and all others are whole.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bits that neither pick a bucket within a shard's map nor tell its entries apart.
fn shard_of(query: &CellQuery<'_>) -> usize {
    (query.hash >> 32) as usize % SHARDS
}

fn cell_bytes(query: &CellQuery<'_>, state: &State) -> usize {
    let log = match state {
        State::Pair(..) => 0,
        State::Log(entries) => entries.capacity() * size_of::<Entry>(),
    };
    CELL_BYTES + query.policy.len() + query.key.len() + log
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charge(
        store: &MemoryStore,
        policy: &Arc<Policy>,
        key: &str,
        cost: u64,
        now: u64,
    ) -> Decision {
        let mut checks = Checks::new();
        checks
            .push(Check {
                policy,
                key: key.as_bytes(),
                cost,
            })
            .unwrap();
        store.decide(&checks, Micros::from_secs(now))
    }

    #[test]
    fn a_flood_of_one_shot_keys_stays_under_the_bound_and_does_not_wash_out_a_heavy_offender() {
        let store = MemoryStore::with_bounds(1 << 20, OnFull::Open);
        let policy = Arc::new(Policy::new("p", "5 per hour".parse().unwrap()).unwrap());
        for offender in 0..100 {
            assert!(charge(&store, &policy, &format!("offender-{offender}"), 5, 0).is_allowed());
        }
        for flood in 0..50_000 {
            assert!(charge(&store, &policy, &format!("flood-{flood}"), 1, 1).is_allowed());
        }
        let stats = store.stats();
        assert!(stats.bytes <= (1 << 20) + 64 * 256, "{stats:?}");
        assert!(
            stats.newcomers_without_room > 0,
            "the flood did not fill the store: {stats:?}"
        );
        for offender in 0..100 {
            assert!(!charge(&store, &policy, &format!("offender-{offender}"), 1, 2).is_allowed());
        }
        // A heavier newcomer takes the place of a lighter key, and that is counted.
        for newcomer in 0..1_000 {
            let _ = charge(&store, &policy, &format!("newcomer-{newcomer}"), 3, 3);
        }
        assert!(store.stats().live_evictions > 0);
        // Void states go first, and cost nothing.
        let evictions = store.stats().live_evictions;
        for later in 0..5_000 {
            assert!(charge(&store, &policy, &format!("later-{later}"), 1, 7_200).is_allowed());
        }
        assert_eq!(store.stats().live_evictions, evictions);
    }

    #[test]
    fn logs_that_grow_stay_under_the_bound() {
        let store = MemoryStore::with_bounds(1 << 20, OnFull::Open);
        let policy = Arc::new(Policy::new("p", "200 per hour".parse().unwrap()).unwrap());
        for call in 0..128 {
            for key in 0..1_000 {
                let _ = charge(&store, &policy, &key.to_string(), 1, call);
            }
        }
        let stats = store.stats();
        assert!(stats.bytes <= (1 << 20) + (1 << 18), "{stats:?}");
        assert!(stats.live_evictions > 0, "nothing grew: {stats:?}");
    }

    #[test]
    fn a_full_store_that_is_closed_refuses_newcomers() {
        let store = MemoryStore::with_bounds(0, OnFull::Closed);
        let policy = Arc::new(Policy::new("p", "1 per hour".parse().unwrap()).unwrap());
        let refused =
            (0..10_000).find(|key| !charge(&store, &policy, &key.to_string(), 1, 0).is_allowed());
        assert!(refused.is_some());
    }
}
