//! What a policy decides by: a refusal, nothing, or one of the algorithms with its numbers.

use std::sync::Arc;

use crate::algorithm::{
    Algorithm, Blocks, CoarseBucket, Concurrency, FixedSize, FixedWindow, HOLDERS_MAX,
    SlidingCounter, SlidingWindow, TokenBucket,
};
use crate::policy::error::PolicyError;
use crate::quota::{Limited, Quota, Shape};

/// What a policy decides by.
#[derive(Clone, Debug)]
pub(crate) enum Rule {
    Deny,
    Unlimited,
    Counted {
        algorithm: Counted,
        quota: Option<Quota>,
        window: u64,
    },
}

/// The algorithms of this crate by value, so that the hot path calls them directly; any other by reference.
#[derive(Clone, Debug)]
pub(crate) enum Counted {
    SlidingWindow(SlidingWindow),
    TokenBucket(TokenBucket),
    CoarseBucket(CoarseBucket),
    FixedWindow(FixedWindow),
    SlidingCounter(SlidingCounter),
    Concurrency(Concurrency),
    Blocks(Blocks),
    #[cfg(feature = "calendar")]
    Calendar(crate::algorithm::CalendarWindow),
    Custom(Arc<dyn Algorithm>),
}

impl Counted {
    pub(crate) fn algorithm(&self) -> &dyn Algorithm {
        match self {
            Counted::SlidingWindow(algorithm) => algorithm,
            Counted::TokenBucket(algorithm) => algorithm,
            Counted::CoarseBucket(algorithm) => algorithm,
            Counted::FixedWindow(algorithm) => algorithm,
            Counted::SlidingCounter(algorithm) => algorithm,
            Counted::Concurrency(algorithm) => algorithm,
            Counted::Blocks(algorithm) => algorithm,
            #[cfg(feature = "calendar")]
            Counted::Calendar(algorithm) => algorithm,
            Counted::Custom(algorithm) => algorithm.as_ref(),
        }
    }

    /// Whether its states fit a cell of fixed size.
    pub(crate) fn is_fixed_size(&self) -> bool {
        !matches!(
            self,
            Counted::SlidingWindow(_) | Counted::Concurrency(_) | Counted::Custom(_)
        )
    }

    /// The algorithm, if its states fit a cell of fixed size.
    pub(crate) fn fixed_size(&self) -> Option<&dyn FixedSize> {
        match self {
            Counted::TokenBucket(algorithm) => Some(algorithm),
            Counted::CoarseBucket(algorithm) => Some(algorithm),
            Counted::FixedWindow(algorithm) => Some(algorithm),
            Counted::SlidingCounter(algorithm) => Some(algorithm),
            Counted::Blocks(algorithm) => Some(algorithm),
            #[cfg(feature = "calendar")]
            Counted::Calendar(algorithm) => Some(algorithm),
            Counted::SlidingWindow(_) | Counted::Concurrency(_) | Counted::Custom(_) => None,
        }
    }

    /// Whether the states of both mean the same.
    pub(crate) fn counts_like(&self, other: &Counted) -> bool {
        match (self, other) {
            (Counted::Custom(a), Counted::Custom(b)) => Arc::ptr_eq(a, b),
            (Counted::Blocks(a), Counted::Blocks(b)) => a.penalty() == b.penalty(),
            (Counted::SlidingWindow(a), Counted::SlidingWindow(b)) => a == b,
            (Counted::TokenBucket(a), Counted::TokenBucket(b)) => a == b,
            (Counted::CoarseBucket(a), Counted::CoarseBucket(b)) => a == b,
            (Counted::FixedWindow(a), Counted::FixedWindow(b)) => a == b,
            (Counted::SlidingCounter(a), Counted::SlidingCounter(b)) => a == b,
            (Counted::Concurrency(a), Counted::Concurrency(b)) => a == b,
            #[cfg(feature = "calendar")]
            (Counted::Calendar(a), Counted::Calendar(b)) => a == b,
            _ => false,
        }
    }
}

/// The algorithm that a quota names, with its numbers.
pub(crate) fn counted(limited: &Limited, quota: &Quota) -> Result<Counted, PolicyError> {
    let &Limited {
        limit,
        period,
        ref shape,
    } = limited;
    Ok(match shape {
        Shape::SlidingWindow => Counted::SlidingWindow(SlidingWindow::new(limit, period)),
        Shape::FixedWindow => Counted::FixedWindow(FixedWindow::new(limit, period)),
        Shape::SlidingCounter => Counted::SlidingCounter(
            SlidingCounter::new(limit, period)
                .ok_or_else(|| PolicyError::TooMuch(quota.to_string(), (1 << 31) - 1))?,
        ),
        Shape::Concurrency => Counted::Concurrency(
            Concurrency::new(limit, period)
                .ok_or_else(|| PolicyError::TooMuch(quota.to_string(), HOLDERS_MAX))?,
        ),
        Shape::TokenBucket { burst } => match TokenBucket::new(limit, period, *burst) {
            Some(bucket) => Counted::TokenBucket(bucket),
            None => Counted::CoarseBucket(
                CoarseBucket::new(limit, period, *burst)
                    .ok_or_else(|| PolicyError::TooFine(quota.to_string()))?,
            ),
        },
        #[cfg(feature = "calendar")]
        Shape::Calendar { unit, zone } => {
            let zone =
                jiff::tz::TimeZone::get(zone).map_err(|_| PolicyError::Zone(zone.clone()))?;
            Counted::Calendar(crate::algorithm::CalendarWindow::new(limit, *unit, zone))
        }
        #[cfg(not(feature = "calendar"))]
        Shape::Calendar { zone, .. } => return Err(PolicyError::Zone(zone.clone())),
    })
}
