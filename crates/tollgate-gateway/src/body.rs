//! Bodies on their way through: bounded, timed, and accounted for.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::upstream::Lease;

/// Why a body ends early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the body is larger than allowed")]
    TooLarge,
    #[error("the other side was silent for too long")]
    Silent,
    #[error("the other side broke off")]
    Broken(#[source] hyper::Error),
}

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

/// A client's body on its way to an upstream.
pub(crate) struct ClientBody {
    incoming: Incoming,
    bytes_left: u64,
    progress: Option<Rc<Progress>>,
}

/// How a client's body is getting on.
pub(crate) struct Progress {
    /// When something last came through.
    pub(crate) last: Cell<Instant>,
    /// Whether it turned out to be larger than allowed.
    pub(crate) too_large: Cell<bool>,
}

impl ClientBody {
    /// The body, and where its progress can be watched unless there is nothing to come.
    pub(crate) fn new(incoming: Incoming, bytes_max: u64) -> (Self, Option<Rc<Progress>>) {
        let progress = (!incoming.is_end_stream()).then(|| {
            Rc::new(Progress {
                last: Cell::new(Instant::now()),
                too_large: Cell::new(false),
            })
        });
        (
            ClientBody {
                incoming,
                bytes_left: bytes_max,
                progress: progress.clone(),
            },
            progress,
        )
    }
}

impl HttpBody for ClientBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Some(frame) = ready!(Pin::new(&mut this.incoming).poll_frame(context)) else {
            return Poll::Ready(None);
        };
        let frame = frame.map_err(BodyError::Broken)?;
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        if let Some(progress) = &this.progress {
            progress.last.set(Instant::now());
            progress.too_large.set(bytes > this.bytes_left);
        }
        match this.bytes_left.checked_sub(bytes) {
            Some(left) => this.bytes_left = left,
            None => return Poll::Ready(Some(Err(BodyError::TooLarge))),
        }
        // Trailer fields are not forwarded: they could carry what was stripped from the header.
        if frame.is_trailers() {
            Poll::Ready(None)
        } else {
            Poll::Ready(Some(Ok(frame)))
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
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
