//! Sockets that listen, and the threads that serve them: one runtime for each, no lock between them.

use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};

use crate::admission::Place;
use crate::connection;
use crate::gateway::Gateway;
use crate::stream::{NotGreeted, Stream};
use crate::tls::{Spoken, TlsFiles};
use crate::worker::Worker;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    address: SocketAddr,
    source: std::io::Error,
}

/// Sockets on one address, one for each thread.
pub struct Listeners {
    address: SocketAddr,
    sockets: Vec<TcpListener>,
}

impl Listeners {
    /// Listens on `address` with `count` sockets.
    ///
    /// # Errors
    /// The address is in use, also by another gateway: that is found out without the option that would let both have it.
    pub fn bind(address: SocketAddr, count: usize) -> Result<Self, BindError> {
        let failed = |source| BindError { address, source };
        drop(bind(address, false).map_err(failed)?);
        let first = bind(address, true).map_err(failed)?;
        let address = first.local_addr().map_err(failed)?;
        let mut sockets = vec![first];
        for _ in 1..count {
            sockets.push(bind(address, true).map_err(failed)?);
        }
        Ok(Listeners { address, sockets })
    }

    /// Where they listen; with the port that was found when port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The sockets, one for each thread: for other protocols than the gateway's.
    pub fn into_sockets(self) -> Vec<TcpListener> {
        self.sockets
    }

    /// Serves, encrypted if there is `tls`, until `stop` turns true and what is in flight has ended, or its time to do so is up.
    ///
    /// # Errors
    /// A thread or its runtime that cannot be started.
    pub fn serve(
        self,
        gateway: &Arc<Gateway>,
        tls: Option<&Arc<TlsFiles>>,
        stop: &watch::Receiver<bool>,
    ) -> std::io::Result<Vec<JoinHandle<()>>> {
        let start = |(index, socket): (usize, TcpListener)| {
            let (gateway, tls, stop) = (Arc::clone(gateway), tls.cloned(), stop.clone());
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            std::thread::Builder::new()
                .name(format!("data-{index}"))
                .spawn(move || {
                    LocalSet::new().block_on(&runtime, accept(gateway, tls, socket, stop));
                })
        };
        self.sockets.into_iter().enumerate().map(start).collect()
    }
}

fn bind(address: SocketAddr, shared: bool) -> std::io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

async fn accept(
    gateway: Arc<Gateway>,
    tls: Option<Arc<TlsFiles>>,
    socket: TcpListener,
    stop: watch::Receiver<bool>,
) {
    let drain_timeout = gateway.rules.server.drain_timeout;
    let worker = Rc::new(Worker::new(gateway));
    let listener = match tokio::net::TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a listener cannot be used"),
    };
    let idle = tokio::task::spawn_local({
        let worker = Rc::clone(&worker);
        async move { worker.pool.close_idle().await }
    });
    let mut stopped = stop.clone();
    let mut connections = JoinSet::new();
    {
        // Kept from turn to turn: an accepted connection that waits for its place is not dropped when another ends.
        let accepting = accept_one(&worker, &listener);
        tokio::pin!(accepting);
        loop {
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => break,
                Some(_) = connections.join_next() => {}
                accepted = &mut accepting => {
                    accepting.set(accept_one(&worker, &listener));
                    let Some((stream, peer, place)) = accepted else { continue };
                    let (worker, tls, stop) = (Rc::clone(&worker), tls.clone(), stop.clone());
                    connections.spawn_local(async move {
                        let _ = stream.set_nodelay(true);
                        let time = worker.gateway.rules.server.header_timeout;
                        let tls = tls.as_deref();
                        match Stream::greet(stream, tls, Spoken::Http1, time, stop.clone()).await {
                            Ok(stream) => connection::serve(worker, stream, peer, stop).await,
                            Err(NotGreeted::Failed) => {
                                worker.gateway.metrics.tls_handshakes_failed.inc();
                            }
                            Err(NotGreeted::Stopped) => {}
                        }
                        drop(place);
                    });
                    // A thousand that come at once are taken one by one, and those who are here already have their
                    // turn in between.
                    tokio::task::yield_now().await;
                }
            }
        }
    }
    drop(listener);
    let ended = tokio::time::timeout(drain_timeout, async {
        while connections.join_next().await.is_some() {}
    })
    .await;
    if ended.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "requests in flight were cut off: they did not end in time"
        );
    }
    idle.abort();
}

type Accepted = (tokio::net::TcpStream, SocketAddr, Place);

/// The next connection that there is a place for.
async fn accept_one(worker: &Worker, listener: &tokio::net::TcpListener) -> Option<Accepted> {
    let (stream, peer) = match listener.accept().await {
        Ok(accepted) => accepted,
        Err(error) => {
            // Out of file descriptors, say: others end and give theirs back.
            tracing::warn!(%error, "a connection cannot be accepted");
            tokio::time::sleep(Duration::from_millis(50)).await;
            return None;
        }
    };
    let gateway = &worker.gateway;
    let is_proxy = gateway.proxies.trusts(peer.ip().to_canonical());
    let place = gateway.admission.place(peer.ip(), is_proxy).await?;
    Some((stream, peer, place))
}
