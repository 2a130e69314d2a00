//! The body of an answer: whole, streamed from an upstream, or pushed by a built-in.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::builtin::{self, Pushed};
use crate::metered::Metered;
use crate::slots::Slots;
use crate::upstream::{AnswerBody, AnswerError};

/// The body of an answer, with what its request holds until it has gone.
pub(crate) struct Body {
    content: Content,
    slots: Option<Box<Slots>>,
    metered: Option<Box<Metered>>,
}

enum Content {
    Whole(Option<Bytes>),
    Streamed(Box<AnswerBody>),
    Pushed(Pushed),
}

impl Body {
    pub(crate) fn empty() -> Self {
        Body::of(Content::Whole(None))
    }

    pub(crate) fn streamed(body: AnswerBody) -> Self {
        Body::of(Content::Streamed(Box::new(body)))
    }

    /// The same body, holding slots until it has gone.
    pub(crate) fn holding(self, slots: Option<Box<Slots>>) -> Self {
        Body { slots, ..self }
    }

    /// The same body, counted as it goes.
    pub(crate) fn metered(self, metered: Option<Metered>) -> Self {
        let metered = metered.map(Box::new);
        Body { metered, ..self }
    }

    /// How long it is, when it is there; `None` while it is still to come.
    pub(crate) fn whole_bytes(&self) -> Option<u64> {
        match &self.content {
            Content::Whole(bytes) => Some(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Content::Streamed(body) => body.is_ended().then_some(0),
            Content::Pushed(_) => None,
        }
    }

    fn of(content: Content) -> Self {
        Body {
            content,
            slots: None,
            metered: None,
        }
    }
}

impl From<builtin::Content> for Body {
    fn from(content: builtin::Content) -> Self {
        match content {
            builtin::Content::Whole(bytes) => bytes.into(),
            builtin::Content::Pushed(body) => Body::of(Content::Pushed(body)),
        }
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
                match (&part, &mut this.metered) {
                    (Poll::Ready(None | Some(Err(_))), _) => {
                        this.slots = None;
                        this.metered = None;
                    }
                    (Poll::Ready(Some(Ok(part))), Some(metered)) => metered.went_out(part.len()),
                    _ => {}
                }
                part.map(|part| part.map(|part| part.map(Frame::data)))
            }
            Content::Pushed(body) => {
                let part = body.poll_part(context);
                part.map(|part| part.map(|part| Ok(Frame::data(part))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.is_none(),
            Content::Streamed(body) => body.is_ended(),
            Content::Pushed(_) => false,
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
            Content::Pushed(_) => SizeHint::default(),
        }
    }
}
