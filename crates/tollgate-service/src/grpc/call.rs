//! One call: which method, who asks, and the way from its frames to an answer.

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;

use bytes::Bytes;
use futures_util::future::poll_immediate;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use tokio::sync::watch;
use tonic::{Code, Status};

use super::deadline::Deadline;
use super::messages::{self, RateLimitResponse};
use super::others::Others;
use super::peer::{HeldBytes, Peer, Pot};
use super::refusal::{CALL_MAX, late, unauthenticated, unless_reset};
use super::{Grpc, frames};
use crate::metrics::Protocol;

const SHOULD_RATE_LIMIT: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";

/// A request, of which just the head has come for sure, and where its answer goes.
pub(super) type Call = (Request<RecvStream>, SendResponse<Bytes>);

/// The methods that are served: deciding, and those of other services.
pub(super) struct Methods {
    pub(super) grpc: Arc<Grpc>,
    others: Others,
    /// Bytes that calls of all connections hold while they wait.
    held: Rc<HeldBytes>,
}

impl Methods {
    pub(super) fn new(grpc: Arc<Grpc>, stop: watch::Receiver<bool>) -> Self {
        Methods {
            others: Others::new(Arc::clone(&grpc), stop),
            grpc,
            held: Rc::default(),
        }
    }

    /// The other end of a new connection.
    pub(super) fn peer(&self) -> Rc<Peer> {
        Peer::new(&self.held, self.grpc.service.write_timeout())
    }

    /// Answers a call: at once, or by a task of its own if it has to wait for anything.
    pub(super) fn take(self: &Rc<Self>, peer: &Rc<Peer>, call: Call, context: &mut Context<'_>) {
        let mut answering = Box::pin(Rc::clone(self).answer(Rc::clone(peer), call));
        if answering.as_mut().poll(context).is_pending() {
            tokio::task::spawn_local(answering);
        }
    }

    async fn answer(self: Rc<Self>, peer: Rc<Peer>, (request, mut respond): Call) {
        let answered = match request.uri().path() {
            SHOULD_RATE_LIMIT => self.should_rate_limit(&peer, request, &mut respond).await,
            // It is large, and seldom.
            _ => Box::pin(self.others.answer(&peer, request, &mut respond)).await,
        };
        if let Err(error) = answered {
            tracing::debug!(%error, "an answer was not sent");
        }
    }

    async fn should_rate_limit(
        &self,
        peer: &Rc<Peer>,
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
        let mut answer = pin!(self.decided(peer, request));
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
            Ok(answer) => frames::send(peer, respond, &answer).await,
            Err(status) => self.grpc.refuse(respond, status),
        }
    }

    async fn decided(
        &self,
        peer: &Rc<Peer>,
        request: Request<RecvStream>,
    ) -> Result<RateLimitResponse, Status> {
        let (head, mut body) = request.into_parts();
        if !self.grpc.admits(&head.headers) {
            return Err(unauthenticated());
        }
        let span = self.grpc.service.begin_span(&head.headers, true);
        let deadline = Deadline::of(&head.headers);
        let says_encoding = frames::says_encoding(&head.headers);
        // It may be as large as the message.
        drop(head);
        let mut held = peer.hold(Pot::Callers);
        let mut message = frames::message(&mut body, says_encoding, &mut held).await?;
        // Over a store elsewhere it waits for the answer.
        if held.is_empty() && !self.grpc.service.counters.is_memory() {
            message = frames::kept(&message, &mut held)?;
        }
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
}

/// How it was decided, in the words of the gateway's spans.
fn decision(answer: &RateLimitResponse) -> &'static str {
    match answer.overall_code == messages::Code::OverLimit as i32 {
        true => "denied",
        false => "allowed",
    }
}

/// Whether this is a call: `POST`, with the media type of gRPC, whatever its messages are written in.
fn is_grpc(request: &Request<RecvStream>) -> bool {
    let media_type = request.headers().get(header::CONTENT_TYPE);
    let media_type = media_type.map(HeaderValue::as_bytes).unwrap_or_default();
    request.method() == Method::POST && media_type.starts_with(b"application/grpc")
}
