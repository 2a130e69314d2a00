//! Limits on guessing and on making accounts, decided before anything is hashed or looked up.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use tollgate::key::CompositeKey;
use tollgate::{Check, Checks, Decision, Micros, OnError, Policy, PolicyError, Quota, Receipt};
use tollgate_accounts::{UserId, fold_name};
use tollgate_gateway::Counters;
use tollgate_gateway::refusal::Refusal;
use tollgate_rules::{KeySpec, Protection as Quotas, Subject};

/// With what the names of the policies begin that a log-in counts by.
pub(crate) const LOG_INS: &str = "accounts.login-per-";

/// No account has a longer name, so that what is cut off tells no two apart.
const ACCOUNT_KEY_CHARS_MAX: usize = 65;
const ACCOUNT_KEY_BYTES_MAX: usize = 768;

/// The policies of the protection.
pub(super) struct Protection {
    login_per_account: Vec<Arc<Policy>>,
    login_per_address: Vec<Arc<Policy>>,
    password_per_account: Vec<Arc<Policy>>,
    signup_per_address: Vec<Arc<Policy>>,
    token_per_address: Vec<Arc<Policy>>,
    keys_per_account: Vec<Arc<Policy>>,
}

impl Protection {
    /// `on_error` is what happens while a shared store cannot be reached.
    pub(super) fn new(quotas: &Quotas, on_error: OnError) -> Result<Self, PolicyError> {
        let policies = |name: &str, quotas: &[Quota]| Quotas::policies(name, quotas, on_error);
        Ok(Protection {
            login_per_account: policies("login-per-account", &quotas.login_per_account)?,
            login_per_address: policies("login-per-address", &quotas.login_per_address)?,
            password_per_account: policies("password-per-account", &quotas.password_per_account)?,
            signup_per_address: policies("signup-per-address", &quotas.signup_per_address)?,
            token_per_address: policies("token-per-address", &quotas.token_per_address)?,
            keys_per_account: policies("keys-per-account", &quotas.keys_per_account)?,
        })
    }

    /// A log-in counts against the account that it names, whether there is one or not, and against the address.
    pub(super) fn login(&self, username: &str, address: IpAddr) -> Attempt<'_> {
        let mut attempt = Attempt::default();
        attempt.counts(&self.login_per_account, account_key(username));
        attempt.counts(&self.login_per_address, address_key(address));
        attempt
    }

    /// A change of password counts against the account that wants it.
    pub(super) fn password(&self, user: &UserId) -> Attempt<'_> {
        let mut attempt = Attempt::default();
        attempt.counts(&self.password_per_account, user_key(user));
        attempt
    }

    pub(super) fn signup(&self, address: IpAddr) -> Attempt<'_> {
        let mut attempt = Attempt::default();
        attempt.counts(&self.signup_per_address, address_key(address));
        attempt
    }

    /// A key that is made counts against the account that has it made.
    pub(super) fn key(&self, user: &UserId) -> Attempt<'_> {
        let mut attempt = Attempt::default();
        attempt.counts(&self.keys_per_account, user_key(user));
        attempt
    }

    pub(super) fn token(&self, address: IpAddr) -> Attempt<'_> {
        let mut attempt = Attempt::default();
        attempt.counts(&self.token_per_address, address_key(address));
        attempt
    }
}

/// Something that may be tried only so often.
#[derive(Default)]
pub(super) struct Attempt<'p>(Vec<(&'p Arc<Policy>, CompositeKey)>);

impl<'p> Attempt<'p> {
    fn counts(&mut self, policies: &'p [Arc<Policy>], key: CompositeKey) {
        self.0
            .extend(policies.iter().map(|policy| (policy, key.clone())));
    }

    /// Refuses what could not be charged at this moment, and charges nothing.
    pub(super) async fn peek(&self, counters: &Counters, now: Micros) -> Result<(), Refusal> {
        let answer = counters.peek(&self.checks(now)?, now);
        self.allowed(answer.await).map(drop)
    }

    /// Charges one unit everywhere, or refuses and charges nothing.
    pub(super) async fn charge(
        &self,
        counters: &Counters,
        now: Micros,
    ) -> Result<Option<Receipt>, Refusal> {
        let answer = counters.decide(&self.checks(now)?, now);
        self.allowed(answer.await)
            .map(|decision| decision.receipt())
    }

    fn allowed(&self, decision: Decision) -> Result<Decision, Refusal> {
        if decision.is_allowed() {
            return Ok(decision);
        }
        let policies = self.0.iter().map(|(policy, _)| Arc::clone(policy));
        Err(Refusal::limited(policies.collect(), decision))
    }

