//! `sliding-counter`: two counters on clock-aligned windows; cheap and smooth, with a known error.

use super::divisor::{Divisor, SmallDivisor};
use super::{Charge, Compact, Counting, FixedSize, OpenWindow, Outlook, Pair, Taken, live_until};
use crate::numbers::Numbers;
use crate::time::Micros;

/// Steps in which the previous window loses its weight, at most.
const STEPS_MAX: u64 = 1024;
/// Bits of a counter: previous and current share one integer.
const COUNT_BITS: u32 = 32;

/// The units of this window and, weighted by how much of it the last T still covers, those of the one before. In any
/// interval of `period`, at most 2N - 1; N for even traffic. May deny early by up to T.
///
/// The state is (index of the window since 1970; units of the window before it, and its own). The weight falls in up
/// to 1024 equal steps and is rounded up, so that every product is small and exact.
///
/// ```
/// use tollgate::{Limiter, Micros, Quota};
///
/// let limiter = Limiter::new("100 per minute sliding-counter".parse::<Quota>()?)?;
/// let at = |seconds| Micros::from_secs(seconds);
/// assert!(limiter.check_cost_at("ann", 100, at(59)).is_allowed());
/// assert!(limiter.peek_at("ann", at(90)).remaining() <= 50, "half of the window before still counts");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlidingCounter {
    limit: u64,
    period: Divisor,
    /// The period again, for readings that are small enough.
    window: SmallDivisor,
    /// How long a step is, in microseconds.
    step: Divisor,
    /// How many steps a window has.
    steps: Divisor,
    /// One more than a counter can be: with a debt, twice the limit.
    radix: Divisor,
}

/// Two windows, seen at an instant in the later one or at its beginning.
#[derive(Clone, Copy)]
struct Windows {
    index: u64,
    previous: u64,
    current: u64,
}

impl SlidingCounter {
    /// `limit` units per `period_micros`, or `None` for a limit that does not fit a counter.
    pub(crate) fn new(limit: u64, period_micros: u64) -> Option<Self> {
        if limit >= 1 << (COUNT_BITS - 1) {
            return None;
        }
        let step = period_micros.div_ceil(STEPS_MAX);
        Some(SlidingCounter {
            limit,
            period: Divisor::new(period_micros)?,
            window: SmallDivisor::new(period_micros)?,
            step: Divisor::new(step)?,
            steps: Divisor::new(period_micros.div_ceil(step))?,
            radix: Divisor::new(2 * limit + 1)?,
        })
    }

    pub(crate) fn numbers(&self) -> Numbers {
        Numbers::SlidingCounter {
            limit: self.limit,
            period: self.period.get(),
        }
    }

    /// The windows at `now`, and the instant to decide at: never earlier than the state's own window.
    #[inline(always)]
    fn windows(&self, state: Option<&Pair>, now: Micros) -> (Windows, u64) {
        let Some(&(index, counts)) = state else {
            return (self.no_windows(now), now.0);
        };
        let known = Windows {
            index,
            previous: counts >> COUNT_BITS,
            current: counts & ((1 << COUNT_BITS) - 1),
        };
        let start = index.saturating_mul(self.period.get());
        match now.0.checked_sub(start) {
            // Most decisions are in the window of the last.
            Some(past) if past < self.period.get() => (known, now.0),
            _ => self.windows_moved(known, now),
        }
    }

    #[inline(always)]
    fn windows_moved(&self, known: Windows, now: Micros) -> (Windows, u64) {
        let period = self.period.get();
        let windows = if known.current > 0 { 2 } else { 1 };
        let after = |windows| known.index.saturating_add(windows).saturating_mul(period);
        // Too far ahead is judged alike whether its own window has units or not: a charge must not make a state void.
        if after(windows) <= now.0 || live_until(after(2), now, 2 * period).is_none() {
            return (self.no_windows(now), now.0);
        }
        if now.0 < known.index * period {
            return (known, known.index * period);
        }
        let moved = Windows {
            index: known.index + 1,
            previous: known.current,
            current: 0,
        };
        (moved, now.0)
    }

    fn no_windows(&self, now: Micros) -> Windows {
        Windows {
            index: self.period.divide(now.0).0,
            previous: 0,
            current: 0,
        }
    }

    /// Units that `previous` still weighs when `left` of the window is to come.
    #[inline(always)]
    fn weighed(&self, previous: u64, left: u64) -> u64 {
        match previous {
            0 => 0,
            _ => {
                let steps = self.step.divide_up(left);
                self.steps.divide_up(previous * steps)
            }
        }
    }

