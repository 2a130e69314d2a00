//! One client's connection: HTTP/1.1, request after request, without a task or a timer for each of them.
//!
//! What came at once is answered with one write.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tollgate_gateway::framing::Framing;
use tollgate_gateway::silence::Silence;

use super::answer::{self, Route, Worker};
use super::body::{BODY_BYTES_MAX, Body, broken_off, gather, make_room, too_large, too_late};
use super::head::{Head, Request, may_end};
use super::problem::Failure;
use super::wire::{self, Answer, Behind};
use crate::metrics::Protocol;
use tollgate_gateway::stream::Stream;

/// Answers are written when so many bytes of them wait. Nothing is read meanwhile.
const WRITE_BYTES: usize = 64 << 10;
/// A connection that waits for its client keeps no larger buffers than this.
const KEPT_BYTES: usize = 16 << 10;
/// Bytes that are still read of a client whose connection ends, and for how long.
const REST_BYTES: usize = 1 << 20;
const REST_MAX: Duration = Duration::from_secs(1);

/// Serves a connection until its client goes, or the service stops.
pub(super) async fn serve(worker: Rc<Worker>, stream: Stream, stop: watch::Receiver<bool>) {
    let _open = worker.service.metrics.open(Protocol::Http);
    let mut connection = Connection::new(&worker, stream, stop.clone());
    if let Err(error) = connection.run(stop).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

struct Connection<'w> {
    worker: &'w Worker,
    stream: Stream,
    /// What was read and not yet answered.
    read: BytesMut,
    /// How much memory `read` holds at most beside its capacity: what stood before it, and was answered.
    before: usize,
    /// What was read behind a body in chunks, until its request is answered.
    rest: Option<BytesMut>,
    /// What was answered and not yet written.
    out: Vec<u8>,
    /// Ends waits for a head.
    silence: Silence,
    stop: watch::Receiver<bool>,
}

impl<'w> Connection<'w> {
    fn new(worker: &'w Worker, stream: Stream, stop: watch::Receiver<bool>) -> Self {
        Connection {
            worker,
            stream,
            read: BytesMut::new(),
            before: 0,
            rest: None,
            out: Vec::new(),
            silence: Silence::new(worker.service.question_timeout()),
            stop,
        }
    }

