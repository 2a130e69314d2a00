//! How much a node may take of a shared bucket in advance.

use std::time::Duration;

/// A lease lasts for this part of the time in which its bucket refills.
const PART_OF_REFILL: u64 = 10;
/// Units of an automatic lease: this part of the bucket.
const PART_OF_BUCKET: u64 = 20;
const TIME_MICROS_MIN: u64 = 50_000;
const TIME_MICROS_MAX: u64 = 2_000_000;

/// Whether a node takes units of a token bucket in advance from a shared store, to spend them without asking.
///
/// They are charged as if at the end of the lease and cannot be spent after it, so no more is admitted than without
/// leases. The price: others may be denied up to that much earlier, and `remaining` is an estimate.
///
/// ```
/// use tollgate::{Lease, Policy, Quota};
///
/// let quota: Quota = "10000 per second token-bucket".parse()?;
/// let policy = Policy::new("per-user", quota)?.with_lease(Lease::Auto);
/// assert_eq!(policy.lease(), Lease::Auto);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lease {
    /// Every decision asks the store.
    #[default]
    Off,
    /// As many units as the node has use for, at most a twentieth of the bucket, fewer near its end, none for a key that
    /// is rarely asked for.
    Auto,
    /// The same, at most so many.
    Units(u64),
}

/// What a node may take in advance.
///
/// ```
/// use tollgate::{Lease, Policy, Quota};
///
/// let quota: Quota = "10000 per second token-bucket".parse()?;
/// let terms = Policy::new("per-user", quota)?.with_lease(Lease::Auto).lease_terms().ok_or("no leases")?;
/// assert_eq!((terms.units_max, terms.time.as_millis()), (500, 100));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTerms {
    /// The most units at a time.
    pub units_max: u64,
    /// For how long.
    pub time: Duration,
}

impl LeaseTerms {
    /// For a bucket of `capacity` that is full again after `refill_micros`, if anything can be taken in advance of it.
    pub(crate) fn of_bucket(lease: Lease, capacity: u64, refill_micros: u64) -> Option<LeaseTerms> {
        let units_max = match lease {
            Lease::Off => return None,
            Lease::Auto => (capacity / PART_OF_BUCKET).max(1),
            Lease::Units(units) => units.min(capacity),
        };
        let micros = (refill_micros / PART_OF_REFILL).clamp(TIME_MICROS_MIN, TIME_MICROS_MAX);
        (units_max > 0 && micros <= refill_micros).then_some(LeaseTerms {
            units_max,
            time: Duration::from_micros(micros),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mode, Penalty, Policy};

    fn policy(quota: &str, lease: Lease) -> Policy {
        Policy::new("p", quota.parse().unwrap())
            .unwrap()
            .with_lease(lease)
    }

    fn terms(quota: &str, lease: Lease) -> Option<(u64, u64)> {
        let terms = policy(quota, lease).lease_terms()?;
        Some((terms.units_max, terms.time.as_millis() as u64))
    }

    #[test]
    fn a_lease_is_a_twentieth_of_the_bucket_for_a_tenth_of_its_refill() {
        assert_eq!(
            terms("10000 per second token-bucket", Lease::Auto),
            Some((500, 100))
        );
        assert_eq!(
            terms("100 per minute token-bucket", Lease::Auto),
            Some((5, 2_000))
        );
        assert_eq!(
            terms("10 per second token-bucket", Lease::Auto),
            Some((1, 100))
        );
        assert_eq!(
            terms("10 per second token-bucket", Lease::Units(4)),
            Some((4, 100))
        );
        assert_eq!(
            terms("10 per second token-bucket", Lease::Units(40)),
            Some((10, 100))
        );
    }

    #[test]
    fn only_enforced_buckets_that_outlive_a_lease_have_one() {
        assert_eq!(terms("10 per second token-bucket", Lease::Off), None);
        assert_eq!(terms("10 per second token-bucket", Lease::Units(0)), None);
        assert_eq!(
            terms("10 per second", Lease::Auto),
            None,
            "a sliding window"
        );
        assert_eq!(
            terms("1000 per second burst 1 token-bucket", Lease::Auto),
            None,
            "full again in a millisecond"
        );
        let bucket = || policy("10 per second token-bucket", Lease::Auto);
        assert_eq!(bucket().with_mode(Mode::Shadow).lease_terms(), None);
        assert_eq!(bucket().counting_denied(true).lease_terms(), None);
        let penalty = Penalty::new(Duration::from_secs(1));
        assert_eq!(bucket().with_penalty(penalty).unwrap().lease_terms(), None);
    }
}
