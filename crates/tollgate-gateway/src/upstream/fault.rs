//! Why an upstream gave no answer, in words for metrics and traces, and as what a client is told.

use super::error::AnswerError;
use crate::refusal::Refusal;

/// What is wrong with an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No connection came about.
    Unreachable,
    /// None came about in time.
    ConnectTimeout,
    /// It closed the connection without an answer.
    Closed,
    /// The head of its answer breaks off.
    BrokenOff,
    /// Its answer is none, or one that nobody asked for.
    Malformed,
    /// It was silent for too long.
    Timeout,
}

pub(crate) const FAULTS: [Fault; 6] = [
    Fault::Unreachable,
    Fault::ConnectTimeout,
    Fault::Closed,
    Fault::BrokenOff,
    Fault::Malformed,
    Fault::Timeout,
];

impl Fault {
    /// As metrics and traces write it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Fault::Unreachable => "unreachable",
            Fault::ConnectTimeout => "connect_timeout",
            Fault::Closed => "closed",
            Fault::BrokenOff => "broken_off",
            Fault::Malformed => "malformed",
            Fault::Timeout => "timeout",
        }
    }

    pub(crate) fn refusal(self) -> Refusal {
        let refusal = match self {
            Fault::ConnectTimeout | Fault::Timeout => Refusal::gateway_timeout(),
            _ => Refusal::bad_gateway(),
        };
        refusal.for_upstream_error(self.name())
    }
}

impl From<&AnswerError> for Fault {
    fn from(error: &AnswerError) -> Self {
        match error {
            AnswerError::Closed(_) => Fault::Closed,
            AnswerError::BrokenOff(_) => Fault::BrokenOff,
            AnswerError::Malformed(_) => Fault::Malformed,
            AnswerError::Silent => Fault::Timeout,
        }
    }
}
