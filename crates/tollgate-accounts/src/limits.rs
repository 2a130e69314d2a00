//! What the rules know of limits, as far as accounts need to know it to keep other quotas for them.

use std::collections::HashMap;
use std::sync::Arc;

use tollgate::Policy;

/// The limits of the rules. Accounts know of them by name alone.
pub trait Limits: Send + Sync {
    /// Whether the limit's key tells users or API keys apart, so that single ones can have quotas of their own;
    /// `None` when there is no limit of this name.
    fn is_by_caller(&self, limit: &str) -> Option<bool>;

    /// The policies that these quotas are under a limit.
    ///
    /// # Errors
    /// What is wrong with the quotas, for people.
    fn policies_of(&self, limit: &str, quotas: &str) -> Result<Vec<Arc<Policy>>, String>;

    /// Whether one decision still holds all quotas of every route that charges `limit`, when `most` says how many
    /// quotas at most are in force instead of a limit's own.
    ///
    /// # Errors
    /// Why it does not, for people.
    fn fits(&self, limit: &str, most: &HashMap<String, usize>) -> Result<(), String>;
}
