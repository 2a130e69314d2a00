//! How fast each API key is used, what is left of it, and what it has used over time.

mod counts;
mod csv;
mod live;
mod query;
mod series;

pub(super) use live::Shown;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, Response, StatusCode};
use serde::Serialize;
use tollgate::{Micros, Policy};
use tollgate_accounts::{
    Asked, Identity, KeyId, KeyRate, KeySummary, Terms, TermsOfKeys, UsageCounts, UserId, Via,
    own_policy,
};
use tollgate_gateway::builtin::BuiltinCall;
use tollgate_gateway::refusal::Refusal;
use tollgate_rules::{KeyPart, Limit};

use super::standings::caller;
use super::{Builtins, account, answer, time, unreachable};
use counts::Counts;
use csv::Csv;
pub(crate) use query::Query;
use query::Sort;
pub(super) use query::{Fineness, Range};

/// Keys whose rest is asked for at the same time, where the counters are a round trip away.
const ASKED_TOGETHER: usize = 64;

/// The use of some keys at one instant.
#[derive(Serialize)]
pub(crate) struct KeysInUse {
    as_of: String,
    /// How many there are, shown or not.
    total: u64,
    keys: Vec<KeyInUse>,
}

/// The use of one key. Counts go as far back as usage by days is kept, rates are requests per second, refused ones
/// included.
#[derive(Serialize)]
pub(crate) struct KeyInUse {
    id: String,
    name: String,
    hint: String,
    user: String,
    current_per_s: u32,
    avg_1m: f64,
    avg_5m: f64,
    #[serde(flatten)]
    counts: Counts,
    /// What passes now; `None` when nothing limits the key by who uses it.
    remaining: Option<u64>,
    last_seen: Option<String>,
}

/// Whether a path below the monitor's asks for the stream.
pub(super) fn streams(rest: &str) -> bool {
    matches!(Part::of(rest), Some(Part::Live))
}

