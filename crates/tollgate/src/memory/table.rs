//! A flat table of cells: open addressing with a bounded window, one lock bit a cell, nothing ever moved or resized.
//!
//! A cell is a few words: its head, its stamp, and what the caller keeps behind them.
//!
//! ```text
//! head  = tag of the fingerprint (47 bits) | index of the policy (16) | held (1)      0: never used
//! stamp = an instant in microseconds (48 bits) | 16 bits of the caller's               void from that instant on
//! ```
//!
//! A key lives in one of the 32 cells from its home on, always the same one until another key takes it. Whoever holds
//! a cell (has set its lowest bit) may write it, and releases it by writing the head. A cell that has been used is never
//! again as if it had not, so a search ends at the first that never was. New keys are put in under one of a few locks,
//! chosen by the key, so that no key is put in twice. A void cell is free to take; expiry is no work at all.

use super::fingerprint::{Fingerprint, HOMES_PER_WINDOW_MIN};
use super::first_used::FirstUsed;
use crate::sync::{self, AtomicU64, Mutex, MutexGuard, Ordering};

/// Cells that a key can be in.
pub(super) const WINDOW: usize = 32;
/// Words of a cache line.
const LINE_WORDS: usize = 8;
const LINE_PAIRS: usize = LINE_WORDS / 2;
/// Locks for putting keys in.
const INSERT_LOCKS: usize = 1024;
/// Counts of cells that were taken over: a cell's is that of its eight words.
const TAKEOVER_COUNTS: usize = if cfg!(loom) { 8 } else { 1024 };
/// Times that a newcomer tries again when others change its window.
const CLAIM_TRIES: usize = 4;

/// Cache lines that are looked at to count the keys of a table in which many cells were used.
const LINES_COUNTED: usize = 1 << 16;

const HELD: u64 = 1;
const INDEX_SHIFT: u32 = 1;
const TAG_SHIFT: u32 = 17;
const REST_BITS: u32 = 16;

/// A cell of any table.
pub(super) type Words = [AtomicU64];

/// The latest instant that a stamp can tell.
pub(super) const UNTIL_MAX: u64 = (1 << 48) - 1;

#[inline]
pub(super) fn head(key: Fingerprint, index: u16) -> u64 {
    key.tag() << TAG_SHIFT | u64::from(index) << INDEX_SHIFT
}

#[inline]
pub(super) fn index_of(head: u64) -> u16 {
    (head >> INDEX_SHIFT) as u16
}

#[inline]
pub(super) fn stamp(until: u64, rest: u16) -> u64 {
    until << REST_BITS | u64::from(rest)
}

#[inline]
pub(super) fn until(stamp: u64) -> u64 {
    stamp >> REST_BITS
}

#[inline]
pub(super) fn rest(stamp: u64) -> u16 {
    stamp as u16
}

/// Two words: allocators begin at such an address, so that a cache line is four of them, from one of the first on.
pub(super) type Pair = [AtomicU64; 2];

/// A table of cells of `CELL` words, which are whole pairs.
pub(super) struct Table<const CELL: usize> {
    pairs: Box<[Pair]>,
    /// The first pair that begins a cache line.
    first: usize,
    homes: usize,
    inserting: Box<[Mutex<()>]>,
    /// How often a cell got another head, after one that was not 0. [`look`](Table::look) asks for them.
    takeovers: Box<[AtomicU64]>,
    /// `None` where all lines can be looked at.
    first_used: Option<FirstUsed>,
}

/// A cell that this thread holds. It is released when this is dropped.
pub(super) struct Held<'t> {
    pub(super) words: &'t Words,
    /// What the head is to be.
    head: u64,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.words[0].store(self.head, Ordering::Release);
    }
}

