//! What a person says: "at most N units per period", with an algorithm.

use std::time::Duration;

use crate::algorithm::INTEGER_MAX;
use crate::time::micros;

/// The longest period: a century of 365-day years.
pub(crate) const PERIOD_MAX_MICROS: u64 = 100 * 365 * 86_400 * 1_000_000;

/// How long a holder of a slot is believed to be alive where nothing else is said: a minute.
pub(crate) const LEASE_MICROS: u64 = 60_000_000;

/// How units are counted. See [`algorithm`](crate::algorithm) for what each promises.
///
/// ```
/// use tollgate::AlgorithmKind;
///
/// assert_eq!(AlgorithmKind::from_name("gcra"), Some(AlgorithmKind::TokenBucket));
/// assert_eq!(AlgorithmKind::default().name(), "sliding-window");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AlgorithmKind {
    /// Never more than N units in any interval of length T. The default.
    #[default]
    SlidingWindow,
    /// A burst, then a smooth refill.
    TokenBucket,
    /// N per window; a window starts with the first request, or with the calendar's unit.
    FixedWindow,
    /// Two counters, the previous window's weighted by how much of it still counts.
    SlidingCounter,
    /// At most N at the same time; T is the longest that one of them is believed to be alive.
    Concurrency,
}

impl AlgorithmKind {
    /// Every name that the notation knows, the canonical one of each kind first.
    pub const NAMES: [(&'static str, AlgorithmKind); 9] = [
        ("sliding-window", AlgorithmKind::SlidingWindow),
        ("moving-window", AlgorithmKind::SlidingWindow),
        ("sliding-log", AlgorithmKind::SlidingWindow),
        ("token-bucket", AlgorithmKind::TokenBucket),
        ("gcra", AlgorithmKind::TokenBucket),
        ("leaky-bucket", AlgorithmKind::TokenBucket),
        ("fixed-window", AlgorithmKind::FixedWindow),
        ("sliding-counter", AlgorithmKind::SlidingCounter),
        ("concurrency", AlgorithmKind::Concurrency),
    ];

    /// The canonical name.
    pub fn name(self) -> &'static str {
        match self {
            AlgorithmKind::SlidingWindow => "sliding-window",
            AlgorithmKind::TokenBucket => "token-bucket",
            AlgorithmKind::FixedWindow => "fixed-window",
            AlgorithmKind::SlidingCounter => "sliding-counter",
            AlgorithmKind::Concurrency => "concurrency",
        }
    }

    /// The kind with this name or alias, whatever its case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, kind)| *kind)
    }
}

/// A unit of the civil calendar.
///
/// ```
/// use tollgate::{CalendarUnit, Quota};
///
/// let quota = Quota::calendar(1_000, CalendarUnit::Day, "UTC")?;
/// assert_eq!(quota, "1000 per day calendar UTC".parse()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CalendarUnit {
    /// From one full minute to the next.
    Minute,
    /// From one full hour to the next.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday.
    Week,
    /// From the first of a month to the first of the next.
    Month,
    /// From New Year to New Year.
    Year,
}

impl CalendarUnit {
    /// Every unit, shortest first.
    pub const ALL: [CalendarUnit; 6] = [
        CalendarUnit::Minute,
        CalendarUnit::Hour,
        CalendarUnit::Day,
        CalendarUnit::Week,
        CalendarUnit::Month,
        CalendarUnit::Year,
    ];

    pub(crate) fn nominal_micros(self) -> u64 {
        let seconds = match self {
            CalendarUnit::Minute => 60,
            CalendarUnit::Hour => 3_600,
            CalendarUnit::Day => 86_400,
            CalendarUnit::Week => 7 * 86_400,
            CalendarUnit::Month => 30 * 86_400,
            CalendarUnit::Year => 365 * 86_400,
        };
        seconds * 1_000_000
    }
}

