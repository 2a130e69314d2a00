//! States in this process: flat tables under one bound of memory.
//!
//! States of fixed size live in a table of 16-byte cells, logs in one of 64-byte cells with up to six entries; what
//! fits neither is kept beside its cell. A decision on one key holds that key's cell; one on several holds all of
//! theirs, taken in the order of their addresses, so that it happens at one instant and nobody waits in a circle.

mod builder;
mod fingerprint;
mod held;
mod long;
#[cfg(all(test, loom))]
mod models;
mod registry;
mod states;
mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use smallvec::SmallVec;

pub use builder::MemoryBuilder;
pub use fingerprint::KeyHash;
use fingerprint::{Fingerprint, KeyHasher};
use held::{HeldCells, Place};
use long::{LongKey, LongState, LongStates};
use registry::Registry;
use states::States;
use table::{Claim, Held, Table, Words};

use crate::algorithm::{Charge, Counting, FixedSize, Log, State};
use crate::cpu;
use crate::decide::{self, Stored};
use crate::decision::{Decision, Reason, Receipt};
use crate::policy::{Counted, Mode, Policy};
use crate::store::{Answer, Check, Checks, Outcome, Store, StoreError};
use crate::time::Micros;

/// Keys of a batch whose memory is asked for before the first of them is decided.
const AHEAD: usize = 16;

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
/// Its memory is bounded and taken as keys come. When a new key finds all 32 of its places in use, the key with the
/// fewest units in use gives way, if they are fewer than the newcomer's.
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryStats {
    /// Keys with a state that still means something. In a large store, estimated from a part of it.
    pub keys: u64,
    /// Bytes in use by them, estimated. Memory once taken is kept, at most the bound.
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
            [check] => self.decide_one(check, now),
            checks => self.decide_together(checks, now),
        }
    }

    /// As [`decide`](MemoryStore::decide), on one check.
    #[inline]
    pub(crate) fn decide_one(&self, check: &Check<'_>, now: Micros) -> Decision {
        let key = self.hasher.fingerprint(check.policy, check.key);
        self.decide_keyed(check, key, now)
    }

    /// Decides several checks, each by itself: as [`decide`](MemoryStore::decide) one after the other would, but the
    /// memory of all of them is on its way before the first is decided.
    pub fn decide_batch<'c>(
        &self,
        batch: impl IntoIterator<Item = Check<'c>>,
        now: Micros,
        decisions: &mut Vec<Decision>,
    ) {
        let mut batch = batch.into_iter().peekable();
        while batch.peek().is_some() {
            let keyed = |check: Check<'c>| {
                let key = self.hasher.fingerprint(check.policy, check.key);
                cpu::prefetch(match states::fixed_size(check.policy) {
                    Some(_) => self.slots.home(key),
                    None => self.lines.home(key),
                });
                (check, key)
            };
            let ahead: SmallVec<[(Check<'c>, Fingerprint); AHEAD]> =
                batch.by_ref().take(AHEAD).map(keyed).collect();
            for (check, key) in ahead {
                decisions.push(self.decide_keyed(&check, key, now));
            }
        }
    }

    /// One check. Most are of a key that is known, of an enforced policy that counts what it allows, under the numbers
    /// that the state was made with; those touch one cell and nothing else.
    #[inline]
    fn decide_keyed(&self, check: &Check<'_>, key: Fingerprint, now: Micros) -> Decision {
        let policy = &**check.policy;
        let plain = check.cost > 0 && policy.mode() == Mode::Enforce && !policy.counts_denied();
        let (true, Some(counted), Some(number)) =
            (plain, policy.counted(), self.registry.known(policy))
        else {
            return self.decide_together(std::slice::from_ref(check), now);
        };
        let head = table::head(key, number);
        match counted {
            Counted::TokenBucket(bucket) => self.decide_slot(bucket, check, key, head, now),
            Counted::FixedWindow(window) => self.decide_slot(window, check, key, head, now),
            Counted::SlidingCounter(counter) => self.decide_slot(counter, check, key, head, now),
            Counted::SlidingWindow(window) => self.decide_line(window, check, key, head, now),
            _ => self.decide_together(std::slice::from_ref(check), now),
        }
    }

    // Apart, so that each algorithm has the registers to itself.
    #[inline(never)]
    fn decide_slot<A: FixedSize>(
        &self,
        algorithm: &A,
        check: &Check<'_>,
        key: Fingerprint,
        head: u64,
        now: Micros,
    ) -> Decision {
        let base = self.base.load(Ordering::Relaxed);
        let at = now.min(decide::LATEST);
        if let Some(cell) = self.slots.find(key)
            && let Some(held) = table::hold_as(cell, head)
            && let Some(pair) = states::unpack(held.stamp(), algorithm, base)
        {
            match algorithm.take(pair, at, check.cost) {
                Err((pair, fits_at)) => {
                    return decide::denied(algorithm, pair.as_ref(), at, fits_at);
                }
                Ok((next, outlook)) => {
                    if let Some(stamp) = states::pack(next, algorithm, base) {
                        held.words[1].store(stamp, Ordering::Relaxed);
                        drop(held);
                        let charge = Charge::new(check.cost, &next);
                        return decide::allowed(algorithm.capacity(), outlook, at, charge);
                    }
                }
            }
        }
        self.decide_together(std::slice::from_ref(check), now)
    }

    #[inline(never)]
    fn decide_line<A: Counting<State = Log>>(
        &self,
        algorithm: &A,
        check: &Check<'_>,
        key: Fingerprint,
        head: u64,
        now: Micros,
    ) -> Decision {
        let base = self.base.load(Ordering::Relaxed);
        let at = now.min(decide::LATEST);
        if let Some(cell) = self.lines.find(key)
            && let Some(held) = table::hold_as(cell, head)
        {
            let Some(log) = states::read_log(held.words, base) else {
                match self.decide_long(algorithm, check, key, &held, at) {
                    Some(decision) => return decision,
                    None => {
                        drop(held);
                        return self.decide_together(std::slice::from_ref(check), now);
                    }
                }
            };
            match algorithm.take(log, at, check.cost) {
                Err((log, fits_at)) => {
                    return decide::denied(algorithm, log.as_ref(), at, fits_at);
                }
                Ok((next, outlook)) => {
                    if states::write_log(held.words, &next, outlook.void_at, base).is_some() {
                        drop(held);
                        let charge = Charge::new(check.cost, &next);
                        return decide::allowed(algorithm.capacity(), outlook, at, charge);
                    }
                }
            }
        }
        self.decide_together(std::slice::from_ref(check), now)
    }

    /// As [`decide_line`](MemoryStore::decide_line), on a log that is kept beside its cell.
    fn decide_long<A: Counting<State = Log>>(
        &self,
        algorithm: &A,
        check: &Check<'_>,
        key: Fingerprint,
        held: &Held<'_>,
        at: Micros,
    ) -> Option<Decision> {
        let decide = |long: &mut LongState| {
            let State::Log(log) = &mut long.state else {
                return None;
            };
            match algorithm.take(Some(std::mem::take(log)), at, check.cost) {
                Err((back, fits_at)) => {
                    *log = back.unwrap_or_default();
                    Some(decide::denied(algorithm, Some(log), at, fits_at))
                }
                Ok((next, outlook)) => {
                    *log = next;
                    long.used = algorithm.capacity() - outlook.remaining;
                    long.void_at = outlook.void_at.0;
                    states::stamp_long(
                        held.words,
                        outlook.void_at,
                        self.base.load(Ordering::Relaxed),
                    );
                    let charge = Charge::new(check.cost, log);
                    Some(decide::allowed(algorithm.capacity(), outlook, at, charge))
                }
            }
        };
        let (decision, evicted) = self
            .long
            .change(LongKey::new(key, held.words), at.0, decide)?;
        self.live_evictions.fetch_add(evicted, Ordering::Relaxed);
        if let Some(allowed) = decision.as_ref().filter(|decision| decision.is_allowed()) {
            let base = self.base.load(Ordering::Relaxed);
            states::stamp_long(held.words, at + allowed.full_after(), base);
        }
        decision
    }

    /// Any checks, of keys known and new, at one instant.
    #[cold]
    #[inline(never)]
    fn decide_together(&self, checks: &[Check<'_>], now: Micros) -> Decision {
        let mut held = self.hold(checks);
        let mut slots = self.load(checks, &held, now);
        let decision = decide::decide(checks, &mut slots, now);
        let room = self.make_room(checks, &mut held, &slots, now);
        if !room && self.on_full == OnFull::Closed && decision.is_allowed() {
            return Decision::refused(Reason::StoreFull, now);
        }
        self.keep(checks, &mut held, slots, now);
        decision
    }

    /// Decides as [`decide`](MemoryStore::decide) would, charging and writing nothing.
    pub fn peek(&self, checks: &Checks<'_>, now: Micros) -> Decision {
        let held = self.hold(checks);
        decide::peek(checks, &self.load(checks, &held, now), now)
    }

    /// Gives back what the charges of `receipt` still hold, and tells how many units that were.
    pub fn refund(&self, checks: &Checks<'_>, receipt: &Receipt, now: Micros) -> u64 {
        let mut held = self.hold(checks);
        let mut slots = self.load(checks, &held, now);
        let given_back = decide::refund(checks, &mut slots, receipt, now);
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
        let mut held = self.hold(checks);
        let mut slots = self.load(checks, &held, now);
        let reserved = decide::reserve(checks, &mut slots, now, until)?;
        let room = self.make_room(checks, &mut held, &slots, now);
        if !room && self.on_full == OnFull::Closed {
            return Err(Decision::refused(Reason::StoreFull, now));
        }
        self.keep(checks, &mut held, slots, now);
        Ok(reserved)
    }

    /// Forgets what `key` has used under `policy`, and tells whether there was anything.
    pub fn reset(&self, policy: &Policy, key: &[u8]) -> bool {
        let key = self.hasher.fingerprint(policy, key);
        let held = self
            .find(policy, key)
            .and_then(|cell| table::hold(cell, key));
        held.is_some_and(|held| {
            let any = held.stamp() != 0;
            self.forget(key, held.words);
            any
        })
    }

    /// Forgets what every key has used under `policy`.
    pub fn reset_all(&self, policy: &Policy) {
        let numbers = self.registry.named(policy.name());
        for cell in self.slots.used().chain(self.lines.used()) {
            let held = table::hold_any(cell);
            if numbers.contains(&table::index_of(held.head))
                && let Some(key) = self.fingerprint(cell, held.head)
            {
                self.forget(key, cell);
            }
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
                let base = now.0.saturating_sub(YEAR_MICROS).max(1);
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

    /// What the held cells hold.
    fn load(
        &self,
        checks: &[Check<'_>],
        held: &HeldCells<'_>,
        now: Micros,
    ) -> SmallVec<[Option<Stored>; 2]> {
        let states = self.states(now);
        let load = |(check, place): (&Check<'_>, &Place<'_>)| {
            let held = place.held.as_ref()?;
            let number = table::index_of(held.head);
            let policy = match self.registry.known(check.policy) {
                Some(known) if known == number => Arc::clone(check.policy),
                _ => self.registry.policy(number)?,
            };
            let state = states.read(place.key, held.words, &policy)?;
            Some(Stored { policy, state })
        };
        checks.iter().zip(&held.places).map(load).collect()
    }

    /// Finds cells for the keys that are to have a state and have none, and tells whether all that count found one.
    fn make_room<'s>(
        &'s self,
        checks: &[Check<'_>],
        held: &mut HeldCells<'s>,
        slots: &[Option<Stored>],
        now: Micros,
    ) -> bool {
        let mut all = true;
        for ((check, place), slot) in checks.iter().zip(&mut held.places).zip(slots) {
            let Some(stored) = slot.as_ref().filter(|_| !place.shared) else {
                continue;
            };
            let room = match place.held {
                // Its policy may be one too many.
                Some(_) => self.registry.number(&stored.policy, now).is_some(),
                None => {
                    place.held = self.claim(place.key, stored, now);
                    place.held.is_some()
                }
            };
            all &= room || check.policy.mode() == Mode::Shadow;
        }
        all
    }

    /// A cell for a key that has none, emptied. The key's insert lock is held.
    fn claim(&self, key: Fingerprint, stored: &Stored, now: Micros) -> Option<Held<'_>> {
        let now = now.min(decide::LATEST);
        let number = self.registry.number(&stored.policy, now);
        let (units, _) = decide::in_use(stored, now);
        let units_of = |cell: &Words, head: u64| self.units(cell, head, now);
        let since_base = now.0.saturating_sub(self.base(now));
        let claim = number.and_then(|_| match states::fixed_size(&stored.policy) {
            Some(_) => self.slots.claim(key, since_base, units, units_of),
            None => self.lines.claim(key, since_base, units, units_of),
        });
        let (Some(Claim { mut held, evicted }), Some(number)) = (claim, number) else {
            self.newcomers_without_room.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        if let Some(before) = self.fingerprint(held.words, held.head) {
            self.forget(before, held.words);
        }
        self.live_evictions
            .fetch_add(u64::from(evicted), Ordering::Relaxed);
        held.head = table::head(key, number);
        Some(held)
    }

    /// Units that a cell's key has in use.
    fn units(&self, cell: &Words, head: u64, now: Micros) -> u64 {
        let stored = self.fingerprint(cell, head).and_then(|key| {
            let policy = self.registry.policy(table::index_of(head))?;
            let state = self.states(now).read(key, cell, &policy)?;
            Some(Stored { policy, state })
        });
        stored.map_or(0, |stored| decide::in_use(&stored, now).0)
    }

    fn fingerprint(&self, cell: &Words, head: u64) -> Option<Fingerprint> {
        match (head, cell.len()) {
            (0, _) => None,
            (_, 2) => self.slots.fingerprint(cell, head),
            _ => self.lines.fingerprint(cell, head),
        }
    }

    /// Writes the states back, all while all cells are held.
    fn keep(
        &self,
        checks: &[Check<'_>],
        held: &mut HeldCells<'_>,
        slots: SmallVec<[Option<Stored>; 2]>,
        now: Micros,
    ) {
        let now = now.min(decide::LATEST);
        let states = self.states(now);
        for (place, slot) in held.places.iter_mut().zip(slots) {
            let Some(held) = &mut place.held else {
                continue;
            };
            let Some(stored) = slot else {
                self.forget(place.key, held.words);
                continue;
            };
            if let Some(number) = self.registry.number(&stored.policy, now) {
                if !checks
                    .iter()
                    .any(|check| Arc::ptr_eq(check.policy, &stored.policy))
                {
                    self.registry.touch(number);
                }
                held.head = table::head(place.key, number);
                let evicted = states.write(place.key, held.words, stored, now);
                self.live_evictions.fetch_add(evicted, Ordering::Relaxed);
            }
        }
    }

    /// Empties the cell of a key.
    fn forget(&self, key: Fingerprint, cell: &Words) {
        if states::is_long(cell) {
            self.long.remove(LongKey::new(key, cell));
        }
        states::empty(cell);
    }

    /// Calls `visit` for every state, each at one instant of its own.
    pub(crate) fn try_for_each<E>(
        &self,
        mut visit: impl FnMut(u64, &Stored) -> Result<(), E>,
    ) -> Result<(), E> {
        let states = States {
            long: &self.long,
            base: self.base.load(Ordering::Relaxed),
        };
        for cell in self.slots.used().chain(self.lines.used()) {
            let held = table::hold_any(cell);
            let stored = self.fingerprint(cell, held.head).and_then(|key| {
                let policy = self.registry.policy(table::index_of(held.head))?;
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

    /// Puts a state in its place, and tells whether there was one.
    pub(crate) fn insert(&self, key: u64, stored: Stored, now: Micros) -> bool {
        let Some(key) = Fingerprint::new(key) else {
            return false;
        };
        let _inserting = self.slots.lock_inserts(table::insert_lock_of(key));
        let held = match self.find(&stored.policy, key) {
            Some(cell) => table::hold(cell, key),
            None => self.claim(key, &stored, now),
        };
        let number = self.registry.number(&stored.policy, now);
        let (Some(mut held), Some(number)) = (held, number) else {
            return false;
        };
        held.head = table::head(key, number);
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
