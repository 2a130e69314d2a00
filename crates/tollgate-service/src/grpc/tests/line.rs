//! One connection to the service, without a network in between.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::{Builder, SendRequest};
use h2::{RecvStream, SendStream};
use http::{Request, Response};
use tokio::io::DuplexStream;
use tokio::sync::watch;
use tokio::task::{JoinHandle, LocalSet};

use super::super::call::Methods;
use super::super::connection::talk;
use super::*;

pub(super) const FIVE: &str = "
[[service.domains.d.descriptors]]
entries = [\"a\"]
quotas = [\"5 per day\"]
";
pub(super) const METHOD: &str =
    "http://d/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
/// Domain `d`, and one descriptor: `a` is `x`.
pub(super) const ASKED: &[u8] = b"\x0a\x01d\x12\x08\x0a\x06\x0a\x01a\x12\x01x";

/// A service with one connection, before anything is said on it.
pub(super) struct Line {
    pub(super) client: DuplexStream,
    pub(super) stop: watch::Sender<bool>,
    pub(super) served: JoinHandle<()>,
    pub(super) fixture: Fixture,
}

impl Line {
    pub(super) fn open() -> Self {
        Line::to(Fixture::native(FIVE))
    }

    pub(super) fn to(fixture: Fixture) -> Self {
        let (client, stream) = tokio::io::duplex(64 << 10);
        let (stop, stopped) = watch::channel(false);
        let methods = Rc::new(Methods::new(Arc::clone(&fixture.grpc), stopped.clone()));
        let served = tokio::task::spawn_local(async move {
            talk(&methods, stream, stopped).await;
        });
        Line {
            client,
            stop,
            served,
            fixture,
        }
    }

    /// A client, which is asked for no more than so many bytes of an answer at once.
    pub(super) async fn greeted(self, window_bytes: u32) -> (SendRequest<Bytes>, Greeted) {
        let mut builder = Builder::new();
        builder.initial_window_size(window_bytes);
        // It may leave many answers unread.
        builder.data_frame_budget(1 << 20);
        let (client, connection) = builder.handshake(self.client).await.unwrap();
        let closed = tokio::task::spawn_local(async move {
            let _ = connection.await;
        });
        let Line {
            stop,
            served,
            fixture,
            ..
        } = self;
        let greeted = Greeted {
            stop,
            served,
            closed,
            fixture,
        };
        (client, greeted)
    }
}

pub(super) struct Greeted {
    pub(super) stop: watch::Sender<bool>,
    pub(super) served: JoinHandle<()>,
    pub(super) closed: JoinHandle<()>,
    pub(super) fixture: Fixture,
}

/// Runs a test, for a bounded time by whatever clock it has.
pub(super) fn run(test: impl Future<Output = ()>) -> impl Future<Output = ()> {
    let local = LocalSet::new();
    async move {
        let within = tokio::time::timeout(Duration::from_secs(600), local.run_until(test));
        within.await.expect("it goes on");
    }
}

pub(super) fn framed(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(message.len() as u32);
    framed.put_slice(message);
    framed.freeze()
}

/// Fields of a request's head.
pub(super) type Fields<'f> = &'f [(&'static str, &'static str)];

pub(super) async fn begin(
    client: &SendRequest<Bytes>,
    fields: &[(&'static str, &str)],
) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
    let mut request = Request::post(METHOD).header("content-type", "application/grpc");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let mut client = client.clone().ready().await.unwrap();
    client
        .send_request(request.body(()).unwrap(), false)
        .unwrap()
}

/// The status of a call, and its answer as it was sent.
pub(super) async fn ended(response: Response<RecvStream>) -> (String, Vec<u8>) {
    let status = |head: &HeaderMap| {
        let status = head.get("grpc-status")?;
        Some(status.to_str().unwrap().to_owned())
    };
    let (head, mut body) = response.into_parts();
    let mut all = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        all.extend_from_slice(&data);
    }
    let trailers = body.trailers().await.unwrap();
    let told = trailers.as_ref().and_then(status).or(status(&head.headers));
    (told.unwrap(), all)
}

pub(super) async fn call(
    client: &SendRequest<Bytes>,
    fields: &[(&'static str, &str)],
    body: Bytes,
) -> (String, Vec<u8>) {
    let (response, mut sending) = begin(client, fields).await;
    sending.send_data(body, true).unwrap();
    ended(response.await.unwrap()).await
}

/// What is left, by a look that comes over no connection.
pub(super) async fn left(greeted: &Greeted) -> u32 {
    let look = request("d", &[hits(&[("a", "x")], 0)]);
    let deadline = Deadline::of(&HeaderMap::new());
    let answer = greeted.fixture.grpc.should_rate_limit(&look, deadline);
    answer.await.unwrap().statuses[0].limit_remaining
}

/// Whether a call passes.
pub(super) async fn passes(client: &SendRequest<Bytes>) -> bool {
    let (status, answer) = call(client, &[], framed(ASKED)).await;
    assert_eq!(status, "0");
    answer[5..7] == [8, Code::Ok as u8]
}
