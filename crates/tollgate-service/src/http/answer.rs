//! One request: who asks, what for, and the answer.

use std::sync::Arc;

use http::{Method, StatusCode};
use tollgate_gateway::spans::OpenSpan;

use super::decide::{Act, decide};
use super::form::Form;
use super::handlers::{self, Answered};
use super::head::Request;
use super::openapi;
use super::problem::Failure;
use super::wire::{Answer, Dates};
use crate::Service;
use crate::grpc::Grpc;
use crate::metrics::Protocol;

/// What the connections of one thread share.
pub(super) struct Worker {
    pub(super) service: Arc<Service>,
    /// Answers `POST /json`, where there are domains.
    pub(super) envoy: Option<Arc<Grpc>>,
    pub(super) dates: Dates,
}

/// What a path is for.
#[derive(Clone, Copy)]
pub(super) enum Route<'e> {
    Get(Got),
    Post(Posted<'e>),
}

/// What is asked without a body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Got {
    Limits,
    OpenApi,
}

/// What is asked with a body.
#[derive(Clone, Copy)]
pub(super) enum Posted<'e> {
    Decide(Act),
    Settle,
    Refund,
    Reset,
    /// As Envoy's own service has it.
    Envoy(&'e Grpc),
}

/// What is asked at a path, and the path as it is written here.
fn known<'e>(path: &str, envoy: Option<&'e Grpc>) -> Option<(&'static str, Route<'e>)> {
    let got = |known, got| Some((known, Route::Get(got)));
    let posted = |known, posted| Some((known, Route::Post(posted)));
    match path {
        "/v1/limits" => got("/v1/limits", Got::Limits),
        "/v1/openapi.json" => got("/v1/openapi.json", Got::OpenApi),
        "/v1/check" => posted("/v1/check", Posted::Decide(Act::Check)),
        "/v1/peek" => posted("/v1/peek", Posted::Decide(Act::Peek)),
        "/v1/reserve" => posted("/v1/reserve", Posted::Decide(Act::Reserve)),
        "/v1/settle" => posted("/v1/settle", Posted::Settle),
        "/v1/refund" => posted("/v1/refund", Posted::Refund),
        "/v1/reset" => posted("/v1/reset", Posted::Reset),
        "/json" => posted("/json", Posted::Envoy(envoy?)),
        _ => None,
    }
}

/// What a request asks, if it may.
pub(super) fn route<'w>(worker: &'w Worker, request: Request<'_>) -> Result<Route<'w>, Failure> {
    let Some((_, route)) = known(request.path(), worker.envoy.as_deref()) else {
        let why = "There is nothing here.";
        return Err(Failure::new(StatusCode::NOT_FOUND, why));
    };
    let (method, allowed) = match route {
        Route::Get(_) => (Method::GET, "GET"),
        Route::Post(_) => (Method::POST, "POST"),
    };
    if request.head.method != method {
        return Err(Failure::method(allowed));
    }
    match route {
        Route::Get(Got::OpenApi) => Ok(route),
        _ if !is_admitted(&worker.service, request) => {
            let why = "Send `Authorization: Bearer` with a token of the service.";
            Err(Failure::new(StatusCode::UNAUTHORIZED, why))
        }
        // Browsers send nothing else across origins without asking first, and are not allowed to.
        Route::Post(_) if !is_json(request) => {
            let why = "Send `Content-Type: application/json`.";
            Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why))
        }
        Route::Get(_) | Route::Post(_) => Ok(route),
    }
}

pub(super) fn get(worker: &Worker, got: Got) -> Answered {
    match got {
        Got::Limits => handlers::limits(&worker.service),
        Got::OpenApi => openapi::answer(),
    }
}

pub(super) async fn post(
    worker: &Worker,
    posted: Posted<'_>,
    request: Request<'_>,
    body: &[u8],
) -> Answered {
    let service = &worker.service;
    match posted {
        Posted::Settle => handlers::settle(service, body).await,
        Posted::Refund => handlers::refund(service, body).await,
        Posted::Reset => handlers::reset(service, body).await,
        Posted::Decide(act) => {
            let form = Form::of(request.query(), request.fields("prefer"))?;
            decide(service, act, body, form).await
        }
        Posted::Envoy(envoy) => handlers::envoy(envoy.json(&request.header_map(), body).await),
    }
}

/// What is told of a request at this path that is not answered with what it asked for.
pub(super) fn failed(worker: &Worker, failure: Failure, path: &str) -> Answer {
    worker.service.metrics.error(Protocol::Http);
    failure.into_answer(path)
}

pub(super) fn begin_span(worker: &Worker, request: Request<'_>) -> Option<OpenSpan> {
    let service = &worker.service;
    service.tracer.as_ref()?;
    service.begin_span(&request.header_map(), is_admitted(service, request))
}

pub(super) fn end_span(
    worker: &Worker,
    span: Option<OpenSpan>,
    request: Request<'_>,
    status: StatusCode,
) {
    let Some(open) = span else { return };
    let known = known(request.path(), worker.envoy.as_deref()).map(|(known, _)| known);
    let method = &request.head.method;
    worker.service.end_http(&open, method, known, status);
}

fn is_admitted(service: &Service, request: Request<'_>) -> bool {
    let shown = request.field("authorization");
    service.tokens.admit_bearer(shown)
}

fn is_json(request: Request<'_>) -> bool {
    let media_type = request.field("content-type").unwrap_or_default();
    let essence = media_type.split(|byte| *byte == b';').next();
    let essence = essence.unwrap_or_default().trim_ascii();
    essence.eq_ignore_ascii_case(b"application/json")
}
