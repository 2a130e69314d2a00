//! How states are written into cells.
//!
//! ```text
//! 16 bytes:  head, stamp of an instant and 16 bits: all there is to know of a state of fixed size
//! 64 bytes:  head, stamp of an instant and the kind, then up to six entries (instant << 16 | units), or a pair
//! ```
//!
//! What does not fit is kept beside the table, and the stamp says so.

use std::hint::select_unpredictable;

use super::fingerprint::Fingerprint;
use super::long::{LongKey, LongState, LongStates};
use super::table::{UNTIL_MAX, Words, rest, set_stamp, stamp, until};
use crate::algorithm::{Compact, Entry, FixedSize, Log, Pair, State};
use crate::decide::{self, Stored};
use crate::policy::Policy;
use crate::rule::Counted;
use crate::sync::Ordering;
use crate::time::Micros;

/// The state is kept beside the table.
const LONG: u16 = u16::MAX;
/// The cell holds a pair; fewer are the entries of a log.
const PAIR: u16 = u16::MAX - 1;
/// Words of a cell before its entries.
const HEADER_WORDS: usize = 2;
const UNITS_BITS: u32 = 16;
/// Entries that a cell has room for.
const ENTRIES: usize = 6;

/// The policy's algorithm, if its states fit a cell of 16 bytes.
pub(super) fn fixed_size(policy: &Policy) -> Option<&dyn FixedSize> {
    policy.counted().and_then(Counted::fixed_size)
}

/// Whether the policy's states fit a cell of 16 bytes.
#[inline]
pub(super) fn is_fixed_size(policy: &Policy) -> bool {
    policy.counted().is_some_and(Counted::is_fixed_size)
}

pub(super) fn is_long(cell: &Words) -> bool {
    rest(cell[1].load(Ordering::Relaxed)) == LONG
}

pub(super) fn empty(cell: &Words) {
    set_stamp(cell, 0);
}

/// The stamp that is a state of fixed size; `None` if it does not fit.
#[inline]
pub(super) fn pack<A: FixedSize + ?Sized>(pair: Pair, algorithm: &A, base: u64) -> Option<u64> {
    let compact = algorithm.compact(pair)?;
    // A difference below 0 wraps, and is too large then.
    let until = compact.until.wrapping_sub(base);
    let tellable = until.wrapping_sub(1) < UNTIL_MAX && compact.rest < u64::from(LONG);
    tellable.then(|| stamp(until, compact.rest as u16))
}

/// The state of fixed size that a stamp is, `Some(None)` for absence; `None` if it is kept elsewhere.
#[inline]
pub(super) fn unpack<A: FixedSize + ?Sized>(
    stamp: u64,
    algorithm: &A,
    base: u64,
) -> Option<Option<Pair>> {
    match (stamp, rest(stamp)) {
        (0, _) => Some(None),
        (_, LONG) => None,
        (_, rest) => Some(Some(algorithm.expand(Compact {
            until: base + until(stamp),
            rest: rest.into(),
        }))),
    }
}

/// The instant, counted from the base, at which a bucket is full that leaves no credits over; `None` if the stamp is not
/// of one in its cell.
#[inline(always)]
pub(super) fn unpack_steady(stamp: u64) -> Option<u64> {
    (rest(stamp) == 0).then(|| until(stamp))
}

/// The stamp that such a bucket is, full at `until`; `None` if that, or `now`, is nothing that a stamp can tell.
#[inline(always)]
pub(super) fn pack_steady(now: u64, until: u64) -> Option<u64> {
    ((now | until) <= UNTIL_MAX).then(|| stamp(until, 0))
}

/// A stamp with `units` more in its 16 bits; `None` for one that is of no state or of one that is kept elsewhere, and if
/// there is no room.
#[inline(always)]
pub(super) fn add_units(known: u64, units: u64) -> Option<u64> {
    let fits = known != 0 && units < u64::from(LONG) - u64::from(rest(known));
    fits.then(|| known + units)
}

/// The log in a cell, `Some(None)` for absence; `None` if it is kept elsewhere.
#[inline]
pub(super) fn read_log(cell: &Words, base: u64) -> Option<Option<Log>> {
    let stamp = cell[1].load(Ordering::Relaxed);
    if stamp == 0 {
        return Some(None);
    }
    let entries = cell[HEADER_WORDS..].get(..rest(stamp).into())?;
    let entry = |word: &crate::sync::AtomicU64| {
        let word = word.load(Ordering::Relaxed);
        Entry {
            at: base + (word >> UNITS_BITS),
            units: word & ((1 << UNITS_BITS) - 1),
        }
    };
    Some(Some(entries.iter().map(entry).collect()))
}

/// The entries of a log that is in its cell with room for one more, and how many they are: none for absence. The others
/// are empty.
#[inline]
pub(super) fn few(cell: &Words, base: u64) -> Option<([Entry; ENTRIES], usize)> {
    let known = usize::from(rest(cell[1].load(Ordering::Relaxed)));
    let words = cell[HEADER_WORDS..].first_chunk::<ENTRIES>()?;
    if known >= ENTRIES {
        return None;
    }
    let entries = std::array::from_fn(|place| {
        let word = words[place].load(Ordering::Relaxed);
        let units = word & ((1 << UNITS_BITS) - 1);
        Entry {
            at: base + (word >> UNITS_BITS),
            // What stands behind the last entry means nothing.
            units: select_unpredictable(place < known, units, 0),
        }
    });
    Some((entries, known))
}