    #[inline]
    fn weighed_used(&self, windows: Windows, at: u64) -> u64 {
        let left = (windows.index + 1) * self.period.get() - at;
        windows.current + self.weighed(windows.previous, left)
    }

    /// The first instant of window `index`, or its end, at which what is left of `previous` is at most `room`.
    fn falls_to(&self, room: u64, previous: u64, index: u64) -> u64 {
        let left = match room < previous {
            true => self.left_at(room, previous),
            false => self.period.get(),
        };
        (index + 1) * self.period.get() - left
    }

    /// How much of a window is to come when what is left of `previous` falls to `room`, which is less.
    #[inline(always)]
    fn left_at(&self, room: u64, previous: u64) -> u64 {
        room * self.steps.get() / previous * self.step.get()
    }

    /// The same when it falls to one less than `previous`, which is at most the limit.
    #[inline(always)]
    fn left_at_last(&self, previous: u64) -> u64 {
        let most = self.steps.get() as u32 - 1;
        let steps = most - most / (previous as u32);
        u64::from(steps) * self.step.get()
    }

    #[inline]
    fn frees_at(&self, windows: Windows, used: u64, now: Micros, cost: u64) -> Option<Micros> {
        if cost > self.limit {
            return None;
        }
        if used + cost <= self.limit {
            return Some(now);
        }
        let at = match self.limit.checked_sub(windows.current + cost) {
            Some(room) => self.falls_to(room, windows.previous, windows.index),
            None => self.falls_to(self.limit - cost, windows.current, windows.index + 1),
        };
        Some(Micros(at))
    }

    /// The outlook with `used` units in use.
    #[inline]
    fn outlook_of(&self, windows: Windows, used: u64, now: Micros) -> Outlook {
        let remaining = self.limit.saturating_sub(used);
        Outlook {
            remaining,
            // Where nothing is used, more than all never fits.
            grows_at: self.frees_at(windows, used, now, remaining + 1),
            void_at: match windows {
                Windows { current: 1.., .. } => Micros((windows.index + 2) * self.period.get()),
                Windows { previous: 1.., .. } => Micros((windows.index + 1) * self.period.get()),
                _ => now,
            },
        }
    }

    /// The two counters that hide in an instant and the number beside it.
    #[inline(always)]
    fn counts(&self, carried: u64, rest: u64) -> (u64, u64) {
        let hidden = carried * u64::from(u16::MAX) + rest;
        // Without units in the window before there is nothing to divide.
        match hidden < self.radix.get() {
            true => (0, hidden),
            false => self.radix.divide(hidden),
        }
    }

    fn pair(windows: Windows) -> Pair {
        let counts = windows.previous << COUNT_BITS | windows.current;
        (windows.index, counts)
    }
}

impl Counting for SlidingCounter {
    type State = Pair;

    fn name(&self) -> &'static str {
        "sliding-counter"
    }

    fn capacity(&self) -> u64 {
        self.limit
    }

    fn full_refill_micros(&self) -> u64 {
        2 * self.period.get()
    }

    #[inline]
    fn fits_at(&self, state: Option<&Pair>, now: Micros, cost: u64) -> Option<Micros> {
        let (windows, at) = self.windows(state, now);
        self.frees_at(windows, self.weighed_used(windows, at), now, cost)
    }

    /// As the definition says, but each number is worked out once.
    #[inline(always)]
    fn take(&self, state: Option<Pair>, now: Micros, cost: u64) -> Taken<Pair> {
        let (mut windows, at) = self.windows(state.as_ref(), now);
        let used = self.weighed_used(windows, at);
        if cost > self.limit || used + cost > self.limit {
            return Err(state);
        }
        windows.current += cost;
        let outlook = self.outlook_of(windows, used + cost, now);
        Ok((SlidingCounter::pair(windows), outlook))
    }

    #[inline]
    fn charge(&self, state: Option<Pair>, now: Micros, cost: u64) -> Pair {
        let (windows, _) = self.windows(state.as_ref(), now);
        SlidingCounter::pair(Windows {
            current: windows.current + cost,
            ..windows
        })
    }

    #[inline]
    fn outlook(&self, state: Option<&Pair>, now: Micros) -> Outlook {
        let (windows, at) = self.windows(state, now);
        self.outlook_of(windows, self.weighed_used(windows, at), now)
    }

    fn used(&self, state: Option<&Pair>, now: Micros) -> u64 {
        let (windows, at) = self.windows(state, now);
        self.weighed_used(windows, at)
    }

    /// A charge is taken out of its own window, whichever of the two that is by now.
    fn give_back(&self, state: Pair, now: Micros, charge: &Charge) -> (Option<Pair>, u64) {
        let (mut windows, at) = self.windows(Some(&state), now);
        let before = self.weighed_used(windows, at);
        if windows.index == charge.mark.0 {
            windows.current = windows.current.saturating_sub(charge.cost);
        } else if windows.index == charge.mark.0 + 1 {
            windows.previous = windows.previous.saturating_sub(charge.cost);
        }
        let left = (windows.previous > 0 || windows.current > 0).then(|| Self::pair(windows));
        (left, before - self.weighed_used(windows, at))
    }

    fn adopt(&self, _: Pair, used: u64, now: Micros) -> Option<Pair> {
        (used > 0).then(|| {
            SlidingCounter::pair(Windows {
                index: self.period.divide(now.0).0,
                previous: 0,
                current: used.min(self.limit),
            })
        })
    }
}

