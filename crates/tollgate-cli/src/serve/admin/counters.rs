//! Counters of a limit, shown and reset: `/limits/{limit}?key=WORD&…`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde::Serialize;
use serde_json::{Number, json};
use tollgate::key::CompositeKey;
use tollgate::{Check, Checks, Mode, Policy, Quota};
use tollgate_accounts::{Actor, KeyId, KeySummary, Terms, UserId};
use tollgate_gateway::InForce;
use tollgate_gateway::page::Window;
use tollgate_rules::{KeyPart, KeySpec, Limit};

use super::{Admin, answer};
use crate::standing::Standing;

pub(super) fn routes() -> Router<Arc<Admin>> {
    Router::new().route("/limits/{limit}", get(show).delete(reset))
}

/// One key of a limit, and what holds for it.
struct Counted {
    key: CompositeKey,
    terms: Terms,
    api_key: Option<KeySummary>,
    /// For the log: without what a caller chose freely, which may be a secret.
    described: String,
}

/// A window of a key, for who looks at one alone.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    standing: Standing,
    /// Seconds that it is long: a JSON object has no order.
    window_s: Number,
    /// Seconds until nothing is used any more.
    whole_in: u64,
}

impl From<&Window> for Shown {
    fn from(window: &Window) -> Self {
        Shown {
            standing: Standing::from(window),
            window_s: seconds(window.period),
            whole_in: window.whole_in,
        }
    }
}

fn seconds(period: Duration) -> Number {
    let whole = Number::from(period.as_secs());
    match period.subsec_nanos() {
        0 => whole,
        _ => Number::from_f64(period.as_secs_f64()).unwrap_or(whole),
    }
}

async fn show(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Response> {
    let (limit, whose) = admin.whose(&name, query.as_deref()).await?;
    let Some(counted) = whose else {
        return Err(answer::wrong(
            "name the key: one word for each of its parts",
        ));
    };
    let (in_force, key) = counted.in_force(&admin, limit);
    let checks = checks_of(in_force.policies(), key.as_ref())?;
    let answer = admin.counters.peek(&checks, admin.clock.now());
    let decision = answer.await;
    if decision.is_degraded() {
        // What this gateway has decided by itself meanwhile is not what was asked for.
        return Err(answer::counters_away(&"the store cannot be reached"));
    }
    let windows = Window::of(in_force.policies(), &decision);
    let counts_nothing = windows
        .is_empty()
        .then(|| why_nothing(in_force.policies()))
        .flatten();
    let windows: serde_json::Map<String, serde_json::Value> = windows
        .iter()
        .map(|window| (window.name.clone(), json!(Shown::from(window))))
        .collect();
    let mut shown = json!({ "limit": name, "windows": windows });
    if let Some(why) = counts_nothing {
        shown["counts_nothing"] = why.into();
    }
    Ok(Json(shown).into_response())
}

/// Why these policies have no numbers to show.
fn why_nothing(policies: &[Arc<Policy>]) -> Option<&'static str> {
    let enforced = policies.iter();
    let enforced: Vec<_> = enforced
        .filter(|policy| policy.mode() == Mode::Enforce)
        .collect();
    if policies.is_empty() {
        Some("off")
    } else if enforced.is_empty() {
        Some("shadow")
    } else if enforced
        .iter()
        .any(|policy| policy.quota() == Some(Quota::deny()))
    {
        Some("deny")
    } else {
        let is_counted = enforced.iter().any(|policy| policy.capacity().is_some());
        (!is_counted).then_some("unlimited")
    }
}

fn checks_of<'c>(policies: &'c [Arc<Policy>], key: &'c [u8]) -> Result<Checks<'c>, Response> {
    let mut checks = Checks::new();
    for policy in policies {
        let cost = 1;
        let check = Check { policy, key, cost };
        checks.push(check).map_err(|reason| match reason {
            tollgate::Reason::KeyTooLong => answer::wrong("the key is too long"),
            _ => answer::conflict("these are more quotas than one decision holds"),
        })?;
    }
    Ok(checks)
}

async fn reset(
    State(admin): State<Arc<Admin>>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Response> {
    let (limit, whose) = admin.whose(&name, query.as_deref()).await?;
    let described = match &whose {
        None => "every key",
        Some(counted) => &counted.described,
    };
    if let Some(accounts) = &admin.accounts {
        let logged = accounts.acting_as(actor).log_reset(&name, described).await;
        logged.map_err(|error| answer::unavailable(&error))?;
    }
    match whose {
        Some(counted) => {
            let (in_force, key) = counted.in_force(&admin, limit);
            let mut had = false;
            for policy in in_force.policies() {
                let reset = admin.counters.reset(policy, key.as_ref()).await;
                had |= reset.map_err(|error| answer::counters_away(&error))?;
            }
            Ok((if had { "reset\n" } else { "nothing was used\n" }).into_response())
        }
        None => {
            for policy in admin.every_policy(limit).await?.values() {
                let reset = admin.counters.reset_all(policy).await;
                reset.map_err(|error| answer::counters_away(&error))?;
            }
            Ok("reset for every key\n".into_response())
        }
    }
}

/// A word for each part of a key, as people type them.
fn example_of(key: &KeySpec) -> String {
    let words = key.worded_parts().map(|part| match part {
        KeyPart::User => " NAME",
        KeyPart::ApiKey => " KEY-ID",
        KeyPart::ClientIp { .. } => " ADDRESS",
        KeyPart::Route => " PATTERN",
        _ => " VALUE",
    });
    words.collect()
}

impl Counted {
    fn in_force<'l>(&self, admin: &Admin, limit: &'l Limit) -> (InForce<'l>, CompositeKey) {
        let in_force = InForce::of(limit, admin.accounts.as_ref(), Some(&self.terms));
        let api_key = self.api_key.as_ref().map(|key| key.counts_as.as_str());
        let key = in_force.key(self.key.clone(), api_key);
        (in_force, key)
    }
}

