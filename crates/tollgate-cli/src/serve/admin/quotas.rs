//! Quotas in the place of those that the rules give to a limit: `/limits` and `/limits/{limit}/quotas`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Extension, Json, Router};
use serde_json::{Value, json};
use tollgate::Policy;
use tollgate_accounts::{Actor, Override, OverrideError, Scope};
use tollgate_gateway::InForce;
use tollgate_rules::Limit;

use super::{Admin, answer};

pub(super) fn routes() -> Router<Arc<Admin>> {
    Router::new().route("/limits", get(list)).route(
        "/limits/{limit}/quotas",
        put(set_of_everybody).delete(unset_of_everybody),
    )
}

/// The body that sets quotas.
#[derive(serde::Deserialize)]
pub(super) struct Quotas {
    /// In the notation, several with `;`.
    pub(super) quotas: String,
}

async fn set_of_everybody(
    State(admin): State<Arc<Admin>>,
    Extension(actor): Extension<Actor>,
    Path(limit): Path<String>,
    Json(Quotas { quotas }): Json<Quotas>,
) -> Result<Response, Response> {
    set(&admin, actor, &Whom::everybody(), &limit, &quotas).await
}

async fn unset_of_everybody(
    State(admin): State<Arc<Admin>>,
    Extension(actor): Extension<Actor>,
    Path(limit): Path<String>,
) -> Result<Response, Response> {
    unset(&admin, actor, &Whom::everybody(), &limit).await
}

/// Whom quotas are for.
pub(super) struct Whom {
    pub(super) scope: Scope,
    /// As whoever asks calls them: `the user ann`.
    pub(super) called: String,
}

impl Whom {
    fn everybody() -> Self {
        let called = "everybody".to_owned();
        Whom {
            scope: Scope::Everybody,
            called,
        }
    }
}

/// Sets quotas for somebody.
pub(super) async fn set(
    admin: &Admin,
    actor: Actor,
    whom: &Whom,
    limit: &str,
    quotas: &str,
) -> Result<Response, Response> {
    let accounts = admin.accounts_as(actor)?;
    // Read ahead, for whoever has no quotas of their own yet: others may change them until these are set.
    let in_force = admin.in_force_for(&whom.scope, limit).await;
    let replaced = accounts
        .set_quotas(&whom.scope, limit, quotas)
        .await
        .map_err(|error| match error {
            OverrideError::NoSuchLimit => admin.no_limit(limit),
            error => answer::quotas(&error),
        })?;
    let before = replaced
        .map(|quotas| admin.in_one_form(limit, &quotas))
        .or(in_force)
        .map(|before| format!(" (before: {before})"));
    let (quotas, before) = (admin.in_one_form(limit, quotas), before.unwrap_or_default());
    Ok(format!("{limit} is {quotas} for {}{before}\n", whom.called).into_response())
}

/// Takes quotas away from somebody.
pub(super) async fn unset(
    admin: &Admin,
    actor: Actor,
    whom: &Whom,
    limit: &str,
) -> Result<Response, Response> {
    let unset = admin
        .accounts_as(actor)?
        .unset_quotas(&whom.scope, limit)
        .await;
    unset.map_err(|error| match error {
        OverrideError::NotSet if admin.rules.limit(limit).is_none() => admin.no_limit(limit),
        error => answer::quotas(&error),
    })?;
    let called = &whom.called;
    Ok(format!("{limit} has no quotas of its own for {called} any more\n").into_response())
}

/// Every limit of the rules with what stands in the place of its quotas, and what does so for limits that these rules
/// do not have.
async fn list(State(admin): State<Arc<Admin>>) -> Result<Response, Response> {
    let overrides = match &admin.accounts {
        Some(accounts) => accounts
            .list_overrides(None)
            .await
            .map_err(|error| answer::unavailable(&error))?,
        None => Vec::new(),
    };
    let of = |limit: &str| -> Vec<Value> {
        let its = overrides.iter().filter(|one| one.limit == limit);
        its.map(|one| shown(&admin, one)).collect()
    };
    let known = |limit: &Arc<Limit>| {
        let in_force = InForce::of(limit, admin.accounts.as_ref(), None);
        let parts = limit.key.parts().iter();
        json!({
            "limit": limit.name,
            "key": parts.map(ToString::to_string).collect::<Vec<_>>(),
            "rules": texts(&limit.policies),
            "in_force": texts(in_force.policies()),
            "overrides": of(&limit.name),
        })
    };
    let mut limits: Vec<Value> = admin.rules.limits.iter().map(known).collect();
    let mut unknown: Vec<&str> = overrides.iter().map(|one| one.limit.as_str()).collect();
    unknown.dedup();
    unknown.retain(|name| admin.rules.limit(name).is_none());
    limits.extend(
        unknown
            .into_iter()
            .map(|name| json!({ "limit": name, "key": null, "rules": [], "in_force": [], "overrides": of(name) })),
    );
    Ok(Json(json!({ "limits": limits })).into_response())
}

fn shown(admin: &Admin, one: &Override) -> Value {
    json!({
        "for": one.scope.to_string(),
        "user": one.user_name,
        "quotas": admin.in_one_form(&one.limit, &one.quotas),
        "unusable": one.unusable,
    })
}

fn texts(policies: &[Arc<Policy>]) -> Vec<String> {
    let quotas = policies.iter().filter_map(|policy| policy.quota());
    quotas.map(|quota| quota.to_string()).collect()
}

impl Admin {
    /// Quotas as those of the rules file are shown, however they were written; what cannot be used stays as it is.
    pub(super) fn in_one_form(&self, limit: &str, quotas: &str) -> String {
        let limit = self.rules.limit(limit);
        let policies = limit.and_then(|limit| limit.policies_of(quotas).ok());
        policies.map_or_else(
            || quotas.trim().to_owned(),
            |policies| texts(&policies).join("; "),
        )
    }

    /// The quotas that hold for whom `scope` says, in the notation, a plan's own left aside; `None` when that cannot be
    /// told.
    async fn in_force_for(&self, scope: &Scope, limit: &str) -> Option<String> {
        let limit = self.rules.limit(limit)?;
        let terms = match scope {
            Scope::User(id) => Some(self.terms(Some(id), None).await.ok()?),
            Scope::Key(id) => {
                let key = self.api_key(id.to_string()).await.ok()?;
                Some(self.terms(None, Some(&key)).await.ok()?)
            }
            Scope::Plan(_) | Scope::Everybody => None,
        };
        let in_force = InForce::of(limit, self.accounts.as_ref(), terms.as_ref());
        let quotas = texts(in_force.policies());
        (!quotas.is_empty()).then(|| quotas.join("; "))
    }

    /// There is no limit of this name, but perhaps one like it.
    pub(super) fn no_limit(&self, name: &str) -> Response {
        let names = self.rules.limits.iter().map(|limit| limit.name.as_str());
        let names: Vec<&str> = names.collect();
        let near = self.rules.nearest_limit(name);
        let near = near.map(|near| format!(" (did you mean `{near}`?)"));
        answer::missing(format_args!(
            "there is no limit `{name}`{}; there are: {}",
            near.unwrap_or_default(),
            names.join(", ")
        ))
    }
}