/// Both counters hide in the instant: it is a multiple of the period, and what they add to it is less than a period.
impl FixedSize for SlidingCounter {
    #[inline]
    fn compact(&self, (index, counts): Pair) -> Option<Compact> {
        let (previous, current) = (counts >> COUNT_BITS, counts & ((1 << COUNT_BITS) - 1));
        let hidden = previous
            .checked_mul(self.radix.get())?
            .checked_add(current)?;
        let carried = hidden / u64::from(u16::MAX);
        let until = (index.checked_add(2)?.checked_mul(self.period.get())?).checked_add(carried)?;
        (carried < self.period.get()).then(|| Compact {
            until,
            rest: hidden % u64::from(u16::MAX),
        })
    }

    #[inline]
    fn expand(&self, compact: Compact) -> Pair {
        let (end, carried) = self.period.divide(compact.until);
        let (previous, current) = self.counts(carried, compact.rest);
        (end.wrapping_sub(2), previous << COUNT_BITS | current)
    }
}

impl OpenWindow for SlidingCounter {
    #[inline(always)]
    fn take_open(&self, compact: Compact, now: Micros, cost: u64) -> Option<(Pair, Outlook)> {
        let period = self.period.get();
        let index = self.window.divide(now.0);
        let end = (index + 1) * period;
        // A state of another window than that of `now` has no such number.
        let carried = compact.until.wrapping_sub(end + period);
        if carried >= period {
            return None;
        }
        let (previous, current) = self.counts(carried, compact.rest);
        let current = current + cost;
        let (remaining, grows_at) = match previous {
            0 => {
                let remaining = self.limit.checked_sub(current)?;
                (remaining, end + period - self.left_at_last(current))
            }
            _ => {
                // It weighs something to the end of the window.
                let weight = self.weighed(previous, end - now.0);
                let remaining = self.limit.checked_sub(current + weight)?;
                (remaining, end - self.left_at(weight - 1, previous))
            }
        };
        let outlook = Outlook {
            remaining,
            grows_at: Some(Micros(grows_at)),
            void_at: Micros(end + period),
        };
        Some(((index, previous << COUNT_BITS | current), outlook))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_before_the_states_window_is_decided_as_at_its_beginning() {
        let counter = SlidingCounter::new(100, 60_000_000).unwrap();
        let start = 1_000 * 60_000_000;
        let before = counter.charge(None, Micros(start - 1), 40);
        let state = counter.charge(Some(before), Micros(start), 5);
        for back in [0, 1, 59_000_000] {
            let used = counter.used(Some(&state), Micros(start - back));
            assert_eq!(used, 45, "{back} us back");
        }
    }

    #[test]
    fn counters_that_an_instant_has_no_room_for_do_not_hide_in_it() {
        let counter = SlidingCounter::new(5_725, 1_000).unwrap();
        let state = |previous: u64| (1_700_000_000, previous << COUNT_BITS | 3);
        let back = |previous| {
            counter
                .compact(state(previous))
                .map(|small| counter.expand(small))
        };
        // At 11,451 for each of the one and 65,535 for each microsecond the other 1,000 microseconds are full at 5,724.
        assert_eq!(back(5_723), Some(state(5_723)));
        assert_eq!(back(5_724), None);
    }
}
