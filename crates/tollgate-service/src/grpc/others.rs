//! Methods of other services than the one for which all this is here: health, and reflection. Libraries answer them.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame};
use tokio::sync::watch;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::BoxFuture;

use super::Grpc;
use super::frames::ENCODING;
use super::peer::{Peer, Pot};
use super::refusal::{CALL_MAX, late, unauthenticated, unless_reset};
use super::streams::{self, Stopped, UntilStop};

type Other = Box<dyn Fn(Request<UntilStop<Received>>) -> BoxFuture<Response<Body>, Infallible>>;

pub(super) struct Others {
    grpc: Arc<Grpc>,
    /// Turns true when the service stops.
    stop: watch::Receiver<bool>,
    health: Other,
    /// In its two versions, of which older clients know the second.
    reflection: Option<(Other, Other)>,
}

/// How long a reader may take to make room for the rest when the service stops.
const LAST_MAX: Duration = Duration::from_secs(1);

/// The messages of the service, for clients that ask for them.
const DESCRIPTORS: &[u8] = include_bytes!("../../proto/rls.binpb");

impl Others {
    pub(super) fn new(grpc: Arc<Grpc>, stop: watch::Receiver<bool>) -> Self {
        Others {
            health: other(grpc.health.server()),
            reflection: reflection(),
            grpc,
            stop,
        }
    }

    pub(super) async fn answer(
        &self,
        peer: &Rc<Peer>,
        request: Request<RecvStream>,
        respond: &mut SendResponse<Bytes>,
    ) -> Result<(), h2::Error> {
        let path = request.uri().path();
        let reflection = self.reflection.as_ref();
        let other = match path.trim_start_matches('/').split_once('/') {
            // Whoever asks whether it is alive has no token.
            Some(("grpc.health.v1.Health", _)) => Some(&self.health),
            Some(("grpc.reflection.v1.ServerReflection", _)) => reflection.map(|(new, _)| new),
            Some(("grpc.reflection.v1alpha.ServerReflection", _)) => reflection.map(|(_, old)| old),
            _ => None,
        };
        let Some(other) = other else {
            let status = Status::unimplemented("this service has no such method");
            return self.grpc.refuse(respond, status);
        };
        let pot = match path.starts_with("/grpc.health.") {
            true => Pot::Strangers,
            false => Pot::Callers,
        };
        if pot == Pot::Callers && !self.grpc.admits(request.headers()) {
            return self.grpc.refuse(respond, unauthenticated());
        }
        // For all that it may send: libraries keep it as long as they like.
        let mut held = peer.hold(pot);
        if let Err(status) = held.more(RECEIVED_BYTES_MAX) {
            return self.grpc.refuse(respond, status);
        }
        let request = without_most_of_its_head(request).map(|body| {
            streams::request(
                Received {
                    body,
                    left: RECEIVED_BYTES_MAX,
                },
                self.stopped(),
            )
        });
        let response = pin!(tokio::time::timeout(CALL_MAX, other(request)));
        let response = match unless_reset(response, |context| respond.poll_reset(context)).await {
            Some(Ok(Ok(response))) => response,
            Some(Ok(Err(never))) => match never {},
            Some(Err(_)) => late().into_http(),
            None => return Ok(()),
        };
        let response = response.map(|body| streams::response(body, self.stopped()));
        self.send(peer, pot, response, respond).await
    }

    /// Comes when the service stops and health says so.
    fn stopped(&self) -> Stopped {
        let (mut stop, grpc) = (self.stop.clone(), Arc::clone(&self.grpc));
        Box::pin(async move {
            // An error says that nobody is left who could stop it.
            let _ = stop.wait_for(|stop| *stop).await;
            grpc.health.stop().await;
        })
    }

    /// Sends an answer as its parts come and its reader has room for them.
    async fn send<B>(
        &self,
        peer: &Rc<Peer>,
        pot: Pot,
        response: Response<B>,
        respond: &mut SendResponse<Bytes>,
    ) -> Result<(), h2::Error>
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        let (head, mut body) = response.into_parts();
        let head = Response::from_parts(head, ());
        if body.is_end_stream() {
            respond.send_response(head, true)?;
            return Ok(());
        }
        let mut sending = respond.send_response(head, false)?;
        loop {
            let next = unless_reset(body.frame(), |context| sending.poll_reset(context));
            let Some(frame) = next.await else {
                return Ok(());
            };
            let Some(frame) = frame else {
                return sending.send_data(Bytes::new(), true);
            };
            let Ok(frame) = frame else {
                sending.send_reset(Reason::INTERNAL_ERROR);
                return Ok(());
            };
            match frame.into_data() {
                Ok(data) => {
                    let sent = {
                        let mut sent = pin!(peer.send(pot, &mut sending, data));
                        tokio::select! {
                            biased;
                            sent = &mut sent => Ok(sent),
                            () = self.stopped() => tokio::time::timeout(LAST_MAX, sent).await,
                        }
                    };
                    let Ok(sent) = sent else {
                        sending.send_reset(Reason::CANCEL);
                        return Ok(());
                    };
                    sent?;
                }
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    return sending.send_trailers(trailers);
                }
            }
        }
    }
}

/// A call with what libraries ask of its head: which method it is, and how its messages are compressed. A head may be
/// several times as large in memory as what is counted for a call, and would stay as long as the call does. What stays is
/// copied, because it may be a part of all that came with it.
fn without_most_of_its_head<B>(request: Request<B>) -> Request<B> {
    let (head, body) = request.into_parts();
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.version_mut() = head.version;
    *request.uri_mut() = head.uri.path().parse().unwrap_or_default();
    let encoding = head.headers.get(ENCODING).map(HeaderValue::as_bytes);
    if let Some(Ok(encoding)) = encoding.map(HeaderValue::from_bytes) {
        request.headers_mut().insert(ENCODING, encoding);
    }
    request
}

/// What one call of these methods may send: names of services, and there is no token for some.
const RECEIVED_BYTES_MAX: usize = 16 << 10;

/// What a client sends, as libraries read it.
pub(super) struct Received {
    body: RecvStream,
    /// How much of it may still come.
    left: usize,
}

impl HttpBody for Received {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if let Some(data) = ready!(self.body.poll_data(context)).transpose()? {
            self.body.flow_control().release_capacity(data.len())?;
            let left = self.left.checked_sub(data.len());
            self.left = left.ok_or(Reason::ENHANCE_YOUR_CALM)?;
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let trailers = ready!(self.body.poll_trailers(context))?;
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

/// A service of a library, to be called with a request.
fn other<S>(service: S) -> Other
where
    S: tower_service::Service<
            Request<UntilStop<Received>>,
            Response = Response<Body>,
            Error = Infallible,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_head_just_what_is_asked_of_it_stays() {
        let uri = format!("http://d/grpc.health.v1.Health/Watch?{}", "q".repeat(9_000));
        let mut request = Request::post(uri);
        for field in 0..380 {
            request = request.header(format!("x{field}"), "v");
        }
        let request = request.header(ENCODING, "gzip").extension([0_u8; 9_000]);
        let lean = without_most_of_its_head(request.body(()).unwrap());
        assert_eq!(lean.uri(), "/grpc.health.v1.Health/Watch");
        assert_eq!(lean.headers().len(), 1);
        assert_eq!(lean.headers()[ENCODING], "gzip");
        assert!(lean.headers().capacity() < 16 && lean.extensions().is_empty());
    }
}
