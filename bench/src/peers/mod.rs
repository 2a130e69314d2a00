//! The limiters that are compared, each as it comes, behind one method.

mod governor;
mod leaky_bucket;
mod mutex_and_deque;
mod throttlecrab;

pub use mutex_and_deque::MutexAndDeque;

use crate::keys::Key;
use crate::ours::{Batched, Ours};
use crate::peer::Peer;
use crate::workload::Bucket;

/// Which limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Ours,
    OursBatched,
    GovernorDashMap,
    GovernorHashMap,
    Throttlecrab,
    MutexAndDeque,
    LeakyBucket,
}

impl Which {
    pub const ALL: [Which; 7] = [
        Which::Ours,
        Which::OursBatched,
        Which::GovernorDashMap,
        Which::GovernorHashMap,
        Which::Throttlecrab,
        Which::MutexAndDeque,
        Which::LeakyBucket,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Which::Ours => "ours",
            Which::OursBatched => "ours, batches of 16",
            Which::GovernorDashMap => "governor keyed, dashmap",
            Which::GovernorHashMap => "governor keyed, hashmap",
            Which::Throttlecrab => "throttlecrab in a mutex",
            Which::MutexAndDeque => "mutex-and-deque",
            Which::LeakyBucket => "leaky-bucket (no keys)",
        }
    }

    pub fn from_name(name: &str) -> Option<Which> {
        Which::ALL.into_iter().find(|which| which.name() == name)
    }

    /// Whether it can tell keys apart.
    pub fn is_keyed(self) -> bool {
        self != Which::LeakyBucket
    }
}

/// That limiter, for as many keys as will come.
///
/// # Errors
/// A quota that the limiter cannot hold.
pub fn build<K: Key + ?Sized>(
    which: Which,
    bucket: Bucket,
    keys: u64,
) -> Result<Box<dyn Peer<K>>, String> {
    Ok(match which {
        Which::Ours => Box::new(Ours::with_bucket(bucket, keys)?),
        Which::OursBatched => Box::new(Batched(Ours::with_bucket(bucket, keys)?)),
        Which::GovernorDashMap => Box::new(governor::dashmap::<K>(bucket)?),
        Which::GovernorHashMap => Box::new(governor::hashmap::<K>(bucket)?),
        Which::Throttlecrab => Box::new(throttlecrab::periodic(bucket)),
        Which::MutexAndDeque => Box::new(MutexAndDeque::<K>::new(
            bucket.burst as usize,
            bucket.window,
        )),
        Which::LeakyBucket => Box::new(leaky_bucket::bucket(bucket)),
    })
}

/// Asks for every key once, so that all are there.
pub fn fill<K: Key + ?Sized>(peer: &dyn Peer<K>, keys: u64) {
    for numbers in crate::workload::each(keys) {
        peer.hits(&K::cut(&K::store(&numbers)));
    }
}
