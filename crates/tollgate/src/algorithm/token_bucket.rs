//! `token-bucket` (GCRA, leaky bucket): a burst, then a smooth refill at exactly N per T.

use super::divisor::Divisor;
use super::{
    Charge, Compact, Counting, FixedSize, INTEGER_MAX, Outlook, Pair, SteadyBucket, Taken,
    live_until,
};
use crate::numbers::Numbers;
use crate::time::Micros;

/// A bucket of `burst` units that refills at `limit` per `period`. In any interval of `period`, at most burst + N - 1.
///
/// Credits make the arithmetic exact: a tick, which is a microsecond, brings `refill` of them, a unit costs `price`, and
/// `refill / price` is the rate in lowest terms. The state is (full_at: the first tick at which the bucket is full; rem: the credits by
/// which the refill then overshoots, less than `refill`).
///
/// ```
/// use tollgate::{Limiter, Micros, Quota};
///
/// let limiter = Limiter::new("1 per second burst 3".parse::<Quota>()?)?;
/// let allowed = |at| limiter.check_at("ann", Micros::from_secs(at)).is_allowed();
/// assert!(allowed(0) && allowed(0) && allowed(0) && !allowed(0), "a burst");
/// assert!(allowed(1) && !allowed(1), "and then the rate");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    burst: u64,
    refill: Divisor,
    price: Divisor,
    /// `burst * price`: credits of a full bucket.
    full: u64,
    /// Ticks from empty to full.
    full_ticks: u64,
}

impl TokenBucket {
    /// `limit` units per `period_ticks` with room for `burst`, or `None` when the numbers do not fit 53 bits.
    pub(crate) fn new(limit: u64, period_ticks: u64, burst: u64) -> Option<Self> {
        let divisor = gcd(limit, period_ticks);
        let (refill, price) = (limit / divisor, period_ticks / divisor);
        let full = price
            .checked_mul(limit.max(burst))
            .filter(|credits| *credits <= INTEGER_MAX)
            .map(|_| price * burst)?;
        Some(TokenBucket {
            burst,
            refill: Divisor::new(refill)?,
            price: Divisor::new(price)?,
            full,
            full_ticks: full.div_ceil(refill),
        })
    }

    /// The bucket of these numbers, or `None` when they do not fit 53 bits.
    pub(crate) fn of_numbers(burst: u64, refill: u64, price: u64) -> Option<Self> {
        let fits = |number: &u64| (1..=INTEGER_MAX).contains(number);
        let full = burst.checked_mul(price).filter(fits)?;
        fits(&refill).then_some(())?;
        Some(TokenBucket {
            burst,
            refill: Divisor::new(refill)?,
            price: Divisor::new(price)?,
            full,
            full_ticks: full.div_ceil(refill),
        })
    }

    pub(crate) fn numbers(&self, tick: u64) -> Numbers {
        Numbers::TokenBucket {
            burst: self.burst,
            refill: self.refill.get(),
            price: self.price.get(),
            tick,
        }
    }

    /// The same bucket on its shortest way, if it gains one credit a tick.
    pub(crate) fn steady(&self) -> Option<SteadyBucket> {
        let (refill, price) = (self.refill.get(), self.price.get());
        (refill == 1).then(|| SteadyBucket::new(self.burst, price, self.full))?
    }

    /// Ticks that bring at least `credits`. Most quotas are refilled by one credit a tick.
    #[inline]
    fn ticks_for(&self, credits: u64) -> u64 {
        match self.refill.get() {
            1 => credits,
            _ => self.refill.divide_up(credits),
        }
    }

    /// Credits missing from a full bucket.
    #[inline]
    fn deficit(&self, state: Option<&Pair>, now: Micros) -> u64 {
        let Some(&(full_at, rem)) = state else {
            return 0;
        };
        let live = live_until(full_at, now, self.full_ticks);
        live.map_or(0, |full_at| {
            ((full_at - now.0) * self.refill.get()).saturating_sub(rem)
        })
    }

