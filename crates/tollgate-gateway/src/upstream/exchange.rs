//! A request and the head of its answer, over one connection.

use std::future::poll_fn;
use std::io;
use std::task::{Poll, ready};

use http::{Method, StatusCode};

use super::answer_head::AnswerHead;
use super::client_body::ClientError;
use super::connection::Connection;
use super::request::{OutgoingRequest, SendError};

/// Interim answers (1xx) before the final one.
const INTERIM_MAX: usize = 100;

/// Why an upstream's answer ends early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerError {
    #[error("the upstream closed without an answer")]
    Closed(#[source] io::Error),
    #[error("the answer breaks off")]
    BrokenOff(#[source] io::Error),
    #[error("the answer is malformed: {0}")]
    Malformed(&'static str),
    #[error("the upstream was silent for too long")]
    Silent,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum ExchangeError {
    Client(ClientError),
    Upstream(AnswerError),
}

/// Sends a request, and waits for the head of its answer. An answer may come before the request has been sent whole.
pub(crate) async fn exchange(
    connection: &mut Connection,
    request: &mut OutgoingRequest,
    asked: &Method,
) -> Result<AnswerHead, ExchangeError> {
    let mut interim = 0;
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
        loop {
            match connection.poll_head(context, asked) {
                Poll::Ready(Ok(head)) if !is_interim(head.status) => return Poll::Ready(Ok(head)),
                Poll::Ready(Ok(_)) if interim < INTERIM_MAX => interim += 1,
                Poll::Ready(Ok(_)) => {
                    let error = AnswerError::Malformed("interim answers without an end");
                    return Poll::Ready(Err(ExchangeError::Upstream(error)));
                }
                // Behind an interim answer it is not the connection that had been closed before.
                Poll::Ready(Err(AnswerError::Closed(error))) if interim > 0 => {
                    let error = AnswerError::BrokenOff(error);
                    return Poll::Ready(Err(ExchangeError::Upstream(error)));
                }
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(ExchangeError::Upstream(error)));
                }
                Poll::Pending => break,
            }
        }
        ready!(connection.silence.poll(context));
        Poll::Ready(Err(match request.waits_for_client() {
            true => ExchangeError::Client(ClientError::Silent),
            false => ExchangeError::Upstream(AnswerError::Silent),
        }))
    })
    .await
}

/// Switching protocols is final: nothing of HTTP follows.
fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}
