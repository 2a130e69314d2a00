//! A token bucket whose rate in microseconds would not fit the integers: it counts in coarser ticks.

use std::num::NonZeroU64;

use super::{Charge, Compact, Counting, FixedSize, Outlook, Pair, TokenBucket};
use crate::numbers::Numbers;
use crate::time::Micros;

/// A [`TokenBucket`] whose ticks are longer than a microsecond. The rate stays exact; instants are floored to a tick.
///
/// The state is the bucket's, in ticks.
///
/// ```
/// use tollgate::{Limiter, Quota};
///
/// // 104,251 a day is a rate that does not come out even in microseconds.
/// let limiter = Limiter::new("104251 per day token-bucket".parse::<Quota>()?)?;
/// assert_eq!(limiter.check("ann").remaining(), 104_250);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoarseBucket {
    /// Microseconds.
    tick: NonZeroU64,
    bucket: TokenBucket,
}

impl CoarseBucket {
    /// `limit` units per `period_micros` with room for `burst`, or `None` when no tick makes the numbers fit 53 bits.
    pub(crate) fn new(limit: u64, period_micros: u64, burst: u64) -> Option<Self> {
        ticks(period_micros).find_map(|tick| {
            let bucket = TokenBucket::new(limit, period_micros / tick, burst)?;
            CoarseBucket::of_numbers(bucket, tick)
        })
    }

    /// The bucket in ticks of so many microseconds, or `None` when it would take longer to fill than instants go.
    pub(crate) fn of_numbers(bucket: TokenBucket, tick: u64) -> Option<Self> {
        let tick = NonZeroU64::new(tick)?;
        // A bucket that took longer than this to fill, some 70,000 years, would leave the range of instants.
        let full_micros = Counting::full_refill_micros(&bucket).checked_mul(tick.get());
        full_micros
            .filter(|micros| *micros <= u64::MAX / 8)
            .map(|_| CoarseBucket { tick, bucket })
    }

    pub(crate) fn numbers(&self) -> Numbers {
        self.bucket.numbers(self.tick.get())
    }

    fn in_ticks(&self, instant: Micros) -> Micros {
        Micros(instant.0 / self.tick)
    }

    fn in_micros(&self, ticks: Micros) -> Micros {
        Micros(ticks.0 * self.tick.get())
    }
}

impl Counting for CoarseBucket {
    type State = Pair;

    fn name(&self) -> &'static str {
        Counting::name(&self.bucket)
    }

    fn capacity(&self) -> u64 {
        Counting::capacity(&self.bucket)
    }

    fn full_refill_micros(&self) -> u64 {
        Counting::full_refill_micros(&self.bucket) * self.tick.get()
    }

    fn fits_at(&self, state: Option<&Pair>, now: Micros, cost: u64) -> Option<Micros> {
        let fits_at = self.bucket.fits_at(state, self.in_ticks(now), cost);
        fits_at.map(|ticks| self.in_micros(ticks))
    }

    fn outlook(&self, state: Option<&Pair>, now: Micros) -> Outlook {
        let outlook = self.bucket.outlook(state, self.in_ticks(now));
        Outlook {
            remaining: outlook.remaining,
            grows_at: outlook.grows_at.map(|ticks| self.in_micros(ticks)),
            // The beginning of this tick is past.
            void_at: self.in_micros(outlook.void_at).max(now),
        }
    }

    fn used(&self, state: Option<&Pair>, now: Micros) -> u64 {
        Counting::used(&self.bucket, state, self.in_ticks(now))
    }

    fn charge(&self, state: Option<Pair>, now: Micros, cost: u64) -> Pair {
        self.bucket.charge(state, self.in_ticks(now), cost)
    }

    fn charge_ahead(&self, state: Option<Pair>, _: Micros, at: Micros, cost: u64) -> Option<Pair> {
        Some(self.charge(state, at, cost))
    }

    fn give_back(&self, state: Pair, now: Micros, charge: &Charge) -> (Option<Pair>, u64) {
        Counting::give_back(&self.bucket, state, self.in_ticks(now), charge)
    }

    fn adopt(&self, state: Pair, used: u64, now: Micros) -> Option<Pair> {
        Counting::adopt(&self.bucket, state, used, self.in_ticks(now))
    }
}

impl FixedSize for CoarseBucket {
    fn compact(&self, state: Pair) -> Option<Compact> {
        let compact = self.bucket.compact(state)?;
        let until = compact.until.checked_mul(self.tick.get())?;
        Some(Compact { until, ..compact })
    }

    fn expand(&self, compact: Compact) -> Pair {
        let until = compact.until / self.tick;
        self.bucket.expand(Compact { until, ..compact })
    }
}

/// Lengths of a tick to try, in microseconds: powers of ten that divide the period, then its coarser divisors, and
/// at last the period itself.
fn ticks(period: u64) -> impl Iterator<Item = u64> {
    const COARSE_TRIES: u64 = 100_000;
    let tens = (0..19)
        .map(|power| 10_u64.pow(power))
        .take_while(move |tick| period.is_multiple_of(*tick));
    let largest = tens.clone().last().unwrap_or(1);
    let rest = period / largest;
    let divisors = (2..rest.min(COARSE_TRIES)).filter(move |divisor| rest.is_multiple_of(*divisor));
    tens.chain(divisors.map(move |divisor| largest * divisor))
        .chain([period])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_as_short_as_the_numbers_allow() {
        let tick = |limit, days: u64| {
            let bucket = CoarseBucket::new(limit, days * 86_400_000_000, limit).unwrap();
            bucket.tick.get()
        };
        assert_eq!(tick(10, 1), 1);
        assert_eq!(tick(104_251, 1), 10);
        assert_eq!(tick(287, 365), 10);
        // No power of ten divides it, and with ticks of 9 us the numbers do not fit.
        let odd = CoarseBucket::new(1_000, 3_u64.pow(30), 1_000).unwrap();
        assert_eq!(odd.tick.get(), 27);
    }

    #[test]
    fn what_is_given_back_at_once_was_never_charged() {
        let bucket = CoarseBucket::new(104_251, 86_400_000_000, 104_251).unwrap();
        let now = Micros(1_700_000_000_000_007);
        let one = bucket.charge(None, now, 5);
        let both = bucket.charge(Some(one), now, 7);
        let charge = Charge::new(7, &both);
        let left = Counting::give_back(&bucket, both, now, &charge);
        assert_eq!(left, (Some(one), 7));
        let charge = Charge::new(5, &one);
        assert_eq!(Counting::give_back(&bucket, one, now, &charge), (None, 5));
    }

    #[test]
    fn a_bucket_that_would_never_fill_is_refused() {
        let century = 100 * 365 * 86_400_000_000;
        assert!(CoarseBucket::new(1, century, 20).is_some());
        assert!(CoarseBucket::new(1, century, 10_000).is_none());
        assert!(CoarseBucket::new(1, century, 1 << 53).is_none());
    }

    #[test]
    fn other_numbers_take_over_what_was_used() {
        let bucket = CoarseBucket::new(104_251, 86_400_000_000, 104_251).unwrap();
        let other = CoarseBucket::new(287, 365 * 86_400_000_000, 9).unwrap();
        assert_eq!(Counting::capacity(&bucket), 104_251);
        let now = Micros(1_700_000_000_000_007);
        let state = bucket.charge(None, now, 5);
        let used = Counting::used(&bucket, Some(&state), now);
        let moved = Counting::adopt(&other, state, used, now);
        assert_eq!((used, Counting::used(&other, moved.as_ref(), now)), (5, 5));
    }
}