/// Drops the oldest of the `known` entries, so that `live` are left, and adds one; `None` if that does not fit, and then
/// nothing is written.
#[inline]
pub(super) fn add_to_few(
    cell: &Words,
    (known, live): (usize, usize),
    entry: Entry,
    void_at: Micros,
    base: u64,
) -> Option<()> {
    let words = cell[HEADER_WORDS..].first_chunk::<ENTRIES>()?;
    let (at, until) = (entry.at.wrapping_sub(base), void_at.0.wrapping_sub(base));
    // It is later than those that are there, and so not before the base; and it is void no earlier than it is made.
    if until > UNTIL_MAX || entry.units >= 1 << UNITS_BITS {
        return None;
    }
    let kept = if live < known { live } else { 0 };
    for place in 0..kept {
        let word = words.get(known - live + place)?.load(Ordering::Relaxed);
        words[place].store(word, Ordering::Relaxed);
    }
    words
        .get(live)?
        .store(at << UNITS_BITS | entry.units, Ordering::Relaxed);
    set_stamp(cell, stamp(until, live as u16 + 1));
    Some(())
}

/// Writes a log into a cell; `None` if it does not fit, and then nothing is written.
#[inline]
pub(super) fn write_log(cell: &Words, log: &Log, void_at: Micros, base: u64) -> Option<()> {
    let words = cell[HEADER_WORDS..].get(..log.len())?;
    let fits = |entry: &Entry| {
        entry.units < 1 << UNITS_BITS && entry.at >= base && entry.at - base <= UNTIL_MAX
    };
    if !log.iter().all(fits) {
        return None;
    }
    for (word, entry) in words.iter().zip(log) {
        word.store(
            (entry.at - base) << UNITS_BITS | entry.units,
            Ordering::Relaxed,
        );
    }
    let void_at = void_at.0.saturating_sub(base).min(UNTIL_MAX);
    set_stamp(cell, stamp(void_at, log.len() as u16));
    Some(())
}

/// Notes until when the state beside a cell means anything.
pub(super) fn stamp_long(cell: &Words, void_at: Micros, base: u64) {
    let until = void_at.0.saturating_sub(base).clamp(1, UNTIL_MAX);
    set_stamp(cell, stamp(until, LONG));
}

/// Where states are: in their cell, or beside it.
pub(super) struct States<'s> {
    pub(super) long: &'s LongStates,
    pub(super) base: u64,
}

impl States<'_> {
    /// The state of the key whose cell this is.
    pub(super) fn read(&self, key: Fingerprint, cell: &Words, policy: &Policy) -> Option<State> {
        if is_long(cell) {
            return self.long.copy(LongKey::new(key, cell));
        }
        let stamp = cell[1].load(Ordering::Relaxed);
        if let Some(algorithm) = fixed_size(policy) {
            let (a, b) = unpack(stamp, algorithm, self.base)??;
            return Some(State::Pair(a, b));
        }
        match rest(stamp) {
            PAIR => {
                let word = |index: usize| Some(cell.get(index)?.load(Ordering::Relaxed));
                Some(State::Pair(word(HEADER_WORDS)?, word(HEADER_WORDS + 1)?))
            }
            _ => read_log(cell, self.base)?.map(State::Log),
        }
    }

    /// Writes the state of the key whose cell this is, and tells how many others had to give way.
    pub(super) fn write(&self, key: Fingerprint, cell: &Words, stored: Stored, now: Micros) -> u64 {
        let (used, void_at) = decide::in_use(&stored, now);
        let was_long = is_long(cell);
        let void_stamp = |rest| {
            stamp(
                void_at.0.saturating_sub(self.base).clamp(1, UNTIL_MAX),
                rest,
            )
        };
        let written = match (&stored.state, fixed_size(&stored.policy)) {
            (State::Pair(a, b), Some(algorithm)) => {
                pack((*a, *b), algorithm, self.base).map(|stamp| set_stamp(cell, stamp))
            }
            (State::Log(log), None) => write_log(cell, log, void_at, self.base),
            (State::Pair(a, b), None) => {
                cell[HEADER_WORDS].store(*a, Ordering::Relaxed);
                cell[HEADER_WORDS + 1].store(*b, Ordering::Relaxed);
                set_stamp(cell, void_stamp(PAIR));
                Some(())
            }
            (State::Log(_), Some(_)) => None,
        };
        if written.is_some() {
            if was_long {
                self.long.remove(LongKey::new(key, cell));
            }
            return 0;
        }
        set_stamp(cell, void_stamp(LONG));
        let long = LongState {
            state: stored.state,
            used,
            void_at: void_at.0,
        };
        self.long.put(LongKey::new(key, cell), long, now.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::FixedWindow;

    #[test]
    fn a_state_is_in_a_stamp_only_while_that_can_tell_its_end() {
        let (window, base) = (FixedWindow::new(9, 60), 1_000);
        for (until, fits) in [
            (0, false),
            (1, true),
            (UNTIL_MAX, true),
            (UNTIL_MAX + 1, false),
        ] {
            let state = (base + until - 60, 5);
            let stamp = pack(state, &window, base);
            let back = stamp.map(|stamp| unpack(stamp, &window, base));
            assert_eq!(back, fits.then_some(Some(Some(state))), "{until}");
        }
    }
}
