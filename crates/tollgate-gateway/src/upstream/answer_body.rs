//! The body of an upstream's answer, as it is read.

use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::error::AnswerError;
use super::pool::Lease;
use crate::framing::Framing;

/// A body on its way from an upstream. When it has been read whole, the connection can serve again.
pub(crate) struct AnswerBody {
    /// Until the body has ended.
    lease: Option<Lease>,
    framing: Framing,
}

impl AnswerBody {
    pub(crate) fn new(lease: Lease, framing: Framing) -> Self {
        AnswerBody {
            lease: Some(lease),
            framing,
        }
    }

    /// How much is still to come, if that is known.
    pub(crate) fn bytes_left(&self) -> Option<u64> {
        self.framing.bytes_left()
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.framing == Framing::ENDED
    }

    /// The next part, `None` at the end.
    pub(crate) fn poll_part(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, AnswerError>>> {
        let Some(lease) = &mut self.lease else {
            return Poll::Ready(None);
        };
        let part = ready!(poll_part(lease, &mut self.framing, context)).transpose();
        if matches!(part, Some(Err(_))) {
            self.lease = None;
        } else if self.is_ended()
            && let Some(lease) = self.lease.take()
        {
            lease.give_back();
        }
        Poll::Ready(part)
    }
}

fn poll_part(
    lease: &mut Lease,
    framing: &mut Framing,
    context: &mut Context<'_>,
) -> Poll<Result<Option<Bytes>, AnswerError>> {
    let connection = &mut lease.connection;
    loop {
        if let Some(part) = framing.take(&mut connection.read)? {
            return Poll::Ready(Ok(Some(part)));
        }
        if *framing == Framing::ENDED {
            return Poll::Ready(Ok(None));
        }
        match connection.poll_read(context) {
            Poll::Ready(Ok(0)) => framing.close()?,
            Poll::Ready(Ok(_)) => connection.silence.is_over(),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(AnswerError::BrokenOff(error))),
            Poll::Pending => {
                ready!(connection.silence.poll(context));
                return Poll::Ready(Err(AnswerError::Silent));
            }
        }
    }
}
