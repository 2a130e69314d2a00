//! The body of an answer: whole, or streamed from an upstream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use crate::upstream::{BodyError, Lease};

/// The body of an answer.
pub(crate) enum Body {
    Whole(Option<Bytes>),
    Streamed(Streamed),
}

/// An upstream's body on its way to the client. When it has gone through whole, the connection can serve again.
pub(crate) struct Streamed {
    incoming: Incoming,
    lease: Option<Lease>,
    silence: Silence,
}

impl Body {
    pub(crate) fn empty() -> Self {
        Body::Whole(None)
    }

    pub(crate) fn streamed(incoming: Incoming, lease: Lease, timeout: Duration) -> Self {
        if incoming.is_end_stream() {
            lease.give_back();
            return Body::empty();
        }
        Body::Streamed(Streamed {
            incoming,
            lease: Some(lease),
            silence: Silence::new(timeout),
        })
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Body::Whole(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let streamed = match self.get_mut() {
            Body::Whole(bytes) => {
                return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))));
            }
            Body::Streamed(streamed) => streamed,
        };
        let frame = ready!(streamed.silence.poll(context, &mut streamed.incoming));
        if matches!(frame, None | Some(Ok(_)))
            && streamed.incoming.is_end_stream()
            && let Some(lease) = streamed.lease.take()
        {
            lease.give_back();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Whole(bytes) => bytes.is_none(),
            Body::Streamed(streamed) => streamed.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Body::Streamed(streamed) => streamed.incoming.size_hint(),
        }
    }
}

/// Ends a wait for the next frame. The timer is armed only when there is a wait.
struct Silence {
    timeout: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Silence {
    fn new(timeout: Duration) -> Self {
        Silence {
            timeout,
            timer: None,
        }
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
        incoming: &mut Incoming,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Poll::Ready(frame) = Pin::new(incoming).poll_frame(context) {
            self.timer = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)));
        }
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(self.timeout)));
        timer
            .as_mut()
            .poll(context)
            .map(|()| Some(Err(BodyError::Silent)))
    }
}
