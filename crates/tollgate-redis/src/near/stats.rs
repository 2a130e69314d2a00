//! What has been answered without asking the store.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of what a node has answered from what it holds in advance and remembers. They only grow.
#[derive(Debug, Default)]
pub struct NearStats {
    pub(super) paid: AtomicU64,
    pub(super) remembered: AtomicU64,
    pub(super) leased: AtomicU64,
    pub(super) returned: AtomicU64,
}

impl NearStats {
    /// Decisions paid from units held in advance.
    pub fn paid(&self) -> u64 {
        self.paid.load(Ordering::Relaxed)
    }

    /// Denials that were remembered.
    pub fn remembered(&self) -> u64 {
        self.remembered.load(Ordering::Relaxed)
    }

    /// Units that the store has charged in advance.
    pub fn leased(&self) -> u64 {
        self.leased.load(Ordering::Relaxed)
    }

    /// Units given back because no request had use for them.
    pub fn returned(&self) -> u64 {
        self.returned.load(Ordering::Relaxed)
    }
}
