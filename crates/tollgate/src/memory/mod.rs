//! States in this process: flat tables under one bound of memory.
//!
//! States of fixed size live in a table of 16-byte cells, logs in one of 64-byte cells with up to six entries; what
//! fits neither is kept beside its cell. A decision on one key holds that key's cell; one on several holds all of
//! theirs, taken in the order of their addresses, so that it happens at one instant and nobody waits in a circle.

mod builder;
mod fingerprint;
mod first_used;
mod held;
mod keep;
mod long;
#[cfg(all(test, loom))]
mod models;
mod one;
mod registry;
mod states;
mod table;

use std::sync::atomic::{AtomicU64, Ordering};

pub use builder::MemoryBuilder;
pub use fingerprint::KeyHash;
use fingerprint::{Fingerprint, KeyHasher};
use long::LongStates;
use registry::Registry;
use states::States;
use table::Table;

use crate::decide::{self, Stored};
use crate::decision::{Decision, Reason, Receipt};
use crate::policy::Policy;
use crate::store::{Answer, Check, Checks, Outcome, Store, StoreError};
use crate::time::Micros;

/// What happens to a key that finds no room.
///
/// ```
/// use tollgate::{MemoryStore, OnFull};
///
/// let store = MemoryStore::builder().on_full(OnFull::Closed).build();
/// ```
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
/// Its memory is bounded and taken as keys come. When a new key finds all 32 of its places in use, the key with the
/// fewest units in use gives way, if they are fewer than the newcomer's.
///
/// ```
/// use std::sync::Arc;
/// use tollgate::{Limiter, MemoryStore, OnFull, Quota};
///
/// let store = Arc::new(MemoryStore::builder().max_memory(64 << 20).on_full(OnFull::Closed).build());
/// let per_user = Limiter::builder().named("per-user", Quota::per_minute(5)?).store(store.clone()).build()?;
/// let per_team = Limiter::builder().named("per-team", Quota::per_minute(50)?).store(store).build()?;
/// assert!(per_user.check("ann").is_allowed() && per_team.check("red").is_allowed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MemoryStore {
    hasher: KeyHasher,
    registry: Registry,
    /// States of fixed size: 16 bytes each.
    slots: Table<2>,
    /// Logs, and states of algorithms of one's own: 64 bytes each.
    lines: Table<8>,
    long: LongStates,
    /// What the instants in cells count from: a year before the first decision. 0 before it.
    base: AtomicU64,
    on_full: OnFull,
    live_evictions: AtomicU64,
    newcomers_without_room: AtomicU64,
}

/// What the store counts about itself.
///
/// ```
/// use std::sync::Arc;
/// use tollgate::{Clock, Limiter, MemoryStore, Quota, SystemClock};
///
/// let store = Arc::new(MemoryStore::new());
/// let limiter = Limiter::builder().quotas(Quota::per_minute(5)?).store(store.clone()).build()?;
/// assert!(limiter.check("ann").is_allowed());
/// let stats = store.stats(SystemClock::new().now());
/// assert_eq!((stats.live_evictions, stats.newcomers_without_room), (0, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryStats {
    /// Keys with a state that still means something, and blocks of keys. Counted one by one in a store of up to 16 MiB,
    /// and in a larger one until it has met many; then estimated from a part of it.
    pub keys: u64,
    /// Bytes in use by them. Memory once taken is kept, at most the bound.
    pub bytes: u64,
    /// Keys with units in use that had to give way.
    pub live_evictions: u64,
    /// Newcomers that found no room.
    pub newcomers_without_room: u64,
}

impl MemoryStore {
    /// The bound where none is given: 256 MiB.
    pub const DEFAULT_BYTES_MAX: usize = 256 << 20;
    /// The least that can be asked for: 8 MiB.
    pub const BYTES_MIN: usize = 8 << 20;

    /// A store of at most [`DEFAULT_BYTES_MAX`](Self::DEFAULT_BYTES_MAX) that is open when full.
    pub fn new() -> Self {
        MemoryStore::builder().build()
    }

    /// A store put together piece by piece.
    pub fn builder() -> MemoryBuilder {
        MemoryBuilder::default()
    }

    fn with_parts(
        hasher: KeyHasher,
        slots: Table<2>,
        lines: Table<8>,
        long_bytes: usize,
        on_full: OnFull,
    ) -> Self {
        MemoryStore {
            hasher,
            registry: Registry::new(),
            slots,
            lines,
            long: LongStates::new(long_bytes),
            base: AtomicU64::new(0),
            on_full,
            live_evictions: AtomicU64::new(0),
            newcomers_without_room: AtomicU64::new(0),
        }
    }

