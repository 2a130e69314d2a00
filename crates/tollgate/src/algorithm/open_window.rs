//! Windows on their shortest way: a charge to one that is open and has enough left only adds units to what is stored.

use super::{Compact, FixedSize, Outlook, Pair};
use crate::time::Micros;

/// An algorithm whose charge to an open window adds its cost to [`Compact::rest`], and changes nothing else.
pub(crate) trait OpenWindow: FixedSize {
    /// What [`take`](super::Counting::take) says of a charge to a state that is not void, if its window is open and the
    /// cost fits; `None` for every other. The cost is at least 1, what it makes of `rest` is below [`u16::MAX`], and `now`
    /// is no later than [`LATEST`](crate::decide::LATEST).
    fn take_open(&self, compact: Compact, now: Micros, cost: u64) -> Option<(Pair, Outlook)>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::{Counting, FixedWindow, SlidingCounter};

    const NOW: u64 = 1_700_000_000_000_000;

    /// Instants around every edge of a window that begins at `start`, and of those beside it.
    fn around(start: u64, period: u64, step: u64) -> impl Iterator<Item = Micros> {
        let windows = (0..6).map(move |windows| start + windows * period - 3 * period);
        let steps = [0, 1, period.div_ceil(2 * step), period / step];
        let edges = windows.flat_map(move |edge| steps.map(|steps| edge + steps * step));
        edges.flat_map(|edge| (edge - 1..=edge + 1).map(Micros))
    }

    /// Compares the shortest way with the rule; tells whether it said anything.
    fn agree<A: OpenWindow>(window: &A, state: Pair, now: Micros, cost: u64) -> bool {
        let Some(compact) = window.compact(state) else {
            return false;
        };
        let rest = compact.rest + cost;
        if cost == 0 || rest >= u64::from(u16::MAX) {
            return false;
        }
        let Some((next, outlook)) = window.take_open(compact, now, cost) else {
            return false;
        };
        let context = format!("{window:?}, {state:?}, at {now:?}, cost {cost}");
        let by_rule = window.take(Some(state), now, cost);
        assert_eq!(by_rule, Ok((next, outlook)), "{context}");
        let until = compact.until;
        assert_eq!(
            window.compact(next),
            Some(Compact { until, rest }),
            "{context}"
        );
        true
    }

    #[test]
    fn the_shortest_way_of_a_fixed_window_says_what_the_rule_says_or_nothing() {
        let mut taken = 0;
        for (limit, period) in [(1, 1), (5, 60_000_000), (1 << 40, 3), (65_535, 86_400)] {
            let window = FixedWindow::new(limit, period);
            for used in [1, 2, 4, 5, limit - 1, limit, 65_533, 65_534, 65_535] {
                let (state, costs) = ((NOW, used), [0, 1, 2, limit - 1, limit, limit + 1]);
                for now in around(NOW, period, 1) {
                    for cost in costs {
                        let short = agree(&window, state, now, cost);
                        let fits = window.fits_at(Some(&state), now, cost) == Some(now);
                        let is_open = window.used(Some(&state), now) > 0;
                        let is_small = used + cost < u64::from(u16::MAX);
                        assert!(
                            short || !(fits && is_open && is_small && cost > 0),
                            "{window:?}, {state:?}, at {now:?}, cost {cost}"
                        );
                        taken += u32::from(short);
                    }
                }
            }
        }
        assert!(taken > 0);
    }

    #[test]
    fn the_shortest_way_of_a_sliding_counter_says_what_the_rule_says_or_nothing() {
        let mut taken = [0; 2];
        for (limit, period) in [
            (1, 1),
            (5, 60_000_000),
            (7, 1_024),
            (1_000, 1_025),
            (1_000_000, 1_000_000_000),
            ((1 << 31) - 1, 86_400_000_000),
        ] {
            let counter = SlidingCounter::new(limit, period).unwrap();
            let (index, step) = (NOW / period, period.div_ceil(1_024));
            let counts = [0, 1, 2, limit / 2, limit - 1, limit, 2 * limit];
            for (previous, current) in counts.into_iter().flat_map(|p| counts.map(|c| (p, c))) {
                let state = (index, previous << 32 | current);
                for now in around(index * period, period, step) {
                    for cost in [0, 1, 2, limit / 2, limit - 1, limit, limit + 1] {
                        let short = agree(&counter, state, now, cost);
                        taken[usize::from(previous > 0)] += u32::from(short);
                        let fits = counter.fits_at(Some(&state), now, cost) == Some(now);
                        let is_open = now.0 / period == index && (previous, current) != (0, 0);
                        let is_small = counter
                            .compact(state)
                            .is_some_and(|compact| compact.rest + cost < u64::from(u16::MAX));
                        assert!(
                            short || !(fits && is_open && is_small && cost > 0),
                            "{counter:?}, {state:?}, at {now:?}, cost {cost}"
                        );
                    }
                }
            }
        }
        assert!(taken.iter().all(|taken| *taken > 0), "{taken:?}");
    }
}
