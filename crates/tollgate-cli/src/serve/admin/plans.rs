//! Plans: `/plans`, `/plans/{plan}` and `/plans/{plan}/limits/{limit}`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Extension, Json, Router};
use serde_json::json;
use tollgate_accounts::{Actor, Plan, Scope};

use super::quotas::{self, Quotas, Whom};
use super::{Admin, answer};
use crate::time;

pub(super) fn routes() -> Router<Arc<Admin>> {
    Router::new()
        .route("/plans", get(list))
        .route("/plans/{plan}", put(create).delete(delete))
        .route("/plans/{plan}/limits/{limit}", put(set).delete(unset))
}

async fn list(
    State(admin): State<Arc<Admin>>,
    Extension(actor): Extension<Actor>,
) -> Result<Response, Response> {
    let plans = admin.accounts_as(actor)?.list_plans().await;
    let plans = plans.map_err(|error| answer::unavailable(&error))?;
    let shown = |plan: &Plan| {
        let limits = plan.limits.iter();
        let limits = limits.map(|(limit, quotas)| (limit, admin.in_one_form(limit, quotas)));
        json!({
            "plan": plan.name,
            "created_at": time::rfc3339(plan.created_at),
            "users": plan.users,
            "limits": limits.collect::<BTreeMap<_, _>>(),
        })
    };
    let plans: Vec<_> = plans.iter().map(shown).collect();
    Ok(Json(json!({ "plans": plans })).into_response())
}

async fn create(
    State(admin): State<Arc<Admin>>,
    Extension(actor): Extension<Actor>,
    Path(plan): Path<String>,
) -> Result<Response, Response> {
    let created = admin.accounts_as(actor)?.create_plan(&plan).await;
    created.map_err(|error| answer::plan(&error))?;
    Ok((StatusCode::CREATED, format!("made the plan {plan}\n")).into_response())
}

async fn delete(
    State(admin): State<Arc<Admin>>,
    Extension(actor): Extension<Actor>,
    Path(plan): Path<String>,
) -> Result<Response, Response> {
    let deleted = admin.accounts_as(actor)?.delete_plan(&plan).await;
    deleted.map_err(|error| answer::plan(&error))?;
    Ok(format!("deleted the plan {plan}\n").into_response())
}

async fn set(
    State(admin): State<Arc<Admin>>,
    Extension(actor): Extension<Actor>,
    Path((plan, limit)): Path<(String, String)>,
    Json(Quotas { quotas }): Json<Quotas>,
) -> Result<Response, Response> {
    quotas::set(&admin, actor, &whom(plan), &limit, &quotas).await
}

async fn unset(
    State(admin): State<Arc<Admin>>,
    Extension(actor): Extension<Actor>,
    Path((plan, limit)): Path<(String, String)>,
) -> Result<Response, Response> {
    quotas::unset(&admin, actor, &whom(plan), &limit).await
}

fn whom(plan: String) -> Whom {
    Whom {
        called: format!("the plan {plan}"),
        scope: Scope::Plan(plan),
    }
}