impl Held<'_> {
    /// What the head is to be; [`Table::take_over`] makes it another.
    #[inline]
    pub(super) fn head(&self) -> u64 {
        self.head
    }

    #[inline]
    pub(super) fn stamp(&self) -> u64 {
        self.words[1].load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn set_stamp(&self, stamp: u64) {
        set_stamp(self.words, stamp);
    }
}

/// Writes the stamp of a cell that is held. Whoever acquires it without holding the cell sees what came before.
#[inline]
pub(super) fn set_stamp(cell: &Words, stamp: u64) {
    cell[1].store(stamp, Ordering::Release);
}

/// Holds `cell` if its head is still `head`.
///
/// In the one order of all holds and of all heads that are looked at, no two threads each change one key and then see
/// the other's key as it was. (The models do not tell that from acquiring: their checker takes one for the other.)
#[inline]
pub(super) fn try_hold(cell: &Words, head: u64) -> Option<Held<'_>> {
    cell[0]
        .compare_exchange(head, head | HELD, Ordering::SeqCst, Ordering::Relaxed)
        .ok()
        .map(|_| Held { words: cell, head })
}

/// Holds `cell`, waiting for its holder, as long as its head is otherwise `head`.
#[inline]
fn hold_as(cell: &Words, head: u64) -> Option<Held<'_>> {
    let mut turns = 0;
    loop {
        if let Some(held) = try_hold(cell, head) {
            return Some(held);
        }
        if cell[0].load(Ordering::Relaxed) & !HELD != head {
            return None;
        }
        sync::wait(&mut turns);
    }
}

/// Holds `cell`, waiting for its holder; `None` if it is not the key's (any more).
pub(super) fn hold(cell: &Words, key: Fingerprint) -> Option<Held<'_>> {
    let mut turns = 0;
    loop {
        let head = cell[0].load(Ordering::Relaxed);
        if head >> TAG_SHIFT != key.tag() {
            return None;
        }
        if head & HELD == 0
            && let Some(held) = try_hold(cell, head)
        {
            return Some(held);
        }
        sync::wait(&mut turns);
    }
}

/// Which of the locks for putting keys in is this key's.
pub(super) fn insert_lock_of(key: Fingerprint) -> usize {
    key.0 as usize % INSERT_LOCKS
}

/// A place for a newcomer.
pub(super) struct Claim<'t> {
    pub(super) held: Held<'t>,
    /// Whether the key that was there still had units in use.
    pub(super) evicted: bool,
}

impl<const CELL: usize> Table<CELL> {
    /// Cells of a cache line.
    const LINE_CELLS: usize = LINE_WORDS / CELL;
    const CELL_PAIRS: usize = CELL / 2;
    /// Homes beyond which a window ends.
    const WINDOW_HOMES: usize = WINDOW * CELL / LINE_WORDS;
    /// The fewest bytes that a table has.
    pub(super) const BYTES_MIN: usize = HOMES_PER_WINDOW_MIN * WINDOW * CELL * 8;

    /// A table of about `bytes`, or of the fewest that one can have. Memory is taken as cells are first used.
    pub(super) fn new(bytes: usize) -> Self {
        let homes = bytes.max(Self::BYTES_MIN) / (8 * LINE_WORDS);
        Table::with_homes(homes)
    }

