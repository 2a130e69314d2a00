//! A charge that may yet change, and what it takes to change it.

use super::Limiter;
use crate::decision::Receipt;
use crate::time::Micros;

/// A charge to one key of a limiter.
#[derive(Debug)]
pub(super) struct Charged {
    limiter: Limiter,
    key: Box<[u8]>,
    receipt: Receipt,
}

impl Charged {
    pub(super) fn new(limiter: &Limiter, key: &[u8], receipt: Receipt) -> Self {
        Charged {
            limiter: limiter.clone(),
            key: key.into(),
            receipt,
        }
    }

    pub(super) fn now(&self) -> Micros {
        self.limiter.clock.now()
    }

    /// Gives back what it still holds, and tells how many units that were.
    pub(super) fn give_back(&self) -> u64 {
        self.limiter.refund(&self.key, &self.receipt)
    }

    /// Makes it a charge of `cost`.
    pub(super) fn settle(&self, cost: u64) {
        if let Ok(checks) = self.limiter.checks(&self.key, cost) {
            self.limiter
                .store
                .settle(&checks, &self.receipt, self.now());
        }
    }
}
