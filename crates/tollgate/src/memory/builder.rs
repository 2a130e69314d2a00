//! What a memory store is made of.

use super::fingerprint::{KeyHash, KeyHasher};
use super::table::Table;
use super::{MemoryStore, OnFull};

/// Of the memory for logs, the part that is for those that do not fit their cell: one in so many.
const LONG_SHARE: usize = 4;
const LOG_BYTES_MIN: usize = Table::<8>::BYTES_MIN / (LONG_SHARE - 1) * LONG_SHARE + LONG_SHARE;

/// What a [`MemoryStore`] is made of.
///
/// ```
/// use tollgate::{MemoryStore, OnFull};
///
/// let store = MemoryStore::builder().max_memory(64 << 20).on_full(OnFull::Closed).build();
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MemoryBuilder {
    max_memory: usize,
    log_percent: usize,
    on_full: OnFull,
    hash: KeyHash,
}

impl Default for MemoryBuilder {
    fn default() -> Self {
        MemoryBuilder {
            max_memory: MemoryStore::DEFAULT_BYTES_MAX,
            log_percent: 60,
            on_full: OnFull::default(),
            hash: KeyHash::default(),
        }
    }
}

impl MemoryBuilder {
    /// The most memory that states take, in bytes; at least [`MemoryStore::BYTES_MIN`].
    #[must_use]
    pub fn max_memory(self, bytes: usize) -> Self {
        MemoryBuilder {
            max_memory: bytes.max(MemoryStore::BYTES_MIN),
            ..self
        }
    }

    /// How much of the memory, in percent, is for logs: `sliding-window`, `concurrency` and algorithms of one's own.
    /// The rest is for states of fixed size. 60 where nothing is said.
    #[must_use]
    pub fn log_percent(self, log_percent: u8) -> Self {
        MemoryBuilder {
            log_percent: usize::from(log_percent.min(100)),
            ..self
        }
    }

    /// What happens to a key that finds no room.
    #[must_use]
    pub fn on_full(self, on_full: OnFull) -> Self {
        MemoryBuilder { on_full, ..self }
    }

    /// How keys are hashed.
    #[must_use]
    pub fn key_hash(self, hash: KeyHash) -> Self {
        MemoryBuilder { hash, ..self }
    }

    /// The store.
    pub fn build(self) -> MemoryStore {
        self.with_hasher(KeyHasher::new(self.hash))
    }

    /// The store, with the hash and the seed of another.
    pub(crate) fn with_hash(self, hash: KeyHash, seed: [u64; 2]) -> MemoryStore {
        self.with_hasher(KeyHasher::with_seed(hash, seed))
    }

    fn with_hasher(self, hasher: KeyHasher) -> MemoryStore {
        let logs = (self.max_memory / 100 * self.log_percent)
            .clamp(LOG_BYTES_MIN, self.max_memory - Table::<2>::BYTES_MIN);
        let long = logs / LONG_SHARE;
        let slots = Table::new(self.max_memory - logs);
        MemoryStore::with_parts(hasher, slots, Table::new(logs - long), long, self.on_full)
    }
}
