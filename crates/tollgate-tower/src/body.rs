//! The body of a response: the inner service's, with the slot that its request holds, or a refusal's few bytes.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tollgate::Permit;

pin_project! {
    /// The inner service's body, unchanged, or a refusal's. The default is empty.
    ///
    /// ```
    /// use http_body::Body;
    /// use tollgate_tower::ResponseBody;
    ///
    /// let empty = ResponseBody::<String>::default();
    /// assert!(empty.is_end_stream());
    /// ```
    pub struct ResponseBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<B> {
        // Boxed, because most limiters have no slots to hold. Dropped after the body.
        Answer { #[pin] body: B, slot: Option<Box<Permit>> },
        Refusal { bytes: Option<Bytes> },
    }
}

impl<B> ResponseBody<B> {
    pub(crate) fn answer(body: B, slot: Option<Box<Permit>>) -> Self {
        ResponseBody {
            kind: Kind::Answer { body, slot },
        }
    }

    pub(crate) fn refusal(bytes: Bytes) -> Self {
        let bytes = Some(bytes).filter(|bytes| !bytes.is_empty());
        ResponseBody {
            kind: Kind::Refusal { bytes },
        }
    }
}

/// Without the slot, which names its key.
impl<B: fmt::Debug> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field: &dyn fmt::Debug = match &self.kind {
            Kind::Answer { body, .. } => body,
            Kind::Refusal { bytes } => bytes,
        };
        f.debug_tuple("ResponseBody").field(field).finish()
    }
}

impl<B> Default for ResponseBody<B> {
    fn default() -> Self {
        ResponseBody::refusal(Bytes::new())
    }
}

impl<B: Body> Body for ResponseBody<B>
where
    B::Data: From<Bytes>,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match self.project().kind.project() {
            KindProjection::Answer { mut body, slot } => {
                let frame = ready!(body.as_mut().poll_frame(context));
                if !matches!(frame, Some(Ok(_))) || body.is_end_stream() {
                    slot.take();
                }
                Poll::Ready(frame)
            }
            KindProjection::Refusal { bytes } => {
                Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes.into()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Answer { body, .. } => body.is_end_stream(),
            Kind::Refusal { bytes } => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Answer { body, .. } => body.size_hint(),
            Kind::Refusal { bytes } => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
        }
    }
}
