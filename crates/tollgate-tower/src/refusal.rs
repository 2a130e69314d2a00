//! What a refused request is answered with, unless the user of the layer says otherwise.

use std::borrow::Cow;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use tollgate::{Decision, Reason, Verdict};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// When a gRPC client may retry, in milliseconds; negative: not at all (gRFC A6).
const GRPC_RETRY_PUSHBACK_MS: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

const INVALID_ARGUMENT: u16 = 3;
const PERMISSION_DENIED: u16 = 7;
const RESOURCE_EXHAUSTED: u16 = 8;
const UNAVAILABLE: u16 = 14;

/// What a request that is refused is told, and under which code of either protocol.
struct Told {
    status: StatusCode,
    grpc_status: u16,
    message: Cow<'static, str>,
}

/// The usual refusal: [`grpc`] where the request is one of gRPC's, else [`text`].
pub fn usual(request: &Parts, decision: &Decision) -> Response<String> {
    match is_grpc(&request.headers) {
        true => grpc(decision),
        false => text(decision),
    }
}

/// One line of plain text: 429 and `Rate limit exceeded. Try again in 36 seconds`; 403 when waiting does not help, and
/// 503 when the store is to blame.
///
/// ```
/// use tollgate::{Limiter, Quota};
/// use tollgate_tower::refusal;
///
/// let limiter = Limiter::new(Quota::per_second(1)?)?;
/// assert!(limiter.check("ann").is_allowed());
/// let refused = refusal::text(&limiter.check("ann"));
/// assert_eq!(refused.status(), 429);
/// assert_eq!(refused.body(), "Rate limit exceeded. Try again in 1 seconds");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn text(decision: &Decision) -> Response<String> {
    let told = told(decision);
    let mut response = Response::new(told.message.into_owned());
    *response.status_mut() = told.status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// A response of gRPC without messages: 200, `grpc-status` 8 (RESOURCE_EXHAUSTED), 3 (INVALID_ARGUMENT), 7
/// (PERMISSION_DENIED) or 14 (UNAVAILABLE), `grpc-message`, and `grpc-retry-pushback-ms`, by which a client's own
/// retries come when they pass.
///
/// ```
/// use tollgate::{Limiter, Quota};
/// use tollgate_tower::refusal;
///
/// let limiter = Limiter::new(Quota::deny())?;
/// let refused = refusal::grpc(&limiter.check("ann"));
/// assert_eq!((refused.status().as_u16(), &refused.headers()["grpc-status"]), (200, &7.into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn grpc(decision: &Decision) -> Response<String> {
    let told = told(decision);
    let mut response = Response::new(String::new());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(GRPC_STATUS, HeaderValue::from(told.grpc_status));
    // The messages are printable ASCII without `%`, so that none of it needs encoding.
    if let Ok(message) = HeaderValue::from_str(&told.message) {
        headers.insert(GRPC_MESSAGE, message);
    }
    match decision.verdict() {
        Verdict::Deny { retry_after } => {
            headers.insert(GRPC_RETRY_PUSHBACK_MS, whole_milliseconds(retry_after));
        }
        Verdict::Never { .. } => {
            headers.insert(GRPC_RETRY_PUSHBACK_MS, HeaderValue::from_static("-1"));
        }
        Verdict::Refused { .. } | Verdict::Allow => {}
    }
    response
}

