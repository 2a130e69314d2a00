//! governor, keyed, with its default hasher and clock: the default store (DashMap), and a HashMap in a mutex.

use std::num::NonZeroU32;

use governor::clock::DefaultClock;
use governor::state::StateStore;
use governor::state::keyed::{DashMapStateStore, HashMapStateStore};
use governor::{Quota, RateLimiter};

use crate::keys::Key;
use crate::peer::Peer;
use crate::workload::Bucket;

pub(super) struct Governor<K, S: StateStore<Key = K>>(RateLimiter<K, S, DefaultClock>)
where
    K: Clone + Eq + std::hash::Hash;

pub(super) fn dashmap<K: Key + ?Sized>(
    bucket: Bucket,
) -> Result<Governor<K::Owned, DashMapStateStore<K::Owned>>, String> {
    quota(bucket).map(|quota| Governor(RateLimiter::keyed(quota)))
}

pub(super) fn hashmap<K: Key + ?Sized>(
    bucket: Bucket,
) -> Result<Governor<K::Owned, HashMapStateStore<K::Owned>>, String> {
    quota(bucket).map(|quota| Governor(RateLimiter::hashmap(quota)))
}

fn quota(bucket: Bucket) -> Result<Quota, String> {
    Quota::with_period(bucket.emission)
        .zip(NonZeroU32::new(bucket.burst))
        .map(|(quota, burst)| quota.allow_burst(burst))
        .ok_or_else(|| "governor takes no zero".to_owned())
}

impl<K, S> Peer<K> for Governor<K::Owned, S>
where
    K: Key + ?Sized,
    S: StateStore<Key = K::Owned> + Send + Sync,
{
    /// It wants a reference to an owned key: one buffer for all, so that a hit allocates nothing.
    fn hits(&self, keys: &[&K]) -> usize {
        let mut owned = K::Owned::default();
        keys.iter()
            .filter(|key| {
                K::clone_into(key, &mut owned);
                self.0.check_key(&owned).is_ok()
            })
            .count()
    }
}
