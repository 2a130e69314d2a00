//! `sliding-window`, the default: never more than N units in any interval of length T.

use std::hint::select_unpredictable;

use super::{Charge, Counting, Entry, Log, Outlook, Taken, live_until};
use crate::algorithm::log::{empty_newest, take_newest};
use crate::numbers::Numbers;
use crate::time::Micros;

/// Entries that a state holds at most.
const ENTRIES_MAX: usize = 128;

/// At most `limit` units in any half-open interval of `period`: a unit charged at t is free again at exactly t + T.
///
/// The state is the log of admitted units. When a log would hold more than 128 entries, those in one cell of
/// ceil(T / 127) become one with the latest of their times: the window denies early by less than a cell, never late,
/// and never at all when N is at most 128.
///
/// ```
/// use tollgate::{Limiter, Micros, Quota};
///
/// let limiter = Limiter::new("2 per 10 seconds".parse::<Quota>()?)?;
/// let allowed = |at| limiter.check_at("ann", Micros::from_secs(at)).is_allowed();
/// assert!(allowed(0) && allowed(9) && !allowed(9));
/// assert!(allowed(10) && !allowed(10), "the unit of second 0 is free, that of second 9 is not");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlidingWindow {
    limit: u64,
    period: u64,
    cell: u64,
}

impl SlidingWindow {
    /// `limit` units in any `period_micros`. Both are at least 1 and at most [`INTEGER_MAX`](super::INTEGER_MAX).
    pub(crate) fn new(limit: u64, period_micros: u64) -> Self {
        SlidingWindow {
            limit,
            period: period_micros,
            cell: period_micros.div_ceil(ENTRIES_MAX as u64 - 1),
        }
    }

    pub(crate) fn numbers(&self) -> Numbers {
        Numbers::SlidingWindow {
            limit: self.limit,
            period: self.period,
        }
    }

    /// The entries that count at `now`: those ahead of it, made by a clock that has gone back or reserved, all do.
    fn live<'a>(&self, state: Option<&'a Log>, now: Micros) -> &'a [Entry] {
        let Some((entries, newest)) = state.and_then(|log| Some((log, log.last()?))) else {
            return &[];
        };
        if live_until(newest.at + self.period, now, self.period).is_none() {
            return &[];
        }
        &entries[entries.partition_point(|entry| entry.at + self.period <= now.0)..]
    }

    /// Adds units at `at`, or at the newest entry's instant if that is later.
    fn add(&self, state: Option<Log>, now: Micros, at: u64, units: u64) -> Log {
        let expired =
            state.as_ref().map_or(0, |log| log.len()) - self.live(state.as_ref(), now).len();
        let mut entries = state.unwrap_or_default();
        self.append(&mut entries, expired, at, units);
        entries
    }

    /// Removes the oldest entries and adds units. A log that is full takes them into its newest entry where that is of
    /// the same cell, else it is coalesced.
    fn append(&self, entries: &mut Log, expired: usize, at: u64, units: u64) {
        if expired > 0 {
            entries.drain(..expired);
        }
        let full = entries.len() == ENTRIES_MAX;
        match entries.last_mut() {
            Some(newest) if newest.at >= at => newest.units += units,
            Some(newest) if full && newest.at / self.cell == at / self.cell => {
                newest.at = at;
                newest.units += units;
            }
            _ => entries.push(Entry { at, units }),
        }
        if entries.len() > ENTRIES_MAX {
            coalesce(entries, self.cell);
        }
    }

    /// As `take`, on a log of a few entries, all earlier than `now`, and empty ones before or behind: how many of them
    /// are live, and the outlook. `None` if the cost does not fit.
    ///
    /// How many there are nobody can foresee, a processor neither: so they are gone through without a branch.
    #[inline]
    pub(crate) fn take_few<const N: usize>(
        &self,
        entries: &[Entry; N],
        now: Micros,
        cost: u64,
    ) -> Option<(usize, Outlook)> {
        let (mut live, mut used, mut oldest) = (0, 0, now.0);
        for entry in entries.iter().rev() {
            let counts = entry.units > 0 && entry.at + self.period > now.0;
            live += usize::from(counts);
            used += select_unpredictable(counts, entry.units, 0);
            oldest = select_unpredictable(counts, entry.at, oldest);
        }
        let outlook = Outlook {
            remaining: self.limit.checked_sub(used)?.checked_sub(cost)?,
            grows_at: Some(Micros(oldest + self.period)),
            void_at: Micros(now.0 + self.period),
        };
        Some((live, outlook))
    }

    fn outlook_of(&self, live: &[Entry], used: u64, now: Micros) -> Outlook {
        let remaining = self.limit.saturating_sub(used);
        Outlook {
            remaining,
            // Where nothing is used, more than all never fits.
            grows_at: self.frees_at(live, used, now, remaining + 1),
            void_at: live
                .last()
                .map_or(now, |newest| Micros(newest.at + self.period)),
        }
    }

    fn frees_at(&self, live: &[Entry], used: u64, now: Micros, cost: u64) -> Option<Micros> {
        if cost > self.limit {
            return None;
        }
        let mut excess = (used + cost).saturating_sub(self.limit);
        if excess == 0 {
            return Some(now);
        }
        live.iter().find_map(|entry| {
            excess = excess.saturating_sub(entry.units);
            (excess == 0).then_some(Micros(entry.at + self.period))
        })
    }
}

