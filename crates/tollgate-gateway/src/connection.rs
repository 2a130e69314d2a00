//! One client's connection: HTTP/1.1, request after request.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;
use tokio_io_timeout::TimeoutStream;

use crate::accept::{self, Terms};
use crate::gateway::Gateway;
use crate::listener::Listeners;
use crate::request::answer;
use crate::stream::Stream;
use crate::tls::{Spoken, TlsFiles};
use crate::worker::{Peer, Worker};

/// Counts a connection while it is open, however it ends.
struct Open<'m>(&'m Gauge);

impl<'m> Open<'m> {
    fn count(connections: &'m Gauge) -> Self {
        connections.inc();
        Open(connections)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Serves the gateway, encrypted if there is `tls`, until `stop` turns true and what is in flight has ended, or its time to
/// do so is up.
///
/// # Errors
/// A thread or its runtime that cannot be started.
pub fn serve(
    gateway: &Arc<Gateway>,
    listeners: Listeners,
    tls: Option<Arc<TlsFiles>>,
    stop: &watch::Receiver<bool>,
) -> std::io::Result<Vec<JoinHandle<()>>> {
    let server = &gateway.rules.server;
    let terms = Terms {
        admission: Arc::clone(&gateway.admission),
        tls,
        spoken: Spoken::Http1,
        greeting_timeout: server.header_timeout,
        greetings_failed: gateway.metrics.tls_handshakes_failed.clone(),
        drain_timeout: server.drain_timeout,
    };
    let gateway = Arc::clone(gateway);
    accept::serve(listeners, "data", &terms, stop, move || {
        let worker = Rc::new(Worker::new(Arc::clone(&gateway)));
        let of_pool = Rc::clone(&worker);
        tokio::task::spawn_local(async move { of_pool.pool.close_idle().await });
        move |stream, peer, stop| talk(Rc::clone(&worker), stream, peer, stop)
    })
}

async fn talk(worker: Rc<Worker>, stream: Stream, peer: SocketAddr, stop: watch::Receiver<bool>) {
    let server = &worker.gateway.rules.server;
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(server.header_timeout)
        .max_buf_size(server.header_bytes_max);
    let peer = Peer::new(peer.ip(), stream.is_encrypted());
    let service = service_fn(|request| {
        let worker = Rc::clone(&worker);
        let peer = &peer;
        async move { Ok::<_, Infallible>(answer(&worker, peer, request).await) }
    });
    let _open = Open::count(&worker.gateway.metrics.connections);
    // A client that reads nothing holds neither its connection nor the upstream's for ever.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(server.read_timeout));
    let stream = pin!(stream);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut signal = stop.clone();
    let mut stopped = pin!(signal.wait_for(|stop| *stop));
    let mut listens = false;
    let mut stopping = false;
    let ended = poll_fn(|context| {
        // The waker of a task never changes: once it is left with the signal, a look at the version is enough.
        let heard = !listens || !stop.has_changed().is_ok_and(|changed| !changed);
        listens = true;
        if heard && !stopping && stopped.as_mut().poll(context).is_ready() {
            stopping = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(context)
    });
    let ended = ended.await;
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
