//! What went wrong with a request, as `application/problem+json`.

use http::StatusCode;
use http::header::{self, HeaderValue};
use tollgate::{Reason, StoreError};
use tollgate_tower::Problem;

use super::Response;
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

    pub(super) fn into_response(self, path: &str) -> Response {
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
        let mut response = Response::new(problem.to_json().into());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(Problem::MEDIA_TYPE),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        match self.status {
            StatusCode::UNAUTHORIZED => {
                let bearer = HeaderValue::from_static("Bearer realm=\"tollgate\"");
                headers.insert(header::WWW_AUTHENTICATE, bearer);
            }
            StatusCode::SERVICE_UNAVAILABLE if self.is_passing => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(1));
            }
            _ => {}
        }
        response
    }
}
