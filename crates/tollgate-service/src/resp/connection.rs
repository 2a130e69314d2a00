//! One client's connection: read many, decide many, write once.
//!
//! A connection that waits for its client holds no buffer: each thread lends what it has to those with work to do.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::answer::{self, Words};
use super::batch::Batch;
use super::parse::{self, Args, Bounds, KNOWN, STRANGER};
use super::reply::Replies;
use super::session::Session;
use tollgate_gateway::stream::Stream;

use crate::Service;
use crate::metrics::Protocol;

/// Bytes that are read at once, unless a command is larger.
const READ_BYTES: usize = 16 << 10;
/// Replies are written when so many bytes of them wait. Nothing is read meanwhile.
const WRITE_BYTES: usize = 64 << 10;
/// Bytes that are still read of a client whose connection ends, and for how long.
const REST_BYTES: usize = 64 << 10;
const REST_MAX: Duration = Duration::from_secs(1);
/// Buffers that a thread keeps for the next who needs one.
const BUFFERS_KEPT: usize = 16;
/// A connection that says nothing for so long is closed.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(3_600);

static CONNECTIONS: AtomicI64 = AtomicI64::new(0);

/// What the connections of one thread share.
pub(super) struct Worker {
    service: Arc<Service>,
    buffers: RefCell<Vec<Buffer>>,
}

/// What a connection with work to do borrows.
struct Buffer {
    input: Vec<u8>,
    /// Of `input`, what has come.
    filled: usize,
    out: Vec<u8>,
}

impl Worker {
    pub(super) fn new(service: Arc<Service>) -> Self {
        Worker {
            service,
            buffers: RefCell::default(),
        }
    }

    fn lend(&self) -> Buffer {
        let kept = self.buffers.borrow_mut().pop();
        kept.unwrap_or_else(|| Buffer {
            input: vec![0; READ_BYTES],
            filled: 0,
            out: Vec::new(),
        })
    }

    fn take_back(&self, mut buffer: Buffer) {
        let mut kept = self.buffers.borrow_mut();
        if kept.len() < BUFFERS_KEPT && buffer.input.len() == READ_BYTES {
            buffer.filled = 0;
            kept.push(buffer);
        }
    }
}

/// Serves a connection until its client goes, or the service stops.
pub(super) async fn serve(worker: Rc<Worker>, stream: Stream, stop: watch::Receiver<bool>) {
    let service = Arc::clone(&worker.service);
    let _open = service.metrics.open(Protocol::Resp);
    let id = CONNECTIONS.fetch_add(1, Ordering::Relaxed) + 1;
    let mut connection = Connection {
        worker: &worker,
        service: &service,
        session: Session::new(&service, id),
        stream,
        deadline: None,
    };
    if let Err(error) = connection.run(stop).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

struct Connection<'s> {
    worker: &'s Worker,
    service: &'s Service,
    session: Session<'s>,
    stream: Stream,
    /// Until when a stranger must have said who it is, or a command must be whole.
    deadline: Option<Instant>,
}

