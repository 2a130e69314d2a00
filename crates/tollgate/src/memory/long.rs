//! States that do not fit their cell: long logs, and numbers out of the ordinary. Each belongs to a cell of a table,
//! whose holder alone touches it.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;

use super::fingerprint::Fingerprint;
use super::table::Words;
use crate::algorithm::{Entry, State};

/// Maps that are locked apart from each other.
const SHARDS: usize = 64;
/// States that are looked at when one has to give way.
const SAMPLE: usize = 8;
/// States that give way for one decision at most. A log grows by one entry a decision, so a few suffice.
const EVICTIONS_MAX: usize = 8;
/// What a state costs beside its log: the map's slot, and allocator overhead.
const STATE_BYTES: usize = 192;

/// Long states under a bound of memory.
pub(super) struct LongStates {
    shards: Box<[Mutex<Shard>]>,
    shard_bytes_max: usize,
}

#[derive(Default)]
struct Shard {
    states: IndexMap<u64, LongState, BuildHasherDefault<Carried>>,
    bytes: usize,
    /// Where the next sample starts.
    hand: usize,
}

/// The cell that a state belongs to: a key may have one in each table while its policy changes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct LongKey(u64);

impl LongKey {
    pub(super) fn new(key: Fingerprint, cell: &Words) -> Self {
        LongKey(key.0 << 1 | u64::from(cell.len() > 2))
    }
}

/// A state, and what it is worth when one has to give way.
pub(super) struct LongState {
    pub(super) state: State,
    pub(super) used: u64,
    pub(super) void_at: u64,
}

impl LongStates {
    pub(super) fn new(bytes_max: usize) -> Self {
        LongStates {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            shard_bytes_max: bytes_max / SHARDS,
        }
    }

    fn shard(&self, key: LongKey) -> MutexGuard<'_, Shard> {
        let shard = &self.shards[(key.0 >> 1) as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn copy(&self, key: LongKey) -> Option<State> {
        let shard = self.shard(key);
        shard.states.get(&key.0).map(|long| long.state.clone())
    }

    pub(super) fn remove(&self, key: LongKey) {
        let mut shard = self.shard(key);
        if let Some(gone) = shard.states.swap_remove(&key.0) {
            shard.bytes -= bytes_of(&gone);
        }
    }

    /// Keeps a state, and tells how many others with units in use had to give way.
    pub(super) fn put(&self, key: LongKey, state: LongState, now: u64) -> u64 {
        let mut shard = self.shard(key);
        shard.bytes += bytes_of(&state);
        if let Some(before) = shard.states.insert(key.0, state) {
            shard.bytes -= bytes_of(&before);
        }
        shard.shrink(self.shard_bytes_max, key, now)
    }

    /// Changes a state where it is; `None` if there is none. Tells too how many others with units in use had to give
    /// way.
    pub(super) fn change<R>(
        &self,
        key: LongKey,
        now: u64,
        change: impl FnOnce(&mut LongState) -> R,
    ) -> Option<(R, u64)> {
        let mut shard = self.shard(key);
        let long = shard.states.get_mut(&key.0)?;
        let before = bytes_of(long);
        let result = change(long);
        let after = bytes_of(long);
        shard.bytes = shard.bytes + after - before;
        let evicted = shard.shrink(self.shard_bytes_max, key, now);
        Some((result, evicted))
    }

    #[cfg(test)]
    pub(super) fn bytes_max(&self) -> usize {
        self.shard_bytes_max * SHARDS
    }

    pub(super) fn bytes(&self) -> usize {
        let of = |shard: &Mutex<Shard>| shard.lock().unwrap_or_else(PoisonError::into_inner).bytes;
        self.shards.iter().map(of).sum()
    }
}

impl Shard {
    /// Holds the bound: states that are void go, else those with the fewest units of a sample.
    fn shrink(&mut self, bytes_max: usize, spared: LongKey, now: u64) -> u64 {
        let mut evicted = 0;
        for _ in 0..EVICTIONS_MAX {
            if self.bytes <= bytes_max {
                break;
            }
            let Some((used, index)) = self.least_used_but(spared, now) else {
                break;
            };
            if let Some((_, gone)) = self.states.swap_remove_index(index) {
                self.bytes -= bytes_of(&gone);
            }
            evicted += u64::from(used > 0);
        }
        evicted
    }

    fn least_used_but(&mut self, spared: LongKey, now: u64) -> Option<(u64, usize)> {
        let mut least: Option<(u64, usize)> = None;
        for _ in 0..SAMPLE.min(self.states.len()) {
            self.hand = (self.hand + 1) % self.states.len();
            let Some((key, long)) = self.states.get_index(self.hand) else {
                continue;
            };
            let used = if long.void_at <= now {
                0
            } else {
                long.used.max(1)
            };
            if *key != spared.0 && least.is_none_or(|(fewest, _)| used < fewest) {
                least = Some((used, self.hand));
            }
        }
        least
    }
}

fn bytes_of(long: &LongState) -> usize {
    let log = match &long.state {
        State::Log(entries) if entries.spilled() => entries.capacity() * size_of::<Entry>(),
        State::Log(_) | State::Pair(..) => 0,
    };
    STATE_BYTES + log
}

/// Takes a fingerprint for its own hash.
#[derive(Default)]
pub(super) struct Carried(u64);

impl Hasher for Carried {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, fingerprint: u64) {
        // The map looks at the highest bits, and this has 59.
        self.0 = fingerprint.rotate_left(5);
    }
}
