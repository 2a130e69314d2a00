//! Users: `/users`, `/users/{name}/role` and `/users/{name}/disabled`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Extension, Json, Router};
use serde_json::json;
use tollgate_accounts::{Actor, Role, User};

use super::{Admin, answer};
use crate::time;

pub(super) fn routes() -> Router<Arc<Admin>> {
    Router::new()
        .route("/users", get(list).post(create))
        .route("/users/{name}/role", put(set_role))
        .route("/users/{name}/disabled", put(disable).delete(enable))
}

/// The body that makes a user. Without `Debug`: a password is in it.
#[derive(serde::Deserialize)]
struct NewUser {
    username: String,
    password: String,
    /// `user`, if nothing is said.
    role: Option<String>,
}

/// The body that gives a role.
#[derive(serde::Deserialize)]
struct RoleOf {
    role: String,
}

async fn list(
    State(admin): State<Arc<Admin>>,
    Extension(actor): Extension<Actor>,
) -> Result<Response, Response> {
    let users = admin.accounts_as(actor)?.list_users().await;
    let users = users.map_err(|error| answer::unavailable(&error))?;
    let shown = |user: &User| {
        json!({
            "id": user.id.as_str(),
            "name": user.name,
            "role": user.role.as_str(),
            "plan": user.plan,
            "created_at": time::rfc3339(user.created_at),
            "disabled_at": user.disabled_at.map(time::rfc3339),
        })
    };
    let users: Vec<_> = users.iter().map(shown).collect();
    Ok(Json(json!({ "users": users })).into_response())
}

async fn create(
    State(admin): State<Arc<Admin>>,
    Extension(actor): Extension<Actor>,
    Json(new): Json<NewUser>,
) -> Result<Response, Response> {
    let role = role(new.role.as_deref().unwrap_or(Role::User.as_str()))?;
    let accounts = admin.accounts_as(actor)?;
    let created = accounts
        .create_user(&new.username, &new.password, role)
        .await;
    let user = created.map_err(|error| answer::sign_up(&error))?;
    let made = format!("made the {role} {}\n", user.name);
    Ok((StatusCode::CREATED, made).into_response())
}

async fn set_role(
    State(admin): State<Arc<Admin>>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    Json(given): Json<RoleOf>,
) -> Result<Response, Response> {
    let role = role(&given.role)?;
    let set = admin.accounts_as(actor)?.set_role(&name, role).await;
    set.map_err(|error| answer::user(&error))?;
    Ok(format!("{name} has the role {role}\n").into_response())
}

async fn disable(
    State(admin): State<Arc<Admin>>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
) -> Result<Response, Response> {
    let disabled = admin.accounts_as(actor)?.disable_user(&name).await;
    disabled.map_err(|error| answer::user(&error))?;
    Ok(format!("disabled {name}\n").into_response())
}

async fn enable(
    State(admin): State<Arc<Admin>>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
) -> Result<Response, Response> {
    let enabled = admin.accounts_as(actor)?.enable_user(&name).await;
    enabled.map_err(|error| answer::user(&error))?;
    Ok(format!("enabled {name}\n").into_response())
}

fn role(text: &str) -> Result<Role, Response> {
    text.parse::<Role>().map_err(answer::wrong)
}