/// At most N units per period, counted by an algorithm. Parsed from and printed in [the notation](crate::notation).
///
/// ```
/// use tollgate::Quota;
///
/// let quota: Quota = "10/s burst 20".parse()?;
/// assert_eq!(quota.to_string(), "10 per second burst 20");
/// assert_eq!(quota, Quota::per_second(10)?.burst(20)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Quota(pub(crate) Rate);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Rate {
    Deny,
    Unlimited,
    Limited(Limited),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Limited {
    pub(crate) limit: u64,
    pub(crate) period: u64,
    pub(crate) shape: Shape,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Shape {
    SlidingWindow,
    TokenBucket { burst: u64 },
    FixedWindow,
    SlidingCounter,
    Concurrency,
    Calendar { unit: CalendarUnit, zone: String },
}

/// Why numbers do not make a quota.
///
/// ```
/// use tollgate::{Quota, QuotaError};
///
/// assert!(matches!(Quota::per_minute(0), Err(QuotaError::Zero)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuotaError {
    /// The limit is 0.
    #[error(
        "a limit of 0 is not a quota: write `deny` to refuse every request, or `unlimited` to limit nothing"
    )]
    Zero,
    /// The limit, or the burst, passes 2^53.
    #[error("{0} is too large: at most 9_007_199_254_740_992")]
    TooLarge(u64),
    /// The period is shorter than a microsecond or longer than a century.
    #[error("the period must be between a microsecond and a century")]
    Period,
    /// A burst of 0.
    #[error("a burst of 0 would never let anything pass: it must be at least 1")]
    ZeroBurst,
    /// A burst together with an algorithm that has none.
    #[error("only `token-bucket` has a burst")]
    BurstWithout,
    /// `deny` and `unlimited` have neither numbers nor an algorithm.
    #[error("`deny` and `unlimited` take no burst and no algorithm")]
    NoNumbers,
}

impl Quota {
    /// At most `limit` units per `period`, as a sliding window.
    ///
    /// # Errors
    /// A limit of 0 or above 2^53; a period below a microsecond or above a century.
    pub fn new(limit: u64, period: Duration) -> Result<Self, QuotaError> {
        let period = micros(period);
        match limit {
            0 => return Err(QuotaError::Zero),
            _ if limit > INTEGER_MAX => return Err(QuotaError::TooLarge(limit)),
            _ if period == 0 || period > PERIOD_MAX_MICROS => return Err(QuotaError::Period),
            _ => {}
        }
        Ok(Quota(Rate::Limited(Limited {
            limit,
            period,
            shape: Shape::SlidingWindow,
        })))
    }

    /// At most `limit` per second, as a sliding window.
    ///
    /// # Errors
    /// See [`Quota::new`].
    pub fn per_second(limit: u64) -> Result<Self, QuotaError> {
        Quota::new(limit, Duration::from_secs(1))
    }

    /// At most `limit` per minute, as a sliding window.
    ///
    /// # Errors
    /// See [`Quota::new`].
    pub fn per_minute(limit: u64) -> Result<Self, QuotaError> {
        Quota::new(limit, Duration::from_secs(60))
    }

    /// At most `limit` per hour, as a sliding window.
    ///
    /// # Errors
    /// See [`Quota::new`].
    pub fn per_hour(limit: u64) -> Result<Self, QuotaError> {
        Quota::new(limit, Duration::from_secs(3_600))
    }

    /// At most `limit` per 24 hours, as a sliding window.
    ///
    /// # Errors
    /// See [`Quota::new`].
    pub fn per_day(limit: u64) -> Result<Self, QuotaError> {
        Quota::new(limit, Duration::from_secs(86_400))
    }

    /// At most `limit` at the same time. A slot that is not given back is free again after `lease`.
    ///
    /// # Errors
    /// See [`Quota::new`].
    pub fn concurrent(limit: u64, lease: Duration) -> Result<Self, QuotaError> {
        Quota::new(limit, lease).map(|quota| quota.counted_by(AlgorithmKind::Concurrency))
    }

    /// The quota that refuses every request.
    pub fn deny() -> Self {
        Quota(Rate::Deny)
    }

    /// The quota that limits nothing.
    pub fn unlimited() -> Self {
        Quota(Rate::Unlimited)
    }

    /// The same numbers counted by another algorithm. A token bucket gets a burst of N.
    ///
    /// ```
    /// use tollgate::{AlgorithmKind, Quota};
    /// let quota = Quota::per_hour(100)?.counted_by(AlgorithmKind::FixedWindow);
    /// assert_eq!(quota.to_string(), "100 per hour fixed-window");
    /// # Ok::<(), tollgate::QuotaError>(())
    /// ```
    #[must_use]
    pub fn counted_by(self, kind: AlgorithmKind) -> Self {
        let Rate::Limited(Limited { limit, period, .. }) = self.0 else {
            return self;
        };
        let shape = match kind {
            AlgorithmKind::SlidingWindow => Shape::SlidingWindow,
            AlgorithmKind::TokenBucket => Shape::TokenBucket { burst: limit },
            AlgorithmKind::FixedWindow => Shape::FixedWindow,
            AlgorithmKind::SlidingCounter => Shape::SlidingCounter,
            AlgorithmKind::Concurrency => Shape::Concurrency,
        };
        Quota(Rate::Limited(Limited {
            limit,
            period,
            shape,
        }))
    }

