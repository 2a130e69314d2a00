//! One client's connection: HTTP/1.1, request after request.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::request::{Peer, Worker, answer};

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

pub(crate) async fn serve(
    worker: Rc<Worker>,
    stream: TcpStream,
    peer: SocketAddr,
    mut stop: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let server = &worker.gateway.rules.server;
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(server.header_timeout)
        .max_buf_size(server.header_bytes_max);
    let peer = Peer::new(peer.ip());
    let service = service_fn(|request| {
        let worker = Rc::clone(&worker);
        let peer = &peer;
        async move { Ok::<_, Infallible>(answer(&worker, peer, request).await) }
    });
    let _open = Open::count(&worker.gateway.metrics.connections);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stop.wait_for(|stop| *stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