fn told(decision: &Decision) -> Told {
    use StatusCode as S;
    let (status, grpc_status, message) = match decision.verdict() {
        Verdict::Deny { .. } | Verdict::Allow => {
            let seconds = decision.retry_after_secs().unwrap_or(1);
            let message = format!("Rate limit exceeded. Try again in {seconds} seconds");
            (S::TOO_MANY_REQUESTS, RESOURCE_EXHAUSTED, message.into())
        }
        Verdict::Never { max } => {
            let message = format!("Rate limit exceeded. At most {max} units pass at once");
            (S::FORBIDDEN, RESOURCE_EXHAUSTED, message.into())
        }
        Verdict::Refused { reason } => {
            let (status, grpc_status, message) = match reason {
                Reason::MissingKey => (
                    S::FORBIDDEN,
                    PERMISSION_DENIED,
                    "The request says nothing to limit it by",
                ),
                Reason::KeyTooLong => (
                    S::BAD_REQUEST,
                    INVALID_ARGUMENT,
                    "What the request is limited by is too long",
                ),
                Reason::StoreClosed | Reason::StoreFull => (
                    S::SERVICE_UNAVAILABLE,
                    UNAVAILABLE,
                    "Temporarily reduced capacity",
                ),
                _ => (S::FORBIDDEN, PERMISSION_DENIED, "Refused by policy"),
            };
            (status, grpc_status, Cow::Borrowed(message))
        }
    };
    Told {
        status,
        grpc_status,
        message,
    }
}

/// `application/grpc`, with or without a message format after it; not `application/grpc-web`, whose clients read HTTP's
/// status.
fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(CONTENT_TYPE)
        .map_or(&[][..], HeaderValue::as_bytes);
    content_type
        .strip_prefix(b"application/grpc")
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// Rounded up, so that a retry then passes.
fn whole_milliseconds(wait: Duration) -> HeaderValue {
    let milliseconds = wait.as_nanos().div_ceil(1_000_000);
    HeaderValue::from(u64::try_from(milliseconds).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate::{Limiter, Micros, Quota};

    fn refused(reason: Reason) -> Decision {
        Decision::refused(reason, Micros(0))
    }

    fn codes(decision: &Decision) -> (u16, String) {
        let grpc = grpc(decision);
        assert_eq!(grpc.status(), StatusCode::OK);
        let code = grpc.headers()["grpc-status"].to_str().unwrap().to_owned();
        (text(decision).status().as_u16(), code)
    }

    #[test]
    fn every_reason_has_a_status_in_either_protocol() {
        for (reason, status, grpc_status) in [
            (Reason::MissingKey, 403, "7"),
            (Reason::Policy, 403, "7"),
            (Reason::KeyTooLong, 400, "3"),
            (Reason::StoreClosed, 503, "14"),
            (Reason::StoreFull, 503, "14"),
        ] {
            assert_eq!(
                codes(&refused(reason)),
                (status, grpc_status.to_owned()),
                "{reason:?}"
            );
        }
    }

    #[test]
    fn a_client_of_grpc_retries_when_it_passes_and_never_when_it_cannot() {
        let limiter = Limiter::new(Quota::parse_list("3 per second burst 1").unwrap()).unwrap();
        assert!(limiter.check_at("ann", Micros(0)).is_allowed());
        let denied = grpc(&limiter.check_at("ann", Micros(0)));
        assert_eq!(denied.headers()[GRPC_RETRY_PUSHBACK_MS], "334");
        let never = limiter.check_cost_at("ann", 2, Micros(0));
        assert_eq!(grpc(&never).headers()[GRPC_RETRY_PUSHBACK_MS], "-1");
        assert_eq!(codes(&never), (403, "8".to_owned()));
        let missing = grpc(&refused(Reason::MissingKey));
        assert!(!missing.headers().contains_key(GRPC_RETRY_PUSHBACK_MS));
    }

    /// A message that needed percent-encoding would have to get it.
    #[test]
    fn every_message_goes_into_a_field_as_it_is() {
        for reason in [
            Reason::MissingKey,
            Reason::Policy,
            Reason::KeyTooLong,
            Reason::StoreFull,
        ] {
            let decision = refused(reason);
            let message = grpc(&decision).headers()[GRPC_MESSAGE].clone();
            assert_eq!(message, text(&decision).body());
            let plain = |byte: &u8| (b' '..=b'~').contains(byte) && *byte != b'%';
            assert!(message.as_bytes().iter().all(plain));
        }
    }
}