    async fn run(&mut self, mut signal: watch::Receiver<bool>) -> io::Result<()> {
        let stop = self.stop.clone();
        let mut stopped = pin!(signal.wait_for(|stop| *stop));
        let (mut listens, mut stops) = (false, false);
        let mut is_stopping = |context: &mut Context<'_>| {
            // The waker of a task never changes: once it is left with the signal, a look at the version is enough.
            let heard = !listens || is_stopped(&stop);
            listens = true;
            stops = stops || heard && stopped.as_mut().poll(context).is_ready();
            stops
        };
        let bytes_max = self.worker.service.rules.server.header_bytes_max;
        // Of what was read, how much has no end of a head in it.
        let mut seen = 0;
        loop {
            let parsed = match may_end(&self.read, seen) || self.read.len() >= bytes_max {
                true => Head::parse(&self.read, bytes_max),
                false => Ok(None),
            };
            match parsed {
                Ok(Some(head)) => {
                    self.silence.is_over();
                    seen = 0;
                    if !self.answer(&head).await? {
                        return self.end().await;
                    }
                }
                Ok(None) => {
                    seen = self.read.len();
                    // What came together is answered together.
                    self.flush().await?;
                    self.give_back();
                    if !self.more(&mut is_stopping).await? {
                        return self.end().await;
                    }
                }
                Err(error) => {
                    let failure = Failure::new(error.status, error.why);
                    let answer = answer::failed(self.worker, failure, "");
                    self.write(&answer, false, Behind::Close);
                    return self.end().await;
                }
            }
        }
    }

    /// Reads more of a head. False where none comes: the client is gone, or the service stops before the next one.
    async fn more(
        &mut self,
        mut is_stopping: impl FnMut(&mut Context<'_>) -> bool,
    ) -> io::Result<bool> {
        make_room(&mut self.read);
        let (stream, read, silence) = (&mut self.stream, &mut self.read, &mut self.silence);
        poll_fn(|context| {
            if let Poll::Ready(count) = pin!(stream.read_buf(read)).poll(context) {
                return Poll::Ready(count.map(|count| count > 0));
            }
            if read.is_empty() && is_stopping(context) {
                return Poll::Ready(Ok(false));
            }
            silence
                .poll(context)
                .map(|()| Err(io::ErrorKind::TimedOut.into()))
        })
        .await
    }

    /// Answers the request of this head. False where nothing may follow.
    async fn answer(&mut self, head: &Head) -> io::Result<bool> {
        let worker = self.worker;
        let request = Request {
            head,
            read: &self.read,
        };
        let span = answer::begin_span(worker, request);
        let answered = match answer::route(worker, request) {
            Ok(Route::Get(got)) => answer::get(worker, got),
            Ok(Route::Post(posted)) => match self.body(head).await? {
                Ok(body) => {
                    let request = Request {
                        head,
                        read: &self.read,
                    };
                    let body = body.bytes(head, &self.read);
                    answer::post(worker, posted, request, body).await
                }
                Err(failure) => Err(failure),
            },
            Err(failure) => Err(failure),
        };
        let request = Request {
            head,
            read: &self.read,
        };
        let answer =
            answered.unwrap_or_else(|failure| answer::failed(worker, failure, request.path()));
        answer::end_span(worker, span, request, answer.status);
        let is_whole = self.consume(head);
        let keeps = head.keeps_alive && is_whole && !is_stopped(&self.stop);
        let behind = match keeps {
            true if head.is_old => Behind::KeepAlive,
            true => Behind::Again,
            false => Behind::Close,
        };
        self.write(&answer, head.method == Method::HEAD, behind);
        if self.out.len() >= WRITE_BYTES {
            self.flush().await?;
        }
        Ok(keeps)
    }

    /// The body behind this head, as soon as it has come whole.
    async fn body(&mut self, head: &Head) -> io::Result<Result<Body, Failure>> {
        let limit = self.worker.service.question_timeout();
        if let Framing::Length(length) = head.framing {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length > BODY_BYTES_MAX {
                return Ok(Err(too_large()));
            }
            // Most bodies come with their heads.
            if self.read.len() >= head.bytes + length {
                return Ok(Ok(Body::Behind(length)));
            }
            self.ask_for_body(head).await?;
            let came = timeout(limit, self.read_until(head.bytes + length)).await;
            return Ok(match came {
                Ok(came) => came?.map(|()| Body::Behind(length)),
                Err(_) => Err(too_late()),
            });
        }
        self.ask_for_body(head).await?;
        let mut rest = self.read.split_off(head.bytes);
        match timeout(limit, gather(&mut self.stream, head.framing, &mut rest)).await {
            Ok(gathered) => {
                let gathered = gathered?;
                if gathered.is_ok() {
                    self.rest = Some(rest);
                }
                Ok(gathered.map(Body::Gathered))
            }
            Err(_) => Ok(Err(too_late())),
        }
    }

    /// Tells a client to send its body that waits for that; and whoever sent more than one request, what it has asked.
    async fn ask_for_body(&mut self, head: &Head) -> io::Result<()> {
        if head.expects_continue {
            self.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        self.flush().await
    }

    async fn read_until(&mut self, end: usize) -> io::Result<Result<(), Failure>> {
        while self.read.len() < end {
            let missing = end - self.read.len();
            self.read.reserve(missing);
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Ok(Err(broken_off()));
            }
        }
        Ok(Ok(()))
    }

    /// Drops a request that is answered. False where it has not come whole.
    fn consume(&mut self, head: &Head) -> bool {
        match (head.framing, self.rest.take()) {
            (_, Some(rest)) => {
                self.read = rest;
                // It shares its memory with all that came before it.
                self.before = usize::MAX;
                true
            }
            (Framing::Length(length), None) => {
                let left = (self.read.len() - head.bytes) as u64;
                let whole = length <= left;
                if whole {
                    let bytes = head.bytes + length as usize;
                    self.read.advance(bytes);
                    self.before = self.before.saturating_add(bytes);
                }
                whole
            }
            _ => false,
        }
    }

    /// Makes the buffer small again before it waits for its client. A head that comes in pieces is copied once.
    fn give_back(&mut self) {
        let held = self.before.saturating_add(self.read.capacity());
        if self.before > 0 && held > KEPT_BYTES {
            self.read = BytesMut::from(&self.read[..]);
            self.before = 0;
        }
    }

    fn write(&mut self, answer: &Answer, is_head: bool, behind: Behind) {
        let worker = self.worker;
        let now = worker.service.clock.now();
        wire::write(&mut self.out, answer, is_head, behind, &worker.dates, now);
    }

    /// Sends what was answered. A client that reads nothing does not hold its connection for ever.
    async fn flush(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let limit = self.worker.service.write_timeout();
        let mut written = 0;
        while written < self.out.len() {
            match within(limit, self.stream.write(&self.out[written..])).await?? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => written += count,
            }
        }
        within(limit, self.stream.flush()).await??;
        self.out.clear();
        self.out.shrink_to(KEPT_BYTES);
        Ok(())
    }

    /// Closes the connection so that the last answer arrives: bytes that nobody has read would make the system throw it
    /// away, and a client may send some at any time.
    async fn end(&mut self) -> io::Result<()> {
        self.flush().await?;
        let rest = async {
            self.stream.shutdown().await?;
            let mut left = REST_BYTES;
            while left > 0 {
                self.read.clear();
                make_room(&mut self.read);
                match self.stream.read_buf(&mut self.read).await? {
                    0 => break,
                    count => left = left.saturating_sub(count),
                }
            }
            Ok(())
        };
        // Whether the client has closed its side or not.
        timeout(REST_MAX, rest).await.unwrap_or(Ok(()))
    }
}

/// Whether the signal has been given, without waiting for it.
fn is_stopped(stop: &watch::Receiver<bool>) -> bool {
    stop.has_changed().unwrap_or(true)
}

/// What a future comes to in this time. Most are ready at once, and need no timer.
async fn within<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    let at_once = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
    match at_once {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => timeout(limit, future).await,
    }
}

#[cfg(test)]
mod tests;
