//! A request on its way to an upstream: its head, and behind it the client's body as it comes.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::net::tcp::OwnedWriteHalf;

use super::client_body::ClientBody;
use super::error::ClientError;
use crate::silence::Silence;

/// With so much to be written, no more is asked of the client.
const WRITE_BYTES: usize = 16 << 10;

/// Why a request is not sent whole.
pub(crate) enum SendError {
    Client(ClientError),
    /// The upstream reads no more.
    Upstream,
}

/// A request on its way.
pub(crate) struct OutgoingRequest {
    /// The head, and later what of the body is to be written next.
    buffer: Vec<u8>,
    /// How much of the buffer has been written.
    written: usize,
    /// The client's body, until it has been taken whole.
    body: Option<ClientBody>,
    /// Whether it does no harm to send it twice.
    harmless: bool,
    /// Whether anything of it has left.
    begun: bool,
    /// Whether anything came or went since that was last asked.
    stepped: bool,
}

impl OutgoingRequest {
    /// `safe` says that the method has no effect.
    pub(crate) fn new(head: Vec<u8>, body: Option<ClientBody>, safe: bool) -> Self {
        OutgoingRequest {
            buffer: head,
            written: 0,
            harmless: safe && body.is_none(),
            body,
            begun: false,
            stepped: false,
        }
    }

    /// Writes as much as the client has sent and the upstream takes. Ready when that is all, or when it fails.
    pub(crate) fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        writer: &mut OwnedWriteHalf,
    ) -> Poll<Result<(), SendError>> {
        loop {
            self.fill(context).map_err(SendError::Client)?;
            let unwritten = &self.buffer[self.written..];
            if unwritten.is_empty() {
                return match self.body {
                    Some(_) => Poll::Pending,
                    None => Poll::Ready(Ok(())),
                };
            }
            match ready!(Pin::new(&mut *writer).poll_write(context, unwritten)) {
                Ok(bytes) if bytes > 0 => self.written += bytes,
                _ => return Poll::Ready(Err(SendError::Upstream)),
            }
            self.begun = true;
            self.stepped = true;
        }
    }

    /// Takes what the client has sent, up to a bound.
    fn fill(&mut self, context: &mut Context<'_>) -> Result<(), ClientError> {
        while let Some(body) = &mut self.body
            && self.buffer.len() - self.written < WRITE_BYTES
        {
            // What has been written makes room: the buffer never holds more than the bound and one part.
            if self.written >= self.buffer.len().min(WRITE_BYTES) {
                self.buffer.drain(..self.written);
                self.written = 0;
            }
            match body.poll_write_part(context, &mut self.buffer)? {
                Poll::Ready(true) => self.body = None,
                Poll::Ready(false) => {}
                Poll::Pending => break,
            }
            self.stepped = true;
        }
        Ok(())
    }

    /// Sends what is left when the answer came before the request had been sent whole: an upstream may answer while it
    /// reads, and a client may read nothing before it has sent all.
    pub(crate) async fn send_rest(mut self, mut writer: OwnedWriteHalf, timeout: Duration) {
        let mut silence = Silence::new(timeout);
        let sent = poll_fn(|context| {
            let sent = self.poll_send(context, &mut writer);
            if self.took_a_step() {
                silence.is_over();
            }
            match sent {
                Poll::Ready(sent) => Poll::Ready(sent.is_ok()),
                Poll::Pending => silence.poll(context).map(|()| false),
            }
        });
        if sent.await {
            // Closing this half alone would look like a client that has gone.
            writer.forget();
        }
    }

    /// Whether something came or went since this was last asked.
    pub(crate) fn took_a_step(&mut self) -> bool {
        std::mem::take(&mut self.stepped)
    }

    pub(crate) fn waits_for_client(&self) -> bool {
        self.body.is_some() && self.written == self.buffer.len()
    }

    pub(crate) fn is_sent(&self) -> bool {
        self.body.is_none() && self.written == self.buffer.len()
    }

    /// Begins anew, if the request may be sent to somebody else: nothing of it has left, or it does no harm twice.
    pub(crate) fn begin_anew(&mut self) -> bool {
        if self.begun && !self.harmless {
            return false;
        }
        self.written = 0;
        true
    }
}
