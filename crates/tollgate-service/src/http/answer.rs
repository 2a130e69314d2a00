//! One request: who asks, what for, and the answer.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap};
use http::request::Parts;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::Response;
use super::decide::{Act, decide};
use super::form::Form;
use super::handlers::{self, Answered};
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

/// What is asked at a path, and the path as it is written here.
fn route<'e>(path: &str, envoy: Option<&'e Grpc>) -> Option<(&'static str, Route<'e>)> {
    let posted = |known, posted| Some((known, Route::Post(posted)));
    match path {
        "/v1/limits" => Some(("/v1/limits", Route::Limits)),
        "/v1/openapi.json" => Some(("/v1/openapi.json", Route::OpenApi)),
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

pub(super) async fn answer(
    service: &Service,
    envoy: Option<&Grpc>,
    request: Request<Incoming>,
) -> Response {
    let (head, body) = request.into_parts();
    let headers = &head.headers;
    let span = service.tracer.as_ref();
    let span = span.and_then(|_| service.begin_span(headers, is_admitted(service, headers)));
    let answered = answered(service, envoy, &head, body).await;
    let answer = answered.unwrap_or_else(|failure| {
        service.metrics.error(Protocol::Http);
        failure.into_response(head.uri.path())
    });
    if let Some(open) = span {
        let known = route(head.uri.path(), envoy).map(|(known, _)| known);
        service.end_http(&open, &head.method, known, answer.status());
    }
    answer
}

async fn answered(
    service: &Service,
    envoy: Option<&Grpc>,
    head: &Parts,
    body: Incoming,
) -> Answered {
    let Some((_, route)) = route(head.uri.path(), envoy) else {
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
            let form = Form::of(head.uri.query(), &head.headers);
            decide(service, act, &body, form).await
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
    let mut whole = pin!(whole(body));
    // Most bodies come with their heads, and are here without a timer.
    if let Some(read) = soon(whole.as_mut()).await {
        return read;
    }
    let read = timeout(service.question_timeout(), whole).await;
    read.unwrap_or_else(|_| {
        let why = "The body did not come in time.";
        Err(Failure::new(StatusCode::REQUEST_TIMEOUT, why))
    })
}

/// What a future comes to at once, or as soon as its task has had another turn.
async fn soon<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    let mut had_its_turn = false;
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if had_its_turn => Poll::Ready(None),
        Poll::Pending => {
            had_its_turn = true;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

/// The whole body. What comes in one piece is not copied.
async fn whole(mut body: Incoming) -> Result<Bytes, Failure> {
    let (mut first, mut all) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let broken = |_| Failure::new(StatusCode::BAD_REQUEST, "The body broke off.");
        let Ok(piece) = frame.map_err(broken)?.into_data() else {
            continue;
        };
        if first.len().max(all.len()) + piece.len() > BODY_BYTES_MAX {
            let why = format!("The body is larger than {BODY_BYTES_MAX} bytes.");
            return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, why));
        }
        if first.is_empty() {
            first = piece;
            continue;
        }
        if all.is_empty() {
            all.extend_from_slice(&first);
        }
        all.extend_from_slice(&piece);
    }
    match all.is_empty() {
        true => Ok(first),
        false => Ok(all.freeze()),
    }
}
