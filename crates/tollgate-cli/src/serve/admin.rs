//! The admin side: health, metrics and counters, on a Unix socket in the data directory; of these, what everybody may
//! know also on an address of its own.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path as UrlPath, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use tokio::sync::watch;
use tollgate::key::CompositeKey;
use tollgate::{Check, Checks, Clock, ManualClock, MemoryStore};
use tollgate_accounts::Accounts;
use tollgate_gateway::Gateway;
use tollgate_gateway::page::Window;
use tollgate_rules::{KeyPart, Limit, RuleSet};

use super::{MaybeBuiltins, admin_monitor};
use crate::failure::Failure;
use crate::monitor::Monitor;

/// The socket's name in the data directory.
pub(crate) const SOCKET: &str = "admin.sock";

/// What the admin side answers from.
pub(super) struct Admin {
    pub(super) gateway: Arc<Gateway>,
    pub(super) rules: Arc<RuleSet>,
    pub(super) accounts: Option<Accounts>,
    pub(super) store: Arc<MemoryStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) held: Option<Arc<ManualClock>>,
    pub(super) builtins: MaybeBuiltins,
    pub(super) monitor: Arc<Monitor>,
    pub(super) stopping: watch::Receiver<bool>,
}

/// Starts answering. Whoever can open the socket is an administrator; the address knows health and metrics alone.
pub(super) async fn start(
    admin: Admin,
    data: &Path,
    address: Option<SocketAddr>,
) -> Result<(), Failure> {
    let admin = Arc::new(admin);
    let socket = data.join(SOCKET);
    let failed = |error: std::io::Error| {
        Failure::because(
            format!("the admin socket {} cannot be made", socket.display()),
            &error,
        )
    };
    // The data directory is locked: a socket that is there was left behind.
    match std::fs::remove_file(&socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = tokio::net::UnixListener::bind(&socket).map_err(failed)?;
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    let mut everything = public(Arc::clone(&admin))
        .route(
            "/limits/{limit}",
            get(show_limit)
                .delete(reset_limit)
                .with_state(Arc::clone(&admin)),
        )
        .merge(admin_monitor::routes(&admin));
    if let Some(held) = &admin.held {
        everything = everything.route(
            "/clock/advance",
            post(advance_clock).with_state(Arc::clone(held)),
        );
    }
    tokio::spawn(async move { axum::serve(listener, everything).await });
    if let Some(address) = address {
        let listener = tokio::net::TcpListener::bind(address).await;
        let listener = listener.map_err(|error| {
            Failure::because(format!("cannot listen on {address} for --admin"), &error)
        })?;
        let public = public(admin);
        tokio::spawn(async move { axum::serve(listener, public).await });
    }
    Ok(())
}

/// Health and metrics, which name no caller.
fn public(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

async fn ready(State(admin): State<Arc<Admin>>) -> Response {
    match *admin.stopping.borrow() {
        true => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response(),
        false => "ready\n".into_response(),
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    let dropped = admin
        .accounts
        .as_ref()
        .map_or(0, |accounts| accounts.usage().dropped());
    let text = admin
        .gateway
        .metrics()
        .encode(&admin.store, admin.clock.now(), dropped);
    (
        [(
            http::header::CONTENT_TYPE,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        )],
        text,
    )
        .into_response()
}

#[derive(serde::Deserialize)]
struct Advance {
    seconds: f64,
}

async fn advance_clock(
    State(held): State<Arc<ManualClock>>,
    Json(advance): Json<Advance>,
) -> Response {
    match Duration::try_from_secs_f64(advance.seconds) {
        Ok(by) => {
            held.advance(by);
            Json(json!({ "now_us": held.now().0 })).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

async fn show_limit(
    State(admin): State<Arc<Admin>>,
    UrlPath(name): UrlPath<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let (limit, key) = match admin.limit_and_key(&name, query.as_deref()).await {
        Ok((limit, Some(key))) => (limit, key),
        Ok((_, None)) => return wrong("name the key: one word for each of its parts"),
        Err(response) => return response,
    };
    let mut checks = Checks::new();
    for policy in &limit.policies {
        if checks
            .push(Check {
                policy,
                key: key.as_ref(),
                cost: 1,
            })
            .is_err()
        {
            return wrong("the key is too long");
        }
    }
    let decision = admin.store.peek(&checks, admin.clock.now());
    let windows: serde_json::Map<String, serde_json::Value> = Window::of(&limit.policies, &decision)
        .into_iter()
        .map(|window| {
            let standing = json!({ "limit": window.limit, "used": window.used, "remaining": window.remaining, "resets_in": window.resets_in });
            (window.name, standing)
        })
        .collect();
    Json(json!({ "limit": name, "windows": windows })).into_response()
}

async fn reset_limit(
    State(admin): State<Arc<Admin>>,
    UrlPath(name): UrlPath<String>,
    RawQuery(query): RawQuery,
) -> Response {
    match admin.limit_and_key(&name, query.as_deref()).await {
        Ok((limit, Some(key))) => {
            let had = limit.policies.iter().fold(false, |had, policy| {
                admin.store.reset(policy, key.as_ref()) | had
            });
            (if had { "reset\n" } else { "nothing was used\n" }).into_response()
        }
        Ok((limit, None)) => {
            limit
                .policies
                .iter()
                .for_each(|policy| admin.store.reset_all(policy));
            "reset for every key\n".into_response()
        }
        Err(response) => response,
    }
}

fn wrong(message: &str) -> Response {
    (StatusCode::BAD_REQUEST, format!("{message}\n")).into_response()
}

impl Admin {
    /// The limit of this name, and the key that the query's `key=` words mean; no key where it says `all=true`.
    async fn limit_and_key(
        &self,
        name: &str,
        query: Option<&str>,
    ) -> Result<(&Arc<Limit>, Option<CompositeKey>), Response> {
        let Some(limit) = self.rules.limit(name) else {
            let names: Vec<&str> = self
                .rules
                .limits
                .iter()
                .map(|limit| limit.name.as_str())
                .collect();
            return Err((
                StatusCode::NOT_FOUND,
                format!(
                    "there is no limit `{name}`; there are: {}\n",
                    names.join(", ")
                ),
            )
                .into_response());
        };
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query.unwrap_or_default())
            .map_err(|error| wrong(&error.to_string()))?;
        if pairs
            .iter()
            .any(|(name, value)| name == "all" && value == "true")
        {
            return Ok((limit, None));
        }
        let mut words: Vec<String> = pairs
            .into_iter()
            .filter(|(name, _)| name == "key")
            .map(|(_, value)| value)
            .collect();
        let counted = limit
            .key
            .parts()
            .iter()
            .filter(|part| !matches!(part, KeyPart::Global));
        for (part, word) in counted.zip(words.iter_mut()) {
            if *part == KeyPart::User {
                *word = self.user_id(word).await?;
            }
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let key = limit.key.key_from_words(&words);
        key.map(|key| (limit, Some(key))).ok_or_else(|| {
            wrong(&format!(
                "`{name}` has a key of {} parts",
                limit.key.parts().len()
            ))
        })
    }

    /// A user's id by name; a guest is known by its subject alone.
    async fn user_id(&self, name: &str) -> Result<String, Response> {
        let Some(accounts) = self
            .accounts
            .as_ref()
            .filter(|_| !name.starts_with("guest-"))
        else {
            return Ok(name.to_owned());
        };
        match accounts.user_by_name(name).await {
            Ok(Some(user)) => Ok(user.id.to_string()),
            Ok(None) => Err((
                StatusCode::NOT_FOUND,
                format!("there is no user `{name}`\n"),
            )
                .into_response()),
            Err(error) => {
                Err((StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response())
            }
        }
    }
}
