//! Opening the accounts as the rules describe them.

use std::collections::BTreeSet;
use std::sync::Arc;

use tollgate::Clock;
use tollgate_accounts::{Accounts, Issuer, TokenAlgorithm};
use tollgate_rules::{Action, KeyPart, RuleSet};

use super::data_dir::DataDir;
use super::limits::LimitsOf;
use super::version::RulesVersion;
use crate::failure::Failure;

/// Accounts are opened when a route asks who somebody is, or is a part of the gateway. A server that is away for now is
/// waited for while the gateway runs.
pub(super) async fn open(
    rules: &Arc<RuleSet>,
    data: &DataDir,
    clock: &Arc<dyn Clock>,
    version: &Arc<RulesVersion>,
) -> Result<Option<Accounts>, Failure> {
    let mut routes = rules.routes.routes().iter();
    if !routes.any(|route| !route.auth.is_empty() || matches!(route.action, Action::Builtin { .. }))
    {
        return Ok(None);
    }
    let mut settings = tollgate_accounts::Settings::new(&rules.accounts.url, data.path());
    settings.session_ttl = rules.accounts.session_ttl;
    settings.session_idle_ttl = rules.accounts.session_idle_ttl;
    settings.token_algorithm = algorithm(rules.accounts.token_algorithm);
    settings.share_token_keys = rules.accounts.share_token_keys;
    if !settings.share_token_keys {
        let kept = tollgate_accounts::keep_own_token_keys(data.path());
        kept.map_err(|error| Failure::because("the accounts cannot be opened", &error))?;
    }
    settings.issuers = issuers(rules);
    settings.token_ttl = rules.accounts.token_ttl;
    settings.offline_ttl = rules.accounts.offline_ttl;
    settings.password_chars_min = rules.accounts.password_chars_min;
    settings.usage_kept = tollgate_accounts::UsageKept {
        minutes: rules.accounts.usage_minutes_ttl,
        hours: rules.accounts.usage_hours_ttl,
        days: rules.accounts.usage_days_ttl,
    };
    settings.audit_kept = rules.accounts.audit_kept;
    settings.rules_at = version.at();
    let told = Arc::clone(version);
    settings.on_terms_changed = Some(Arc::new(move |at| told.terms_changed(at)));
    settings.limits = Some(Arc::new(LimitsOf(Arc::clone(rules))));
    let accounts = Accounts::open_or_wait(settings, Arc::clone(clock)).await;
    accounts
        .map(Some)
        .map_err(|error| Failure::because("the accounts cannot be opened", &error))
}

fn issuers(rules: &RuleSet) -> Vec<Issuer> {
    let parts = rules.limits.iter().flat_map(|limit| limit.key.parts());
    let claims: BTreeSet<String> = parts
        .filter_map(|part| match part {
            KeyPart::Claim(name) => Some(name.clone()),
            _ => None,
        })
        .collect();
    let issuer = |issuer: &tollgate_rules::Issuer| Issuer {
        issuer: issuer.issuer.clone(),
        audience: issuer.audience.clone(),
        jwks: issuer.jwks.clone(),
        algorithms: issuer
            .algorithms
            .iter()
            .copied()
            .filter_map(algorithm)
            .collect(),
        user_claim: issuer.user_claim.clone(),
        name_claim: issuer.name_claim.clone(),
        claims: claims.iter().cloned().collect(),
    };
    rules.accounts.issuers.iter().map(issuer).collect()
}

/// Both sides call an algorithm as the standard does.
fn algorithm(algorithm: tollgate_rules::TokenAlgorithm) -> Option<TokenAlgorithm> {
    TokenAlgorithm::from_name(algorithm.name())
}
