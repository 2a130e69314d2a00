//! What went wrong with a request, as `application/problem+json`.

use http::StatusCode;
use http::header;
use tollgate::{Reason, StoreError};
use tollgate_tower::Problem;

use super::wire::Answer;
use crate::summary;

const STORE_AWAY: &str = "The store of the counters cannot be reached.";

/// A request that is not answered with what it asked for.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    detail: String,
    /// The methods that are allowed, of 405.
    allow: Option<&'static str>,
    /// Whether the same question may be answered soon.
    is_passing: bool,
}

impl Failure {
    pub(super) fn new(status: StatusCode, detail: impl ToString) -> Self {
        Failure {
            status,
            detail: detail.to_string(),
            allow: None,
            is_passing: false,
        }
    }

    /// 422: it can be read, and means nothing here.
    pub(super) fn unprocessable(detail: impl ToString) -> Self {
        Failure::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// 405, with the method that is allowed.
    pub(super) fn method(allow: &'static str) -> Self {
        Failure {
            allow: Some(allow),
            ..Failure::new(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("Allowed here: {allow}."),
            )
        }
    }

    /// 503, which passes.
    fn passing(detail: &str) -> Self {
        Failure {
            is_passing: true,
            ..Failure::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        }
    }

    /// What the store could not do, for questions that may be asked again.
    pub(super) fn store(error: &StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Failure::passing(STORE_AWAY),
            StoreError::Unanswered(_) => {
                Failure::passing("The store of the counters did not answer.")
            }
            // What it cannot do it says itself.
            error => Failure::unprocessable(error),
        }
    }

    /// Why a decision came about without the quotas; `None` where one of these refuses.
    pub(super) fn refused(reason: Reason) -> Option<Self> {
        Some(match reason {
            Reason::Policy => return None,
            Reason::StoreClosed => Failure::passing(STORE_AWAY),
            Reason::StoreFull => {
                Failure::passing("The counters have no room for another key at the moment.")
            }
            reason => Failure::unprocessable(summary::refused(reason)),
        })
    }

    pub(super) fn into_answer(self, path: &str) -> Answer {
        let problem = Problem {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Refused"),
            status: self.status.as_u16(),
            detail: &self.detail,
            instance: path,
            violated_policies: &[],
            retry_after: None,
            request_id: "",
        };
        let mut answer = Answer::new(self.status);
        if let Some(allow) = self.allow {
            answer.field(&header::ALLOW, allow.as_bytes());
        }
        match self.status {
            StatusCode::UNAUTHORIZED => {
                answer.field(&header::WWW_AUTHENTICATE, b"Bearer realm=\"tollgate\"");
            }
            StatusCode::SERVICE_UNAVAILABLE if self.is_passing => {
                answer.field(&header::RETRY_AFTER, b"1");
            }
            _ => {}
        }
        answer.with(Problem::MEDIA_TYPE, problem.to_json().into_bytes())
    }
}
