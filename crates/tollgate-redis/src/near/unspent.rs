//! What is left of a lease that its node spends no more from.

use std::sync::Arc;

use tollgate::Policy;
use tollgate::algorithm::Charge;

use super::name::Name;

/// Units of a lease.
pub(super) struct Idle {
    pub(super) policy: Arc<Policy>,
    pub(super) charge: Charge,
    /// How often the key was reset when they were charged.
    pub(super) resets: u64,
}

/// The same, and whose they are: to be given back.
#[derive(Debug)]
pub(crate) struct Unspent {
    pub(crate) tag: Option<Box<[u8]>>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) key: Box<[u8]>,
    pub(crate) charge: Charge,
    pub(super) resets: u64,
}

impl Unspent {
    pub(super) fn of(name: Name, idle: Idle) -> Self {
        Unspent {
            tag: name.tag,
            policy: idle.policy,
            key: name.key,
            charge: idle.charge,
            resets: idle.resets,
        }
    }
}