impl Connection<'_> {
    async fn run(&mut self, stop: watch::Receiver<bool>) -> io::Result<()> {
        let mut signal = stop.clone();
        let mut stopped = pin!(signal.wait_for(|stop| *stop));
        let mut listens = false;
        let mut held = None;
        loop {
            self.set_deadline(held.is_some());
            let read = {
                let (worker, stream, held) = (self.worker, &mut self.stream, &mut held);
                poll_fn(|context| {
                    // The waker of a task never changes: once it is left with the signal, a look at the version is
                    // enough.
                    let heard = !listens || !stop.has_changed().is_ok_and(|changed| !changed);
                    listens = true;
                    if heard && stopped.as_mut().poll(context).is_ready() {
                        return Poll::Ready(Ok(None));
                    }
                    poll_read(worker, stream, held, context).map_ok(Some)
                })
            };
            let read = match self.deadline {
                Some(deadline) => timeout_at(deadline, read).await,
                None => timeout(IDLE_MAX, read).await,
            };
            let mut buffer = match read {
                Ok(Ok(Some(buffer))) => buffer,
                // The service stops.
                Ok(Ok(None)) => return Ok(()),
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            };
            let was_full = buffer.filled == buffer.input.len();
            let taken = self.answer(&mut buffer).await?;
            if self.session.is_over {
                return self.end(buffer).await;
            }
            held = self.keep(buffer, taken);
            if was_full {
                // Others have their turn.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Closes the connection so that the last replies arrive: bytes that nobody has read would make the system throw them
    /// away.
    async fn end(&mut self, mut buffer: Buffer) -> io::Result<()> {
        self.stream.shutdown().await?;
        let mut read = 0;
        let rest = async {
            while read < REST_BYTES {
                match self.stream.read(&mut buffer.input).await {
                    Ok(0) | Err(_) => break,
                    Ok(count) => read += count,
                }
            }
        };
        // Whether the client has closed its side or not.
        let _ = timeout(REST_MAX, rest).await;
        self.worker.take_back(buffer);
        Ok(())
    }

    fn set_deadline(&mut self, is_partial: bool) {
        match (is_partial || !self.session.is_known(), self.deadline) {
            (true, None) => self.deadline = Some(Instant::now() + self.service.question_timeout()),
            (false, Some(_)) => self.deadline = None,
            _ => {}
        }
    }

    fn bounds(&self) -> &'static Bounds {
        match self.session.is_known() {
            true => &KNOWN,
            false => &STRANGER,
        }
    }

    /// Answers all whole commands, and tells how many bytes they were.
    async fn answer(&mut self, buffer: &mut Buffer) -> io::Result<usize> {
        let now = self.service.clock.now();
        let mut batch = Batch::new(self.service);
        let mut args = Args::new();
        let mut taken = 0;
        while !self.session.is_over {
            let bytes = &buffer.input[taken..buffer.filled];
            let mut replies = Replies {
                out: &mut buffer.out,
                resp3: self.session.resp3,
            };
            match parse::parse(bytes, self.bounds(), &mut args) {
                Ok(Some(length)) => {
                    let words: Words<'_> = args.iter().map(|arg| &bytes[arg.clone()]).collect();
                    let (service, session) = (self.service, &mut self.session);
                    answer::answer(service, session, &mut batch, &words, now, &mut replies).await;
                    taken += length;
                }
                Ok(None) => break,
                Err(error) => {
                    batch.answer(now, &mut replies).await;
                    self.service.metrics.error(Protocol::Resp);
                    replies.error(&format!("ERR Protocol error: {error}"));
                    self.session.is_over = true;
                }
            }
            if buffer.out.len() >= WRITE_BYTES {
                self.write(&mut buffer.out).await?;
            }
        }
        if !batch.is_empty() {
            let mut replies = Replies {
                out: &mut buffer.out,
                resp3: self.session.resp3,
            };
            batch.answer(now, &mut replies).await;
        }
        self.write(&mut buffer.out).await?;
        Ok(taken)
    }

    async fn write(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if out.is_empty() {
            return Ok(());
        }
        let stream = &mut self.stream;
        let all = async {
            stream.write_all(out).await?;
            stream.flush().await
        };
        let written = timeout(self.service.write_timeout(), all).await;
        written.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        out.clear();
        if out.capacity() > 2 * WRITE_BYTES {
            *out = Vec::new();
        }
        Ok(())
    }

    /// Keeps the buffer if a part of a command is in it, with room for more.
    fn keep(&mut self, mut buffer: Buffer, taken: usize) -> Option<Buffer> {
        if taken == buffer.filled {
            self.worker.take_back(buffer);
            return None;
        }
        if taken > 0 {
            buffer.input.copy_within(taken..buffer.filled, 0);
            buffer.filled -= taken;
            if self.session.is_known() {
                // Another command has begun.
                self.deadline = None;
            }
        }
        if buffer.filled == buffer.input.len() {
            // One byte more than the largest command tells that it is too large.
            let larger = (2 * buffer.filled).min(self.bounds().command_bytes_max + 1);
            buffer.input.resize(larger.max(buffer.filled + 1), 0);
        }
        Some(buffer)
    }
}

/// Reads into the buffer that is held, or into one of the thread's.
fn poll_read(
    worker: &Worker,
    stream: &mut Stream,
    held: &mut Option<Buffer>,
    context: &mut Context<'_>,
) -> Poll<io::Result<Buffer>> {
    let is_held = held.is_some();
    let mut buffer = held.take().unwrap_or_else(|| worker.lend());
    let filled = buffer.filled;
    let mut room = ReadBuf::new(&mut buffer.input[filled..]);
    let polled = Pin::new(stream).poll_read(context, &mut room);
    let count = room.filled().len();
    match polled {
        Poll::Ready(Ok(())) if count == 0 => {
            worker.take_back(buffer);
            Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
        }
        Poll::Ready(Ok(())) => {
            buffer.filled += count;
            Poll::Ready(Ok(buffer))
        }
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Pending => {
            match is_held {
                true => *held = Some(buffer),
                false => worker.take_back(buffer),
            }
            Poll::Pending
        }
    }
}
