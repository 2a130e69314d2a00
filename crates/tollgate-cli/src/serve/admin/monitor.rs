//! What goes on, for whoever can open the admin socket: everything, of everybody.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path as UrlPath, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use tollgate_gateway::refusal::Refusal;

use super::{Admin, answer};
use crate::builtin::Builtins;
use crate::builtin::monitor::Query;
use crate::monitor::stream;

/// Callers in a list of heavy hitters, if nothing is said.
const HEAVY_SHOWN: usize = 20;

pub(super) fn routes() -> Router<Arc<Admin>> {
    Router::new()
        .route("/monitor/overview", get(overview))
        .route("/monitor/live", get(live))
        .route("/monitor/heavy", get(heavy))
        .route("/monitor/keys", get(keys))
        .route("/monitor/keys/{id}/series", get(series))
}

async fn overview(State(admin): State<Arc<Admin>>) -> Response {
    Json(admin.monitor.overview()).into_response()
}

async fn live(State(admin): State<Arc<Admin>>) -> Response {
    match admin.monitor.admins.take("") {
        Some(place) => {
            let everything = admin.monitor.everything();
            stream(&admin.monitor, place, everything).map(Body::new)
        }
        None => refused(&Refusal::unavailable("Too many streams are open.")),
    }
}

#[derive(serde::Deserialize)]
struct HowMany {
    limit: Option<usize>,
}

async fn heavy(
    State(admin): State<Arc<Admin>>,
    axum::extract::Query(HowMany { limit }): axum::extract::Query<HowMany>,
) -> Response {
    let shown = admin.monitor.heavy(limit.unwrap_or(HEAVY_SHOWN));
    let shown = match &admin.accounts {
        Some(accounts) => shown.name_by(accounts).await,
        None => shown,
    };
    Json(shown).into_response()
}

async fn keys(
    State(admin): State<Arc<Admin>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let Some(builtins) = &admin.builtins else {
        return answer::no_accounts();
    };
    let keys = async |builtins: &Builtins| {
        let query = Query::read(query.as_deref(), &headers)?;
        builtins.keys(None, &admin.rules.limits, &query).await
    };
    answered(keys(builtins).await)
}

async fn series(
    State(admin): State<Arc<Admin>>,
    UrlPath(id): UrlPath<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let Some(builtins) = &admin.builtins else {
        return answer::no_accounts();
    };
    let series = async |builtins: &Builtins| {
        let query = Query::read(query.as_deref(), &headers)?;
        builtins.series_of_anybody(&id, &query).await
    };
    answered(series(builtins).await)
}

fn answered(answer: Result<Response<Bytes>, Refusal>) -> Response {
    match answer {
        Ok(response) => response.map(Body::from),
        Err(refusal) => refused(&refusal),
    }
}

fn refused(refusal: &Refusal) -> Response {
    let body = format!("{}\n", refusal.detail());
    (refusal.status(None), body).into_response()
}
