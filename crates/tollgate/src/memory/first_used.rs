//! The cells of a table that were used first, so that few keys are counted one by one, however large the table is.

use super::table::{Pair, zeroed};
use crate::sync::{AtomicU64, Ordering};

/// Cells that are noted.
const CELLS: usize = 1 << 14;

/// Where the first cells are that a table used. Cells once used stay used, so the list only grows.
pub(super) struct FirstUsed {
    /// The word that each begins with, plus 1; 0 where none is noted yet.
    starts: Box<[Pair]>,
    used: AtomicU64,
}

impl FirstUsed {
    /// An empty list.
    pub(super) fn new() -> Self {
        FirstUsed {
            starts: zeroed(CELLS / 2),
            used: AtomicU64::new(0),
        }
    }

    /// Notes a cell that was never used before. When the list is full nothing is written any more, so that threads do
    /// not wait for each other.
    pub(super) fn note(&self, start: usize) {
        if self.used.load(Ordering::Relaxed) > CELLS as u64 {
            return;
        }
        let place = self.used.fetch_add(1, Ordering::Relaxed) as usize;
        if let Some(noted) = self.starts.as_flattened().get(place) {
            noted.store(start as u64 + 1, Ordering::Relaxed);
        }
    }

    /// The words that the used cells begin with; `None` if there are more than are noted.
    pub(super) fn all(&self) -> Option<impl Iterator<Item = usize>> {
        let used = self.used.load(Ordering::Relaxed) as usize;
        let starts = self.starts.as_flattened().get(..used)?.iter();
        Some(starts.filter_map(|start| (start.load(Ordering::Relaxed) as usize).checked_sub(1)))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn all_are_told_until_there_are_more_than_are_noted() {
        let first_used = FirstUsed::new();
        assert!(first_used.all().is_some_and(|told| told.count() == 0));
        let starts = (0..CELLS).map(|cell| 2 * cell);
        starts.clone().for_each(|start| first_used.note(start));
        assert!(first_used.all().is_some_and(|told| told.eq(starts)));
        for _ in 0..3 {
            first_used.note(9);
            assert!(first_used.all().is_none());
        }
    }
}