/// What a path below the monitor's asks for.
enum Part<'p> {
    Keys,
    Key(&'p str),
    Series(&'p str),
    Live,
}

impl<'p> Part<'p> {
    /// `keys` may be part of the route's pattern or not.
    fn of(rest: &'p str) -> Option<Self> {
        let below = match rest.split_once('/') {
            Some(("keys", below)) => below,
            _ if rest == "keys" => "",
            _ => rest,
        };
        match below.split_once('/') {
            None if below.is_empty() => Some(Part::Keys),
            None if below == "live" => Some(Part::Live),
            None => Some(Part::Key(below)),
            Some((id, "series")) => Some(Part::Series(id)),
            Some(_) => None,
        }
    }
}

/// Whether somebody may see the use of everybody, and the traffic of the whole gateway: administrators who have logged in.
/// What an API key of theirs is lent to sees their own.
pub(super) fn sees_everything(who: &Identity) -> bool {
    who.is_administrator() && who.via != Via::ApiKey
}

impl Builtins {
    pub(super) async fn monitor(&self, call: &BuiltinCall) -> Result<Response<Bytes>, Refusal> {
        let who = account(call)?;
        let own = (!sees_everything(who)).then_some(&who.user);
        let query = Query::read(call.request.uri().query(), call.request.headers())?;
        match Part::of(&call.rest).ok_or_else(Refusal::not_found)? {
            Part::Keys => self.keys(own, &call.of, &query).await,
            Part::Key(id) => {
                let key = self.key_of(own, id).await?;
                let key = key.ok_or_else(Refusal::not_found)?;
                let keys = self.in_use(&[&key], own, &call.of).await?;
                answer::json(StatusCode::OK, keys.first().ok_or_else(Refusal::not_found)?)
            }
            Part::Series("-") if own.is_some() => {
                self.series("-", &Asked::Without(who.user.clone()), &query)
                    .await
            }
            Part::Series("-") => self.series_of_anybody("-", &query).await,
            Part::Series(id) => match self.key_of(Some(&who.user), id).await? {
                Some(key) => self.series(id, &Asked::WithKey(key.id), &query).await,
                None if own.is_none() => self.series_of_anybody(id, &query).await,
                None => Err(Refusal::not_found()),
            },
            // It streams, so it is answered elsewhere.
            Part::Live => Err(Refusal::not_found()),
        }
    }

    /// The keys of one user, or of all for an administrator; `of` are the limits whose rest is shown.
    pub(crate) async fn keys(
        &self,
        user: Option<&UserId>,
        of: &[Arc<Limit>],
        query: &Query,
    ) -> Result<Response<Bytes>, Refusal> {
        let keys = self.keys_in_use(user, of, query).await?;
        if !query.csv {
            return answer::json(StatusCode::OK, &keys);
        }
        const NAMED: [&str; 9] = [
            "id",
            "name",
            "hint",
            "user",
            "current_per_s",
            "avg_1m",
            "avg_5m",
            "remaining",
            "last_seen",
        ];
        let mut csv = Csv::new(NAMED.into_iter().chain(Counts::COLUMNS));
        for key in keys.keys {
            let remaining = key.remaining.map(|units| units.to_string());
            let rates = [
                key.current_per_s.to_string(),
                key.avg_1m.to_string(),
                key.avg_5m.to_string(),
            ];
            let cells = [key.id, key.name, key.hint, key.user]
                .into_iter()
                .chain(rates);
            let cells = cells.chain([
                remaining.unwrap_or_default(),
                key.last_seen.unwrap_or_default(),
            ]);
            csv.line(cells.chain(key.counts.cells()));
        }
        Ok(csv.answer())
    }

    /// The newest first, unless another order is asked for.
    async fn keys_in_use(
        &self,
        user: Option<&UserId>,
        of: &[Arc<Limit>],
        query: &Query,
    ) -> Result<KeysInUse, Refusal> {
        let keys = match user {
            Some(user) => self.accounts.list_keys(user).await,
            None => self.accounts.list_all_keys().await,
        };
        let keys = keys.map_err(|error| unreachable(&error))?;
        let total = self.accounts.count_keys(user).await;
        let total = total.map_err(|error| unreachable(&error))?;
        let usage = self.accounts.usage();
        let now = self.now();
        let mut keys: Vec<&KeySummary> = keys.iter().collect();
        match query.sort {
            None => {}
            Some(Sort::Rate) => {
                let rate = |key: &KeySummary| usage.rate_of(&key.id, now);
                let rated = |key| (rate(key).map_or(0.0, |rate| rate.avg_1m), key);
                let mut by_rate: Vec<_> = keys.into_iter().map(rated).collect();
                by_rate.sort_by(|one, other| other.0.total_cmp(&one.0));
                keys = by_rate.into_iter().map(|(_, key)| key).collect();
            }
            Some(Sort::LastSeen) => keys.sort_by_cached_key(|key| {
                Reverse(last_seen(key, usage.rate_of(&key.id, now).as_ref()))
            }),
            // The only order for which the counts of all of them are needed.
            Some(Sort::Denied) => {
                let written = self.written(&keys).await?;
                keys.sort_by_cached_key(|key| {
                    let rate = usage.rate_of(&key.id, now);
                    Reverse(counts(written.get(&key.id), rate.as_ref()).denied)
                });
            }
        }
        let shown = keys.into_iter().skip(query.offset).take(query.limit());
        let shown: Vec<&KeySummary> = shown.collect();
        Ok(KeysInUse {
            as_of: time::rfc3339(now),
            total,
            keys: self.in_use(&shown, user, of).await?,
        })
    }

    /// A key of one user, or of anybody.
    async fn key_of(&self, user: Option<&UserId>, id: &str) -> Result<Option<KeySummary>, Refusal> {
        let key = self.accounts.key(&KeyId::from(id)).await;
        let key = key.map_err(|error| unreachable(&error))?;
        Ok(key.filter(|key| user.is_none_or(|user| key.user == *user)))
    }

    /// These keys, all of `user` where one is named, with their use.
    async fn in_use(
        &self,
        keys: &[&KeySummary],
        user: Option<&UserId>,
        of: &[Arc<Limit>],
    ) -> Result<Vec<KeyInUse>, Refusal> {
        let written = self.written(keys).await?;
        let terms = match (keys, user) {
            // Of one key only what concerns its user is read.
            ([key], None) => self.accounts.terms_of_keys(Some(&key.user)).await,
            _ => self.accounts.terms_of_keys(user).await,
        };
        let terms = terms.map_err(|error| unreachable(&error))?;
        let (limits, now) = (by_user(of), self.now());
        let remaining = self.remaining_of_each(keys, &limits, &terms, now).await;
        let shown = keys.iter().zip(remaining).map(|(key, remaining)| {
            let rate = self.accounts.usage().rate_of(&key.id, now);
            let used = Use::of(key, written.get(&key.id), rate.as_ref());
            KeyInUse::new(&used, remaining)
        });
        Ok(shown.collect())
    }

    async fn written(&self, keys: &[&KeySummary]) -> Result<HashMap<KeyId, UsageCounts>, Refusal> {
        let ids: Vec<KeyId> = keys.iter().map(|key| key.id.clone()).collect();
        let written = self.accounts.usage().counts_by_key(&ids).await;
        written.map_err(|error| unreachable(&error))
    }

    /// What is left for each of these keys: where the counters are elsewhere, so many are asked for together.
    async fn remaining_of_each(
        &self,
        keys: &[&KeySummary],
        limits: &[Arc<Limit>],
        terms: &TermsOfKeys,
        now: Micros,
    ) -> Vec<Option<u64>> {
        let mut remaining = Vec::with_capacity(keys.len());
        for some in keys.chunks(ASKED_TOGETHER) {
            let asked = some.iter().map(async |key| {
                let terms = terms.of(&key.user, &key.counts_as);
                self.remaining_of(key, limits, &terms, now).await
            });
            remaining.extend(join_all(asked).await);
        }
        remaining
    }

    async fn remaining_of(
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
        let (user, id) = (key.user.as_str(), key.counts_as.as_str());
        let subject = caller(Some(user), Some(&key.user_name), Some(id), &headers);
        let own = key.quota.clone().and_then(|quota| own_policy(quota).ok());
        let own: Vec<Arc<Policy>> = own.into_iter().map(Arc::new).collect();
        let standings = self.standings(limits, &subject, &own, Some(terms));
        standings.await.ok()?.available
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

/// The limits of which that can be said, for keys.
pub(super) fn by_user(limits: &[Arc<Limit>]) -> Vec<Arc<Limit>> {
    let limits = limits.iter().filter(|limit| is_by_user(limit));
    limits.cloned().collect()
}

/// A key with what is known of its use.
struct Use<'k> {
    key: &'k KeySummary,
    rate: Option<&'k KeyRate>,
    counts: UsageCounts,
    last_seen: Option<Micros>,
}

impl<'k> Use<'k> {
    fn of(key: &'k KeySummary, written: Option<&UsageCounts>, rate: Option<&'k KeyRate>) -> Self {
        Use {
            key,
            rate,
            counts: counts(written, rate),
            last_seen: last_seen(key, rate),
        }
    }
}

/// The database knows earlier processes and memory knows the last second: of both counts the larger is right.
fn counts(written: Option<&UsageCounts>, rate: Option<&KeyRate>) -> UsageCounts {
    match (written, rate.map(|rate| &rate.counts)) {
        (Some(written), Some(followed)) => written.larger(followed),
        (one, other) => one.or(other).cloned().unwrap_or_default(),
    }
}

fn last_seen(key: &KeySummary, rate: Option<&KeyRate>) -> Option<Micros> {
    key.last_used_at.max(rate.map(|rate| rate.last_seen))
}

impl KeyInUse {
    fn new(used: &Use<'_>, remaining: Option<u64>) -> Self {
        let (key, rate) = (used.key, used.rate);
        KeyInUse {
            id: key.id.to_string(),
            name: key.name.clone(),
            hint: key.hint.clone(),
            user: key.user_name.clone(),
            current_per_s: rate.map_or(0, |rate| rate.current_per_s),
            avg_1m: rounded(rate.map_or(0.0, |rate| rate.avg_1m)),
            avg_5m: rounded(rate.map_or(0.0, |rate| rate.avg_5m)),
            counts: Counts::from(&used.counts),
            remaining,
            last_seen: used.last_seen.map(time::rfc3339),
        }
    }
}

/// To a thousandth.
fn rounded(per_second: f64) -> f64 {
    (per_second * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests;