    /// Gives back what [`charge`](Attempt::charge) took: the attempt was none of those that are limited. Where a shared
    /// store has gone meanwhile, the charge stays.
    pub(super) async fn refund(&self, counters: &Counters, receipt: Option<Receipt>, now: Micros) {
        let answer = match (receipt, self.checks(now)) {
            (Some(receipt), Ok(checks)) => counters.refund(&checks, &receipt, now),
            _ => return,
        };
        drop(answer.await);
    }

    fn checks(&self, now: Micros) -> Result<Checks<'_>, Refusal> {
        let mut checks = Checks::new();
        for (policy, key) in &self.0 {
            let check = Check {
                policy,
                key: key.as_ref(),
                cost: 1,
            };
            let refused = |reason| Refusal::limited(Vec::new(), Decision::refused(reason, now));
            checks.push(check).map_err(refused)?;
        }
        Ok(checks)
    }
}

/// Names are one account in any case and any spelling.
fn account_key(username: &str) -> CompositeKey {
    let beginning: String = username.chars().take(ACCOUNT_KEY_CHARS_MAX).collect();
    let folded = fold_name(&beginning);
    let bytes = folded.as_bytes();
    let mut key = CompositeKey::new();
    key.push(&bytes[..bytes.len().min(ACCOUNT_KEY_BYTES_MAX)]);
    key
}

fn user_key(user: &UserId) -> CompositeKey {
    let mut key = CompositeKey::new();
    key.push(user.as_str().as_bytes());
    key
}

fn address_key(address: IpAddr) -> CompositeKey {
    let headers = HeaderMap::new();
    let subject = Subject {
        address,
        user: None,
        user_name: None,
        api_key: None,
        claims: &[],
        headers: &headers,
        query: None,
        route: "",
    };
    // An address is always there.
    KeySpec::client_ip().key_of(&subject).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protection() -> Protection {
        let quotas = |text: &str| Quota::parse_list(text).unwrap();
        Protection::new(
            &Quotas {
                login_per_account: quotas("2 per minute"),
                login_per_address: quotas("3 per minute"),
                password_per_account: Vec::new(),
                signup_per_address: quotas("1 per minute, 2 per minute"),
                token_per_address: Vec::new(),
                keys_per_account: Vec::new(),
                credentials_per_address: Vec::new(),
            },
            OnError::Local,
        )
        .unwrap()
    }

    fn counters() -> Counters {
        Arc::new(tollgate::MemoryStore::new()).into()
    }

    #[test]
    fn all_that_a_log_in_counts_by_and_nothing_else_has_the_name_by_which_clusters_keep_it_together()
     {
        let protection = protection();
        let names = |attempt: Attempt<'_>| -> Vec<bool> {
            let names = attempt.0.iter().map(|(policy, _)| policy.name());
            names.map(|name| name.starts_with(LOG_INS)).collect()
        };
        let address = IpAddr::from([192, 0, 2, 1]);
        assert_eq!(names(protection.login("ann", address)), [true, true]);
        assert_eq!(names(protection.signup(address)), [false, false]);
    }

    #[test]
    fn a_name_and_an_address_have_one_key_however_they_are_written() {
        assert_eq!(account_key("\u{c9}LODIE"), account_key("e\u{301}lodie"));
        let key = |text: &str| address_key(text.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::2"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert!(account_key(&"x".repeat(60_000)).as_ref().len() < 800);
    }

    #[tokio::test]
    async fn a_denied_log_in_charges_neither_the_account_nor_the_address() {
        let (protection, store, now) = (protection(), counters(), Micros::from_secs(1));
        let address = "192.0.2.1".parse().unwrap();
        let mut results = Vec::new();
        for name in ["ann", "ANN", "ann", "bob", "cid"] {
            let attempt = protection.login(name, address);
            results.push(attempt.charge(&store, now).await.is_ok());
        }
        assert_eq!(results, [true, true, false, true, false]);
    }

    #[tokio::test]
    async fn what_is_refunded_can_be_tried_again() {
        let (protection, store, now) = (protection(), counters(), Micros::from_secs(1));
        for _ in 0..10 {
            let attempt = protection.login("ann", "192.0.2.1".parse().unwrap());
            let receipt = attempt.charge(&store, now).await.unwrap();
            attempt.refund(&store, receipt, now).await;
        }
    }

    #[tokio::test]
    async fn policies_with_one_window_are_told_apart_and_a_refusal_names_the_one_that_denies() {
        let (protection, store, now) = (protection(), counters(), Micros::from_secs(1));
        let attempt = protection.signup("192.0.2.1".parse().unwrap());
        attempt.charge(&store, now).await.unwrap();
        let refusal = attempt.charge(&store, now).await.unwrap_err();
        assert_eq!(refusal.violated(), ["accounts.signup-per-address.minute"]);
        assert_eq!(refusal.retry_after(), Some(60));
    }
}
