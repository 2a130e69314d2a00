//! What the calls of one connection have in common: how many bytes they hold while they wait, and whether anybody reads
//! their answers.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, SendStream};
use tokio::sync::Notify;
use tokio::time::timeout;
use tonic::Status;

/// What a call that waits costs beside its message: a task with its future, and its stream of HTTP/2.
pub(super) const CALL_BYTES: usize = 8 << 10;
/// Bytes that calls of one connection may hold while they wait: for the rest of a message, for a store, or for somebody
/// who reads their answers. As many calls as a connection may have at one time fit, with 4 KiB of message each.
pub(super) const HELD_BYTES_MAX: usize = 12 << 20;
/// The same of all connections of a thread: about 8,000 calls.
pub(super) const THREAD_HELD_BYTES_MAX: usize = 64 << 20;
/// What a connection may hold in any case, however much the others of its thread hold: seven calls.
const OWN_HELD_BYTES_MAX: usize = 64 << 10;

/// The same for calls of strangers, which need no token.
const STRANGERS_HELD_BYTES_MAX: usize = 768 << 10;
const STRANGERS_THREAD_HELD_BYTES_MAX: usize = 12 << 20;
/// One call and its answer.
const STRANGERS_OWN_HELD_BYTES_MAX: usize = 48 << 10;

/// Whose calls hold bytes: what some hold does not keep others from holding theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pot {
    /// Of those who may ask.
    Callers,
    /// Of anybody, without a token.
    Strangers,
}

/// Bytes that calls hold, by pot.
#[derive(Default)]
pub(super) struct HeldBytes {
    callers: Cell<usize>,
    strangers: Cell<usize>,
}

/// The other end of a connection.
pub(super) struct Peer {
    held: HeldBytes,
    of_thread: Rc<HeldBytes>,
    /// How long it may take to read an answer.
    write_timeout: Duration,
    reads_nothing: Notify,
}

/// Bytes that one call holds, given back when this is dropped.
pub(super) struct Held {
    peer: Rc<Peer>,
    pot: Pot,
    /// With what the call costs by itself, once it waits.
    bytes: usize,
}

impl Pot {
    /// What a connection may hold, all of a thread, and a connection in any case.
    fn bounds(self) -> (usize, usize, usize) {
        match self {
            Pot::Callers => (HELD_BYTES_MAX, THREAD_HELD_BYTES_MAX, OWN_HELD_BYTES_MAX),
            Pot::Strangers => (
                STRANGERS_HELD_BYTES_MAX,
                STRANGERS_THREAD_HELD_BYTES_MAX,
                STRANGERS_OWN_HELD_BYTES_MAX,
            ),
        }
    }
}

impl HeldBytes {
    fn of(&self, pot: Pot) -> &Cell<usize> {
        match pot {
            Pot::Callers => &self.callers,
            Pot::Strangers => &self.strangers,
        }
    }
}

impl Peer {
    /// One of those of a thread whose calls hold `of_thread` bytes together.
    pub(super) fn new(of_thread: &Rc<HeldBytes>, write_timeout: Duration) -> Rc<Self> {
        Rc::new(Peer {
            held: HeldBytes::default(),
            of_thread: Rc::clone(of_thread),
            write_timeout,
            reads_nothing: Notify::new(),
        })
    }

    /// For a call that holds nothing yet.
    pub(super) fn hold(self: &Rc<Self>, pot: Pot) -> Held {
        Held {
            peer: Rc::clone(self),
            pot,
            bytes: 0,
        }
    }

    /// Sends a part of an answer, as its reader has room for it. If it makes none in time, its connection ends: pings
    /// alone do not keep it.
    pub(super) async fn send(
        self: &Rc<Self>,
        pot: Pot,
        sending: &mut SendStream<Bytes>,
        data: Bytes,
    ) -> Result<(), h2::Error> {
        sending.reserve_capacity(data.len());
        // Nearly always.
        if sending.capacity() >= data.len() {
            return sending.send_data(data, false);
        }
        // Seldom, and not a part of what every call carries around.
        Box::pin(self.send_in_time(pot, sending, data)).await
    }

    async fn send_in_time(
        self: &Rc<Self>,
        pot: Pot,
        sending: &mut SendStream<Bytes>,
        data: Bytes,
    ) -> Result<(), h2::Error> {
        let mut held = self.hold(pot);
        let sent = match held.more(data.len()) {
            Ok(()) => timeout(self.write_timeout, send_in_parts(sending, data))
                .await
                .ok(),
            Err(_) => None,
        };
        sent.unwrap_or_else(|| {
            self.reads_nothing.notify_one();
            Err(Reason::CANCEL.into())
        })
    }

    /// Comes when its connection has to end, because it does not read what it is sent.
    pub(super) async fn reads_nothing(&self) {
        self.reads_nothing.notified().await;
    }
}

impl Held {
    /// Holds what a call costs that waits, if it does not yet.
    ///
    /// # Errors
    /// As of [`more`](Self::more).
    pub(super) fn wait(&mut self) -> Result<(), Status> {
        match self.bytes {
            0 => self.more(0),
            _ => Ok(()),
        }
    }

