//! Why a request is not answered with what it asked for, and with which status it is told.

mod answer;

pub use answer::{RefusalContext, refuse};

use std::borrow::Cow;
use std::sync::Arc;

use http::StatusCode;
use tollgate::{Decision, Policy, Reason, Verdict};
use tollgate_rules::{Auth, Route};
use tollgate_tower::Problem;

/// What helps where no route says which credentials it takes.
const WITHOUT_CREDENTIALS: &str = "Log in, or send a token or an API key.";

/// Why a request is not answered with what it asked for.
#[derive(Debug)]
pub struct Refusal {
    kind: Kind,
    /// What is said to people, but for how long to wait.
    why: String,
    /// Seconds to wait, of which people are told.
    wait: Option<u64>,
    /// Boxed, because most requests are not refused and every result carries the room for it.
    limited: Option<Box<Limited>>,
    /// What is wrong with the upstream, as metrics call it.
    upstream_error: Option<&'static str>,
}

/// A decision that denies, with the policies of its standings.
#[derive(Debug)]
pub struct Limited {
    /// In the order of the standings.
    pub policies: Vec<Arc<Policy>>,
    /// The decision.
    pub decision: Decision,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    BadRequest,
    /// No credentials, or (`known_bad`) credentials that nobody knows.
    Unauthenticated {
        known_bad: bool,
    },
    Forbidden,
    /// The credential is good, and may not do this: with the scopes that it would need.
    InsufficientScope {
        needed: String,
    },
    NotFound,
    MethodNotAllowed {
        allow: String,
    },
    Conflict,
    RequestTimeout,
    TooLarge,
    Unprocessable,
    Limited,
    /// The cost can never pass, or the policy is `deny`.
    Refused,
    ReducedCapacity,
    Unavailable,
    BadGateway,
    GatewayTimeout,
    Internal,
}

impl Refusal {
    fn new(kind: Kind, why: impl Into<String>) -> Self {
        Refusal {
            kind,
            why: why.into(),
            wait: None,
            limited: None,
            upstream_error: None,
        }
    }

