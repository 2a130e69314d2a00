//! A client's body on its way to an upstream: bounded, and watched.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

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
    /// Whether it has come to its end.
    pub(crate) ended: Cell<bool>,
    /// Whether the client broke off, or framed it wrongly.
    pub(crate) broken: Cell<bool>,
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
                ended: Cell::new(false),
                broken: Cell::new(false),
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

impl ClientBody {
    fn note(&self, note: impl FnOnce(&Progress)) {
        if let Some(progress) = &self.progress {
            note(progress);
        }
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
        let frame = match ready!(Pin::new(&mut this.incoming).poll_frame(context)) {
            Some(Ok(frame)) => frame,
            None => {
                this.note(|progress| progress.ended.set(true));
                return Poll::Ready(None);
            }
            Some(Err(error)) => {
                this.note(|progress| progress.broken.set(true));
                return Poll::Ready(Some(Err(BodyError::Broken(error))));
            }
        };
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        this.note(|progress| {
            progress.last.set(Instant::now());
            progress.too_large.set(bytes > this.bytes_left);
            progress.ended.set(this.incoming.is_end_stream());
        });
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