    /// The same rate as a token bucket that holds `burst` units.
    ///
    /// # Errors
    /// A burst of 0 or above 2^53; `deny` and `unlimited`, which have no numbers.
    pub fn burst(self, burst: u64) -> Result<Self, QuotaError> {
        match (self.0, burst) {
            (_, 0) => Err(QuotaError::ZeroBurst),
            (_, burst) if burst > INTEGER_MAX => Err(QuotaError::TooLarge(burst)),
            (Rate::Limited(Limited { limit, period, .. }), burst) => {
                Ok(Quota(Rate::Limited(Limited {
                    limit,
                    period,
                    shape: Shape::TokenBucket { burst },
                })))
            }
            _ => Err(QuotaError::NoNumbers),
        }
    }

    /// At most `limit` units per unit of the calendar in a time zone, `"UTC"` or a name such as `"Europe/Berlin"`.
    /// Whether the zone exists is told when the policy is built.
    ///
    /// # Errors
    /// A limit of 0 or above 2^53.
    pub fn calendar(limit: u64, unit: CalendarUnit, zone: &str) -> Result<Self, QuotaError> {
        Quota::new(limit, Duration::from_micros(unit.nominal_micros()))
            .map(|quota| quota.on_calendar(unit, zone))
    }

    pub(crate) fn on_calendar(self, unit: CalendarUnit, zone: &str) -> Self {
        let Rate::Limited(Limited { limit, period, .. }) = self.0 else {
            return self;
        };
        Quota(Rate::Limited(Limited {
            limit,
            period,
            shape: Shape::Calendar {
                unit,
                zone: zone.to_owned(),
            },
        }))
    }

    /// N, unless the quota is `deny` or `unlimited`.
    pub fn limit(&self) -> Option<u64> {
        self.limited().map(|limited| limited.limit)
    }

    /// T, unless the quota is `deny` or `unlimited`. On a calendar, the nominal length of the unit.
    pub fn period(&self) -> Option<Duration> {
        self.limited()
            .map(|limited| Duration::from_micros(limited.period))
    }

    pub(crate) fn limited(&self) -> Option<&Limited> {
        match &self.0 {
            Rate::Limited(limited) => Some(limited),
            Rate::Deny | Rate::Unlimited => None,
        }
    }
}

impl From<Quota> for Vec<Quota> {
    fn from(quota: Quota) -> Self {
        vec![quota]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    #[test]
    fn a_kind_and_its_algorithm_have_the_first_of_its_names() {
        let named = |quota: Quota| {
            let policy = Policy::new("p", quota).unwrap();
            policy.algorithm().unwrap().name()
        };
        for (name, kind) in AlgorithmKind::NAMES {
            let known = |(_, other): &&(&str, AlgorithmKind)| *other == kind;
            let (first, _) = AlgorithmKind::NAMES.iter().find(known).unwrap();
            assert_eq!(AlgorithmKind::from_name(name), Some(kind));
            assert_eq!(kind.name(), *first);
            assert_eq!(named(Quota::per_day(5).unwrap().counted_by(kind)), *first);
        }
        // Counted in ticks that are coarser than a microsecond.
        let coarse = Quota::per_day(104_251).unwrap().burst(104_251).unwrap();
        assert_eq!(named(coarse), AlgorithmKind::TokenBucket.name());
        let calendar = Quota::calendar(5, CalendarUnit::Day, "UTC").unwrap();
        assert_eq!(named(calendar), "calendar");
    }

    #[test]
    fn a_quota_tells_its_numbers() {
        let period = Duration::from_secs(7);
        let quota = Quota::new(5, period).unwrap();
        for quota in [quota.clone(), quota.burst(9).unwrap()] {
            assert_eq!((quota.limit(), quota.period()), (Some(5), Some(period)));
        }
        for quota in [Quota::deny(), Quota::unlimited()] {
            assert_eq!((quota.limit(), quota.period()), (None, None));
        }
    }

    #[test]
    fn a_burst_is_at_most_what_every_store_can_hold_exactly() {
        let quota = Quota::per_second(5).unwrap();
        assert!(quota.clone().burst(INTEGER_MAX).is_ok());
        let more = INTEGER_MAX + 1;
        assert_eq!(quota.burst(more), Err(QuotaError::TooLarge(more)));
    }
}
