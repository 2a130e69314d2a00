//! throttlecrab as a library, in the mutex that its documentation tells to put around it.
//!
//! With `PeriodicStore`: the `AdaptiveStore` of its first example scans the whole map for every decision while the map
//! is between three quarters full and full, so that filling a million keys would take minutes.
//!
//! A burst of 1 limits nothing there, as the state of a first hit expires at once: it gets a burst of 2 at least.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use throttlecrab::{PeriodicStore, RateLimiter};

use crate::keys::Key;
use crate::peer::Peer;
use crate::workload::Bucket;

/// The least burst that limits.
const BURST_MIN: u32 = 2;

pub(super) struct Throttlecrab {
    limiter: Mutex<RateLimiter<PeriodicStore>>,
    bucket: Bucket,
}

pub(super) fn periodic(bucket: Bucket) -> Throttlecrab {
    Throttlecrab {
        limiter: Mutex::new(RateLimiter::new(PeriodicStore::new())),
        bucket,
    }
}

impl<K: Key + ?Sized> Peer<K> for Throttlecrab {
    /// It knows strings alone: a number is written as one.
    fn hits(&self, keys: &[&K]) -> usize {
        let mut text = String::new();
        let (burst, period) = (
            i64::from(self.bucket.burst.max(BURST_MIN)),
            self.bucket.emission.as_secs() as i64,
        );
        keys.iter()
            .filter(|key| {
                let key = key.text(&mut text);
                self.limiter
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .rate_limit(key, burst, 1, period, 1, SystemTime::now())
                    .is_ok_and(|(allowed, _)| allowed)
            })
            .count()
    }
}
