//! leaky-bucket: one bucket for all, as it has no form with keys; compared where there is one key only.

use leaky_bucket::RateLimiter;

use crate::keys::Key;
use crate::peer::Peer;
use crate::workload::Bucket;

pub(super) struct LeakyBucket(RateLimiter);

pub(super) fn bucket(bucket: Bucket) -> LeakyBucket {
    let tokens = bucket.burst as usize;
    LeakyBucket(
        RateLimiter::builder()
            .max(tokens)
            .initial(tokens)
            .interval(bucket.emission)
            .refill(1)
            .build(),
    )
}

impl<K: Key + ?Sized> Peer<K> for LeakyBucket {
    fn hits(&self, keys: &[&K]) -> usize {
        keys.iter().filter(|_| self.0.try_acquire(1)).count()
    }
}
