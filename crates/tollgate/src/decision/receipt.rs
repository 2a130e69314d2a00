//! What a decision charged, so that it can be given back.

use smallvec::SmallVec;

use crate::algorithm::Charge;

/// What a decision charged to each of its checks, so that it can be given back.
///
/// ```
/// use tollgate::{Limiter, Quota};
///
/// let limiter = Limiter::new(Quota::per_minute(5)?)?;
/// let receipt = limiter.check_cost("ann", 3).receipt().ok_or("denied")?;
/// assert_eq!(limiter.refund("ann", &receipt), 3);
/// assert_eq!(limiter.peek("ann").remaining(), 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub(crate) charges: SmallVec<[Charge; 2]>,
    pub(crate) degraded: bool,
}

impl Receipt {
    /// The same receipt, of charges that were made without the store that should have made them.
    #[must_use]
    pub fn degraded(self) -> Self {
        Receipt {
            degraded: true,
            ..self
        }
    }

    /// Whether the charges were made without the store that should have made them, which knows nothing of them.
    pub fn is_degraded(&self) -> bool {
        self.degraded
    }

    /// A receipt for charges, one for each check in its order.
    pub fn of(charges: impl IntoIterator<Item = Charge>) -> Self {
        Receipt {
            charges: charges.into_iter().collect(),
            degraded: false,
        }
    }

    /// What was charged to each of the checks, in their order.
    pub fn charges(&self) -> &[Charge] {
        &self.charges
    }
}
