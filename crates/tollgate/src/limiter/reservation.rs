//! An estimate that is charged now and settled when the actual cost is known.

use super::{Charged, Limiter};
use crate::decision::Decision;

/// A charge of an estimate. Dropped without a word it stays as it is, or is given back if
/// [`cancelled_on_drop`](Reservation::cancelled_on_drop) says so.
///
/// ```
/// use tollgate::{Limiter, Quota};
///
/// let limiter = Limiter::new(Quota::per_minute(1_000)?)?;
/// let reservation = limiter.reserve("ann", 400).unwrap().cancelled_on_drop();
/// assert_eq!(limiter.peek("ann").remaining(), 600);
/// drop(reservation);
/// assert_eq!(limiter.peek("ann").remaining(), 1_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "settle it with the actual cost"]
pub struct Reservation {
    decision: Decision,
    /// `None` when nothing was charged, and when it is settled.
    charged: Option<Charged>,
    cancelled_on_drop: bool,
}

impl Reservation {
    pub(super) fn charge(limiter: &Limiter, key: &[u8], estimate: u64) -> Result<Self, Decision> {
        let decision = limiter.check_cost(key, estimate);
        if !decision.is_allowed() {
            return Err(decision);
        }
        let receipt = decision.receipt();
        Ok(Reservation {
            charged: receipt.map(|receipt| Charged::new(limiter, key, receipt)),
            decision,
            cancelled_on_drop: false,
        })
    }

    /// The decision on the estimate.
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// The same reservation; dropped without a word, it is given back instead of standing as estimated.
    pub fn cancelled_on_drop(mut self) -> Self {
        self.cancelled_on_drop = true;
        self
    }

    /// Charges `actual` instead of the estimate. What is above the estimate may leave a debt of at most one capacity; what
    /// is below it is given back, as far as the charge still holds it.
    pub fn settle(mut self, actual: u64) {
        if let Some(charged) = self.charged.take() {
            charged.settle(actual);
        }
    }

    /// Gives back what the charge still holds, and tells how many units that were, over all policies.
    pub fn cancel(mut self) -> u64 {
        self.charged.take().map_or(0, |charged| charged.give_back())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(charged) = self.charged.take().filter(|_| self.cancelled_on_drop) {
            charged.give_back();
        }
    }
}
