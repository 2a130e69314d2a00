//! The admin side: health, metrics, counters, plans and the log of changes, on a Unix socket in the data directory; of
//! these, what everybody may know also on an address of its own.

pub(crate) mod answer;
mod audit;
mod callers;
mod counters;
mod health;
mod monitor;
mod plans;
mod process;
mod quotas;
mod strangers;
mod users;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde_json::json;
use tokio::sync::watch;
use tollgate::{Clock, ManualClock, Micros};
use tollgate_accounts::{Accounts, Actor};
use tollgate_gateway::{Counters, Gateway};
use tollgate_rules::RuleSet;

use super::traces::MetricsText;
use super::version::RulesVersion;
use crate::builtin::Builtins;
use crate::failure::Failure;
use crate::monitor::Monitor;

/// The socket's name in the data directory.
pub(crate) const SOCKET: &str = "admin.sock";

/// What the admin side answers from.
pub(crate) struct Admin {
    pub(super) gateway: Arc<Gateway>,
    pub(super) rules: Arc<RuleSet>,
    pub(super) accounts: Option<Accounts>,
    pub(super) counters: Counters,
    pub(super) clock: Arc<dyn Clock>,
    /// When the gateway started.
    pub(super) started: Micros,
    pub(super) held: Option<Arc<ManualClock>>,
    /// What answers the built-ins, where there are accounts.
    pub(super) builtins: Option<Arc<Builtins>>,
    /// What the decision service measures, where it runs.
    pub(super) service: Option<Arc<tollgate_service::Metrics>>,
    /// What it measures of domains, where Envoy asks.
    pub(super) envoy: Option<Arc<tollgate_service::grpc::GrpcMetrics>>,
    /// What became of spans, where requests are traced.
    pub(super) traces: MetricsText,
    pub(super) version: Arc<RulesVersion>,
    pub(super) monitor: Arc<Monitor>,
    /// Whether the start is complete: all services listen, and the demo key is made.
    pub(super) is_complete: Arc<AtomicBool>,
    pub(super) stopping: watch::Receiver<bool>,
}

/// Starts answering. Whoever can open the socket is an administrator; the address knows health and metrics alone.
pub(super) async fn start(
    admin: Arc<Admin>,
    data: &Path,
    address: Option<SocketAddr>,
) -> Result<(), Failure> {
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
        .merge(management(Arc::clone(&admin)).layer(Extension(Actor::Local)));
    // Whoever can open the socket can read the rules and the environment that name the database.
    let url = admin.accounts.as_ref().map(|_| &admin.rules.accounts.url);
    let url = Json(json!({ "url": url }));
    everything = everything.route("/accounts/url", get(async || url));
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
        tokio::spawn(strangers::serve(listener, public(admin)));
    }
    Ok(())
}

/// What administrators see and change. Who they are is an [`Extension`] of type [`Actor`], and stands in the log.
pub(crate) fn management(admin: Arc<Admin>) -> Router {
    Router::new()
        .merge(counters::routes())
        .merge(quotas::routes())
        .merge(plans::routes())
        .merge(callers::routes())
        .merge(users::routes())
        .merge(health::routes())
        .merge(audit::routes())
        .merge(monitor::routes())
        .with_state(admin)
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
    if *admin.stopping.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    if !admin.is_complete.load(Ordering::Acquire) {
        return (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response();
    }
    // A database or a store that all gateways share must not take all of them out of a load balancer at once: whoever is known goes
    // on, and so does what is open to everybody.
    let accounts = admin.accounts.as_ref().and_then(Accounts::away_for);
    let away = [
        ("counters unreachable", admin.counters.away_for()),
        ("accounts database unreachable", accounts),
    ];
    let away = away.into_iter().filter_map(|(what, away)| {
        let seconds = away?.as_secs();
        Some(format!("{what} for {seconds} s"))
    });
    let away: Vec<String> = away.collect();
    match away.is_empty() {
        true => "ready\n".into_response(),
        false => format!("degraded: {}\n", away.join(", ")).into_response(),
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    let of_service = admin.service.as_ref().map(|service| service.encode());
    let of_envoy = admin.envoy.as_ref().map(|envoy| envoy.encode());
    let of_process = process::metrics(admin.started);
    let of_gateway = admin.gateway.encode_metrics();
    // The gateway's come last: they end with the mark of the end.
    let text = [
        Some(of_process),
        Some(admin.version.encode()),
        of_service,
        of_envoy,
        Some((admin.traces)()),
    ]
    .into_iter()
    .flatten()
    .collect::<String>()
        + &of_gateway;
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
