//! The threads of a listener, whatever is spoken there: each has a runtime and a socket of its own, accepts connections
//! and serves them, or hands one on to a thread with fewer.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::error::SendError;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, LocalSet};

use crate::admission::{Admission, Place};
use crate::balance::{Balance, Served};
use crate::listener::Listeners;
use crate::stream::{NotGreeted, Stream};
use crate::tls::{Spoken, TlsFiles};

/// How long a thread rests that cannot accept: it is out of file descriptors, say, and others give theirs back.
const REST: Duration = Duration::from_millis(50);

/// How the connections of a listener begin and end.
#[derive(Clone)]
pub struct Terms {
    /// Which of them are served.
    pub admission: Arc<Admission>,
    /// Their certificates, if they are encrypted.
    pub tls: Option<Arc<TlsFiles>>,
    /// What is spoken within TLS.
    pub spoken: Spoken,
    /// How long a client may take to greet, where connections are encrypted.
    pub greeting_timeout: Duration,
    /// Counts those that ended before they were encrypted.
    pub greetings_failed: Counter,
    /// How long they may take to end when nobody is served any more.
    pub drain_timeout: Duration,
}

/// Serves connections until `stop` turns true and those that are open have ended, or their time to do so is up. Threads
/// are called `name` and a number.
///
/// `thread` is called once on each thread, and what it returns once for each connection. Its future is dropped when the
/// time to end is up; until then it should end by itself once `stop` is true and nothing is asked any more. Tasks that
/// `thread` starts end with the thread.
///
/// # Errors
/// A thread or its runtime that cannot be started.
pub fn serve<T, C, F>(
    listeners: Listeners,
    name: &str,
    terms: &Terms,
    stop: &watch::Receiver<bool>,
    thread: T,
) -> std::io::Result<Vec<JoinHandle<()>>>
where
    T: Fn() -> C + Clone + Send + 'static,
    C: Fn(Stream, SocketAddr, watch::Receiver<bool>) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    let sockets = listeners.into_sockets();
    let (others, own): (Vec<_>, Vec<_>) = sockets.iter().map(|_| mpsc::unbounded_channel()).unzip();
    let (balance, others) = (Balance::new(sockets.len()), Arc::from(others));
    let start = |(index, (socket, handed)): (usize, (std::net::TcpListener, _))| {
        let (thread, terms, stop) = (thread.clone(), terms.clone(), stop.clone());
        let (balance, others) = (Arc::clone(&balance), Arc::clone(&others));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name(format!("{name}-{index}"))
            .spawn(move || {
                let among = Among {
                    index,
                    balance,
                    others,
                };
                let accepting = async {
                    match TcpListener::from_std(socket) {
                        Ok(listener) => {
                            accept(thread(), listener, among, handed, terms, stop).await;
                        }
                        Err(error) => tracing::error!(%error, "a listener cannot be used"),
                    }
                };
                LocalSet::new().block_on(&runtime, accepting);
            })
    };
    sockets
        .into_iter()
        .zip(own)
        .enumerate()
        .map(start)
        .collect()
}

/// A connection that has its place and is not greeted yet.
struct Accepted<S> {
    stream: S,
    peer: SocketAddr,
    place: Place,
    served: Served,
}

/// One on its way to another thread, and so to another runtime. There are no more of them than places.
type Handed = Accepted<std::net::TcpStream>;

/// A thread among those of its listener.
struct Among {
    index: usize,
    balance: Arc<Balance>,
    others: Arc<[mpsc::UnboundedSender<Handed>]>,
}

