//! `token-bucket` (GCRA, leaky bucket): a burst, then a smooth refill at exactly N per T.

use super::{Charge, Compact, Counting, Facts, FixedSize, INTEGER_MAX, Pair, live_until};
use crate::time::Micros;

/// A bucket of `burst` units that refills at `limit` per `period`. In any interval of `period`, at most burst + N - 1.
///
/// Credits make the arithmetic exact: a tick brings `refill` of them, a unit costs `price`, and `refill / price` is
/// the rate in lowest terms. The state is (full_at: the first tick at which the bucket is full; rem: the credits by
/// which the refill then overshoots, less than `refill`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    burst: u64,
    /// Length of a tick in microseconds; more than 1 only where the rate in microseconds would not fit.
    tick: u64,
    refill: u64,
    price: u64,
    /// `burst * price`: credits of a full bucket.
    full: u64,
    /// Ticks from empty to full.
    full_ticks: u64,
}

impl TokenBucket {
    /// `limit` units per `period_micros` with room for `burst`, or `None` when no tick makes the numbers fit 53 bits.
    pub(crate) fn new(limit: u64, period_micros: u64, burst: u64) -> Option<Self> {
        ticks(period_micros)
            .find_map(|tick| TokenBucket::with_tick(limit, period_micros / tick, burst, tick))
    }

    fn with_tick(limit: u64, period_ticks: u64, burst: u64, tick: u64) -> Option<Self> {
        let divisor = gcd(limit, period_ticks);
        let (refill, price) = (limit / divisor, period_ticks / divisor);
        let full = price
            .checked_mul(limit.max(burst))
            .filter(|credits| *credits <= INTEGER_MAX)
            .map(|_| price * burst)?;
        Some(TokenBucket {
            burst,
            tick,
            refill,
            price,
            full,
            full_ticks: full.div_ceil(refill),
        })
    }

    /// Credits missing from a full bucket at tick `at`.
    fn deficit(&self, state: Option<&Pair>, now: Micros) -> u64 {
        let Some(&(full_at, rem)) = state else {
            return 0;
        };
        let at = now.0 / self.tick;
        let live = live_until(full_at, Micros(at), self.full_ticks);
        live.map_or(0, |full_at| {
            ((full_at - at) * self.refill).saturating_sub(rem)
        })
    }

    /// The first instant at which `cost` fits, given the deficit at `now`.
    fn fits_at(&self, deficit: u64, now: Micros, cost: u64) -> Option<Micros> {
        if cost > self.burst {
            return None;
        }
        let excess = (deficit + cost * self.price).saturating_sub(self.full);
        Some(match excess {
            0 => now,
            _ => Micros((now.0 / self.tick + excess.div_ceil(self.refill)) * self.tick),
        })
    }

    fn state_of(&self, deficit: u64, now: Micros) -> Pair {
        let at = now.0 / self.tick;
        let full_at = at + deficit.div_ceil(self.refill);
        (full_at, (full_at - at) * self.refill - deficit)
    }
}

impl Counting for TokenBucket {
    type State = Pair;

    fn name(&self) -> &'static str {
        "token-bucket"
    }

    fn capacity(&self) -> u64 {
        self.burst
    }

    fn full_refill_micros(&self) -> u64 {
        self.full_ticks * self.tick
    }

    fn charge(&self, state: Option<Pair>, now: Micros, cost: u64) -> Pair {
        let deficit = self.deficit(state.as_ref(), now);
        self.state_of(deficit + cost * self.price, now)
    }

    fn charge_ahead(&self, state: Option<Pair>, _: Micros, at: Micros, cost: u64) -> Option<Pair> {
        Some(self.charge(state, at, cost))
    }

    fn facts(&self, state: Option<&Pair>, now: Micros, cost: u64) -> Facts {
        let deficit = self.deficit(state, now);
        let remaining = self.full.saturating_sub(deficit) / self.price;
        Facts {
            used: deficit.div_ceil(self.price),
            remaining,
            fits_at: self.fits_at(deficit, now, cost),
            grows_at: (deficit > 0)
                .then(|| self.fits_at(deficit, now, remaining + 1))
                .flatten(),
            void_at: match state {
                Some((full_at, _)) if deficit > 0 => Micros(full_at * self.tick),
                _ => now,
            },
        }
    }

    /// A charge holds what of its own credits has not been refilled since; older deficits refill first.
    fn give_back(&self, state: Pair, now: Micros, charge: &Charge) -> (Option<Pair>, u64) {
        let deficit = self.deficit(Some(&state), now);
        let held = self.deficit(Some(&charge.mark), now);
        let credits = held
            .min(charge.cost.saturating_mul(self.price))
            .min(deficit);
        let left = deficit - credits;
        (
            (left > 0).then(|| self.state_of(left, now)),
            credits.div_ceil(self.price),
        )
    }

    fn adopt(&self, _: Pair, used: u64, now: Micros) -> Option<Pair> {
        (used > 0).then(|| self.state_of(used.min(self.burst) * self.price, now))
    }
}

impl FixedSize for TokenBucket {
    fn compact(&self, (full_at, rem): Pair) -> Option<Compact> {
        Some(Compact {
            until: full_at * self.tick,
            rest: rem.try_into().ok()?,
        })
    }

    fn expand(&self, compact: Compact) -> Pair {
        (compact.until / self.tick, compact.rest.into())
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

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_stays_a_microsecond_wherever_the_numbers_fit() {
        assert_eq!(TokenBucket::new(10, 1_000_000, 10).unwrap().tick, 1);
        assert_eq!(
            TokenBucket::new(104_251, 86_400_000_000, 104_251)
                .unwrap()
                .tick,
            10
        );
        assert_eq!(
            TokenBucket::new(287, 365 * 86_400_000_000, 287)
                .unwrap()
                .tick,
            10
        );
    }
}
