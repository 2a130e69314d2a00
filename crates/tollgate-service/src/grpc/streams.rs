//! Streams that would never end by themselves, and end with the service: watches of health, and reflection.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::HeaderMap;
use hyper::body::{Body, Bytes, Frame};
use tonic::Status;

/// Comes when the service stops.
pub(super) type Stopped = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A body that ends when the service stops: with what is at hand by then, and these trailers.
pub(super) struct UntilStop<B> {
    body: B,
    stopped: Stopped,
    trailers: Option<HeaderMap>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Stopping,
    Ended,
}

/// What a client of gRPC sends.
pub(super) fn request<B>(body: B, stopped: Stopped) -> UntilStop<B> {
    UntilStop {
        body,
        stopped,
        trailers: None,
        state: State::Open,
    }
}

/// What it is answered.
pub(super) fn response<B>(body: B, stopped: Stopped) -> UntilStop<B> {
    let mut trailers = HeaderMap::new();
    let _ = Status::unavailable("the service stops").add_header(&mut trailers);
    UntilStop {
        trailers: Some(trailers),
        ..request(body, stopped)
    }
}

impl<B> Body for UntilStop<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.state == State::Ended {
            return Poll::Ready(None);
        }
        if self.state == State::Open && self.stopped.as_mut().poll(context).is_ready() {
            self.state = State::Stopping;
        }
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Pending if self.state == State::Stopping => {
                self.state = State::Ended;
                Poll::Ready(self.trailers.take().map(|last| Ok(Frame::trailers(last))))
            }
            Poll::Ready(None) => {
                self.state = State::Ended;
                Poll::Ready(None)
            }
            polled => polled,
        }
    }

    // An error of gRPC that is all in its head is one to clients only if nothing follows.
    fn is_end_stream(&self) -> bool {
        self.state == State::Ended || self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::BodyExt;
    use tokio::sync::oneshot;

    use super::*;

    /// One frame, and then nothing for ever.
    struct Endless(Option<Bytes>);

    impl Body for Endless {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.0.take() {
                Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                None => Poll::Pending,
            }
        }
    }

    #[tokio::test]
    async fn a_body_without_an_end_ends_with_the_service_behind_what_is_at_hand() {
        let (stop, stopped) = oneshot::channel();
        let stopped: Stopped = Box::pin(async { stopped.await.unwrap() });
        let mut body = response(Endless(Some(Bytes::from_static(b"at hand"))), stopped);
        stop.send(()).unwrap();
        // A broken one would be waited for.
        let patience = std::time::Duration::from_secs(10);
        let all = tokio::time::timeout(patience, async move {
            let data = body.frame().await.unwrap().unwrap();
            assert_eq!(data.into_data().unwrap(), "at hand");
            let last = body.frame().await.unwrap().unwrap();
            assert_eq!(last.into_trailers().unwrap()[Status::GRPC_STATUS], "14");
            assert!(body.frame().await.is_none());
        });
        assert!(all.await.is_ok(), "it goes on");
    }
}
