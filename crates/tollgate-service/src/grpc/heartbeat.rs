//! Whether the peer of a connection is still there: it is asked now and then, and has to answer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep, sleep};

/// A peer that does not answer for so long after so long is gone.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_MAX: Duration = Duration::from_secs(10);

/// Asks the peer. Ends when it is gone.
pub(super) struct Heartbeat {
    pings: PingPong,
    is_awaited: bool,
    /// Of the next ping, or of the end of waiting for an answer.
    due: Pin<Box<Sleep>>,
}

impl Heartbeat {
    pub(super) fn new(pings: PingPong) -> Self {
        Heartbeat {
            pings,
            is_awaited: false,
            due: Box::pin(sleep(PING_EVERY)),
        }
    }
}

impl Future for Heartbeat {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.is_awaited && self.pings.poll_pong(context).is_ready() {
                self.is_awaited = false;
                self.due.as_mut().reset(Instant::now() + PING_EVERY);
            }
            ready!(self.due.as_mut().poll(context));
            if self.is_awaited || self.pings.send_ping(Ping::opaque()).is_err() {
                return Poll::Ready(());
            }
            self.is_awaited = true;
            self.due.as_mut().reset(Instant::now() + PING_MAX);
        }
    }
}
