//! Accounts and how they are protected.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tollgate::{OnError, Policy, PolicyError, Quota};

use crate::issuer::{Issuer, TokenAlgorithm};

/// Accounts and how they are protected.
#[derive(Clone)]
pub struct Accounts {
    /// The database; a password may be in it.
    pub url: String,
    /// How long a session lives.
    pub session_ttl: Duration,
    /// How long it lives after its last use.
    pub session_idle_ttl: Option<Duration>,
    /// How long a token lives.
    pub token_ttl: Duration,
    /// How long those who are known already are believed while the database cannot be reached.
    pub offline_ttl: Duration,
    /// How the gateway's own tokens are signed.
    pub token_algorithm: TokenAlgorithm,
    /// Whether the keys that sign them are in the database, for all gateways on it; else each has its own file.
    pub share_token_keys: bool,
    /// Whose tokens are taken beside them.
    pub issuers: Vec<Issuer>,
    /// The shortest password.
    pub password_chars_min: usize,
    /// How long the log of what administrators and users have changed is kept.
    pub audit_kept: Duration,
    /// How long usage by minutes is kept.
    pub usage_minutes_ttl: Duration,
    /// How long usage by hours is kept.
    pub usage_hours_ttl: Duration,
    /// How long usage by days is kept.
    pub usage_days_ttl: Duration,
    /// The limits that protect accounts themselves.
    pub protection: Protection,
}

/// Without the URL.
impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts")
            .field("session_ttl", &self.session_ttl)
            .field("session_idle_ttl", &self.session_idle_ttl)
            .field("token_ttl", &self.token_ttl)
            .field("offline_ttl", &self.offline_ttl)
            .field("token_algorithm", &self.token_algorithm)
            .field("share_token_keys", &self.share_token_keys)
            .field("issuers", &self.issuers)
            .field("password_chars_min", &self.password_chars_min)
            .field("protection", &self.protection)
            .finish_non_exhaustive()
    }
}

/// Limits on guessing, decided by the engine before anything is hashed or looked up.
#[derive(Debug, Clone)]
pub struct Protection {
    /// Failed log-ins to one account.
    pub login_per_account: Vec<Quota>,
    /// Failed log-ins from one address.
    pub login_per_address: Vec<Quota>,
    /// Wrong current passwords of one account that wants another.
    pub password_per_account: Vec<Quota>,
    /// Sign-ups from one address.
    pub signup_per_address: Vec<Quota>,
    /// Tokens handed out to one address.
    pub token_per_address: Vec<Quota>,
    /// API keys that one account makes, in the place of others too.
    pub keys_per_account: Vec<Quota>,
    /// Unknown credentials from one address.
    pub credentials_per_address: Vec<Quota>,
}

impl Protection {
    /// Quotas as policies, named after their place in the rules file, `name`. No limit of the file can have such a name:
    /// theirs have no dots. `on_error` is what happens while a shared store cannot be reached.
    ///
    /// # Errors
    /// Numbers that cannot be counted exactly.
    pub fn policies(
        name: &str,
        quotas: &[Quota],
        on_error: OnError,
    ) -> Result<Vec<Arc<Policy>>, PolicyError> {
        let mut policies: Vec<Arc<Policy>> = Vec::new();
        for (place, quota) in quotas.iter().enumerate() {
            let mut full = format!("accounts.{name}.{}", quota.window_name());
            if policies.iter().any(|policy| policy.name() == full) {
                full = format!("accounts.{name}.{place}-{}", quota.window_name());
            }
            let policy = Policy::new(&full, quota.clone())?.with_on_error(on_error);
            policies.push(Arc::new(policy));
        }
        Ok(policies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_quotas_of_one_window_are_two_policies() {
        let quotas = Quota::parse_list("5 per minute; 10 per minute token-bucket").unwrap();
        let policies = Protection::policies("here", &quotas, OnError::Local).unwrap();
        let names: Vec<_> = policies.iter().map(|policy| policy.name()).collect();
        assert_eq!(names, ["accounts.here.minute", "accounts.here.1-minute"]);
    }
}
