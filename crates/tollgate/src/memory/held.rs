//! The cells of all checks of a request, held at one instant.

use smallvec::SmallVec;

use super::fingerprint::Fingerprint;
use super::table::{self, Held, Words};
use super::{MemoryStore, states};
use crate::policy::Policy;
use crate::store::Check;
use crate::sync::MutexGuard;

/// The cells of one request's checks, and the locks for putting in those that have none.
pub(super) struct HeldCells<'t> {
    pub(super) places: SmallVec<[Place<'t>; 2]>,
    /// Released after the cells.
    _inserting: SmallVec<[MutexGuard<'t, ()>; 2]>,
}

/// Where one check's state is, or could be.
pub(super) struct Place<'t> {
    pub(super) key: Fingerprint,
    pub(super) held: Option<Held<'t>>,
    /// Whether its cell is held for another check already: two keys have one fingerprint. It counts for nothing.
    pub(super) shared: bool,
}

impl MemoryStore {
    /// Holds the cells of all checks, and for those that have none the locks for putting them in. Locks are taken
    /// before cells, and each in order, so nobody waits in a circle.
    pub(super) fn hold<'s>(&'s self, checks: &[Check<'_>]) -> HeldCells<'s> {
        let keys: SmallVec<[Fingerprint; 2]> = checks
            .iter()
            .map(|check| self.hasher.fingerprint(check.policy, check.key))
            .collect();
        loop {
            let inserting = self.lock_inserts(checks, &keys);
            if let Some(places) = self.hold_cells(checks, &keys, &inserting) {
                let _inserting = inserting.into_iter().map(|(_, guard)| guard).collect();
                return HeldCells { places, _inserting };
            }
        }
    }

    /// The locks of the keys that have no cell.
    fn lock_inserts<'s>(
        &'s self,
        checks: &[Check<'_>],
        keys: &[Fingerprint],
    ) -> SmallVec<[(usize, MutexGuard<'s, ()>); 2]> {
        let new =
            |(check, key): &(&Check<'_>, &Fingerprint)| self.find(check.policy, **key).is_none();
        let mut locks: SmallVec<[usize; 2]> = checks
            .iter()
            .zip(keys)
            .filter(new)
            .map(|(_, key)| table::insert_lock_of(*key))
            .collect();
        locks.sort_unstable();
        locks.dedup();
        locks
            .into_iter()
            .map(|lock| (lock, self.slots.lock_inserts(lock)))
            .collect()
    }

    /// `None` if a key has lost its cell, or has none and its lock is not held.
    fn hold_cells<'s>(
        &'s self,
        checks: &[Check<'_>],
        keys: &[Fingerprint],
        inserting: &[(usize, MutexGuard<'_, ()>)],
    ) -> Option<SmallVec<[Place<'s>; 2]>> {
        let mut places: SmallVec<[Place<'s>; 2]> = SmallVec::new();
        let mut cells: SmallVec<[(&'s Words, usize); 2]> = SmallVec::new();
        for (index, (check, key)) in checks.iter().zip(keys).enumerate() {
            match self.find(check.policy, *key) {
                Some(cell) => cells.push((cell, index)),
                None => {
                    let lock = table::insert_lock_of(*key);
                    inserting.iter().find(|(held, _)| *held == lock)?;
                }
            }
            places.push(Place {
                key: *key,
                held: None,
                shared: false,
            });
        }
        cells.sort_unstable_by_key(|(cell, _)| cell.as_ptr());
        for (position, (cell, index)) in cells.iter().enumerate() {
            if position > 0 && std::ptr::eq(cells[position - 1].0, *cell) {
                places[*index].shared = true;
            } else {
                places[*index].held = Some(table::hold(cell, keys[*index])?);
            }
        }
        Some(places)
    }

    /// The cell of a key, if it has one.
    pub(super) fn find(&self, policy: &Policy, key: Fingerprint) -> Option<&Words> {
        match states::fixed_size(policy) {
            Some(_) => self.slots.find(key).map(|cell| &cell[..]),
            None => self.lines.find(key).map(|cell| &cell[..]),
        }
    }
}
