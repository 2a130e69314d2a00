//! How fast each API key is used, and what is left of it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use serde::Serialize;
use tollgate::{Micros, Policy};
use tollgate_accounts::{KeyId, KeyRate, KeySummary, KeyTotal, Terms, UserId};
use tollgate_gateway::builtin::BuiltinCall;
use tollgate_gateway::refusal::Refusal;
use tollgate_rules::{KeyPart, Limit, Subject};

use super::{Builtins, account, answer, time, unreachable};

/// The use of some keys at one instant.
#[derive(Serialize)]
pub(crate) struct KeysInUse {
    as_of: String,
    keys: Vec<KeyInUse>,
}

/// The use of one key. Counts are over its whole life, rates are requests per second, refused ones included.
#[derive(Serialize)]
pub(crate) struct KeyInUse {
    id: String,
    name: String,
    hint: String,
    user: String,
    current_per_s: u32,
    avg_1m: f64,
    avg_5m: f64,
    allowed: u64,
    denied: u64,
    failed: u64,
    /// What passes now; `None` when nothing limits the key by who uses it.
    remaining: Option<u64>,
    last_seen: Option<String>,
}

impl Builtins {
    pub(super) async fn monitor(&self, call: &BuiltinCall) -> Result<Response<Bytes>, Refusal> {
        let own = self.keys(Some(&account(call)?.user), &call.of).await?;
        match call.rest.as_str() {
            "" => answer::json(StatusCode::OK, &own),
            id => {
                let key = own.keys.into_iter().find(|key| key.id == id);
                answer::json(StatusCode::OK, &key.ok_or_else(Refusal::not_found)?)
            }
        }
    }

    /// The keys of one user, or of all for an administrator, the newest first; `of` are the limits whose rest is shown.
    pub(crate) async fn keys(
        &self,
        user: Option<&UserId>,
        of: &[Arc<Limit>],
    ) -> Result<KeysInUse, Refusal> {
        let keys = match user {
            Some(user) => self.accounts.list_keys(user).await,
            None => self.accounts.list_all_keys().await,
        };
        let keys = keys.map_err(|error| unreachable(&error))?;
        let totals = self
            .accounts
            .usage()
            .key_totals()
            .await
            .map_err(|error| unreachable(&error))?;
        let totals: HashMap<KeyId, KeyTotal> = totals
            .into_iter()
            .map(|total| (total.key.clone(), total))
            .collect();
        let now = self.now();
        let rates = self.accounts.usage().rates(now).into_iter();
        let rates: HashMap<KeyId, KeyRate> = rates
            .filter_map(|rate| Some((rate.key.clone()?, rate)))
            .collect();
        let limits: Vec<Arc<Limit>> = of
            .iter()
            .filter(|limit| is_by_user(limit))
            .cloned()
            .collect();
        let terms = self.accounts.terms_of_keys(user).await;
        let terms = terms.map_err(|error| unreachable(&error))?;
        let in_use = |key: &KeySummary| {
            let remaining = self.remaining_of(key, &limits, &terms.of(&key.user, &key.id), now);
            KeyInUse::new(key, totals.get(&key.id), rates.get(&key.id), remaining)
        };
        Ok(KeysInUse {
            as_of: time::rfc3339(now),
            keys: keys.iter().map(in_use).collect(),
        })
    }

    fn remaining_of(
        &self,
        key: &KeySummary,
        limits: &[Arc<Limit>],
        terms: &Terms,
        now: Micros,
    ) -> Option<u64> {
        if !key.is_live(now) {
            return Some(0);
        }
        let headers = HeaderMap::new();
        let subject = Subject {
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            user: Some(key.user.as_str()),
            user_name: Some(&key.user_name),
            api_key: Some(key.id.as_str()),
            headers: &headers,
            query: None,
            route: "",
        };
        // As `Identity::own` names it, so that it is the same state.
        let own = key
            .quota
            .clone()
            .and_then(|quota| Policy::new(&format!("own.{}", quota.window_name()), quota).ok());
        let own: Vec<Arc<Policy>> = own.into_iter().map(Arc::new).collect();
        let standings = self.standings(limits, &subject, &own, Some(terms));
        standings.ok()?.available
    }
}

/// Whether who uses a key says where it stands; by what else a request carries, no key stands anywhere.
fn is_by_user(limit: &Limit) -> bool {
    let by_user = |part: &KeyPart| {
        matches!(
            part,
            KeyPart::User | KeyPart::ApiKey | KeyPart::Route | KeyPart::Global
        )
    };
    limit.key.parts().iter().all(by_user)
}

impl KeyInUse {
    /// The database knows earlier processes and memory knows the last second: of both counts the larger is right.
    fn new(
        key: &KeySummary,
        total: Option<&KeyTotal>,
        rate: Option<&KeyRate>,
        remaining: Option<u64>,
    ) -> Self {
        let larger = |of_total: fn(&KeyTotal) -> u64, of_rate: fn(&KeyRate) -> u64| {
            total.map_or(0, of_total).max(rate.map_or(0, of_rate))
        };
        let last_seen = key.last_used_at.max(rate.map(|rate| rate.last_seen));
        KeyInUse {
            id: key.id.to_string(),
            name: key.name.clone(),
            hint: key.hint.clone(),
            user: key.user_name.clone(),
            current_per_s: rate.map_or(0, |rate| rate.current_per_s),
            avg_1m: rounded(rate.map_or(0.0, |rate| rate.avg_1m)),
            avg_5m: rounded(rate.map_or(0.0, |rate| rate.avg_5m)),
            allowed: larger(|total| total.allowed, |rate| rate.allowed),
            denied: larger(|total| total.denied, |rate| rate.denied),
            failed: larger(|total| total.failed, |rate| rate.failed),
            remaining,
            last_seen: last_seen.map(time::rfc3339),
        }
    }
}

/// To a thousandth.
fn rounded(per_second: f64) -> f64 {
    (per_second * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests;
