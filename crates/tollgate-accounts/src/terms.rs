//! What holds for one caller in the place of what the rules say, and how much of it there may be.

use std::collections::HashMap;
use std::sync::Arc;

use tollgate::Policy;

/// How many plans there may be.
pub const PLANS_MAX: usize = 1_000;

/// How many limits can have other quotas for one user, one key, one plan, or everybody.
pub const OVERRIDES_MAX: usize = 100;

/// Policies in the place of a limit's own.
pub(crate) type Policies = Arc<[Arc<Policy>]>;

/// Policies by the limit's name.
pub(crate) type ByLimit = HashMap<String, Policies>;

/// What holds for one caller; read with them, and kept as long as they are known.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// The name of their plan.
    pub plan: Option<Arc<str>>,
    pub(crate) of_user: ByLimit,
    pub(crate) of_key: ByLimit,
}

impl Terms {
    pub(crate) fn on_plan(plan: Option<String>) -> Self {
        Self {
            plan: plan.map(Arc::from),
            ..Self::default()
        }
    }
}
