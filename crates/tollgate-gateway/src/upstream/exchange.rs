//! A request and the head of its answer, over one connection.

use std::future::poll_fn;
use std::task::{Poll, ready};

use http::Method;

use super::answer_head::AnswerHead;
use super::connection::Connection;
use super::error::{AnswerError, ClientError};
use super::request::{OutgoingRequest, SendError};

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum ExchangeError {
    Client(ClientError),
    Upstream(AnswerError),
}

/// Sends a request, and waits for the head of its answer, which may come before the request has been sent whole.
pub(crate) async fn exchange(
    connection: &mut Connection,
    request: &mut OutgoingRequest,
    asked: &Method,
) -> Result<AnswerHead, ExchangeError> {
    connection.begin();
    poll_fn(|context| {
        if let Some(writer) = &mut connection.writer {
            match request.poll_send(context, writer) {
                Poll::Ready(Err(SendError::Client(error))) => {
                    return Poll::Ready(Err(ExchangeError::Client(error)));
                }
                // It may have answered before it stopped reading.
                Poll::Ready(Err(SendError::Upstream)) => connection.writer = None,
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
            if request.took_a_step() {
                connection.silence.is_over();
            }
        }
        if let Poll::Ready(answered) = connection.poll_head(context, asked) {
            // The wait for the head is not the body's.
            connection.silence.is_over();
            return Poll::Ready(answered.map_err(ExchangeError::Upstream));
        }
        ready!(connection.silence.poll(context));
        Poll::Ready(Err(match request.waits_for_client() {
            true => ExchangeError::Client(ClientError::Silent),
            false => ExchangeError::Upstream(AnswerError::Silent),
        }))
    })
    .await
}
