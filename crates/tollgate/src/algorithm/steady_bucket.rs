//! A token bucket on its shortest way: a charge to a key that has some of its units in use already, and enough left.

use super::divisor::SmallDivisor;
use super::{Outlook, Pair};
use crate::time::Micros;

/// The numbers of a [`TokenBucket`](super::TokenBucket) that gains one credit a tick. Nearly every one does, and then no
/// credits are left over in its state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SteadyBucket {
    burst: u64,
    price: SmallDivisor,
    /// Credits of a full bucket, and ticks from empty to full.
    full: u64,
}

impl SteadyBucket {
    /// A bucket that takes no cost: what a policy has that is not quickly decided.
    pub(crate) const CLOSED: SteadyBucket = SteadyBucket {
        burst: 0,
        price: SmallDivisor::ONE,
        full: 0,
    };

    /// `full` is `burst * price`.
    pub(super) fn new(burst: u64, price: u64, full: u64) -> Option<Self> {
        let price = SmallDivisor::new(price)?;
        Some(SteadyBucket { burst, price, full })
    }

    #[inline(always)]
    pub(crate) fn burst(&self) -> u64 {
        self.burst
    }

    /// How many ticks before it is full a bucket has `cost` left; `None` for no cost, and for one that never fits.
    #[inline(always)]
    pub(crate) fn room_beside(&self, cost: u64) -> Option<u64> {
        (cost.wrapping_sub(1) < self.burst).then(|| self.full - cost * self.price.get())
    }

    /// Charges a bucket that is full in `full_in` ticks, if the cost with this `room` beside it fits. `None` also for one
    /// that has been full, whose `full_in` wraps.
    #[inline(always)]
    pub(crate) fn take(&self, full_in: u64, room: u64) -> Option<Left> {
        let credits = room.checked_sub(full_in)?;
        let remaining = self.price.divide(credits);
        Some(Left {
            remaining,
            grows_in: (remaining + 1) * self.price.get() - credits,
            full_in: self.full - credits,
        })
    }
}

/// What a charge left of a bucket. The times are in ticks, which are microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left {
    remaining: u64,
    grows_in: u64,
    pub(crate) full_in: u64,
}

impl Left {
    /// The state of a bucket that a charge at `now` left so.
    #[inline(always)]
    pub(crate) fn state(self, now: Micros) -> Pair {
        (now.0 + self.full_in, 0)
    }

    #[inline(always)]
    pub(crate) fn outlook(self, now: Micros) -> Outlook {
        Outlook {
            remaining: self.remaining,
            grows_at: Some(Micros(now.0 + self.grows_in)),
            void_at: Micros(now.0 + self.full_in),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::algorithm::{Counting, TokenBucket};
    use crate::time::Micros;

    /// Instants before, in and behind the life of any state of these buckets.
    fn around(bucket: &TokenBucket) -> impl Iterator<Item = u64> {
        let full = bucket.full_refill_micros();
        let edges = [
            0,
            1,
            full / 2,
            full - 1,
            full,
            full + 1,
            2 * full,
            2 * full + 1,
        ];
        edges
            .into_iter()
            .flat_map(|edge| [edge.wrapping_neg(), edge])
    }

    #[test]
    fn the_shortest_way_says_what_the_rule_says_or_nothing() {
        let now = Micros::from_secs(1_700_000_000);
        let mut taken = 0;
        for (limit, period, burst) in [
            (1, 1, 1),
            (1, 1, 5),
            (5, 60_000_000, 5),
            (1, 1_000_000_000, 4_000_000),
            (1, 12_345_677, 9),
        ] {
            let bucket = TokenBucket::new(limit, period, burst).unwrap();
            let steady = bucket.steady().unwrap();
            let costs = [0, 1, 2, burst - 1, burst, burst + 1, u64::MAX];
            for (full_in, cost) in around(&bucket).flat_map(|at| costs.map(|cost| (at, cost))) {
                let state = (now.0.wrapping_add(full_in), 0);
                let room = steady.room_beside(cost);
                let short = room.and_then(|room| steady.take(full_in, room));
                if let Some(left) = short {
                    let by_rule = bucket.take(Some(state), now, cost);
                    assert_eq!(by_rule, Ok((left.state(now), left.outlook(now))));
                    taken += 1;
                }
                let is_in_use = state.0 > now.0 && full_in <= bucket.full_refill_micros();
                let fits = bucket.fits_at(Some(&state), now, cost) == Some(now);
                assert!(
                    short.is_some() || !(is_in_use && fits && cost > 0),
                    "{limit}/{period} burst {burst}, full in {full_in}, cost {cost}"
                );
            }
        }
        assert!(taken > 0);
    }

    #[test]
    fn a_bucket_that_gains_several_credits_a_tick_has_no_shortest_way() {
        assert!(TokenBucket::new(7, 5, 9).unwrap().steady().is_none());
    }
}
