//! `sliding-window`, the default: never more than N units in any interval of length T.

use super::{Charge, Counting, Denied, Entry, Facts, Log, live_until};
use crate::time::Micros;

/// Entries that a state holds at most.
const ENTRIES_MAX: usize = 128;

/// At most `limit` units in any half-open interval of `period`: a unit charged at t is free again at exactly t + T.
///
/// The state is the log of admitted units. When a log would hold more than 128 entries, those in one cell of
/// ceil(T / 127) become one with the latest of their times: the window denies early by less than a cell, never late,
/// and never at all when N is at most 128.
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

    /// The instant to decide at (never earlier than the newest entry) and the entries that count then.
    fn live<'a>(&self, state: Option<&'a Log>, now: Micros) -> (u64, &'a [Entry]) {
        let Some((entries, newest)) = state.and_then(|log| Some((log, log.last()?))) else {
            return (now.0, &[]);
        };
        if live_until(newest.at + self.period, now, self.period).is_none() {
            return (now.0, &[]);
        }
        let at = now.0.max(newest.at);
        let expired = entries.partition_point(|entry| entry.at + self.period <= at);
        (at, &entries[expired..])
    }

    fn fits_at(&self, live: &[Entry], used: u64, now: Micros, cost: u64) -> Option<Micros> {
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

    fn step(&self, state: Option<Log>, now: Micros, cost: u64) -> Result<Log, Denied> {
        let (at, live) = self.live(state.as_ref(), now);
        let used = units(live);
        match self.fits_at(live, used, now, cost) {
            Some(fits) if fits <= now => {}
            fits_at => return Err(Denied { fits_at }),
        }
        let live_len = live.len();
        let mut entries = state.unwrap_or_default();
        entries.drain(..entries.len() - live_len);
        match entries.last_mut() {
            Some(newest) if newest.at == at => newest.units += cost,
            _ => entries.push(Entry { at, units: cost }),
        }
        if entries.len() > ENTRIES_MAX {
            coalesce(&mut entries, self.cell);
        }
        Ok(entries)
    }

    fn facts(&self, state: Option<&Log>, now: Micros, cost: u64) -> Facts {
        let (_, live) = self.live(state, now);
        let used = units(live);
        Facts {
            used,
            remaining: self.limit.saturating_sub(used),
            fits_at: self.fits_at(live, used, now, cost),
            grows_at: live.first().map(|oldest| Micros(oldest.at + self.period)),
            void_at: live
                .last()
                .map_or(now, |newest| Micros(newest.at + self.period)),
        }
    }

    fn give_back(&self, state: Log, now: Micros, charge: &Charge) -> (Option<Log>, u64) {
        let (at, live) = self.live(Some(&state), now);
        if charge.mark.0 + self.period <= at {
            return (Some(state), 0);
        }
        let mut kept = Log::from_slice(live);
        let given_back = remove_newest(&mut kept, charge.cost);
        ((!kept.is_empty()).then_some(kept), given_back)
    }

    /// The newest `used` units stay, at most N of them.
    fn adopt(&self, mut entries: Log, used: u64, now: Micros) -> Option<Log> {
        let surplus = units(&entries).saturating_sub(used.min(self.limit));
        remove_oldest(&mut entries, surplus);
        entries.retain(|entry| entry.at + self.period > now.0);
        if entries.len() > ENTRIES_MAX {
            coalesce(&mut entries, self.cell);
        }
        (!entries.is_empty()).then_some(entries)
    }
}

fn units(entries: &[Entry]) -> u64 {
    entries.iter().map(|entry| entry.units).sum()
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

fn remove_newest(entries: &mut Log, mut surplus: u64) -> u64 {
    let wanted = surplus;
    while let Some(newest) = entries.last_mut() {
        let taken = newest.units.min(surplus);
        newest.units -= taken;
        surplus -= taken;
        if newest.units > 0 {
            break;
        }
        entries.pop();
    }
    wanted - surplus
}

fn remove_oldest(entries: &mut Log, mut surplus: u64) {
    entries.retain_mut(|oldest| {
        let taken = oldest.units.min(surplus);
        oldest.units -= taken;
        surplus -= taken;
        oldest.units > 0
    });
}