impl Among {
    /// The connection, if this thread serves it. Else another one will, unless that has ended.
    fn keep(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        place: Place,
    ) -> Option<Accepted<TcpStream>> {
        let served = self.balance.serve(self.index);
        let thread = served.thread();
        if thread == self.index {
            return Some(Accepted {
                stream,
                peer,
                place,
                served,
            });
        }
        match stream.into_std() {
            Ok(stream) => {
                let handed = Accepted {
                    stream,
                    peer,
                    place,
                    served,
                };
                let returned = self.others[thread].send(handed).err();
                returned.and_then(|SendError(handed)| Handed::arrive(self.own(handed)))
            }
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be handed on");
                None
            }
        }
    }

    /// The same connection, counted for this thread.
    fn own(&self, handed: Handed) -> Handed {
        Accepted {
            served: handed.served.moved(self.index),
            ..handed
        }
    }
}

impl Handed {
    fn arrive(self) -> Option<Accepted<TcpStream>> {
        match TcpStream::from_std(self.stream) {
            Ok(stream) => Some(Accepted {
                stream,
                peer: self.peer,
                place: self.place,
                served: self.served,
            }),
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be taken over");
                None
            }
        }
    }
}

async fn accept<C, F>(
    connection: C,
    listener: TcpListener,
    among: Among,
    mut handed: mpsc::UnboundedReceiver<Handed>,
    terms: Terms,
    stop: watch::Receiver<bool>,
) where
    C: Fn(Stream, SocketAddr, watch::Receiver<bool>) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    let (connection, terms) = (Rc::new(connection), Rc::new(terms));
    let mut stopped = stop.clone();
    let mut connections = JoinSet::new();
    {
        // Kept from turn to turn: an accepted connection that waits for its place is not dropped when another ends.
        let accepting = accept_one(&terms.admission, &listener);
        tokio::pin!(accepting);
        loop {
            let accepted = tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => break,
                Some(_) = connections.join_next() => None,
                Some(handed) = handed.recv() => handed.arrive(),
                accepted = &mut accepting => {
                    accepting.set(accept_one(&terms.admission, &listener));
                    accepted.and_then(|(stream, peer, place)| among.keep(stream, peer, place))
                }
            };
            let Some(accepted) = accepted else { continue };
            let (connection, terms) = (Rc::clone(&connection), Rc::clone(&terms));
            let stop = stop.clone();
            connections.spawn_local(async move {
                greeted(accepted, &terms, stop, &*connection).await;
            });
            // A thousand that come at once are taken one by one, and those who are here already have their turn in
            // between.
            tokio::task::yield_now().await;
        }
    }
    drop((listener, handed));
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(terms.drain_timeout, all_ended)
        .await
        .is_err()
    {
        tracing::warn!(
            connections = connections.len(),
            "connections were cut off: they did not end in time"
        );
    }
}

/// Serves a connection, once it is encrypted if it has to be.
async fn greeted<F: Future<Output = ()>>(
    accepted: Accepted<TcpStream>,
    terms: &Terms,
    stop: watch::Receiver<bool>,
    connection: impl Fn(Stream, SocketAddr, watch::Receiver<bool>) -> F,
) {
    let Accepted {
        stream,
        peer,
        place,
        served,
    } = accepted;
    let _ = stream.set_nodelay(true);
    let (tls, time) = (terms.tls.as_deref(), terms.greeting_timeout);
    match Stream::greet(stream, tls, terms.spoken, time, stop.clone()).await {
        Ok(stream) => connection(stream, peer, stop).await,
        Err(NotGreeted::Failed) => {
            terms.greetings_failed.inc();
        }
        Err(NotGreeted::Stopped) => {}
    }
    drop((place, served));
}

/// The next connection that there is a place for.
async fn accept_one(
    admission: &Arc<Admission>,
    listener: &TcpListener,
) -> Option<(TcpStream, SocketAddr, Place)> {
    let (stream, peer) = match listener.accept().await {
        Ok(accepted) => accepted,
        Err(error) => {
            tracing::warn!(%error, "a connection cannot be accepted");
            tokio::time::sleep(REST).await;
            return None;
        }
    };
    let place = admission.place(peer.ip()).await?;
    Some((stream, peer, place))
}

#[cfg(test)]
mod tests;