impl Counting for SlidingWindow {
    type State = Log;

    fn name(&self) -> &'static str {
        "sliding-window"
    }

    fn capacity(&self) -> u64 {
        self.limit
    }

    fn full_refill_micros(&self) -> u64 {
        self.period
    }

    fn fits_at(&self, state: Option<&Log>, now: Micros, cost: u64) -> Option<Micros> {
        let live = self.live(state, now);
        self.frees_at(live, units(live), now, cost)
    }

    /// As the definition says, but the log is gone through once.
    fn take(&self, state: Option<Log>, now: Micros, cost: u64) -> Taken<Log> {
        let live = self.live(state.as_ref(), now);
        let (kept, used) = (live.len(), units(live));
        match self.frees_at(live, used, now, cost) {
            Some(at) if at <= now => {}
            _ => return Err(state),
        }
        let mut entries = state.unwrap_or_default();
        let expired = entries.len() - kept;
        self.append(&mut entries, expired, now.0, cost);
        let outlook = self.outlook_of(&entries, used + cost, now);
        Ok((entries, outlook))
    }

    fn charge(&self, state: Option<Log>, now: Micros, cost: u64) -> Log {
        self.add(state, now, now.0, cost)
    }

    fn charge_ahead(&self, state: Option<Log>, now: Micros, at: Micros, cost: u64) -> Option<Log> {
        Some(self.add(state, now, at.0, cost))
    }

    fn outlook(&self, state: Option<&Log>, now: Micros) -> Outlook {
        let live = self.live(state, now);
        self.outlook_of(live, units(live), now)
    }

    fn used(&self, state: Option<&Log>, now: Micros) -> u64 {
        units(self.live(state, now))
    }

    /// A charge in advance is taken out of its own instant, so that nobody else's turn moves; of others, the newest
    /// units go first.
    fn give_back(&self, state: Log, now: Micros, charge: &Charge) -> (Option<Log>, u64) {
        let live = self.live(Some(&state), now);
        let (at, _) = charge.mark;
        if at + self.period <= now.0 || live.is_empty() {
            return (Some(state), 0);
        }
        let mut kept = Log::from_slice(live);
        let place = kept.partition_point(|entry| entry.at < at);
        let given_back = if at > now.0 {
            let own = kept
                .get_mut(place)
                .filter(|own| own.at / self.cell == at / self.cell);
            own.map_or(0, |own| {
                let units = charge.cost.min(own.units);
                own.units -= units;
                units
            })
        } else {
            let past = kept.partition_point(|entry| entry.at <= now.0);
            empty_newest(&mut kept[..past], charge.cost)
        };
        kept.retain(|entry| entry.units > 0);
        ((!kept.is_empty()).then_some(kept), given_back)
    }

    fn release(&self, state: Log, now: Micros, units: u64) -> (Option<Log>, u64) {
        take_newest(Log::from_slice(self.live(Some(&state), now)), units)
    }

    /// The newest `used` units stay, at most N of them.
    fn adopt(&self, mut entries: Log, used: u64, now: Micros) -> Option<Log> {
        let surplus = units(&entries).saturating_sub(used.min(self.limit));
        remove_oldest(&mut entries, surplus);
        entries.retain(|entry| entry.at + self.period > now.0);
        // Turns that were ahead by the old numbers are taken now.
        entries
            .iter_mut()
            .for_each(|entry| entry.at = entry.at.min(now.0));
        (!entries.is_empty()).then_some(entries)
    }
}

fn units(entries: &[Entry]) -> u64 {
    let add = |sum: u64, entry: &Entry| sum.saturating_add(entry.units);
    entries.iter().fold(0, add)
}

/// Entries of one cell become one, with the latest of their times. Leaves at most 128 of a window's entries: a
/// half-open interval of at most 127 cells touches at most 128.
fn coalesce(entries: &mut Log, cell: u64) {
    entries.dedup_by(|later, earlier| {
        let same_cell = later.at / cell == earlier.at / cell;
        if same_cell {
            *earlier = Entry {
                at: later.at,
                units: earlier.units + later.units,
            };
        }
        same_cell
    });
}

fn remove_oldest(entries: &mut Log, mut surplus: u64) {
    entries.retain_mut(|oldest| {
        let taken = oldest.units.min(surplus);
        oldest.units -= taken;
        surplus -= taken;
        oldest.units > 0
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_128_entries_at_most_and_all_units_in_them() {
        let window = SlidingWindow::new(1_000, 12_700_000);
        let mut log = None;
        for charged in 1..=1_000 {
            let now = Micros(1_000_000_000 + charged * 12_000);
            let next = window.charge(log, now, 1);
            assert!(next.len() <= ENTRIES_MAX, "{} entries", next.len());
            assert_eq!(window.used(Some(&next), now), charged);
            log = Some(next);
        }
    }

    #[test]
    fn a_full_log_keeps_its_entries_while_units_come_in_its_newest_cell() {
        let window = SlidingWindow::new(1_000, 12_700_000);
        let mut log = None;
        for (call, entries) in (1..=200_u64).zip((1..=128).chain(std::iter::repeat(128))) {
            let next = window.charge(log, Micros(1_000_000_000 + call), 1);
            assert_eq!(next.len(), entries);
            log = Some(next);
        }
        let next = window.charge(log, Micros(1_000_100_000), 1);
        assert_eq!(next.len(), 2, "one of each cell");
    }
}
