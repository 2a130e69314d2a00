//! One caller's connection: HTTP/2, within TLS or not, with as many requests at a time as it likes up to a bound.
//!
//! Calls are answered on the connection's own task, without one for each, so that answers to what came together leave
//! together.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use bytes::Bytes;
use h2::server::{Builder, Connection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tollgate_gateway::Listeners;
use tollgate_gateway::tls::TlsFiles;

use super::Grpc;
use super::call::{Call, Methods};
use super::heartbeat::Heartbeat;
use super::peer::Peer;
use crate::listen::{self, Bounds};
use crate::metrics::Protocol;

/// Requests of one connection at one time.
pub(super) const STREAMS_MAX: u32 = 1_024;
/// The head of a request.
const HEAD_BYTES_MAX: u32 = 16 << 10;
/// What a stream may send before it is read.
const WINDOW_BYTES: u32 = 64 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// What a stream is sent and has not gone yet, however much its reader says it has room for.
const UNSENT_BYTES_MAX: usize = 16 << 10;

/// Serves gRPC until `stop` turns true and what is in flight has ended, or its time to do so is up.
///
/// # Errors
/// A thread or its runtime that cannot be started.
pub fn serve(
    grpc: &Arc<Grpc>,
    listeners: Listeners,
    tls: Option<Arc<TlsFiles>>,
    bounds: &Bounds,
    stop: &watch::Receiver<bool>,
) -> std::io::Result<Vec<JoinHandle<()>>> {
    let (grpc, stops) = (Arc::clone(grpc), stop.clone());
    let (protocol, metrics) = (Protocol::Grpc, Arc::clone(grpc.service.metrics()));
    listen::serve(
        listeners,
        protocol,
        &metrics,
        tls,
        bounds,
        stop,
        move || {
            let methods = Rc::new(Methods::new(Arc::clone(&grpc), stops.clone()));
            move |stream, stop| {
                let methods = Rc::clone(&methods);
                async move { talk(&methods, stream, stop).await }
            }
        },
    )
}

pub(super) async fn talk<S>(methods: &Rc<Methods>, stream: S, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = &methods.grpc.service;
    let _open = service.metrics.open(Protocol::Grpc);
    let mut stopped = pin!(async {
        let _ = stop.wait_for(|stop| *stop).await;
        methods.grpc.health.stop().await;
    });
    let greeting = tokio::time::timeout(service.question_timeout(), greet(stream));
    let http = tokio::select! {
        greeted = greeting => match greeted {
            Ok(Ok(http)) => http,
            Ok(Err(error)) => return tracing::debug!(%error, "a caller was not greeted"),
            Err(_) => return tracing::debug!("a caller took too long to greet"),
        },
        _ = &mut stopped => return,
    };
    let mut served = Served::new(http, methods.peer());
    let peer = Rc::clone(&served.peer);
    let mut reads_nothing = pin!(peer.reads_nothing());
    let mut stopping = false;
    let ended = poll_fn(|context| {
        if reads_nothing.as_mut().poll(context).is_ready() {
            tracing::debug!("a caller does not read what it is sent");
            return Poll::Ready(Ok(()));
        }
        if !stopping && stopped.as_mut().poll(context).is_ready() {
            stopping = true;
            served.http.graceful_shutdown();
        }
        served.poll(methods, context)
    });
    if let Err(error) = ended.await {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn greet<S>(stream: S) -> Result<Connection<S, Bytes>, h2::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    Builder::new()
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX)
        .initial_window_size(WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buffer_size(UNSENT_BYTES_MAX)
        .handshake(stream)
        .await
}

/// A connection that has been greeted.
struct Served<S> {
    http: Connection<S, Bytes>,
    peer: Rc<Peer>,
    heartbeat: Option<Heartbeat>,
    /// Calls that came and are not answered yet.
    calls: Vec<Call>,
}

impl<S> Served<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    fn new(mut http: Connection<S, Bytes>, peer: Rc<Peer>) -> Self {
        Served {
            heartbeat: http.ping_pong().map(Heartbeat::new),
            http,
            peer,
            calls: Vec::new(),
        }
    }

    /// Ready when the connection has ended.
    fn poll(
        &mut self,
        methods: &Rc<Methods>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), h2::Error>> {
        if let Some(heartbeat) = &mut self.heartbeat
            && Pin::new(heartbeat).poll(context).is_ready()
        {
            tracing::debug!("a caller does not answer any more");
            return Poll::Ready(Ok(()));
        }
        loop {
            // Each time this is asked, what was answered before is written: so all that have come are answered first,
            // and their answers leave together.
            while let Poll::Ready(accepted) = self.http.poll_accept(context) {
                match accepted {
                    Some(Ok(call)) => self.calls.push(call),
                    Some(Err(error)) => return Poll::Ready(Err(error)),
                    None => return Poll::Ready(Ok(())),
                }
            }
            if self.calls.is_empty() {
                return Poll::Pending;
            }
            for call in self.calls.drain(..) {
                methods.take(&self.peer, call, context);
            }
        }
    }
}
