//! One call: which method, who asks, and the way from its frames to an answer.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::poll_immediate;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use tokio::sync::watch;
use tonic::{Code, Status};

use super::deadline::Deadline;
use super::messages::{self, RateLimitResponse};
use super::others::Others;
use super::{Grpc, Refused, frames};
use crate::metrics::Protocol;

const SHOULD_RATE_LIMIT: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
/// How long a request may take to arrive, and its answer to be made.
pub(super) const CALL_MAX: Duration = Duration::from_secs(20);

/// A request, of which just the head has come for sure, and where its answer goes.
pub(super) type Call = (Request<RecvStream>, SendResponse<Bytes>);

/// The methods that are served: deciding, and those of other services.
pub(super) struct Methods {
    pub(super) grpc: Arc<Grpc>,
    /// Turns true when the service stops.
    pub(super) stop: watch::Receiver<bool>,
    others: Others,
}

impl Methods {
    pub(super) fn new(grpc: Arc<Grpc>, stop: watch::Receiver<bool>) -> Self {
        Methods {
            others: Others::new(&grpc),
            grpc,
            stop,
        }
    }

    /// Answers a call: at once, or by a task of its own if it has to wait for anything.
    pub(super) fn take(self: &Rc<Self>, call: Call, context: &mut Context<'_>) {
        let mut answering = Box::pin(Rc::clone(self).answer(call));
        if answering.as_mut().poll(context).is_pending() {
            tokio::task::spawn_local(answering);
        }
    }

    async fn answer(self: Rc<Self>, (request, mut respond): Call) {
        let answered = match request.uri().path() {
            SHOULD_RATE_LIMIT => self.should_rate_limit(request, &mut respond).await,
            // It is large, and seldom.
            _ => Box::pin(self.others.answer(&self, request, &mut respond)).await,
        };
        if let Err(error) = answered {
            tracing::debug!(%error, "an answer was not sent");
        }
    }

    async fn should_rate_limit(
        &self,
        request: Request<RecvStream>,
        respond: &mut SendResponse<Bytes>,
    ) -> Result<(), h2::Error> {
        // Browsers send what looks like another form of theirs across origins without asking first.
        if !is_grpc(&request) {
            self.grpc.service.metrics.error(Protocol::Grpc);
            let mut response = Response::new(());
            *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            respond.send_response(response, true)?;
            return Ok(());
        }
        let mut answer = pin!(self.decided(request));
        let answer = match poll_immediate(&mut answer).await {
            Some(answer) => answer,
            None => {
                let in_time = pin!(tokio::time::timeout(CALL_MAX, answer));
                let Some(answer) =
                    unless_reset(in_time, |context| respond.poll_reset(context)).await
                else {
                    return Ok(());
                };
                answer.unwrap_or_else(|_| Err(late()))
            }
        };
        match answer {
            Ok(answer) => frames::send(respond, &answer),
            Err(status) => self.refuse(respond, status),
        }
    }

    async fn decided(&self, request: Request<RecvStream>) -> Result<RateLimitResponse, Status> {
        let (head, mut body) = request.into_parts();
        if !self.admits(&head.headers) {
            return Err(unauthenticated());
        }
        let span = self.grpc.service.begin_span(&head.headers, true);
        let deadline = Deadline::of(&head.headers);
        let message = frames::message(&mut body, &head.headers).await?;
        // A call whose message never comes whole leaves no span.
        let request = frames::request(&message)?;
        let answer = self.grpc.should_rate_limit(&request, deadline).await;
        if let Some(open) = span {
            let ended = answer.as_ref().map(decision);
            let ended = ended.map_err(|_| Code::InvalidArgument as i32);
            self.grpc.service.end_grpc(&open, ended);
        }
        answer.map_err(Status::from)
    }

    /// Answers with an error, if anybody still waits for it.
    pub(super) fn refuse(
        &self,
        respond: &mut SendResponse<Bytes>,
        status: Status,
    ) -> Result<(), h2::Error> {
        respond.send_response(status.into_http(), true)?;
        self.grpc.service.metrics.error(Protocol::Grpc);
        Ok(())
    }

    /// Whether the caller shows a token, where one is needed.
    pub(super) fn admits(&self, head: &HeaderMap) -> bool {
        let shown = head.get(header::AUTHORIZATION);
        let tokens = &self.grpc.service.tokens;
        tokens.admit_bearer(shown.map(HeaderValue::as_bytes))
    }
}

/// What the future comes to, or nothing if the caller takes its call back before.
///
/// `poll_reset` is that of what its answer goes through: of its stream, once the head has been sent.
pub(super) async fn unless_reset<F: Future + Unpin>(
    mut future: F,
    mut poll_reset: impl FnMut(&mut Context<'_>) -> Poll<Result<h2::Reason, h2::Error>>,
) -> Option<F::Output> {
    poll_fn(|context| match pin!(&mut future).poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => poll_reset(context).map(|_| None),
    })
    .await
}

pub(super) fn late() -> Status {
    Status::deadline_exceeded("the call took longer than 20 s")
}

pub(super) fn unauthenticated() -> Status {
    Status::unauthenticated("a token of the service is missing, or wrong")
}

/// How it was decided, in the words of the gateway's spans.
fn decision(answer: &RateLimitResponse) -> &'static str {
    match answer.overall_code == messages::Code::OverLimit as i32 {
        true => "denied",
        false => "allowed",
    }
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        Status::new(Code::InvalidArgument, refused.0)
    }
}

/// Whether this is a call: `POST`, with the media type of gRPC, whatever its messages are written in.
fn is_grpc(request: &Request<RecvStream>) -> bool {
    let media_type = request.headers().get(header::CONTENT_TYPE);
    let media_type = media_type.map(HeaderValue::as_bytes).unwrap_or_default();
    request.method() == Method::POST && media_type.starts_with(b"application/grpc")
}
