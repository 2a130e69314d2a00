//! Every refusal, from one function: status, problem type, fields, and a body in the form that the client reads.

use std::sync::Arc;

use askama::Template;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use tollgate::{Decision, Policy, Reason, Verdict};
use tollgate_rules::Route;
use tollgate_tower::Problem;

use crate::accepts::Accepts;
use crate::page::{Site, Window};

/// Why a request is not answered with what it asked for.
#[derive(Debug)]
pub struct Refusal {
    kind: Kind,
    detail: String,
    /// Boxed, because most requests are not refused and every result carries the room for it.
    limited: Option<Box<Limited>>,
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
    fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Refusal {
            kind,
            detail: detail.into(),
            limited: None,
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
            "Log in, or send a token or an API key.",
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
        let (kind, detail) = match decision.verdict() {
            Verdict::Allow | Verdict::Deny { .. } => {
                (Kind::Limited, denied_detail(&policies, &decision))
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
            kind,
            detail,
            limited: Some(Box::new(Limited { policies, decision })),
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

    /// 500: a defect of the gateway's.
    pub fn internal() -> Self {
        Refusal::new(Kind::Internal, "Something went wrong in the gateway.")
    }

    /// What is said to people.
    pub fn detail(&self) -> &str {
        &self.detail
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

/// "Rate limit exceeded: per-user.minute allows 5 per minute. Try again in 13 seconds."
fn denied_detail(policies: &[Arc<Policy>], decision: &Decision) -> String {
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
    let seconds = decision.retry_after_secs().unwrap_or(1);
    let unit = if seconds == 1 { "second" } else { "seconds" };
    match rule {
        Some((name, quota)) => {
            format!(
                "Rate limit exceeded: {name} allows {quota:#}{blocks}. Try again in {seconds} {unit}."
            )
        }
        None => format!("Rate limit exceeded. Try again in {seconds} {unit}."),
    }
}

/// What the body of a refusal needs to know of its request.
pub struct RefusalContext<'a> {
    /// The route, if one was found.
    pub route: Option<&'a Route>,
    /// What the client reads.
    pub accepts: Accepts,
    /// The path that was asked for.
    pub path: &'a str,
    /// Names the request in the log.
    pub request_id: &'a str,
    /// Links for the page.
    pub site: Site<'a>,
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct RefusalPage<'a> {
    site: &'a Site<'a>,
    status: u16,
    title: &'a str,
    detail: &'a str,
    retry_after: Option<u64>,
    windows: Vec<Window>,
    login: Option<String>,
    request_id: &'a str,
}

/// The one function that turns a refusal into a response.
pub fn refuse(refusal: &Refusal, context: &RefusalContext<'_>) -> Response<Bytes> {
    let status = refusal.status(context.route);
    let (content_type, body) = body_of(refusal, context, status);
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if content_type.starts_with("text/html") {
        crate::page::protect(headers);
    }
    match &refusal.kind {
        Kind::Unauthenticated { known_bad } => challenge(headers, *known_bad),
        Kind::InsufficientScope { needed } => {
            // Scopes have neither quotes nor backslashes.
            let bearer = format!(
                "Bearer realm=\"tollgate\", error=\"insufficient_scope\", scope=\"{needed}\""
            );
            if let Ok(bearer) = HeaderValue::from_str(&bearer) {
                headers.insert(header::WWW_AUTHENTICATE, bearer);
            }
        }
        Kind::MethodNotAllowed { allow } => {
            if let Ok(allow) = HeaderValue::from_str(allow) {
                headers.insert(header::ALLOW, allow);
            }
        }
        // Where the request itself is doubtful, so is where the next one begins.
        Kind::BadRequest if context.route.is_none() => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Kind::ReducedCapacity | Kind::Unavailable => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(1));
        }
        _ => {}
    }
    response
}

fn body_of(
    refusal: &Refusal,
    context: &RefusalContext<'_>,
    status: StatusCode,
) -> (&'static str, String) {
    const TEXT: &str = "text/plain; charset=utf-8";
    let own_text = context
        .route
        .and_then(|route| route.limited_text.as_deref())
        .filter(|_| refusal.is_limited());
    if let Some(text) = own_text {
        let seconds = refusal.retry_after().unwrap_or(1).to_string();
        return (TEXT, text.replace("{retry_after}", &seconds));
    }
    let (kind, title) = refusal.problem_type();
    let title = if title.is_empty() {
        status.canonical_reason().unwrap_or("Refused")
    } else {
        title
    };
    match context.accepts {
        Accepts::Text => (TEXT, refusal.detail.clone()),
        Accepts::Json => {
            let problem = Problem {
                kind,
                title,
                status: status.as_u16(),
                detail: &refusal.detail,
                instance: context.path,
                violated_policies: &refusal.violated(),
                retry_after: refusal.retry_after(),
                request_id: context.request_id,
            };
            (Problem::MEDIA_TYPE, problem.to_json())
        }
        Accepts::Html => {
            let page = RefusalPage {
                site: &context.site,
                status: status.as_u16(),
                title: status.canonical_reason().unwrap_or("Refused"),
                detail: &refusal.detail,
                retry_after: refusal.retry_after(),
                windows: refusal
                    .limited
                    .as_ref()
                    .map(|limited| Window::of(&limited.policies, &limited.decision))
                    .unwrap_or_default(),
                login: context
                    .site
                    .links
                    .login
                    .as_deref()
                    .filter(|_| matches!(refusal.kind, Kind::Unauthenticated { .. }))
                    .map(|login| format!("{login}?next={}", in_query(context.path))),
                request_id: context.request_id,
            };
            (
                "text/html; charset=utf-8",
                page.render().unwrap_or_else(|_| refusal.detail.clone()),
            )
        }
    }
}

/// A path as the value of a query's parameter.
fn in_query(path: &str) -> String {
    let mut text = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// Challenges stand on every such answer, whatever its status, so that clients tell "log in" from "wait".
fn challenge(headers: &mut HeaderMap, known_bad: bool) {
    let bearer = if known_bad {
        "Bearer realm=\"tollgate\", error=\"invalid_token\""
    } else {
        "Bearer realm=\"tollgate\""
    };
    headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static(bearer));
    headers.append(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static("ApiKey realm=\"tollgate\", header=\"X-API-Key\""),
    );
}
