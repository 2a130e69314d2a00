//! Why a request and its answer do not come through.

use std::io;

use crate::framing::FramingError;

/// Why an upstream's answer cannot be had, or ends early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerError {
    /// Before the first byte of it, so the request may not have been read at all.
    #[error("the upstream closed without an answer")]
    Closed(#[source] io::Error),
    #[error("the answer breaks off")]
    BrokenOff(#[source] io::Error),
    #[error("the answer is malformed: {0}")]
    Malformed(&'static str),
    #[error("the upstream was silent for too long")]
    Silent,
}

impl From<FramingError> for AnswerError {
    fn from(error: FramingError) -> Self {
        match error {
            FramingError::Malformed(why) => AnswerError::Malformed(why),
            FramingError::BrokenOff => AnswerError::BrokenOff(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Why a client's body cannot be sent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientError {
    /// It is larger than allowed.
    TooLarge,
    /// It broke off, or is framed wrongly.
    Broken,
    /// Nothing came of it for too long.
    Silent,
}
