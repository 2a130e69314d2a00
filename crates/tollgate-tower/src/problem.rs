//! Problem bodies: `application/problem+json` (RFC 9457), with the types of the rate-limit draft.

use serde::Serialize;

/// The body of a refusal.
///
/// ```
/// use tollgate_tower::Problem;
///
/// let problem = Problem {
///     kind: Problem::QUOTA_EXCEEDED,
///     title: "Quota Exceeded",
///     status: 429,
///     detail: "Five a minute, please.",
///     instance: "/",
///     violated_policies: &["minute"],
///     retry_after: Some(36),
///     request_id: "",
/// };
/// assert!(problem.to_json().contains("\"retry_after\":36"));
/// ```
#[derive(Debug, Clone, Serialize)]
pub struct Problem<'a> {
    /// What kind of problem it is.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// The kind in words.
    pub title: &'a str,
    /// The response's status.
    pub status: u16,
    /// This occurrence in words.
    pub detail: &'a str,
    /// The path that was asked for.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub instance: &'a str,
    /// The names of the policies that deny.
    #[serde(rename = "violated-policies", skip_serializing_if = "<[_]>::is_empty")]
    pub violated_policies: &'a [&'a str],
    /// Seconds until a retry passes, as in `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// Names this request in the log.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub request_id: &'a str,
}

impl Problem<'_> {
    /// The media type.
    pub const MEDIA_TYPE: &'static str = "application/problem+json";
    /// A limit denies.
    pub const QUOTA_EXCEEDED: &'static str =
        "https://iana.org/assignments/http-problem-types#quota-exceeded";
    /// The service gives less than usual at the moment.
    pub const REDUCED_CAPACITY: &'static str =
        "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";

    /// The body.
    pub fn to_json(&self) -> String {
        // Strings and numbers cannot fail to serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}
