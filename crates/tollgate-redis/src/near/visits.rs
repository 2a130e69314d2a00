//! When leases are looked at again, bounded.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tollgate::Micros;

use super::name::Name;

/// Leases that are looked at again. What finds no room is lost until its lease would have ended.
pub(super) const VISITS_MAX: usize = 16_384;

/// Keys by the instants at which they are looked at, the earliest first.
#[derive(Default)]
pub(super) struct Visits(BinaryHeap<Reverse<Visit>>);

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Visit {
    at: Micros,
    name: Name,
}

impl Visits {
    /// Looks at a key at this instant, if there is room.
    pub(super) fn push(&mut self, at: Micros, name: Name) -> bool {
        let has_room = self.0.len() < VISITS_MAX;
        if has_room {
            self.0.push(Reverse(Visit { at, name }));
        }
        has_room
    }

    /// The next key whose instant has come, and that instant.
    pub(super) fn pop_due(&mut self, now: Micros) -> Option<(Micros, Name)> {
        let Reverse(next) = self.0.peek()?;
        if next.at > now {
            return None;
        }
        self.0.pop().map(|Reverse(visit)| (visit.at, visit.name))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