    /// Decides and charges.
    #[inline]
    pub fn decide(&self, checks: &Checks<'_>, now: Micros) -> Decision {
        match &checks[..] {
            [check] => self.decide_one(*check, now),
            checks => self.decide_together(checks, now),
        }
    }

    /// Any checks, of keys known and new, at one instant.
    #[cold]
    #[inline(never)]
    fn decide_together(&self, checks: &[Check<'_>], now: Micros) -> Decision {
        let cells = decide::cells(checks);
        let mut held = self.hold(&cells);
        let mut slots = self.load(&cells, &held, now);
        let decision = decide::decide(checks, &mut slots, now);
        let room = self.make_room(&cells, &mut held, &slots, now);
        if !room && self.on_full == OnFull::Closed && decision.is_allowed() {
            return Decision::refused(Reason::StoreFull, now);
        }
        self.keep(&cells, &mut held, slots, now);
        decision
    }

    /// Decides as [`decide`](MemoryStore::decide) would, charging and writing nothing.
    pub fn peek(&self, checks: &Checks<'_>, now: Micros) -> Decision {
        let cells = decide::cells(checks);
        let held = self.hold(&cells);
        decide::peek(checks, &self.load(&cells, &held, now), now)
    }

    /// Gives back what the charges of `receipt` still hold, and tells how many units that were.
    pub fn refund(&self, checks: &Checks<'_>, receipt: &Receipt, now: Micros) -> u64 {
        let mut held = self.hold(checks);
        let mut slots = self.load(checks, &held, now);
        let given_back = decide::refund(checks, &mut slots, receipt, now);
        self.keep(checks, &mut held, slots, now);
        given_back
    }

    /// Gives back as many units as the checks cost, of what their keys hold, whoever took them, and tells how many that
    /// were.
    pub fn release(&self, checks: &Checks<'_>, now: Micros) -> u64 {
        let mut held = self.hold(checks);
        let mut slots = self.load(checks, &held, now);
        let given_back = decide::release(checks, &mut slots, now);
        self.keep(checks, &mut held, slots, now);
        given_back
    }

    /// Makes the charges of `receipt`, which were estimates, into what the checks now say they cost: gives the
    /// difference back, or charges it, up to a debt of one capacity.
    pub fn settle(&self, checks: &Checks<'_>, receipt: &Receipt, now: Micros) {
        let mut held = self.hold(checks);
        let mut slots = self.load(checks, &held, now);
        decide::settle(checks, &mut slots, receipt, now);
        self.make_room(checks, &mut held, &slots, now);
        self.keep(checks, &mut held, slots, now);
    }

    /// Charges for the first instant, not later than `until`, at which all checks fit, and says when that is; in order,
    /// and only as long as no more than one capacity waits.
    ///
    /// # Errors
    /// What [`peek`](MemoryStore::peek) says, when there is no such instant, or an algorithm takes no reservations:
    /// those that do are `token-bucket` and `sliding-window`. Nothing is charged then.
    pub fn reserve(
        &self,
        checks: &Checks<'_>,
        now: Micros,
        until: Micros,
    ) -> Result<(Micros, Receipt), Decision> {
        let cells = decide::cells(checks);
        let mut held = self.hold(&cells);
        let mut slots = self.load(&cells, &held, now);
        let reserved = decide::reserve(checks, &mut slots, now, until)?;
        let room = self.make_room(&cells, &mut held, &slots, now);
        if !room && self.on_full == OnFull::Closed {
            return Err(Decision::refused(Reason::StoreFull, now));
        }
        self.keep(&cells, &mut held, slots, now);
        Ok(reserved)
    }

    /// Forgets what `key` has used under `policy`, and its block, and tells whether there was anything.
    pub fn reset(&self, policy: &Policy, key: &[u8]) -> bool {
        let found = self.hasher.fingerprint(policy, key);
        let held = self
            .find(policy, found)
            .and_then(|cell| table::hold(cell, found));
        let any = held.is_some_and(|held| {
            let any = held.stamp() != 0;
            self.forget(found, held.words);
            any
        });
        // After its units, so that no denial begins a block in between.
        let block = policy.blocks();
        block.is_some_and(|blocks| self.reset(blocks, key)) | any
    }

    /// Forgets what every key has used under `policy`, and all blocks.
    pub fn reset_all(&self, policy: &Policy) {
        let numbers = self.registry.named(policy.name());
        for cell in self.slots.used().chain(self.lines.used()) {
            let held = table::hold_any(cell);
            if numbers.contains(&table::index_of(held.head()))
                && let Some(key) = self.fingerprint(cell, held.head())
            {
                self.forget(key, cell);
            }
        }
        if let Some(blocks) = policy.blocks() {
            self.reset_all(blocks);
        }
    }

    /// What the store counts about itself. `now` tells which keys' time has passed.
    pub fn stats(&self, now: Micros) -> MemoryStats {
        let now = now.0.saturating_sub(self.base(now));
        let (slots, slot_bytes) = self.slots.count_live(now);
        let (lines, line_bytes) = self.lines.count_live(now);
        MemoryStats {
            keys: slots + lines,
            bytes: slot_bytes + line_bytes + self.long.bytes() as u64,
            live_evictions: self.live_evictions.load(Ordering::Relaxed),
            newcomers_without_room: self.newcomers_without_room.load(Ordering::Relaxed),
        }
    }

    /// What the instants in cells count from; set once.
    fn base(&self, now: Micros) -> u64 {
        const YEAR_MICROS: u64 = 365 * 86_400 * 1_000_000;
        match self.base.load(Ordering::Relaxed) {
            0 => {
                // No cell can tell a later instant than a decision is made at.
                let latest = decide::LATEST.0 - table::UNTIL_MAX;
                let base = now.0.saturating_sub(YEAR_MICROS).clamp(1, latest);
                let set = self
                    .base
                    .compare_exchange(0, base, Ordering::Relaxed, Ordering::Relaxed);
                set.map_or_else(|known| known, |_| base)
            }
            base => base,
        }
    }

    fn states(&self, now: Micros) -> States<'_> {
        States {
            long: &self.long,
            base: self.base(now),
        }
    }

