//! The body of an answer: whole, or streamed from an upstream.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::slots::Slots;
use crate::upstream::{AnswerBody, AnswerError};

/// The body of an answer, with the slots that its request holds.
pub(crate) struct Body {
    content: Content,
    slots: Option<Box<Slots>>,
}

enum Content {
    Whole(Option<Bytes>),
    Streamed(Box<AnswerBody>),
}

impl Body {
    pub(crate) fn empty() -> Self {
        Body::of(Content::Whole(None))
    }

    pub(crate) fn streamed(body: AnswerBody) -> Self {
        Body::of(Content::Streamed(Box::new(body)))
    }

    /// The same body, holding slots until it has gone.
    pub(crate) fn holding(self, slots: Option<Slots>) -> Self {
        let slots = slots.map(Box::new);
        Body { slots, ..self }
    }

    fn of(content: Content) -> Self {
        let slots = None;
        Body { content, slots }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Body::of(Content::Whole(
            Some(bytes).filter(|bytes| !bytes.is_empty()),
        ))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        let this = self.get_mut();
        match &mut this.content {
            Content::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Streamed(body) => {
                let part = body.poll_part(context);
                if matches!(part, Poll::Ready(None | Some(Err(_)))) {
                    this.slots = None;
                }
                part.map(|part| part.map(|part| part.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.is_none(),
            Content::Streamed(body) => body.is_ended(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Content::Streamed(body) => body
                .bytes_left()
                .map(SizeHint::with_exact)
                .unwrap_or_default(),
        }
    }
}
