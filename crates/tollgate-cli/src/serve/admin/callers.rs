//! What single users and keys have: `/users/{name}/plan`, `/users/{name}/limits/{limit}` and
//! `/keys/{id}/limits/{limit}`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::put;
use axum::{Extension, Json, Router};
use tollgate_accounts::{Accounts, Actor, KeyId, Scope, User};

use super::quotas::{self, Quotas, Whom};
use super::{Admin, answer};

pub(super) fn routes() -> Router<Arc<Admin>> {
    Router::new()
        .route("/users/{name}/plan", put(give_plan).delete(take_plan))
        .route(
            "/users/{name}/limits/{limit}",
            put(set_of_user).delete(unset_of_user),
        )
        .route(
            "/keys/{id}/limits/{limit}",
            put(set_of_key).delete(unset_of_key),
        )
}

/// The body that gives a plan.
#[derive(serde::Deserialize)]
struct PlanOf {
    plan: String,
}

async fn give_plan(
    State(admin): State<Arc<Admin>>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    Json(PlanOf { plan }): Json<PlanOf>,
) -> Result<Response, Response> {
    let given = admin.accounts_as(actor)?.set_plan(&name, Some(&plan)).await;
    given.map_err(|error| answer::plan(&error))?;
    Ok(format!("{name} has the plan {plan}\n").into_response())
}

async fn take_plan(
    State(admin): State<Arc<Admin>>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
) -> Result<Response, Response> {
    let taken = admin.accounts_as(actor)?.set_plan(&name, None).await;
    taken.map_err(|error| answer::plan(&error))?;
    Ok(format!("{name} has no plan\n").into_response())
}

async fn set_of_user(
    State(admin): State<Arc<Admin>>,
    Extension(actor): Extension<Actor>,
    Path((name, limit)): Path<(String, String)>,
    Json(Quotas { quotas }): Json<Quotas>,
) -> Result<Response, Response> {
    let whom = user(&admin.accounts_as(actor.clone())?, &name).await?;
    quotas::set(&admin, actor, &whom, &limit, &quotas).await
}

async fn unset_of_user(
    State(admin): State<Arc<Admin>>,
    Extension(actor): Extension<Actor>,
    Path((name, limit)): Path<(String, String)>,
) -> Result<Response, Response> {
    let whom = user(&admin.accounts_as(actor.clone())?, &name).await?;
    quotas::unset(&admin, actor, &whom, &limit).await
}

async fn set_of_key(
    State(admin): State<Arc<Admin>>,
    Extension(actor): Extension<Actor>,
    Path((id, limit)): Path<(String, String)>,
    Json(Quotas { quotas }): Json<Quotas>,
) -> Result<Response, Response> {
    let whom = key(id);
    quotas::set(&admin, actor, &whom, &limit, &quotas).await
}

async fn unset_of_key(
    State(admin): State<Arc<Admin>>,
    Extension(actor): Extension<Actor>,
    Path((id, limit)): Path<(String, String)>,
) -> Result<Response, Response> {
    let whom = key(id);
    quotas::unset(&admin, actor, &whom, &limit).await
}

fn key(id: String) -> Whom {
    Whom {
        called: format!("the key {id}"),
        scope: Scope::Key(KeyId::from(id)),
    }
}

async fn user(accounts: &Accounts, name: &str) -> Result<Whom, Response> {
    let user = accounts.user_by_name(name).await;
    let user = user.map_err(|error| answer::unavailable(&error))?;
    let whom = |user: User| Whom {
        called: format!("the user {}", user.name),
        scope: Scope::User(user.id),
    };
    user.map(whom)
        .ok_or_else(|| answer::missing(format_args!("there is no user `{name}`")))
}
