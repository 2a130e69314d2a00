//! `fixed-window`: N units per window, and the window starts with the first request.

use super::{Charge, Compact, Counting, FixedSize, OpenWindow, Outlook, Pair, Taken, live_until};
use crate::numbers::Numbers;
use crate::time::Micros;

/// At most `limit` units in a window of `period` that begins with its first unit. Over an edge, up to 2N.
///
/// The state is (start of the window, units used in it).
///
/// ```
/// use tollgate::{Limiter, Micros, Quota};
///
/// let limiter = Limiter::new("2 per 10 seconds fixed-window".parse::<Quota>()?)?;
/// let allowed = |at| limiter.check_at("ann", Micros::from_secs(at)).is_allowed();
/// assert!(allowed(0) && allowed(9) && !allowed(9));
/// assert!(allowed(10) && allowed(10) && !allowed(10), "the window ends as a whole");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedWindow {
    limit: u64,
    period: u64,
}

impl FixedWindow {
    /// `limit` units per `period_micros`. Both are at least 1 and at most [`INTEGER_MAX`](super::INTEGER_MAX).
    pub(crate) fn new(limit: u64, period_micros: u64) -> Self {
        FixedWindow {
            limit,
            period: period_micros,
        }
    }

    pub(crate) fn numbers(&self) -> Numbers {
        Numbers::FixedWindow {
            limit: self.limit,
            period: self.period,
        }
    }

    /// The window that is open at `now`: its start and the units used in it.
    #[inline]
    fn open(&self, state: Option<&Pair>, now: Micros) -> Option<(u64, u64)> {
        let &(start, used) = state?;
        let end = start.wrapping_add(self.period);
        live_until(end, now, self.period).map(|_| (start, used))
    }
}

impl Counting for FixedWindow {
    type State = Pair;

    fn name(&self) -> &'static str {
        "fixed-window"
    }

    fn capacity(&self) -> u64 {
        self.limit
    }

    fn full_refill_micros(&self) -> u64 {
        self.period
    }

    #[inline]
    fn fits_at(&self, state: Option<&Pair>, now: Micros, cost: u64) -> Option<Micros> {
        let (start, used) = self.open(state, now).unwrap_or((now.0, 0));
        window_fits_at(self.limit, used, start + self.period, now, cost)
    }

    /// As the definition says, but the window is looked at once.
    #[inline(always)]
    fn take(&self, state: Option<Pair>, now: Micros, cost: u64) -> Taken<Pair> {
        let (start, used) = self.open(state.as_ref(), now).unwrap_or((now.0, 0));
        if cost > self.limit.saturating_sub(used) {
            return Err(state);
        }
        let used = used + cost;
        let outlook = window_outlook(self.limit, used, start + self.period, now);
        Ok(((start, used), outlook))
    }

    #[inline]
    fn charge(&self, state: Option<Pair>, now: Micros, cost: u64) -> Pair {
        let (start, used) = self.open(state.as_ref(), now).unwrap_or((now.0, 0));
        (start, used + cost)
    }

    #[inline]
    fn outlook(&self, state: Option<&Pair>, now: Micros) -> Outlook {
        let (start, used) = self.open(state, now).unwrap_or((now.0, 0));
        window_outlook(self.limit, used, start + self.period, now)
    }

    fn used(&self, state: Option<&Pair>, now: Micros) -> u64 {
        self.open(state, now).map_or(0, |(_, used)| used)
    }

    fn give_back(&self, state: Pair, now: Micros, charge: &Charge) -> (Option<Pair>, u64) {
        match self.open(Some(&state), now) {
            Some((start, used)) if start == charge.mark.0 => {
                window_refund(start, used, charge.cost)
            }
            _ => (Some(state), 0),
        }
    }

    /// The window keeps its start, so that no one waits longer; if it would already be over, it starts anew with
    /// what was used.
    fn adopt(&self, state: Pair, used: u64, now: Micros) -> Option<Pair> {
        let (start, _) = state;
        let start = if start + self.period > now.0 {
            start.min(now.0)
        } else {
            now.0
        };
        (used > 0).then_some((start, used.min(self.limit)))
    }
}

impl FixedSize for FixedWindow {
    #[inline]
    fn compact(&self, (start, used): Pair) -> Option<Compact> {
        Some(Compact {
            until: start + self.period,
            rest: used,
        })
    }

    #[inline]
    fn expand(&self, compact: Compact) -> Pair {
        (compact.until.wrapping_sub(self.period), compact.rest)
    }
}

impl OpenWindow for FixedWindow {
    #[inline(always)]
    fn take_open(&self, compact: Compact, now: Micros, cost: u64) -> Option<(Pair, Outlook)> {
        let end = live_until(compact.until, now, self.period)?;
        let used = compact.rest + cost;
        let outlook = Outlook {
            remaining: self.limit.checked_sub(used)?,
            grows_at: Some(Micros(end)),
            void_at: Micros(end),
        };
        Some(((end - self.period, used), outlook))
    }
}

/// The outlook of any window that ends as a whole: `used` of `limit` until `end`.
#[inline]
pub(super) fn window_outlook(limit: u64, used: u64, end: u64, now: Micros) -> Outlook {
    Outlook {
        remaining: limit.saturating_sub(used),
        grows_at: (used > 0).then_some(Micros(end)),
        void_at: if used > 0 { Micros(end) } else { now },
    }
}

#[inline]
pub(super) fn window_fits_at(
    limit: u64,
    used: u64,
    end: u64,
    now: Micros,
    cost: u64,
) -> Option<Micros> {
    match cost {
        _ if cost <= limit.saturating_sub(used) => Some(now),
        _ if cost <= limit => Some(Micros(end)),
        _ => None,
    }
}

/// Gives `cost` back to a window known by `edge`; an emptied window is absent.
pub(super) fn window_refund(edge: u64, used: u64, cost: u64) -> (Option<Pair>, u64) {
    let given_back = cost.min(used);
    let left = used - given_back;
    ((left > 0).then_some((edge, left)), given_back)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_stays_when_a_shorter_window_would_just_be_over() {
        let shorter = FixedWindow::new(9, 60);
        for (now, start) in [(1_059, 1_000), (1_060, 1_060), (1_061, 1_061)] {
            let moved = shorter.adopt((1_000, 5), 5, Micros(now));
            assert_eq!(moved, Some((start, 5)), "at {now}");
        }
    }
}