    /// Holds so many bytes more; the first time with what the call costs by itself.
    ///
    /// # Errors
    /// The connection holds too many, or all of the thread do.
    pub(super) fn more(&mut self, bytes: usize) -> Result<(), Status> {
        let bytes = match self.bytes {
            0 => CALL_BYTES + bytes,
            _ => bytes,
        };
        let (held, of_thread) = self.counted();
        let (held_now, of_thread_now) = (held.get() + bytes, of_thread.get() + bytes);
        let (most, most_of_thread, in_any_case) = self.pot.bounds();
        let fits = held_now <= in_any_case || of_thread_now <= most_of_thread;
        if held_now > most || !fits {
            let why = "calls that wait have too many bytes";
            return Err(Status::resource_exhausted(why));
        }
        held.set(held_now);
        of_thread.set(of_thread_now);
        self.bytes += bytes;
        Ok(())
    }

    /// Whether nothing of a message is held.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes <= CALL_BYTES
    }

    /// Where it is counted: of its connection, and of all of the thread.
    fn counted(&self) -> (&Cell<usize>, &Cell<usize>) {
        let Peer {
            held, of_thread, ..
        } = &*self.peer;
        (held.of(self.pot), of_thread.of(self.pot))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let (held, of_thread) = self.counted();
        held.set(held.get() - self.bytes);
        of_thread.set(of_thread.get() - self.bytes);
    }
}

async fn send_in_parts(sending: &mut SendStream<Bytes>, mut data: Bytes) -> Result<(), h2::Error> {
    while !data.is_empty() {
        sending.reserve_capacity(data.len());
        let room = poll_fn(|context| sending.poll_capacity(context)).await;
        let room = room.unwrap_or_else(|| Err(Reason::CANCEL.into()))?;
        sending.send_data(data.split_to(room.min(data.len())), false)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::connection::STREAMS_MAX;
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);
    /// The message of one call that takes all of a connection.
    const FULL: usize = HELD_BYTES_MAX - CALL_BYTES;

    #[test]
    fn a_call_that_waits_costs_something_by_itself_and_once() {
        let thread = Rc::<HeldBytes>::default();
        let peer = Peer::new(&thread, TIMEOUT);
        let mut call = peer.hold(Pot::Callers);
        assert_eq!(thread.callers.get(), 0, "it does not wait yet");
        call.wait().unwrap();
        assert!(call.is_empty());
        call.wait().unwrap();
        call.more(7).unwrap();
        assert!(!call.is_empty());
        assert_eq!(thread.callers.get(), CALL_BYTES + 7);
        drop(call);
        // Those of one connection of Envoy at one time, each with a message.
        let ordinary = |_| {
            let mut call = peer.hold(Pot::Callers);
            call.more(4 << 10).unwrap();
            call
        };
        let all: Vec<_> = (0..STREAMS_MAX).map(ordinary).collect();
        assert!(peer.hold(Pot::Callers).wait().is_err());
        drop(all);
        assert_eq!((peer.held.callers.get(), thread.callers.get()), (0, 0));
    }

    #[test]
    fn one_connection_holds_so_much_and_gives_it_back() {
        let thread = Rc::<HeldBytes>::default();
        let (one, other) = (Peer::new(&thread, TIMEOUT), Peer::new(&thread, TIMEOUT));
        let mut all = one.hold(Pot::Callers);
        all.more(HELD_BYTES_MAX - 2 * CALL_BYTES - 1).unwrap();
        assert!(one.hold(Pot::Callers).more(2).is_err());
        let mut last = one.hold(Pot::Callers);
        last.more(1).unwrap();
        assert!(!last.is_empty() && last.more(1).is_err());
        other.hold(Pot::Callers).more(FULL).unwrap();
        drop((all, last));
        assert_eq!((one.held.callers.get(), thread.callers.get()), (0, 0));
        one.hold(Pot::Callers).more(FULL).unwrap();
    }

    #[test]
    fn all_connections_of_a_thread_hold_so_much_and_the_next_one_has_something_of_its_own() {
        let thread = Rc::<HeldBytes>::default();
        let mut all = Vec::new();
        while thread.callers.get() < THREAD_HELD_BYTES_MAX {
            let mut held = Peer::new(&thread, TIMEOUT).hold(Pot::Callers);
            let left = THREAD_HELD_BYTES_MAX - thread.callers.get();
            held.more(FULL.min(left - CALL_BYTES)).unwrap();
            all.push(held);
        }
        assert_eq!(thread.callers.get(), THREAD_HELD_BYTES_MAX);
        let own = OWN_HELD_BYTES_MAX - CALL_BYTES;
        let mut next = Peer::new(&thread, TIMEOUT).hold(Pot::Callers);
        assert!(next.more(own + 1).is_err());
        next.more(own).unwrap();
        assert!(next.more(1).is_err());
        all.clear();
        next.more(1).unwrap();
    }

    #[test]
    fn what_strangers_hold_is_bounded_apart_and_takes_nothing_from_callers() {
        let thread = Rc::default();
        let full = |_| {
            let mut held = Peer::new(&thread, TIMEOUT).hold(Pot::Strangers);
            held.more(STRANGERS_HELD_BYTES_MAX - CALL_BYTES).unwrap();
            assert!(held.more(1).is_err());
            held
        };
        let connections = STRANGERS_THREAD_HELD_BYTES_MAX / STRANGERS_HELD_BYTES_MAX;
        let all: Vec<_> = (0..connections).map(full).collect();
        let next = Peer::new(&thread, TIMEOUT);
        let mut asks_of_health = next.hold(Pot::Strangers);
        let own = STRANGERS_OWN_HELD_BYTES_MAX - CALL_BYTES;
        asks_of_health.more(own).unwrap();
        assert!(asks_of_health.more(1).is_err());
        next.hold(Pot::Callers).more(FULL).unwrap();
        drop((all, asks_of_health));
        assert_eq!(thread.strangers.get(), 0);
    }
}
