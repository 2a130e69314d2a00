//! How often what keys have used was changed from outside: what the store says of a time before must not be kept.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use super::name::Named;

/// In so many places changes are counted; keys of one place are taken to change together.
const PLACES: usize = 256;

/// Changes, by the places that keys fall into.
#[derive(Debug)]
pub(super) struct Generations {
    places: [Place; PLACES],
    hash: RandomState,
}

#[derive(Debug, Default)]
struct Place {
    resets: AtomicU64,
    refunds: AtomicU64,
}

/// Of some keys: it changes when one of them is reset, or units of theirs are given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Generation {
    /// Units that were charged before a reset have been forgotten by the store.
    pub(super) resets: u64,
    refunds: u64,
}

impl Default for Generations {
    fn default() -> Self {
        Generations {
            places: std::array::from_fn(|_| Place::default()),
            hash: RandomState::new(),
        }
    }
}

impl Generations {
    /// That of these keys.
    pub(super) fn of<'a>(&self, keys: impl Iterator<Item = Named<'a>>) -> Generation {
        keys.fold(Generation::default(), |sum, named| {
            let place = self.place(named);
            let count = |changes: &AtomicU64| changes.load(Ordering::SeqCst);
            Generation {
                resets: sum.resets.wrapping_add(count(&place.resets)),
                refunds: sum.refunds.wrapping_add(count(&place.refunds)),
            }
        })
    }

    /// A key is reset.
    pub(super) fn reset(&self, named: Named<'_>) {
        self.place(named).resets.fetch_add(1, Ordering::SeqCst);
    }

    /// Any key may be reset.
    pub(super) fn reset_all(&self) {
        for place in &self.places {
            place.resets.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Units of a key are given back.
    pub(super) fn refund(&self, named: Named<'_>) {
        self.place(named).refunds.fetch_add(1, Ordering::SeqCst);
    }

    fn place(&self, named: Named<'_>) -> &Place {
        let hash = self.hash.hash_one(named) as usize;
        &self.places[hash % PLACES]
    }
}
