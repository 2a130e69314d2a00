//! One caller's connection: HTTP/2, within TLS or not, with as many requests at a time as it likes up to a bound.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;
use tollgate_gateway::Listeners;
use tollgate_gateway::stream::Stream;
use tollgate_gateway::tls::TlsFiles;

use super::Grpc;
use super::call::Methods;
use crate::listen::{self, Bounds};
use crate::metrics::Protocol;

/// Requests of one connection at one time.
const STREAMS_MAX: u32 = 1_024;
/// The head of a request.
const HEAD_BYTES_MAX: u32 = 16 << 10;
/// A peer that does not answer for so long after so long is gone.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_MAX: Duration = Duration::from_secs(10);
/// What a stream may send before it is read.
const WINDOW_BYTES: u32 = 64 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;

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
    let (grpc, metrics) = (Arc::clone(grpc), Arc::clone(grpc.service.metrics()));
    let protocol = Protocol::Grpc;
    listen::serve(
        listeners,
        protocol,
        &metrics,
        tls,
        bounds,
        stop,
        move || {
            let methods = Rc::new(Methods::new(Arc::clone(&grpc)));
            move |stream, stop| {
                let methods = Rc::clone(&methods);
                async move { talk(&methods, stream, stop).await }
            }
        },
    )
}

async fn talk(methods: &Rc<Methods>, stream: Stream, mut stop: watch::Receiver<bool>) {
    let _open = methods.grpc.service.metrics.open(Protocol::Grpc);
    let mut builder = http2::Builder::new(OnThisThread);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_MAX);
    let stops = stop.clone();
    let service = service_fn(|request| {
        let (methods, stop) = (Rc::clone(methods), stops.clone());
        async move { Ok::<_, Infallible>(methods.answer(request, &stop).await) }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut stopped = pin!(async {
        let _ = stop.wait_for(|stop| *stop).await;
        methods.grpc.health.stop().await;
    });
    let mut stopping = false;
    let ended = poll_fn(|context| {
        if !stopping && stopped.as_mut().poll(context).is_ready() {
            stopping = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(context)
    });
    if let Err(error) = ended.await {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Requests of a connection are served by its thread.
#[derive(Clone, Copy)]
struct OnThisThread;

impl<F: Future + 'static> hyper::rt::Executor<F> for OnThisThread {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(async move { drop(task.await) });
    }
}
