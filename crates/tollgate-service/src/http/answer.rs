//! One request: who asks, what for, and the answer.

use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use tokio::time::timeout;

use super::handlers::{self, Act, Answered};
use super::openapi;
use super::problem::Failure;
use crate::Service;
use crate::grpc::Grpc;
use crate::metrics::Protocol;

/// The largest body of a request.
const BODY_BYTES_MAX: usize = 64 << 10;

/// What a path is for.
#[derive(Clone, Copy)]
enum Route<'e> {
    Limits,
    OpenApi,
    Post(Posted<'e>),
}

/// What is asked with a body.
#[derive(Clone, Copy)]
enum Posted<'e> {
    Decide(Act),
    Settle,
    Refund,
    Reset,
    /// As Envoy's own service has it.
    Envoy(&'e Grpc),
}

fn route<'e>(path: &str, envoy: Option<&'e Grpc>) -> Option<Route<'e>> {
    Some(Route::Post(match path {
        "/v1/limits" => return Some(Route::Limits),
        "/v1/openapi.json" => return Some(Route::OpenApi),
        "/v1/check" => Posted::Decide(Act::Check),
        "/v1/peek" => Posted::Decide(Act::Peek),
        "/v1/reserve" => Posted::Decide(Act::Reserve),
        "/v1/settle" => Posted::Settle,
        "/v1/refund" => Posted::Refund,
        "/v1/reset" => Posted::Reset,
        "/json" => Posted::Envoy(envoy?),
        _ => return None,
    }))
}

pub(super) async fn answer(
    service: &Service,
    envoy: Option<&Grpc>,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    answered(service, envoy, request)
        .await
        .unwrap_or_else(|failure| {
            service.metrics.error(Protocol::Http);
            failure.into_response(&path)
        })
}

async fn answered(service: &Service, envoy: Option<&Grpc>, request: Request<Incoming>) -> Answered {
    let (head, body) = request.into_parts();
    let Some(route) = route(head.uri.path(), envoy) else {
        return Err(Failure::new(
            StatusCode::NOT_FOUND,
            "There is nothing here.",
        ));
    };
    let method = match route {
        Route::Limits | Route::OpenApi => Method::GET,
        Route::Post(_) => Method::POST,
    };
    if head.method != method {
        let allowed = if method == Method::GET { "GET" } else { "POST" };
        return Err(Failure::method(allowed));
    }
    let posted = match route {
        Route::OpenApi => return openapi::answer(),
        _ if !is_admitted(service, &head.headers) => {
            let why = "Send `Authorization: Bearer` with a token of the service.";
            return Err(Failure::new(StatusCode::UNAUTHORIZED, why));
        }
        Route::Limits => return handlers::limits(service),
        // Browsers send nothing else across origins without asking first, and are not allowed to.
        Route::Post(_) if !is_json(&head.headers) => {
            let why = "Send `Content-Type: application/json`.";
            return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
        }
        Route::Post(posted) => posted,
    };
    let body = read(service, body).await?;
    match posted {
        Posted::Settle => handlers::settle(service, &body).await,
        Posted::Refund => handlers::refund(service, &body).await,
        Posted::Reset => handlers::reset(service, &body).await,
        Posted::Decide(act) => {
            let query = head.uri.query().unwrap_or_default();
            let always_200 = query.split('&').any(|pair| pair == "status=200");
            handlers::decide(service, act, &body, always_200).await
        }
        Posted::Envoy(envoy) => handlers::envoy(envoy.json(&head.headers, &body).await),
    }
}

fn is_admitted(service: &Service, headers: &HeaderMap) -> bool {
    if service.tokens.is_open() {
        return true;
    }
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
    });
    shown.is_some_and(|token| service.tokens.admit(token))
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE);
    let media_type = media_type
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

async fn read(service: &Service, body: Incoming) -> Result<Bytes, Failure> {
    let whole = Limited::new(body, BODY_BYTES_MAX).collect();
    match timeout(service.question_timeout(), whole).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            let why = format!("The body is larger than {BODY_BYTES_MAX} bytes.");
            Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, why))
        }
        Ok(Err(_)) => Err(Failure::new(StatusCode::BAD_REQUEST, "The body broke off.")),
        Err(_) => {
            let why = "The body did not come in time.";
            Err(Failure::new(StatusCode::REQUEST_TIMEOUT, why))
        }
    }
}
