//! One connection to an upstream: its two halves, and what was read of it and not yet used.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use http::Method;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::answer_head::AnswerHead;
use super::error::AnswerError;
use crate::silence::Silence;

/// Read at once, at most.
const READ_BYTES: usize = 16 << 10;
/// With less room than this a new buffer is begun.
const READ_BYTES_MIN: usize = 2 << 10;

/// Interim answers (1xx) before the final one.
const INTERIM_MAX: usize = 100;

/// A connection to an upstream. It has no task of its own: whoever waits for the answer drives it.
pub(crate) struct Connection {
    reader: OwnedReadHalf,
    /// Gone when a request could not be sent whole, or is still being sent when its answer comes.
    pub(crate) writer: Option<OwnedWriteHalf>,
    /// What has been read and not been used.
    pub(crate) read: BytesMut,
    /// Interim answers to the present request.
    interim: usize,
    pub(crate) silence: Silence,
}

impl Connection {
    /// `timeout` is how long the upstream may be silent.
    pub(crate) fn new(stream: TcpStream, timeout: Duration) -> Self {
        let (reader, writer) = stream.into_split();
        Connection {
            reader,
            writer: Some(writer),
            read: BytesMut::new(),
            interim: 0,
            silence: Silence::new(timeout),
        }
    }

    /// Before a request. What earlier answers have used of the buffer is used again, from its beginning.
    pub(crate) fn begin(&mut self) {
        self.interim = 0;
        self.silence.is_over();
        self.read.reserve(READ_BYTES);
    }

    /// Reads what there is; 0 when the upstream has closed.
    pub(crate) fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.read.capacity() - self.read.len() < READ_BYTES_MIN {
            self.read.reserve(READ_BYTES);
        }
        pin!(self.reader.read_buf(&mut self.read)).poll(context)
    }

    /// Reads the head of the final answer.
    pub(crate) fn poll_head(
        &mut self,
        context: &mut Context<'_>,
        asked: &Method,
    ) -> Poll<Result<AnswerHead, AnswerError>> {
        loop {
            while !self.read.is_empty()
                && let Some(head) = AnswerHead::take(&mut self.read, asked)?
            {
                if !head.is_interim() {
                    return Poll::Ready(Ok(head));
                }
                self.interim += 1;
                if self.interim > INTERIM_MAX {
                    let error = AnswerError::Malformed("interim answers without an end");
                    return Poll::Ready(Err(error));
                }
            }
            let closed = match ready!(self.poll_read(context)) {
                Ok(0) => io::ErrorKind::UnexpectedEof.into(),
                Ok(_) => continue,
                Err(error) => error,
            };
            return Poll::Ready(Err(match self.read.is_empty() && self.interim == 0 {
                true => AnswerError::Closed(closed),
                false => AnswerError::BrokenOff(closed),
            }));
        }
    }

    /// Whether it is as an answer should leave it: open on both sides, and with nothing behind the answer.
    pub(crate) fn is_idle(&self) -> bool {
        // This asks the system only when the runtime has heard of something.
        let quiet = |read: io::Result<usize>| {
            read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        };
        self.writer.is_some() && self.read.is_empty() && quiet(self.reader.try_read(&mut [0]))
    }
}