    /// What it has for its keys, in bytes.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.homes * 8 * LINE_WORDS
    }

    /// A table of `homes` cache lines and what the last window needs. The last window has its home among these, so one
    /// line is left over for the words before the first line begins.
    pub(super) fn with_homes(homes: usize) -> Self {
        let pairs = zeroed((homes + Self::WINDOW_HOMES) * LINE_PAIRS);
        let first = pairs.as_ptr().align_offset(8 * LINE_WORDS);
        Table {
            first: first.min(LINE_PAIRS),
            pairs,
            homes,
            inserting: (0..INSERT_LOCKS).map(|_| Mutex::new(())).collect(),
            takeovers: (0..TAKEOVER_COUNTS).map(|_| AtomicU64::new(0)).collect(),
            first_used: (homes >= 2 * LINES_COUNTED).then(FirstUsed::new),
        }
    }

    #[inline]
    fn window(&self, key: Fingerprint) -> &[[AtomicU64; CELL]] {
        let start = self.first + key.home(self.homes) * LINE_PAIRS;
        let window = &self.pairs[start..start + WINDOW * Self::CELL_PAIRS];
        window.as_flattened().as_chunks().0
    }

    /// The key's cell, if it has one.
    ///
    /// Which cell of a line it is, nobody can foresee, a processor neither: so a line is gone through without a branch.
    #[inline]
    pub(super) fn find(&self, key: Fingerprint) -> Option<&[AtomicU64; CELL]> {
        for line in self.window(key).chunks_exact(Self::LINE_CELLS) {
            let (mut found, mut ends) = (usize::MAX, false);
            for (place, cell) in line.iter().enumerate() {
                let head = cell[0].load(Ordering::Relaxed);
                let here = head >> TAG_SHIFT == key.tag();
                found = std::hint::select_unpredictable(here, place, found);
                ends |= head == 0;
            }
            let cell = line.get(found);
            if cell.is_some() || ends {
                return cell;
            }
        }
        None
    }

    /// The key's cell, if that is the first of its places, the head is `head` and nobody holds it: most are.
    #[inline(always)]
    fn first(&self, key: Fingerprint, head: u64) -> Option<&Words> {
        let line = self.first + key.home(self.homes) * LINE_PAIRS;
        let start = line + Self::place(key, 0) * Self::CELL_PAIRS;
        let cell = match Self::CELL_PAIRS {
            1 => std::slice::from_ref(self.pairs.get(start)?),
            pairs => self.pairs.get(start..start + pairs)?,
        };
        let cell = cell.as_flattened();
        // Nobody waits for memory here: the processor goes on as if this were so.
        (cell[0].load(Ordering::Relaxed) == head).then_some(cell)
    }

    /// Holds the key's [`first`](Table::first) cell.
    #[inline(always)]
    pub(super) fn hold_first(&self, key: Fingerprint, head: u64) -> Option<Held<'_>> {
        try_hold(self.first(key, head)?, head)
    }

    /// Holds the key's cell, if it has one and the head is `head` but for being held.
    #[inline]
    pub(super) fn hold_as(&self, key: Fingerprint, head: u64) -> Option<Held<'_>> {
        let first = self.hold_first(key, head);
        first.or_else(|| hold_as(self.find(key)?, head))
    }

    /// The stamp that the key has under `head`, without holding its cell. Whoever holds it is waited for.
    ///
    /// It is one that was valid at some instant of this call. Nobody held the cell when its head was read; later holders
    /// write a stamp when all is decided, and if it was for another head, that was counted before. (If it was counted
    /// before the first look at the count, the cell was not seen without its holder.)
    #[inline]
    pub(super) fn look(&self, key: Fingerprint, head: u64) -> Option<u64> {
        let first = self.first(key, head);
        let cell = first.or_else(|| Some(&self.find(key)?[..]))?;
        let takeovers = self.takeovers_of(cell);
        let mut turns = 0;
        loop {
            let before = takeovers.load(Ordering::Acquire);
            let seen = cell[0].load(Ordering::SeqCst);
            if seen == head {
                let stamp = cell[1].load(Ordering::Acquire);
                return (takeovers.load(Ordering::Relaxed) == before).then_some(stamp);
            }
            if seen & !HELD != head {
                return None;
            }
            sync::wait(&mut turns);
        }
    }

    /// Gives a held cell another head, before a stamp is written that belongs to it.
    pub(super) fn take_over(&self, held: &mut Held<'_>, head: u64) {
        if held.head != head && held.head != 0 {
            self.takeovers_of(held.words)
                .fetch_add(1, Ordering::Release);
        }
        held.head = head;
    }

    #[inline]
    fn takeovers_of(&self, cell: &Words) -> &AtomicU64 {
        &self.takeovers[self.start_of(cell) / LINE_WORDS % TAKEOVER_COUNTS]
    }

    /// Where in its window the key's place `number` is: line by line, and within each from a cell on that differs from
    /// key to key. So most keys are in their first.
    #[inline(always)]
    fn place(key: Fingerprint, number: usize) -> usize {
        let within = Self::LINE_CELLS - 1;
        number & !within | (number + key.0 as usize) & within
    }

    /// The line behind the home of a key, where many are that found their home taken.
    #[inline]
    pub(super) fn behind_home(&self, key: Fingerprint) -> &AtomicU64 {
        &self.window(key)[Self::LINE_CELLS][0]
    }

    /// Touches the home of a key, so that it is on its way when it is needed.
    #[inline]
    pub(super) fn home(&self, key: Fingerprint) -> &AtomicU64 {
        &self.window(key)[0][0]
    }

    /// While this is held, no key of this lock is put in.
    pub(super) fn lock_inserts(&self, of: usize) -> MutexGuard<'_, ()> {
        sync::lock(&self.inserting[of])
    }

    /// A cell for a key that has none: one that was never used, is void at `now`, or has the fewest units in use, if
    /// fewer than `units`. The key's insert lock is held. `units_of` may be asked about cells that others change.
    pub(super) fn claim(
        &self,
        key: Fingerprint,
        now: u64,
        units: u64,
        units_of: impl Fn(&Words, u64) -> u64,
    ) -> Option<Claim<'_>> {
        let used = |cell: &Words, head: u64| match cell[1].load(Ordering::Relaxed) {
            // The latest instant that a stamp can tell stands for all later ones.
            stamp if until(stamp) <= now.min(UNTIL_MAX - 1) => 0,
            stamp => units_of(cell, head).max(u64::from(until(stamp) > now)),
        };
        for _ in 0..CLAIM_TRIES {
            let mut least: Option<(u64, &Words, u64)> = None;
            let window = self.window(key);
            for cell in (0..WINDOW).map(|number| &window[Self::place(key, number)]) {
                let head = cell[0].load(Ordering::Acquire);
                if head & HELD != 0 {
                    continue;
                }
                let in_use = if head == 0 { 0 } else { used(cell, head) };
                if least.is_none_or(|(fewest, ..)| in_use < fewest) {
                    least = Some((in_use, cell, head));
                }
                if in_use == 0 {
                    break;
                }
            }
            let (fewest, cell, head) = least?;
            if fewest >= units {
                return None;
            }
            // It may have been taken, or used, since it was looked at.
            if let Some(held) = try_hold(cell, head) {
                let in_use = used(cell, head);
                if in_use <= fewest {
                    if let Some(first_used) = self.first_used.as_ref().filter(|_| head == 0) {
                        first_used.note(self.start_of(cell));
                    }
                    let evicted = in_use > 0;
                    return Some(Claim { held, evicted });
                }
            }
        }
        None
    }

    /// The fingerprint of the key that `cell` has `head` for.
    pub(super) fn fingerprint(&self, cell: &Words, head: u64) -> Option<Fingerprint> {
        let line = (self.start_of(cell) / 2 - self.first) / LINE_PAIRS;
        Fingerprint::recover(head >> TAG_SHIFT, line, Self::WINDOW_HOMES, self.homes)
    }

    /// The word that `cell` begins with.
    fn start_of(&self, cell: &Words) -> usize {
        (cell.as_ptr().addr() - self.pairs.as_ptr().addr()) / size_of::<AtomicU64>()
    }

    /// Cells whose time has not passed at `now`, and their bytes: exactly if the table is small or few of its cells
    /// were ever used, else estimated from a part of it.
    pub(super) fn count_live(&self, now: u64) -> (u64, u64) {
        let is_live = |stamp: &AtomicU64| until(stamp.load(Ordering::Relaxed)) > now;
        let live = match self.first_used.as_ref().and_then(FirstUsed::all) {
            Some(starts) => starts
                .filter(|start| {
                    self.pairs
                        .get(start / 2)
                        .is_some_and(|pair| is_live(&pair[1]))
                })
                .count(),
            None => {
                let step = (self.homes / LINES_COUNTED).max(1);
                let lines = self.pairs[self.first..].chunks_exact(LINE_PAIRS);
                let cells = lines
                    .step_by(step)
                    .flat_map(|line| line.as_flattened().as_chunks::<CELL>().0);
                cells.filter(|cell| is_live(&cell[1])).count() * step
            }
        };
        (live as u64, live as u64 * 8 * CELL as u64)
    }

    /// Every cell that was ever used.
    pub(super) fn used(&self) -> impl Iterator<Item = &Words> {
        let words = self.pairs[self.first..].as_flattened();
        let cells: &[[AtomicU64; CELL]] = words.as_chunks().0;
        cells
            .iter()
            .map(|cell| &cell[..])
            .filter(|cell| cell[0].load(Ordering::Relaxed) != 0)
    }
}

