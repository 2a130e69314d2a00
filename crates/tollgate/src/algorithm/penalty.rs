//! `penalty`: the blocks that follow denials. It stands beside a policy, and no quota is counted by it.

use super::{Charge, Compact, Counting, FixedSize, Outlook, Pair};
use crate::penalty::Penalty;
use crate::time::Micros;

/// Blocks in a row that are told apart. With a factor of 2, fewer make a century of a microsecond.
const ROW_MAX: u64 = 64;

/// Takes one unit for a denial that counts, and then nothing until the block is over that it begins.
///
/// The state is (end of the last block, blocks in a row). It is void from the quiet time after that end on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Blocks {
    penalty: Penalty,
    /// What a state weighs against others when memory is full: as much as its policy can hold.
    weight: u64,
}

impl Blocks {
    /// The blocks of a penalty whose numbers were checked.
    pub(crate) fn new(penalty: Penalty, weight: u64) -> Self {
        let weight = weight.max(1);
        Blocks { penalty, weight }
    }

    pub(crate) fn penalty(&self) -> Penalty {
        self.penalty
    }

    pub(crate) fn weight(&self) -> u64 {
        self.weight
    }

    fn void_at(&self, end: u64) -> u64 {
        end.wrapping_add(self.penalty.quiet_micros())
    }

    /// The last block, unless it is forgiven, or its end is more than two of the longest ahead: that was begun by a clock
    /// which has been put back.
    fn remembered(&self, state: Option<&Pair>, now: Micros) -> Option<Pair> {
        let &(end, row) = state?;
        let ahead = end.saturating_sub(now.0);
        let live = self.void_at(end) > now.0 && ahead <= 2 * self.penalty.block_max_micros();
        live.then_some((end, row))
    }

    /// The end of the block that `now` is in.
    fn blocked_until(&self, state: Option<&Pair>, now: Micros) -> Option<Micros> {
        let (end, _) = self.remembered(state, now)?;
        (end > now.0).then_some(Micros(end))
    }
}

impl Counting for Blocks {
    type State = Pair;

    fn name(&self) -> &'static str {
        "penalty"
    }

    fn capacity(&self) -> u64 {
        1
    }

    fn full_refill_micros(&self) -> u64 {
        self.penalty.block_max_micros() + self.penalty.quiet_micros()
    }

    fn fits_at(&self, state: Option<&Pair>, now: Micros, cost: u64) -> Option<Micros> {
        match cost {
            0 => Some(now),
            1 => Some(self.blocked_until(state, now).unwrap_or(now)),
            _ => None,
        }
    }

    fn charge(&self, state: Option<Pair>, now: Micros, _cost: u64) -> Pair {
        let before = self.remembered(state.as_ref(), now);
        let row = before.map_or(1, |(_, row)| row.saturating_add(1).min(ROW_MAX));
        (now.0 + self.penalty.length_micros(row), row)
    }

    fn outlook(&self, state: Option<&Pair>, now: Micros) -> Outlook {
        let until = self.blocked_until(state, now);
        let void_at = self
            .remembered(state, now)
            .map(|(end, _)| self.void_at(end));
        Outlook {
            remaining: u64::from(until.is_none()),
            grows_at: until,
            void_at: void_at.map_or(now, Micros),
        }
    }

    fn used(&self, state: Option<&Pair>, now: Micros) -> u64 {
        self.remembered(state, now).map_or(0, |_| self.weight)
    }

    fn give_back(&self, state: Pair, _now: Micros, _charge: &Charge) -> (Option<Pair>, u64) {
        (Some(state), 0)
    }

    /// The block keeps its end, but nobody waits longer than the longest block of these numbers; blocks in a row stay
    /// as many.
    fn adopt(&self, state: Pair, used: u64, now: Micros) -> Option<Pair> {
        let (end, row) = state;
        let end = end.min(now.0 + self.penalty.block_max_micros());
        (used > 0 && self.void_at(end) > now.0).then_some((end, row))
    }
}

impl FixedSize for Blocks {
    fn compact(&self, (end, row): Pair) -> Option<Compact> {
        Some(Compact {
            until: self.void_at(end),
            rest: row,
        })
    }

    fn expand(&self, compact: Compact) -> Pair {
        let end = compact.until.wrapping_sub(self.penalty.quiet_micros());
        (end, compact.rest)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_block_that_was_forgiven_stays_so_under_a_longer_quiet_time() {
        let blocks = |quiet| {
            let penalty = Penalty::new(Duration::from_secs(1));
            let penalty = penalty.forgiven_after(Duration::from_secs(quiet));
            Blocks::new(penalty.checked().unwrap(), 5)
        };
        let (state, now) = ((100_000_000, 3), Micros::from_secs(110));
        let used = |quiet| blocks(quiet).used(Some(&state), now);
        assert_eq!((used(5), used(20)), (0, 5));
        assert_eq!(blocks(20).adopt(state, used(5), now), None);
        assert_eq!(blocks(20).adopt(state, used(20), now), Some(state));
        assert_eq!(blocks(5).adopt(state, used(20), now), None);
    }
}
