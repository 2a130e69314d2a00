//! The limits of the rules, as accounts ask for them.

use std::collections::HashMap;
use std::sync::Arc;

use tollgate::Policy;
use tollgate_accounts::Limits;
use tollgate_rules::{POLICIES_MAX, RuleSet};

/// The limits of these rules.
pub(crate) struct LimitsOf(pub(crate) Arc<RuleSet>);

impl Limits for LimitsOf {
    fn is_by_caller(&self, limit: &str) -> Option<bool> {
        self.0.limit(limit).map(|limit| limit.key.names_caller())
    }

    fn policies_of(&self, limit: &str, quotas: &str) -> Result<Vec<Arc<Policy>>, String> {
        let limit = self.0.limit(limit).ok_or("the rules have no such limit")?;
        limit.policies_of(quotas)
    }

    fn fits(&self, limit: &str, most: &HashMap<String, usize>) -> Result<(), String> {
        let policies = self.0.most_policies(limit, |limit| {
            let overridden = most.get(&limit.name).copied().unwrap_or(0);
            limit.policies.len().max(overridden)
        });
        if policies <= POLICIES_MAX {
            return Ok(());
        }
        Err(format!(
            "with these a route that charges `{limit}` could come to {policies} quotas in all its limits; it has at most \
             {POLICIES_MAX}"
        ))
    }
}
