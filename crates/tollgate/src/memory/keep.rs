//! From held cells to states and back: reading, finding room for newcomers, writing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::MemoryStore;
use super::fingerprint::Fingerprint;
use super::held::{HeldCells, Place};
use super::long::LongKey;
use super::states;
use super::table::{self, Claim, Held, Words};
use crate::decide::{self, Stored};
use crate::policy::{Mode, Policy};
use crate::store::Check;
use crate::time::Micros;

impl MemoryStore {
    /// What the held cells hold.
    pub(super) fn load(
        &self,
        checks: &[Check<'_>],
        held: &HeldCells<'_>,
        now: Micros,
    ) -> SmallVec<[Option<Stored>; 2]> {
        let states = self.states(now);
        let load = |(check, place): (&Check<'_>, &Place<'_>)| {
            let held = place.held.as_ref()?;
            let number = table::index_of(held.head());
            let policy = match self.registry.known(check.policy) {
                Some(known) if known == number => Arc::clone(check.policy),
                // The number may be another policy's since. Then what the cell holds is void.
                _ => (self.registry.policy(number))
                    .filter(|policy| policy.name() == check.policy.name())?,
            };
            let state = states.read(place.key, held.words, &policy)?;
            Some(Stored { policy, state })
        };
        checks.iter().zip(&held.places).map(load).collect()
    }

    /// Finds cells for the keys that are to have a state and have none, and tells whether all that count found one.
    pub(super) fn make_room<'s>(
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
                None => weight(stored, now).is_none_or(|units| {
                    place.held = self.claim(place.key, &stored.policy, units, now);
                    place.held.is_some()
                }),
            };
            all &= room || check.policy.mode() == Mode::Shadow;
        }
        all
    }

    /// A cell for a key that has none and is to have `units` in use, emptied. The key's insert lock is held.
    pub(super) fn claim(
        &self,
        key: Fingerprint,
        policy: &Arc<Policy>,
        units: u64,
        now: Micros,
    ) -> Option<Held<'_>> {
        let now = now.min(decide::LATEST);
        let number = self.registry.number(policy, now);
        let units_of = |cell: &Words, head: u64| self.units(cell, head, now);
        let since_base = now.0.saturating_sub(self.base(now));
        let claim = number.and_then(|_| match states::fixed_size(policy) {
            Some(_) => self.slots.claim(key, since_base, units, units_of),
            None => self.lines.claim(key, since_base, units, units_of),
        });
        let (Some(Claim { mut held, evicted }), Some(number)) = (claim, number) else {
            self.newcomers_without_room.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        let before = self.fingerprint(held.words, held.head());
        self.take_over(&mut held, table::head(key, number));
        if let Some(before) = before {
            self.forget(before, held.words);
        }
        self.live_evictions
            .fetch_add(u64::from(evicted), Ordering::Relaxed);
        Some(held)
    }

    /// Units that a cell's key has in use.
    pub(super) fn units(&self, cell: &Words, head: u64, now: Micros) -> u64 {
        let stored = self.fingerprint(cell, head).and_then(|key| {
            let policy = self.registry.policy(table::index_of(head))?;
            let state = self.states(now).read(key, cell, &policy)?;
            Some(Stored { policy, state })
        });
        stored.map_or(0, |stored| decide::in_use(&stored, now).0)
    }

    pub(super) fn fingerprint(&self, cell: &Words, head: u64) -> Option<Fingerprint> {
        match (head, cell.len()) {
            (0, _) => None,
            (_, 2) => self.slots.fingerprint(cell, head),
            _ => self.lines.fingerprint(cell, head),
        }
    }

    /// Writes the states back, all while all cells are held.
    pub(super) fn keep(
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
                self.take_over(held, table::head(place.key, number));
                let evicted = states.write(place.key, held.words, stored, now);
                self.live_evictions.fetch_add(evicted, Ordering::Relaxed);
            }
        }
    }

    /// Gives a held cell another head, before a stamp is written that belongs to it.
    pub(super) fn take_over(&self, held: &mut Held<'_>, head: u64) {
        match held.words.len() {
            2 => self.slots.take_over(held, head),
            _ => self.lines.take_over(held, head),
        }
    }

    /// Empties the cell of a key.
    pub(super) fn forget(&self, key: Fingerprint, cell: &Words) {
        if states::is_long(cell) {
            self.long.remove(LongKey::new(key, cell));
        }
        states::empty(cell);
    }
}

/// What a state weighs when it looks for a place: its units in use, and at least one, for an algorithm of one's own may
/// count none; `None` if it is void.
pub(super) fn weight(stored: &Stored, now: Micros) -> Option<u64> {
    let now = now.min(decide::LATEST);
    let (units, void_at) = decide::in_use(stored, now);
    (void_at > now).then_some(units.max(1))
}
