//! What a policy decides by, as plain numbers: for stores that keep states elsewhere and step them there.
//!
//! Such a store runs a transcription of each algorithm beside the states, and is told there what they were. What it
//! reports it computes from those by [`decide`](crate::decide), so that nothing is worked out twice in two ways.

use std::sync::Arc;

use crate::algorithm::{
    Blocks, CoarseBucket, Concurrency, FixedWindow, INTEGER_MAX, SlidingCounter, SlidingWindow,
    TokenBucket,
};
use crate::decide::LATEST;
use crate::penalty::Penalty;
use crate::policy::Policy;
use crate::quota::{CalendarUnit, PERIOD_MAX_MICROS};
use crate::rule::{Counted, Rule};
use crate::time::Micros;

/// The numbers of a policy. Policies whose numbers are equal make the same of every state.
///
/// ```
/// use tollgate::{Numbers, Policy, Quota};
///
/// let policy = Policy::new("per-user", Quota::per_minute(5)?)?;
/// match policy.numbers() {
///     Some(Numbers::SlidingWindow { limit, .. }) => assert_eq!(limit, 5),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Numbers {
    /// Refuses every request.
    Deny,
    /// Limits nothing.
    Unlimited,
    /// At most `limit` units in any interval of `period`. The state is a log.
    SlidingWindow {
        /// Units.
        limit: u64,
        /// Microseconds.
        period: u64,
    },
    /// A bucket of `burst` units. A tick brings `refill` credits, a unit costs `price` of them; the rate is in lowest
    /// terms. The state is (first tick at which it is full, credits by which the refill then overshoots).
    TokenBucket {
        /// Units.
        burst: u64,
        /// Credits.
        refill: u64,
        /// Credits.
        price: u64,
        /// How long a tick is, in microseconds. Nearly always 1.
        tick: u64,
    },
    /// `limit` units in a window of `period` that begins with its first unit. The state is (start, units used).
    FixedWindow {
        /// Units.
        limit: u64,
        /// Microseconds.
        period: u64,
    },
    /// `limit` units in a unit of the calendar. The state is (end of the window, units used).
    Calendar {
        /// Units.
        limit: u64,
        /// The unit of the calendar.
        unit: CalendarUnit,
        /// The time zone, by its name.
        zone: String,
    },
    /// Two counters on windows of `period` aligned to 1970. The state is (index of the window; units of the one before,
    /// shifted left by 32 bits, and its own).
    SlidingCounter {
        /// Units.
        limit: u64,
        /// Microseconds.
        period: u64,
    },
    /// `limit` leases at a time. The state is a log of the instants at which they end.
    Concurrency {
        /// Leases.
        limit: u64,
        /// How long a lease lasts, in microseconds.
        lease: u64,
    },
    /// The blocks of a penalty, which are counted under a policy of their own. The state is (end of the last block,
    /// blocks in a row, at most 64).
    Penalty(Penalty),
}

impl Policy {
    /// What the policy decides by; `None` where an algorithm of one's own counts.
    pub fn numbers(&self) -> Option<Numbers> {
        Some(match self.rule() {
            Rule::Deny => Numbers::Deny,
            Rule::Unlimited => Numbers::Unlimited,
            Rule::Counted { algorithm, .. } => match algorithm {
                Counted::SlidingWindow(window) => window.numbers(),
                Counted::TokenBucket(bucket) => bucket.numbers(1),
                Counted::CoarseBucket(bucket) => bucket.numbers(),
                Counted::FixedWindow(window) => window.numbers(),
                Counted::SlidingCounter(counter) => counter.numbers(),
                Counted::Concurrency(concurrency) => concurrency.numbers(),
                Counted::Blocks(blocks) => Numbers::Penalty(blocks.penalty()),
                #[cfg(feature = "calendar")]
                Counted::Calendar(window) => window.numbers(),
                Counted::Custom(_) => return None,
            },
        })
    }

    /// A policy that decides by these numbers, as one found beside a state does. It knows no quota. `None` where no
    /// policy has such numbers.
    pub fn of_numbers(name: &str, numbers: &Numbers, version: u64) -> Option<Arc<Policy>> {
        let rule = match numbers {
            Numbers::Deny => Rule::Deny,
            Numbers::Unlimited => Rule::Unlimited,
            counted => {
                let algorithm = counted_by(counted)?;
                let window = algorithm.algorithm().full_refill_micros();
                Rule::Counted {
                    algorithm,
                    quota: None,
                    window,
                }
            }
        };
        Some(Arc::new(
            Policy::unchecked(name, rule).with_version(version),
        ))
    }

    /// When the window of the calendar ends that contains `now`; `None` where no calendar counts.
    pub fn calendar_window_end(&self, now: Micros) -> Option<Micros> {
        match self.counted()? {
            #[cfg(feature = "calendar")]
            Counted::Calendar(window) => Some(Micros(window.end_of_window(now.min(LATEST)))),
            _ => None,
        }
    }
}