    /// 400: the request means nothing.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Refusal::new(Kind::BadRequest, detail)
    }

    /// 401, or what the route says: no credentials.
    pub fn no_credentials() -> Self {
        Refusal::new(
            Kind::Unauthenticated { known_bad: false },
            WITHOUT_CREDENTIALS,
        )
    }

    /// 401, or what the route says: credentials that are unknown, expired or revoked.
    pub fn bad_credentials() -> Self {
        Refusal::new(
            Kind::Unauthenticated { known_bad: true },
            "The credentials are unknown, expired or revoked.",
        )
    }

    /// 401: a user name or a password is wrong; which is not said.
    pub fn wrong_password() -> Self {
        Refusal::new(
            Kind::Unauthenticated { known_bad: true },
            "The user name or the password is wrong.",
        )
    }

    /// 403: understood, and not done.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Refusal::new(Kind::Forbidden, detail)
    }

    /// 403: a credential that is good, and lacks one of these scopes.
    pub fn insufficient_scope(scopes: &[String]) -> Self {
        let needed = scopes.join(" ");
        let detail = format!("This credential may not do that. Scopes that are needed: {needed}.");
        Refusal::new(Kind::InsufficientScope { needed }, detail)
    }

    /// 404.
    pub fn not_found() -> Self {
        Refusal::new(Kind::NotFound, "There is nothing here.")
    }

    /// 405, with the methods that are allowed.
    pub fn method_not_allowed(allow: String) -> Self {
        Refusal::new(
            Kind::MethodNotAllowed {
                allow: allow.clone(),
            },
            format!("Allowed here: {allow}."),
        )
    }

    /// 409: somebody has it already.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Refusal::new(Kind::Conflict, detail)
    }

    /// 408: the client stopped sending.
    pub fn request_timeout() -> Self {
        Refusal::new(Kind::RequestTimeout, "The body did not come in time.")
    }

    /// 413.
    pub fn too_large(bytes_max: u64) -> Self {
        Refusal::new(
            Kind::TooLarge,
            format!("The body is larger than {bytes_max} bytes."),
        )
    }

    /// 422: a field of the body cannot be used.
    pub fn unprocessable(field: &str, reason: impl std::fmt::Display) -> Self {
        Refusal::new(Kind::Unprocessable, format!("`{field}` {reason}."))
    }

    /// What a decision that does not allow is answered with: 429 or what the route says, with the fields.
    pub fn limited(policies: Vec<Arc<Policy>>, decision: Decision) -> Self {
        let (kind, why) = match decision.verdict() {
            Verdict::Allow | Verdict::Deny { .. } => {
                (Kind::Limited, why_denied(&policies, &decision))
            }
            Verdict::Never { max } => (Kind::Refused, format!("At most {max} units pass at once.")),
            Verdict::Refused {
                reason: Reason::MissingKey,
            } => (
                Kind::Refused,
                "The request says nothing to limit it by.".to_owned(),
            ),
            Verdict::Refused {
                reason: Reason::KeyTooLong,
            } => (
                Kind::BadRequest,
                "What the request is limited by is too long.".to_owned(),
            ),
            Verdict::Refused {
                reason: Reason::StoreFull | Reason::StoreClosed,
            } => (Kind::ReducedCapacity, "Try again later.".to_owned()),
            // The rules are held to what the store can do, so these are a defect.
            Verdict::Refused {
                reason: Reason::KeysApart | Reason::Uncountable,
            } => (
                Kind::Internal,
                "The store cannot decide on this request.".to_owned(),
            ),
            Verdict::Refused { .. } => (Kind::Refused, "Nothing passes here.".to_owned()),
        };
        Refusal {
            wait: (kind == Kind::Limited).then(|| decision.retry_after_secs().unwrap_or(1)),
            kind,
            why,
            limited: Some(Box::new(Limited { policies, decision })),
            upstream_error: None,
        }
    }

    /// 503: something that is needed cannot be reached or is busy; trying again may help.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Refusal::new(Kind::Unavailable, detail)
    }

    /// 502: the upstream cannot be reached, or answers nonsense.
    pub fn bad_gateway() -> Self {
        Refusal::new(
            Kind::BadGateway,
            "The server behind this gateway cannot be reached.",
        )
    }

    /// 504: the upstream does not answer in time.
    pub fn gateway_timeout() -> Self {
        Refusal::new(
            Kind::GatewayTimeout,
            "The server behind this gateway did not answer in time.",
        )
    }

    /// The same refusal, with what is wrong with the upstream: for the log, and not for clients.
    pub(crate) fn for_upstream_error(self, kind: &'static str) -> Self {
        Refusal {
            upstream_error: Some(kind),
            ..self
        }
    }

    /// 500: a defect of the gateway's.
    pub fn internal() -> Self {
        Refusal::new(Kind::Internal, "Something went wrong in the gateway.")
    }

    /// What is said to people about this route: without credentials, which ones it takes.
    fn detail_on(&self, route: Option<&Route>) -> Cow<'_, str> {
        let no_credentials = Kind::Unauthenticated { known_bad: false };
        match route {
            Some(route) if self.kind == no_credentials => credentials_of(&route.auth).into(),
            _ => self.detail(),
        }
    }

    /// What is said to people: "Rate limit exceeded: per-user.minute allows 5 per minute. Try again in 13 seconds."
    pub fn detail(&self) -> Cow<'_, str> {
        let Some(seconds) = self.wait else {
            return Cow::Borrowed(&self.why);
        };
        let unit = if seconds == 1 { "second" } else { "seconds" };
        format!("{} Try again in {seconds} {unit}.", self.why).into()
    }

    /// What is wrong with the upstream, as metrics call it, if that is why.
    pub(crate) fn upstream_error(&self) -> Option<&'static str> {
        self.upstream_error
    }

    /// Seconds until a retry passes.
    pub fn retry_after(&self) -> Option<u64> {
        self.limited
            .as_ref()
            .and_then(|limited| limited.decision.retry_after_secs())
    }

    /// Whether a limit is what refuses.
    pub fn is_limited(&self) -> bool {
        self.kind == Kind::Limited
    }

    /// Whether credentials are what is missing or wrong.
    pub fn is_unauthenticated(&self) -> bool {
        matches!(self.kind, Kind::Unauthenticated { .. })
    }

    /// The names of the policies that deny.
    pub fn violated(&self) -> Vec<&str> {
        let Some(limited) = &self.limited else {
            return Vec::new();
        };
        let pairs = limited.policies.iter().zip(limited.decision.standings());
        pairs
            .filter(|(_, standing)| standing.is_violated() && !standing.is_shadow())
            .map(|(policy, _)| policy.name())
            .collect()
    }

    /// The decision that refuses, if one does.
    pub fn decision(&self) -> Option<&Limited> {
        self.limited.as_deref()
    }

    /// The status, as the route maps it.
    pub fn status(&self, route: Option<&Route>) -> StatusCode {
        let map = route.map_or_else(Default::default, |route| route.status);
        match self.kind {
            Kind::BadRequest => StatusCode::BAD_REQUEST,
            Kind::Unauthenticated { .. } => map.unauthenticated,
            Kind::Forbidden | Kind::InsufficientScope { .. } | Kind::Refused => {
                StatusCode::FORBIDDEN
            }
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::Limited => map.limited,
            Kind::ReducedCapacity | Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Kind::BadGateway => StatusCode::BAD_GATEWAY,
            Kind::GatewayTimeout => StatusCode::GATEWAY_TIMEOUT,
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The type of its problem and its title; empty where the status says it all.
    fn problem_type(&self) -> (&'static str, &'static str) {
        match self.kind {
            Kind::Limited => (Problem::QUOTA_EXCEEDED, "Quota Exceeded"),
            Kind::ReducedCapacity => (Problem::REDUCED_CAPACITY, "Temporary Reduced Capacity"),
            Kind::Unauthenticated { known_bad: false } => {
                ("tag:tollgate,2026:no-credentials", "No Credentials")
            }
            Kind::Unauthenticated { known_bad: true } => {
                ("tag:tollgate,2026:bad-credentials", "Bad Credentials")
            }
            Kind::InsufficientScope { .. } => {
                ("tag:tollgate,2026:insufficient-scope", "Insufficient Scope")
            }
            _ => ("about:blank", ""),
        }
    }
}

/// Which credentials a route asks for.
fn credentials_of(auth: &[Auth]) -> &'static str {
    let takes = [Auth::Session, Auth::Bearer, Auth::ApiKey].map(|way| auth.contains(&way));
    match takes {
        [true, false, false] => "Log in: this route takes sessions only.",
        [false, true, false] => "Send a token: this route takes tokens only.",
        [false, false, true] => "Send an API key: this route takes API keys only.",
        [true, true, false] => "Log in, or send a token.",
        [true, false, true] => "Log in, or send an API key.",
        [false, true, true] => "Send a token or an API key.",
        [true, true, true] | [false, false, false] => WITHOUT_CREDENTIALS,
    }
}

/// "Rate limit exceeded: per-user.minute allows 5 per minute."
fn why_denied(policies: &[Arc<Policy>], decision: &Decision) -> String {
    let violated = policies
        .iter()
        .zip(decision.standings())
        .find(|(_, standing)| standing.is_violated() && !standing.is_shadow());
    let rule = violated.and_then(|(policy, _)| Some((policy.name(), policy.quota()?)));
    // What more there is to say to somebody who is held off longer than the quota explains.
    let blocks = match violated {
        Some((_, standing)) if standing.is_blocked() => " and blocks whoever asks for more",
        _ => "",
    };
    match rule {
        Some((name, quota)) => {
            format!("Rate limit exceeded: {name} allows {quota:#}{blocks}.")
        }
        None => "Rate limit exceeded.".to_owned(),
    }
}
