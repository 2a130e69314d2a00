//! How calls end without their answer: nobody may ask, it takes too long, or the caller takes its call back.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, header};
use tonic::{Code, Status};

use super::{Grpc, Refused};
use crate::metrics::Protocol;

/// How long a request may take to arrive, and its answer to be made.
pub(super) const CALL_MAX: Duration = Duration::from_secs(20);

impl Grpc {
    /// Whether the caller shows a token, where one is needed.
    pub(super) fn admits(&self, head: &HeaderMap) -> bool {
        let shown = head.get(header::AUTHORIZATION);
        let tokens = &self.service.tokens;
        tokens.admit_bearer(shown.map(HeaderValue::as_bytes))
    }

    /// Answers with an error, if anybody still waits for it.
    pub(super) fn refuse(
        &self,
        respond: &mut SendResponse<Bytes>,
        status: Status,
    ) -> Result<(), h2::Error> {
        respond.send_response(status.into_http(), true)?;
        self.service.metrics.error(Protocol::Grpc);
        Ok(())
    }
}

/// What the future comes to, or nothing if the caller takes its call back before.
///
/// `poll_reset` is that of what its answer goes through: of its stream, once the head has been sent.
pub(super) async fn unless_reset<F: Future + Unpin>(
    mut future: F,
    mut poll_reset: impl FnMut(&mut Context<'_>) -> Poll<Result<h2::Reason, h2::Error>>,
) -> Option<F::Output> {
    poll_fn(|context| match pin!(&mut future).poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => poll_reset(context).map(|_| None),
    })
    .await
}

pub(super) fn late() -> Status {
    Status::deadline_exceeded("the call took longer than 20 s")
}

pub(super) fn unauthenticated() -> Status {
    Status::unauthenticated("a token of the service is missing, or wrong")
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        Status::new(Code::InvalidArgument, refused.0)
    }
}
