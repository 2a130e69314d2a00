//! One call: which method, who asks, and the way from bytes to messages and back.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request, Response, header};
use hyper::body::Incoming;
use tokio::sync::watch;
use tollgate_gateway::spans::OpenSpan;
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::server::{Grpc as Codec, UnaryService};
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

use super::deadline::Deadline;
use super::messages::{self, RateLimitRequest, RateLimitResponse};
use super::streams::{self, Stopped, UntilStop};
use super::{Grpc, Refused};
use crate::metrics::Protocol;

/// The longest message. Envoy's clients choose the values of header fields, of 60 KiB together, and a request may carry
/// each of them more than once: what is too long for its service Envoy lets pass.
pub(super) const MESSAGE_BYTES_MAX: usize = 256 << 10;
const SHOULD_RATE_LIMIT: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
/// How long a request may take to arrive, and its answer to be made.
const CALL_MAX: Duration = Duration::from_secs(20);

/// The methods that are served: deciding, health, and reflection.
pub(super) struct Methods {
    pub(super) grpc: Arc<Grpc>,
    others: Others,
}

type Other = Box<
    dyn Fn(Request<UntilStop<Incoming>>) -> BoxFuture<Response<Body>, std::convert::Infallible>,
>;

/// Methods of other services than the one for which all this is here.
struct Others {
    health: Other,
    /// In its two versions, of which older clients know the second.
    reflection: Option<(Other, Other)>,
}

/// The messages of the service, for clients that ask for them.
const DESCRIPTORS: &[u8] = include_bytes!("../../proto/rls.binpb");

impl Methods {
    pub(super) fn new(grpc: Arc<Grpc>) -> Self {
        let others = Others {
            health: other(grpc.health.server()),
            reflection: reflection(),
        };
        Methods { grpc, others }
    }

    /// `stop` turns true when the service stops.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        stop: &watch::Receiver<bool>,
    ) -> Response<Body> {
        let path = request.uri().path();
        if path == SHOULD_RATE_LIMIT {
            return self.should_rate_limit(request).await;
        }
        let reflection = self.others.reflection.as_ref();
        let other = match path.trim_start_matches('/').split_once('/') {
            // Whoever asks whether it is alive has no token.
            Some(("grpc.health.v1.Health", _)) => Some(&self.others.health),
            Some(("grpc.reflection.v1.ServerReflection", _)) => reflection.map(|(new, _)| new),
            Some(("grpc.reflection.v1alpha.ServerReflection", _)) => reflection.map(|(_, old)| old),
            _ => None,
        };
        let Some(other) = other else {
            self.grpc.service.metrics.error(Protocol::Grpc);
            return Status::unimplemented("this service has no such method").into_http();
        };
        let is_health = path.starts_with("/grpc.health.");
        if !is_health && !self.admits(request.headers()) {
            return self.unauthenticated();
        }
        let request = request.map(|body| streams::request(body, self.stopped(stop)));
        let response = match tokio::time::timeout(CALL_MAX, other(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => return late(),
        };
        response.map(|body| Body::new(streams::response(body, self.stopped(stop))))
    }

    /// Comes when the service stops and health says so.
    fn stopped(&self, stop: &watch::Receiver<bool>) -> Stopped {
        let (mut stop, grpc) = (stop.clone(), Arc::clone(&self.grpc));
        Box::pin(async move {
            // An error says that nobody is left who could stop it.
            let _ = stop.wait_for(|stop| *stop).await;
            grpc.health.stop().await;
        })
    }

    fn unauthenticated(&self) -> Response<Body> {
        self.grpc.service.metrics.error(Protocol::Grpc);
        Status::unauthenticated("a token of the service is missing, or wrong").into_http()
    }

    async fn should_rate_limit(&self, request: Request<Incoming>) -> Response<Body> {
        let metrics = &self.grpc.service.metrics;
        if !self.admits(request.headers()) {
            return self.unauthenticated();
        }
        let span = self.grpc.service.begin_span(request.headers(), true);
        let deadline = Deadline::of(request.headers());
        let mut codec = Codec::new(ProstCodec::<RateLimitResponse, RateLimitRequest>::default())
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        let grpc = Arc::clone(&self.grpc);
        let answer = codec.unary(
            ShouldRateLimit {
                grpc,
                deadline,
                span,
            },
            request,
        );
        let response = match tokio::time::timeout(CALL_MAX, answer).await {
            Ok(response) => response,
            Err(_) => late(),
        };
        if response.headers().contains_key(Status::GRPC_STATUS) {
            metrics.error(Protocol::Grpc);
        }
        response
    }

    /// Whether the caller shows a token, where one is needed.
    fn admits(&self, head: &HeaderMap) -> bool {
        let shown = || {
            let value = head.get(header::AUTHORIZATION)?.as_bytes();
            let (scheme, token) = value.split_at_checked(7)?;
            scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
        };
        self.grpc.service.tokens.is_open()
            || shown().is_some_and(|token| self.grpc.service.tokens.admit(token))
    }
}

fn late() -> Response<Body> {
    Status::deadline_exceeded("the request did not arrive in time").into_http()
}

struct ShouldRateLimit {
    grpc: Arc<Grpc>,
    deadline: Deadline,
    /// A call whose message never comes whole leaves none.
    span: Option<OpenSpan>,
}

impl UnaryService<RateLimitRequest> for ShouldRateLimit {
    type Response = RateLimitResponse;
    type Future = BoxFuture<tonic::Response<RateLimitResponse>, Status>;

    fn call(&mut self, request: tonic::Request<RateLimitRequest>) -> Self::Future {
        let (grpc, deadline, span) = (Arc::clone(&self.grpc), self.deadline, self.span.take());
        Box::pin(async move {
            let answer = grpc.should_rate_limit(request.get_ref(), deadline).await;
            if let Some(open) = span {
                let ended = answer.as_ref().map(decision);
                let ended = ended.map_err(|_| tonic::Code::InvalidArgument as i32);
                grpc.service.end_grpc(&open, ended);
            }
            answer.map(tonic::Response::new).map_err(Status::from)
        })
    }
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

/// A service of a library, to be called with a request.
fn other<S>(service: S) -> Other
where
    S: tower_service::Service<
            Request<UntilStop<Incoming>>,
            Response = Response<Body>,
            Error = std::convert::Infallible,
        > + Clone
        + 'static,
    S::Future: Send + 'static,
{
    Box::new(move |request| Box::pin(service.clone().call(request)))
}

/// `None` if the messages cannot be read: then clients must know them, and a test says so before.
fn reflection() -> Option<(Other, Other)> {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let (new, old) = (builder().build_v1().ok()?, builder().build_v1alpha().ok()?);
    Some((other(new), other(old)))
}
