//! What a node answers without asking the store: from units that it holds in advance, and from denials that it remembers.

mod denial;
mod held;
mod look;
mod stats;
mod table;

use std::sync::Arc;

use tollgate::Policy;

pub(crate) use look::{Look, Probe};
pub use stats::NearStats;
pub(crate) use table::Near;

/// Whether two policies decide alike.
fn is_same(a: &Arc<Policy>, b: &Arc<Policy>) -> bool {
    let numbers = |policy: &Policy| (policy.version(), policy.mode(), policy.quota());
    Arc::ptr_eq(a, b) || a.name() == b.name() && numbers(a) == numbers(b)
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