    /// Calls `visit` for every state, each at one instant of its own.
    pub(crate) fn try_for_each<E>(
        &self,
        mut visit: impl FnMut(u64, &Stored) -> Result<(), E>,
    ) -> Result<(), E> {
        for cell in self.slots.used().chain(self.lines.used()) {
            let held = table::hold_any(cell);
            // The first decision of all sets the base, and may come while this goes on.
            let states = States {
                long: &self.long,
                base: self.base.load(Ordering::Relaxed),
            };
            let stored = self.fingerprint(cell, held.head()).and_then(|key| {
                let policy = self.registry.policy(table::index_of(held.head()))?;
                let state = states.read(key, cell, &policy)?;
                Some((key, Stored { policy, state }))
            });
            drop(held);
            if let Some((key, stored)) = stored {
                visit(key.0, &stored)?;
            }
        }
        Ok(())
    }

    /// Puts a state in its place, and tells whether there was one. What is void needs none.
    pub(crate) fn insert(&self, key: u64, stored: Stored, now: Micros) -> bool {
        let (Some(key), Some(units)) = (Fingerprint::new(key), keep::weight(&stored, now)) else {
            return false;
        };
        let _inserting = self.slots.lock_inserts(table::insert_lock_of(key));
        let held = match self.find(&stored.policy, key) {
            Some(cell) => table::hold(cell, key),
            None => self.claim(key, &stored.policy, units, now),
        };
        let number = self.registry.number(&stored.policy, now);
        let (Some(mut held), Some(number)) = (held, number) else {
            return false;
        };
        self.take_over(&mut held, table::head(key, number));
        self.states(now).write(key, held.words, stored, now);
        true
    }

    /// How fingerprints are made: the hash, its seed, and a sample of it.
    pub(crate) fn hash(&self) -> (KeyHash, [u64; 2], u64) {
        (self.hasher.kind(), self.hasher.seed(), self.hasher.sample())
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        MemoryStore::new()
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
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

    fn release(&self, checks: &Checks<'_>, now: Micros) -> Answer<Result<u64, StoreError>> {
        Answer::Ready(Ok(self.release(checks, now)))
    }

    fn settle(
        &self,
        checks: &Checks<'_>,
        receipt: &Receipt,
        now: Micros,
    ) -> Answer<Result<(), StoreError>> {
        self.settle(checks, receipt, now);
        Answer::Ready(Ok(()))
    }

    fn reserve(
        &self,
        checks: &Checks<'_>,
        now: Micros,
        until: Micros,
    ) -> Answer<Result<(Micros, Receipt), Decision>> {
        Answer::Ready(self.reserve(checks, now, until))
    }

    fn reset(&self, policy: &Policy, key: &[u8]) -> Answer<Result<bool, StoreError>> {
        Answer::Ready(Ok(self.reset(policy, key)))
    }

    fn reset_all(&self, policy: &Policy) -> Answer<Result<(), StoreError>> {
        self.reset_all(policy);
        Answer::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
