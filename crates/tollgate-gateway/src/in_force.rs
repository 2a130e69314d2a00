//! Which policies hold for a limit and a caller, and under which key they count: the one place that knows.

use std::sync::Arc;

use tollgate::Policy;
use tollgate::key::CompositeKey;
use tollgate_accounts::{Accounts, Overridden, Terms};
use tollgate_rules::Limit;

/// The policies that hold for a limit and a caller.
#[derive(Debug, Clone)]
pub struct InForce<'l> {
    of_rules: &'l [Arc<Policy>],
    overridden: Option<Overridden>,
}

impl<'l> InForce<'l> {
    /// What holds for a caller with these terms: what an administrator has set, or else what the rules say.
    pub fn of(limit: &'l Limit, accounts: Option<&Accounts>, terms: Option<&Terms>) -> Self {
        let by_caller = limit.key.names_caller();
        InForce {
            of_rules: &limit.policies,
            overridden: accounts
                .and_then(|accounts| accounts.overridden(&limit.name, by_caller, terms)),
        }
    }

    /// Just these policies.
    pub fn just(policies: &'l [Arc<Policy>]) -> Self {
        InForce {
            of_rules: policies,
            overridden: None,
        }
    }

    /// The key under which an API key's own policies count. It begins with the user, as the limits by user do: what is
    /// decided together in a cluster of stores begins with one part.
    pub fn own_key(user: &str, api_key: &str) -> CompositeKey {
        let mut key = CompositeKey::new();
        key.push(user.as_bytes());
        key.push(api_key.as_bytes());
        key
    }

    /// The policies.
    pub fn policies(&self) -> &[Arc<Policy>] {
        match &self.overridden {
            Some(overridden) => &overridden.policies,
            None => self.of_rules,
        }
    }

    /// Whether they are others than the rules'.
    pub fn is_overridden(&self) -> bool {
        self.overridden.is_some()
    }

    /// The key under which they count, made of the limit's: quotas of a single API key count apart from those of its
    /// user's other credentials. No other key of the limit has a part more.
    pub fn key(&self, mut key: CompositeKey, api_key: Option<&str>) -> CompositeKey {
        let apart = self
            .overridden
            .as_ref()
            .is_some_and(|overridden| overridden.counts_apart);
        if let Some(id) = api_key.filter(|_| apart) {
            key.push(id.as_bytes());
        }
        key
    }
}