fn counted_by(numbers: &Numbers) -> Option<Counted> {
    let counts = |limit: u64, period: u64| {
        (1..=INTEGER_MAX).contains(&limit) && (1..=PERIOD_MAX_MICROS).contains(&period)
    };
    match *numbers {
        Numbers::SlidingWindow { limit, period } if counts(limit, period) => {
            Some(Counted::SlidingWindow(SlidingWindow::new(limit, period)))
        }
        Numbers::TokenBucket {
            burst,
            refill,
            price,
            tick,
        } => {
            let bucket = TokenBucket::of_numbers(burst, refill, price)?;
            Some(match tick {
                1 => Counted::TokenBucket(bucket),
                _ => Counted::CoarseBucket(CoarseBucket::of_numbers(bucket, tick)?),
            })
        }
        Numbers::FixedWindow { limit, period } if counts(limit, period) => {
            Some(Counted::FixedWindow(FixedWindow::new(limit, period)))
        }
        Numbers::SlidingCounter { limit, period } if counts(limit, period) => {
            SlidingCounter::new(limit, period).map(Counted::SlidingCounter)
        }
        Numbers::Concurrency { limit, lease } if counts(limit, lease) => {
            Concurrency::new(limit, lease).map(Counted::Concurrency)
        }
        Numbers::Penalty(penalty) => penalty
            .checked()
            .ok()
            .map(|penalty| Counted::Blocks(Blocks::new(penalty, 1))),
        #[cfg(feature = "calendar")]
        Numbers::Calendar {
            limit,
            unit,
            ref zone,
        } if (1..=INTEGER_MAX).contains(&limit) => {
            let zone = jiff::tz::TimeZone::get(zone).ok()?;
            let window = crate::algorithm::CalendarWindow::new(limit, unit, zone);
            Some(Counted::Calendar(window))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::{HOLDERS_MAX, State};

    const QUOTAS: [&str; 12] = [
        "5 per minute",
        "10/s burst 20",
        "3/s burst 1",
        "104251/day burst 9",
        "287 per year burst 1",
        "5/m fixed-window",
        "9/day calendar Europe/Berlin",
        "9 per month calendar",
        "10/m sliding-counter",
        "2 concurrent for 30 seconds",
        "deny",
        "unlimited",
    ];

    fn policy(quota: &str) -> Policy {
        Policy::new("p", quota.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_policy_of_a_policys_numbers_counts_like_it() {
        for quota in QUOTAS {
            let policy = policy(quota).with_version(7);
            let numbers = policy.numbers().unwrap();
            let same = Policy::of_numbers("p", &numbers, 7).unwrap();
            assert_eq!(same.numbers(), Some(numbers), "{quota}");
            assert_eq!(
                (same.capacity(), same.version()),
                (policy.capacity(), 7),
                "{quota}"
            );
            if policy.capacity().is_some() {
                assert!(policy.counts_like(&same), "{quota}");
            }
        }
    }

    #[test]
    fn rates_that_are_equal_in_lowest_terms_count_alike() {
        let of = |quota| policy(quota);
        assert!(of("10/s burst 3").counts_like(&of("20 per 2 seconds burst 3")));
        assert!(!of("10/s burst 3").counts_like(&of("10/s burst 4")));
        assert!(!of("10/s fixed-window").counts_like(&of("20 per 2 seconds fixed-window")));
        let now = Micros::from_secs(1);
        let step = |quota: &str| policy(quota).algorithm().unwrap().step(None, now, 3);
        let (one, other) = (step("10/s burst 3"), step("20 per 2 seconds burst 3"));
        assert_eq!(one, other);
        assert!(matches!(one, Ok(State::Pair(..))));
    }

    #[test]
    fn a_calendar_tells_the_end_of_its_window() {
        let evening = Micros::from_secs(1_795_298_400);
        let end = |quota| policy(quota).calendar_window_end(evening);
        let next_hour = Some(Micros::from_secs(1_795_298_400 + 3_600));
        assert_eq!(end("9/day calendar Europe/Berlin"), next_hour);
        assert_eq!(end("9/day"), None);
    }

    #[test]
    fn numbers_that_no_policy_has_make_none() {
        let wrong = [
            Numbers::SlidingWindow {
                limit: 0,
                period: 1,
            },
            Numbers::FixedWindow {
                limit: 1,
                period: u64::MAX,
            },
            Numbers::TokenBucket {
                burst: 1,
                refill: 0,
                price: 1,
                tick: 1,
            },
            Numbers::TokenBucket {
                burst: u64::MAX,
                refill: 1,
                price: 2,
                tick: 1,
            },
            Numbers::TokenBucket {
                burst: 9,
                refill: 1,
                price: 1 << 49,
                tick: 1 << 30,
            },
            Numbers::SlidingCounter {
                limit: 1 << 31,
                period: 1,
            },
            Numbers::SlidingCounter {
                limit: 0,
                period: 1,
            },
            Numbers::SlidingCounter {
                limit: 1,
                period: PERIOD_MAX_MICROS + 1,
            },
            Numbers::Concurrency {
                limit: HOLDERS_MAX + 1,
                lease: 1,
            },
            Numbers::Concurrency { limit: 0, lease: 1 },
            Numbers::Concurrency { limit: 1, lease: 0 },
            Numbers::Calendar {
                limit: 1,
                unit: CalendarUnit::Day,
                zone: "Nowhere/At_all".to_owned(),
            },
        ];
        for numbers in wrong {
            assert!(
                Policy::of_numbers("p", &numbers, 0).is_none(),
                "{numbers:?}"
            );
        }
    }
}
