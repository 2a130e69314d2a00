//! The connections of one thread to its upstreams: kept alive, and closed when they have been idle for long.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use http::uri::Authority;
use tokio::net::TcpStream;

use super::connection::Connection;
use super::fault::Fault;

/// Connections to one upstream that are kept while idle, for each thread.
const IDLE_MAX: usize = 256;
/// How often idle connections are looked at.
const IDLE_TURN: Duration = Duration::from_secs(15);
/// An idle connection is closed when it is looked at for this time: after 30 to 45 seconds, which is shorter than the 60
/// to 75 after which servers usually close theirs.
const IDLE_TURNS_MAX: u32 = 3;

type Idle = Rc<RefCell<Vec<IdleConnection>>>;

struct IdleConnection {
    connection: Connection,
    turns: u32,
}

/// The connections of one thread, by the index of their upstream.
pub(crate) struct Pool {
    idle: Vec<Idle>,
    connect_timeout: Duration,
    read_timeout: Duration,
}

/// A connection in use.
pub(crate) struct Lease {
    pub(crate) connection: Connection,
    /// Whether it has served before, so that the upstream may have closed it in the meantime.
    pub(crate) reused: bool,
    /// Whether it can serve again, as far as the answer says.
    pub(crate) keeps_alive: bool,
    home: Idle,
}

impl Lease {
    /// The answer has been read whole: the connection can serve again, if both sides have kept to the framing.
    pub(crate) fn give_back(self) {
        let mut idle = self.home.borrow_mut();
        if self.keeps_alive && idle.len() < IDLE_MAX && self.connection.is_idle() {
            idle.push(IdleConnection {
                connection: self.connection,
                turns: 0,
            });
        }
    }
}

impl Pool {
    pub(crate) fn new(upstreams: usize, connect_timeout: Duration, read_timeout: Duration) -> Self {
        Pool {
            idle: (0..upstreams).map(|_| Idle::default()).collect(),
            connect_timeout,
            read_timeout,
        }
    }

    /// An idle connection, or a new one.
    pub(crate) async fn lease(
        &self,
        upstream: usize,
        authority: &Authority,
    ) -> Result<Lease, Fault> {
        let home = &self.idle[upstream];
        loop {
            // The one used last is the least likely to have been closed.
            let Some(idle) = home.borrow_mut().pop() else {
                break;
            };
            if idle.connection.is_idle() {
                return Ok(Lease {
                    connection: idle.connection,
                    reused: true,
                    keeps_alive: false,
                    home: Rc::clone(home),
                });
            }
        }
        // Large, and rarely needed: in a box it does not enlarge what is moved for every request.
        Box::pin(self.connect(upstream, authority)).await
    }

    /// A new connection.
    pub(crate) async fn connect(
        &self,
        upstream: usize,
        authority: &Authority,
    ) -> Result<Lease, Fault> {
        let address = (
            authority.host().trim_matches(['[', ']']),
            authority.port_u16().unwrap_or(80),
        );
        let stream =
            match tokio::time::timeout(self.connect_timeout, TcpStream::connect(address)).await {
                Err(_) => return Err(Fault::ConnectTimeout),
                Ok(Err(error)) => {
                    tracing::debug!(%authority, %error, "an upstream cannot be reached");
                    return Err(Fault::Unreachable);
                }
                Ok(Ok(stream)) => stream,
            };
        let _ = stream.set_nodelay(true);
        Ok(Lease {
            connection: Connection::new(stream, self.read_timeout),
            reused: false,
            keeps_alive: false,
            home: Rc::clone(&self.idle[upstream]),
        })
    }

    /// Closes what has been idle for long, or was closed at the other end. Never ends.
    pub(crate) async fn close_idle(&self) {
        loop {
            tokio::time::sleep(IDLE_TURN).await;
            for idle in &self.idle {
                idle.borrow_mut().retain_mut(|idle| {
                    idle.turns += 1;
                    idle.turns < IDLE_TURNS_MAX && idle.connection.is_idle()
                });
            }
        }
    }
}
