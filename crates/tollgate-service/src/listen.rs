//! A listener for each protocol: one thread and one runtime for each socket, as the gateway has it.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};
use tollgate_gateway::Listeners;
use tollgate_gateway::admission::{Admission, Place};
use tollgate_gateway::stream::{NotGreeted, Stream};
use tollgate_gateway::tls::TlsFiles;

use crate::metrics::{Metrics, Protocol};

/// How long a thread rests that cannot accept: it is out of file descriptors, say, and others give theirs back.
const REST: Duration = Duration::from_millis(50);

/// What all listeners of the service keep to.
#[derive(Clone)]
pub struct Bounds {
    /// Which connections are served.
    pub admission: Arc<Admission>,
    /// How long a client may take to greet, where connections are encrypted.
    pub greeting_timeout: Duration,
    /// How long connections may take to end when the service stops.
    pub drain_timeout: Duration,
}

/// Serves connections until `stop` turns true and those that are open have ended, or their time to do so is up.
///
/// `thread` is called once on each thread, and what it returns once for each connection. Its future is dropped when the
/// time to end is up; until then it should end by itself once `stop` is true and nothing is asked any more.
///
/// # Errors
/// A thread or its runtime that cannot be started.
pub(crate) fn serve<T, C, F>(
    listeners: Listeners,
    protocol: Protocol,
    metrics: &Arc<Metrics>,
    tls: Option<Arc<TlsFiles>>,
    bounds: &Bounds,
    stop: &watch::Receiver<bool>,
    thread: T,
) -> std::io::Result<Vec<JoinHandle<()>>>
where
    T: Fn() -> C + Clone + Send + 'static,
    C: Fn(Stream, watch::Receiver<bool>) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    let start = |(index, socket): (usize, TcpListener)| {
        let (thread, bounds, stop) = (thread.clone(), bounds.clone(), stop.clone());
        let greeting = Greeting {
            protocol,
            metrics: Arc::clone(metrics),
            tls: tls.clone(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name(format!("{}-{index}", protocol.name()))
            .spawn(move || {
                LocalSet::new()
                    .block_on(&runtime, accept(thread(), greeting, socket, bounds, stop));
            })
    };
    let sockets = listeners.into_sockets().into_iter().enumerate();
    sockets.map(start).collect()
}

/// How connections begin.
#[derive(Clone)]
struct Greeting {
    protocol: Protocol,
    metrics: Arc<Metrics>,
    tls: Option<Arc<TlsFiles>>,
}

async fn accept<C, F>(
    connection: C,
    greeting: Greeting,
    socket: TcpListener,
    bounds: Bounds,
    stop: watch::Receiver<bool>,
) where
    C: Fn(Stream, watch::Receiver<bool>) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    let listener = match tokio::net::TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a listener cannot be used"),
    };
    let connection = Rc::new(connection);
    let mut stopped = stop.clone();
    let mut connections = JoinSet::new();
    {
        // Kept from turn to turn: an accepted connection that waits for its place is not dropped when another ends.
        let accepting = accept_one(&bounds.admission, &listener);
        tokio::pin!(accepting);
        loop {
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => break,
                Some(_) = connections.join_next() => {}
                accepted = &mut accepting => {
                    accepting.set(accept_one(&bounds.admission, &listener));
                    let Some((stream, place)) = accepted else { continue };
                    let _ = stream.set_nodelay(true);
                    let (connection, stop) = (Rc::clone(&connection), stop.clone());
                    let Greeting { protocol, metrics, tls } = greeting.clone();
                    let time = bounds.greeting_timeout;
                    connections.spawn_local(async move {
                        let tls = tls.as_deref();
                        match Stream::greet(stream, tls, protocol.spoken(), time, stop.clone()).await {
                            Ok(stream) => connection(stream, stop).await,
                            Err(NotGreeted::Failed) => metrics.tls_handshake_failed(protocol),
                            Err(NotGreeted::Stopped) => {}
                        }
                        drop(place);
                    });
                    // Those who are here already have their turn between many that come at once.
                    tokio::task::yield_now().await;
                }
            }
        }
    }
    drop(listener);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(bounds.drain_timeout, all_ended)
        .await
        .is_err()
    {
        tracing::warn!(
            connections = connections.len(),
            "connections were cut off: they did not end in time"
        );
    }
}

/// The next connection that there is a place for.
async fn accept_one(
    admission: &Arc<Admission>,
    listener: &tokio::net::TcpListener,
) -> Option<(TcpStream, Place)> {
    let (stream, peer): (_, SocketAddr) = match listener.accept().await {
        Ok(accepted) => accepted,
        Err(error) => {
            tracing::warn!(%error, "a connection cannot be accepted");
            tokio::time::sleep(REST).await;
            return None;
        }
    };
    let place = admission.place(peer.ip(), false).await?;
    Some((stream, place))
}