/// Holds `cell`, whosever it is.
pub(super) fn hold_any(cell: &Words) -> Held<'_> {
    let mut turns = 0;
    loop {
        let head = cell[0].load(Ordering::Relaxed) & !HELD;
        if let Some(held) = try_hold(cell, head) {
            return held;
        }
        sync::wait(&mut turns);
    }
}

#[cfg(not(loom))]
pub(super) fn zeroed(pairs: usize) -> Box<[Pair]> {
    use zerocopy::FromZeros as _;
    // The system hands out such memory as zeros and backs it as it is used.
    <[Pair]>::new_box_zeroed_with_elems(pairs)
        .unwrap_or_else(|_| std::alloc::handle_alloc_error(std::alloc::Layout::new::<u64>()))
}

#[cfg(loom)]
pub(super) fn zeroed(pairs: usize) -> Box<[Pair]> {
    let pair = |_| [AtomicU64::new(0), AtomicU64::new(0)];
    (0..pairs).map(pair).collect()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_a_key_tells_its_fingerprint() {
        fn check<const CELL: usize>() {
            let homes = HOMES_PER_WINDOW_MIN * Table::<CELL>::WINDOW_HOMES;
            let table = Table::<CELL>::with_homes(homes);
            for number in [0, 1, 0x155_5555_5555_5555, (1 << 58) - 1] {
                let key = Fingerprint(number);
                for (place, cell) in table.window(key).iter().enumerate() {
                    let told = table.fingerprint(cell, head(key, 7));
                    assert_eq!(told, Some(key), "at place {place}");
                }
            }
        }
        check::<2>();
        check::<8>();
    }

    #[test]
    fn homes_begin_at_cache_lines() {
        for homes in [1, 1_000, 100_000] {
            let table = Table::<2>::with_homes(homes);
            let home = std::ptr::from_ref(table.home(Fingerprint(0)));
            assert!(home.addr().is_multiple_of(64), "{homes} homes");
        }
    }

    #[test]
    fn what_is_live_does_not_give_way_to_its_like_although_nothing_counts_as_used() {
        let table = Table::<2>::with_homes(1);
        let claim = |key, now, units| table.claim(Fingerprint(key), now, units, |_, _| 0);
        for key in 0..WINDOW as u64 {
            let mut held = claim(key, 50, 1).unwrap().held;
            table.take_over(&mut held, head(Fingerprint(key), 1));
            held.set_stamp(stamp(100, 0));
        }
        assert!(claim(99, 50, 1).is_none());
        assert!(claim(99, 50, 2).unwrap().evicted);
        assert!(!claim(99, 100, 1).unwrap().evicted, "void");
    }
}
