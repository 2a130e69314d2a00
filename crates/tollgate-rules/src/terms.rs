//! What a limit says about its quotas besides their numbers.

use tollgate::{AlgorithmKind, Lease, Mode, OnError, Penalty, Policy};

/// What holds for every quota of a limit, whichever they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// Counts for quotas that name no algorithm.
    pub algorithm: AlgorithmKind,
    /// `None` for a limit that is off.
    pub mode: Option<Mode>,
    /// Whether a denied request takes what still fits.
    pub count_denied: bool,
    /// What holds where the counters are in a shared store.
    pub sharing: Sharing,
    /// For how long a key is blocked after a denial.
    pub penalty: Option<Penalty>,
}

/// What holds for a limit where its counters are in a shared store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sharing {
    /// What happens to requests while the store cannot be reached.
    pub on_error: OnError,
    /// Whether each gateway takes units in advance.
    pub lease: Lease,
}

impl Sharing {
    /// The policy with what holds where it is shared.
    pub fn with(self, policy: Policy) -> Policy {
        policy.with_on_error(self.on_error).with_lease(self.lease)
    }
}
