//! The connections of one thread to its upstreams: kept alive, and closed when they have been idle for long.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use http::uri::Authority;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::client_body::{ClientBody, Progress};
use crate::refusal::Refusal;

/// Connections to one upstream that are kept while idle, for each thread.
const IDLE_MAX: usize = 256;
/// How long an idle connection is kept. Shorter than the 60 to 75 seconds after which servers usually close theirs.
const IDLE_TIME: Duration = Duration::from_secs(45);

type Idle = Rc<RefCell<Vec<IdleConnection>>>;

struct IdleConnection {
    sender: SendRequest<ClientBody>,
    since: Instant,
}

/// The connections of one thread, by the index of their upstream.
pub(crate) struct Pool {
    idle: Vec<Idle>,
    connect_timeout: Duration,
}

/// A connection in use.
pub(crate) struct Lease {
    pub(crate) sender: SendRequest<ClientBody>,
    /// Whether it has served before, so that the upstream may have closed it in the meantime.
    pub(crate) reused: bool,
    /// The client's body, if one is being sent.
    pub(crate) upload: Option<Rc<Progress>>,
    home: Idle,
}

impl Lease {
    /// The answer has come through whole: the connection can serve again, unless the request is still being sent.
    pub(crate) fn give_back(self) {
        if self.upload.is_some_and(|upload| !upload.ended.get()) {
            return;
        }
        let mut idle = self.home.borrow_mut();
        if idle.len() < IDLE_MAX && !self.sender.is_closed() {
            idle.push(IdleConnection {
                sender: self.sender,
                since: Instant::now(),
            });
        }
    }
}

impl Pool {
    pub(crate) fn new(upstreams: usize, connect_timeout: Duration) -> Self {
        Pool {
            idle: (0..upstreams).map(|_| Idle::default()).collect(),
            connect_timeout,
        }
    }

    /// An idle connection that is ready, or a new one.
    pub(crate) async fn lease(
        &self,
        upstream: usize,
        authority: &Authority,
    ) -> Result<Lease, Refusal> {
        let home = &self.idle[upstream];
        loop {
            // The one used last is the least likely to have been closed.
            let Some(mut idle) = home.borrow_mut().pop() else {
                break;
            };
            if idle.sender.ready().await.is_ok() {
                return Ok(Lease {
                    sender: idle.sender,
                    reused: true,
                    upload: None,
                    home: Rc::clone(home),
                });
            }
        }
        self.connect(upstream, authority).await
    }

    /// A new connection.
    pub(crate) async fn connect(
        &self,
        upstream: usize,
        authority: &Authority,
    ) -> Result<Lease, Refusal> {
        let address = (
            authority.host().trim_matches(['[', ']']),
            authority.port_u16().unwrap_or(80),
        );
        let stream =
            match tokio::time::timeout(self.connect_timeout, TcpStream::connect(address)).await {
                Err(_) => return Err(Refusal::gateway_timeout()),
                Ok(Err(error)) => {
                    tracing::debug!(%authority, %error, "an upstream cannot be reached");
                    return Err(Refusal::bad_gateway());
                }
                Ok(Ok(stream)) => stream,
            };
        let _ = stream.set_nodelay(true);
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|_| Refusal::bad_gateway())?;
        tokio::task::spawn_local(async move {
            // How it ended is known to whoever was using it.
            let _ = connection.await;
        });
        Ok(Lease {
            sender,
            reused: false,
            upload: None,
            home: Rc::clone(&self.idle[upstream]),
        })
    }

    /// Closes what has been idle for long. Never ends.
    pub(crate) async fn close_idle(&self) {
        loop {
            tokio::time::sleep(IDLE_TIME / 3).await;
            for idle in &self.idle {
                idle.borrow_mut().retain(|connection| {
                    connection.since.elapsed() < IDLE_TIME && !connection.sender.is_closed()
                });
            }
        }
    }
}