impl Admin {
    /// The limit of this name, and whose counters the query means: by `key=` the words of its key, by `api-key=` a key
    /// that may count apart from its user; by `all=true` everybody's, which is `None`.
    async fn whose(
        &self,
        name: &str,
        query: Option<&str>,
    ) -> Result<(&Arc<Limit>, Option<Counted>), Response> {
        let limit = self.rules.limit(name);
        let limit = limit.ok_or_else(|| self.no_limit(name))?;
        let pairs: Vec<(String, String)> =
            serde_urlencoded::from_str(query.unwrap_or_default()).map_err(answer::wrong)?;
        let all = pairs
            .iter()
            .any(|(name, value)| name == "all" && value == "true");
        if all {
            return Ok((limit, None));
        }
        let named = |wanted: &str| -> Vec<String> {
            let its = pairs.iter().filter(|(name, _)| name == wanted);
            its.map(|(_, value)| value.clone()).collect()
        };
        let mut words = named("key");
        let (mut user, mut api_key) = (None, None);
        if let Some(id) = named("api-key").pop() {
            api_key = Some(self.api_key(id).await?);
        }
        let mut described = Vec::new();
        for (part, word) in limit.key.worded_parts().zip(words.iter_mut()) {
            match part {
                KeyPart::User => {
                    *word = self.user_id(word).await?;
                    user = Some(UserId::from(word.as_str()));
                    described.push(format!("user:{word}"));
                }
                KeyPart::ApiKey => {
                    let key = self.api_key(word.clone()).await?;
                    described.push(format!("key:{word}"));
                    *word = key.counts_as.to_string();
                    api_key = Some(key);
                }
                KeyPart::ClientIp { .. } | KeyPart::Route => described.push(word.clone()),
                part => described.push(part.to_string()),
            }
        }
        let word_refs: Vec<&str> = words.iter().map(String::as_str).collect();
        let (wanted, found) = (limit.key.worded_parts().count(), words.len());
        let key = limit.key.key_from_words(&word_refs).ok_or_else(|| {
            let key = &limit.key;
            match wanted == found {
                true => answer::wrong(format_args!("`{name}` counts by {key}: no such address")),
                false if found == 0 => answer::wrong(format_args!(
                    "`{name}` counts by {key}: say whose it is, as `tollgate limit show {name}{}`",
                    example_of(key)
                )),
                false => answer::wrong(format_args!(
                    "`{name}` counts by {key}: a key of {wanted} part{}, not {found}",
                    if wanted == 1 { "" } else { "s" }
                )),
            }
        })?;
        let terms = self.terms(user.as_ref(), api_key.as_ref()).await?;
        if let Some(key) = &api_key {
            described.push(format!("by key:{}", key.id));
        }
        let described = described.join(" ");
        Ok((
            limit,
            Some(Counted {
                key,
                terms,
                api_key,
                described,
            }),
        ))
    }

    pub(super) async fn api_key(&self, id: String) -> Result<KeySummary, Response> {
        let key = match &self.accounts {
            Some(accounts) => accounts.key(&KeyId::from(id)).await,
            None => Ok(None),
        };
        let key = key.map_err(|error| answer::unavailable(&error))?;
        key.ok_or_else(|| answer::missing("there is no such key"))
    }

    /// What holds for a user, or the owner of a key.
    pub(super) async fn terms(
        &self,
        user: Option<&UserId>,
        api_key: Option<&KeySummary>,
    ) -> Result<Terms, Response> {
        let user = user.filter(|user| user.is_account());
        let Some(accounts) = &self.accounts else {
            return Ok(Terms::default());
        };
        let unavailable = |error| answer::unavailable(&error);
        let id = api_key.map(|key| &key.counts_as);
        match (user, api_key.map(|key| &key.user)) {
            (Some(user), Some(owner)) if user != owner => {
                Err(answer::wrong("this key is another user's"))
            }
            (None, None) => Ok(Terms::default()),
            (Some(user), _) | (None, Some(user)) => {
                accounts.terms_of(user, id).await.map_err(unavailable)
            }
        }
    }

    /// Every policy that anybody may have under a limit, by its name.
    async fn every_policy(&self, limit: &Limit) -> Result<HashMap<String, Arc<Policy>>, Response> {
        let mut policies = limit.policies.clone();
        if let Some(accounts) = &self.accounts {
            let overrides = accounts.list_overrides(Some(&limit.name)).await;
            let overrides = overrides.map_err(|error| answer::unavailable(&error))?;
            let others = overrides.iter().map(|one| limit.policies_of(&one.quotas));
            policies.extend(others.flatten().flatten());
        }
        let named = policies.into_iter();
        Ok(named
            .map(|policy| (policy.name().to_owned(), policy))
            .collect())
    }

    /// A user's id by name; a guest, or another issuer's user, is known by its id alone.
    async fn user_id(&self, name: &str) -> Result<String, Response> {
        let Some(accounts) = self
            .accounts
            .as_ref()
            .filter(|_| UserId::from(name).is_account())
        else {
            return Ok(name.to_owned());
        };
        let user = accounts.user_by_name(name).await;
        let user = user.map_err(|error| answer::unavailable(&error))?;
        user.map(|user| user.id.to_string())
            .ok_or_else(|| answer::missing(format_args!("there is no user `{name}`")))
    }
}