    /// The first instant at which `cost` fits, given the deficit at `now`.
    #[inline]
    fn pays_at(&self, deficit: u64, now: Micros, cost: u64) -> Option<Micros> {
        if cost > self.burst {
            return None;
        }
        let excess = (deficit + cost * self.price.get()).saturating_sub(self.full);
        Some(match excess {
            0 => now,
            _ => self.after(now, excess),
        })
    }

    /// The instant at which the refill has brought `credits` more.
    #[inline]
    fn after(&self, now: Micros, credits: u64) -> Micros {
        Micros(now.0 + self.ticks_for(credits))
    }

    /// The outlook with `credits` left, which are not all.
    #[inline]
    fn outlook_of(&self, credits: u64, full_at: u64, now: Micros) -> Outlook {
        let (remaining, rest) = self.price.divide(credits);
        Outlook {
            remaining,
            grows_at: Some(self.after(now, self.price.get() - rest)),
            void_at: Micros(full_at),
        }
    }

    #[inline]
    fn state_of(&self, deficit: u64, now: Micros) -> Pair {
        let ticks = self.ticks_for(deficit);
        let rem = match self.refill.get() {
            1 => 0,
            refill => ticks * refill - deficit,
        };
        (now.0 + ticks, rem)
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
        self.full_ticks
    }

    #[inline]
    fn fits_at(&self, state: Option<&Pair>, now: Micros, cost: u64) -> Option<Micros> {
        self.pays_at(self.deficit(state, now), now, cost)
    }

    /// As the definition says, but each number is worked out once.
    #[inline(always)]
    fn take(&self, state: Option<Pair>, now: Micros, cost: u64) -> Taken<Pair> {
        let before = self.deficit(state.as_ref(), now);
        if cost <= self.burst {
            let deficit = before + cost * self.price.get();
            if let Some(credits) = self.full.checked_sub(deficit) {
                let next = self.state_of(deficit, now);
                return Ok((next, self.outlook_of(credits, next.0, now)));
            }
        }
        Err(state)
    }

    #[inline]
    fn charge(&self, state: Option<Pair>, now: Micros, cost: u64) -> Pair {
        let deficit = self.deficit(state.as_ref(), now);
        self.state_of(deficit + cost * self.price.get(), now)
    }

    fn charge_ahead(&self, state: Option<Pair>, _: Micros, at: Micros, cost: u64) -> Option<Pair> {
        Some(self.charge(state, at, cost))
    }

    #[inline(always)]
    fn outlook(&self, state: Option<&Pair>, now: Micros) -> Outlook {
        match (state, self.deficit(state, now)) {
            (Some(&(full_at, _)), deficit @ 1..) => match self.full.checked_sub(deficit) {
                Some(credits) => self.outlook_of(credits, full_at, now),
                None => Outlook {
                    remaining: 0,
                    grows_at: Some(self.after(now, deficit - self.full + self.price.get())),
                    void_at: Micros(full_at),
                },
            },
            _ => Outlook {
                remaining: self.burst,
                grows_at: None,
                void_at: now,
            },
        }
    }

    fn used(&self, state: Option<&Pair>, now: Micros) -> u64 {
        self.price.divide_up(self.deficit(state, now))
    }

    /// A charge holds what of its own credits has not been refilled since; older deficits refill first.
    fn give_back(&self, state: Pair, now: Micros, charge: &Charge) -> (Option<Pair>, u64) {
        let deficit = self.deficit(Some(&state), now);
        let held = self.deficit(Some(&charge.mark), now);
        let credits = held
            .min(charge.cost.saturating_mul(self.price.get()))
            .min(deficit);
        let left = deficit - credits;
        (
            (left > 0).then(|| self.state_of(left, now)),
            self.price.divide_up(credits),
        )
    }

    fn adopt(&self, _: Pair, used: u64, now: Micros) -> Option<Pair> {
        (used > 0).then(|| self.state_of(used.min(self.burst) * self.price.get(), now))
    }
}

impl FixedSize for TokenBucket {
    #[inline]
    fn compact(&self, (full_at, rem): Pair) -> Option<Compact> {
        Some(Compact {
            until: full_at,
            rest: rem,
        })
    }

    #[inline]
    fn expand(&self, compact: Compact) -> Pair {
        (compact.until, compact.rest)
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
