//! The way of one request, from its header to its answer.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body as _, Incoming};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tollgate::store::Answer;
use tollgate::{Micros, Policy};
use tollgate_accounts::Identity;
use tollgate_rules::{Action, Auth, Builtin, Found, Head, Limit, Route, Subject};

use crate::accepts::Accepts;
use crate::address::Origin;
use crate::body::Body;
use crate::builtin::{BUILTIN_BODY_BYTES_MAX, BuiltinCall, Call, Caller};
use crate::caller::credential;
use crate::checks::{Charge, Decided};
use crate::forward_auth::{self, Asked};
use crate::gateway::Gateway;
use crate::metered::BytesIn;
use crate::page::{Site, Window};
use crate::refusal::Refusal;
use crate::spans::{Leg, OpenSpan};
use crate::upstream::{Forwarded, Identify, Pool, forward};
use crate::well_formed::{normal_path, well_formed};
use crate::{cors, csrf, number_page};

/// One thread of the data plane.
pub(crate) struct Worker {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) pool: Pool,
    ids: Cell<u64>,
}

impl Worker {
    pub(crate) fn new(gateway: Arc<Gateway>) -> Self {
        let pool = Pool::new(
            gateway.upstreams.len(),
            gateway.rules.server.connect_timeout,
            gateway.read_timeout(),
        );
        Worker {
            gateway,
            pool,
            ids: Cell::new(RandomState::new().hash_one(0)),
        }
    }

    /// Sixteen hexadecimal digits that no other request is likely to have.
    fn request_id(&self) -> HeaderValue {
        let id = self.ids.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.ids.set(id);
        let mixed = (id ^ (id >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let digit = |place| b"0123456789abcdef"[(mixed >> (60 - 4 * place)) as usize & 15];
        let digits: [u8; 16] = std::array::from_fn(digit);
        HeaderValue::from_bytes(&digits).unwrap_or(HeaderValue::from_static("unknown"))
    }
}

/// The other end of a connection.
pub(crate) struct Peer {
    address: IpAddr,
    /// As upstreams are told of it.
    text: HeaderValue,
}

impl Peer {
    pub(crate) fn new(address: IpAddr) -> Self {
        let text = HeaderValue::try_from(address.to_canonical().to_string());
        Peer {
            address,
            text: text.unwrap_or_else(|_| HeaderValue::from_static("unknown")),
        }
    }
}

/// What becomes known of a request on its way, for its answer, its log line and its place in the metrics.
pub(crate) struct Trace<'g> {
    pub(crate) request_id: HeaderValue,
    pub(crate) started: Instant,
    pub(crate) now: Micros,
    pub(crate) accepts: Accepts,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) cors_origin: Option<HeaderValue>,
    pub(crate) client: IpAddr,
    pub(crate) route: Option<&'g Route>,
    pub(crate) identity: Option<Arc<Identity>>,
    pub(crate) decided: Option<Decided>,
    /// A browser's speculation was answered with nothing.
    pub(crate) refused_prefetch: bool,
    /// What of its body has gone on, if it has one that goes on.
    pub(crate) bytes_in: Option<BytesIn>,
    /// A proxy asks about a request of its own client.
    pub(crate) asked: Option<Asked>,
    /// Its part in a trace, where requests are traced.
    pub(crate) span: Option<Box<OpenSpan>>,
}

impl Trace<'_> {
    /// What a page knows about the site around it.
    pub(crate) fn site<'l>(&self, gateway: &'l Gateway) -> Site<'l> {
        let name = self
            .identity
            .as_ref()
            .and_then(|identity| identity.name.as_deref());
        Site {
            user: name.map(str::to_owned),
            links: &gateway.links,
        }
    }
}

/// Answers a request, whatever it is.
pub(crate) async fn answer(
    worker: &Worker,
    peer: &Peer,
    request: Request<Incoming>,
) -> Response<Body> {
    let gateway = &*worker.gateway;
    let (parts, body) = request.into_parts();
    let origin = gateway.proxies.origin(peer.address, &parts.headers);
    let now = gateway.clock.now();
    let span = gateway.tracer.as_ref().map(|tracer| {
        let open = tracer.begin(&parts.headers, origin.trusted_peer, now);
        Box::new(open)
    });
    let mut trace = Trace {
        request_id: worker.request_id(),
        started: Instant::now(),
        now,
        span,
        accepts: Accepts::of(&parts.headers),
        method: parts.method.clone(),
        path: String::new(),
        cors_origin: parts.headers.get(header::ORIGIN).cloned(),
        client: origin.client,
        route: None,
        identity: None,
        decided: None,
        refused_prefetch: false,
        bytes_in: None,
        asked: None,
    };
    let answered = route(worker, &mut trace, origin, peer, parts, body).await;
    trace.finish(gateway, answered)
}

async fn route<'g>(
    worker: &'g Worker,
    trace: &mut Trace<'g>,
    origin: Origin,
    peer: &Peer,
    mut parts: Parts,
    body: Incoming,
) -> Result<Response<Body>, Refusal> {
    let gateway = &*worker.gateway;
    well_formed(&parts)?;
    let origins = &gateway.rules.server.cors_origins;
    if parts.method == Method::OPTIONS && parts.uri.path() == "*" {
        return Ok(cors::options(
            origins,
            &parts.headers,
            "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
        ));
    }
    let normal = normal_path(&parts.uri)?;
    trace.path.push_str(&normal);
    let (route, path, literal_bytes) = match gateway.rules.routes.find(&parts.method, normal) {
        Found::Route {
            route,
            path,
            literal_bytes,
        } => (route, path, literal_bytes),
        Found::MethodNotAllowed { allow } => return Err(Refusal::method_not_allowed(allow)),
        Found::Options { allow } => return Ok(cors::options(origins, &parts.headers, &allow)),
        Found::NotFound => return Err(Refusal::not_found()),
    };
    if matches!(route.action, Action::Elsewhere) {
        return Err(Refusal::not_found());
    }
    trace.route = Some(route);
    if matches!(route.action, Action::ForwardAuth) {
        return Box::pin(asked(gateway, trace, origin, parts)).await;
    }
    if let Some(refused) = prefetch_refused(trace, route, &parts) {
        return Ok(refused);
    }
    let local_head = parts.method == Method::HEAD && route.head == Head::Local;
    let charge = if local_head { Charge::No } else { Charge::Yes };
    admit(gateway, trace, route, &parts, charge).await?;
    if local_head {
        return Ok(Response::new(Body::empty()));
    }
    match &route.action {
        Action::Upstream { upstream } => {
            trace.bytes_in = (!body.is_end_stream()).then(BytesIn::default);
            let leg = Leg::begin(gateway, trace.span.as_deref());
            let who = Identify {
                origin,
                leg: leg.as_ref(),
                peer: &peer.text,
                identity: trace.identity.as_deref(),
                request_id: &trace.request_id,
                authenticated: !route.auth.is_empty(),
            };
            let in_page =
                route.page && trace.accepts == Accepts::Html && trace.method == Method::GET;
            if in_page {
                // What is to be read here must not come compressed.
                parts.headers.remove(header::ACCEPT_ENCODING);
            }
            let to = Forwarded {
                upstream: *upstream,
                path: &path,
                literal_bytes,
                who,
                bytes_in: trace.bytes_in.as_ref(),
            };
            let response = forward(gateway, &worker.pool, &parts, body, to).await?;
            match in_page {
                true => {
                    let page = number_page::render(response, trace.site(gateway), trace.windows());
                    Box::pin(page).await
                }
                false => Ok(response),
            }
        }
        Action::Respond(respond) => {
            let mut response = Response::new(Body::from(Bytes::from(respond.body.clone())));
            *response.status_mut() = respond.status;
            let content_type =
                HeaderValue::from_str(&respond.content_type).map_err(|_| Refusal::internal())?;
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, content_type);
            Ok(response)
        }
        Action::Builtin { builtin, of } => {
            csrf::check(&parts)?;
            let rest = path[literal_bytes..].trim_start_matches('/').to_owned();
            let caller = Caller {
                address: origin.client,
                secure: origin.secure,
                identity: trace.identity.clone(),
            };
            Box::pin(call_builtin(
                gateway,
                (*builtin, of),
                rest,
                caller,
                parts,
                body,
            ))
            .await
        }
        // Both have been answered above.
        Action::ForwardAuth | Action::Elsewhere => Err(Refusal::not_found()),
    }
}

/// Answers a proxy that asks about a request of its own client: as if it had come here, up to where it would go on.
async fn asked<'g>(
    gateway: &'g Gateway,
    trace: &mut Trace<'g>,
    origin: Origin,
    parts: Parts,
) -> Result<Response<Body>, Refusal> {
    trace.asked = Some(Asked::of(&parts.uri, origin.trusted_peer));
    if !origin.trusted_peer {
        let why = "Only proxies that are listed in `trusted_proxies` may ask here.";
        return Err(Refusal::forbidden(why));
    }
    let parts = forward_auth::meant(parts)?;
    well_formed(&parts)?;
    trace.method = parts.method.clone();
    let normal = normal_path(&parts.uri)?;
    trace.path.clear();
    trace.path.push_str(&normal);
    trace.route = None;
    let route = match gateway.rules.routes.find(&parts.method, normal) {
        Found::Route { route, .. } if matches!(route.action, Action::ForwardAuth) => {
            return Err(Refusal::not_found());
        }
        Found::Route { route, .. } => route,
        Found::Options { .. } if forward_auth::is_preflight(&parts) => {
            return Ok(forward_auth::yes(None));
        }
        Found::MethodNotAllowed { allow } | Found::Options { allow } => {
            return Err(Refusal::method_not_allowed(allow));
        }
        Found::NotFound => return Err(Refusal::not_found()),
    };
    trace.route = Some(route);
    if let Some(refused) = prefetch_refused(trace, route, &parts) {
        return Ok(refused);
    }
    // Nobody says when a request has ended that is only asked about: what it would hold could not be given back.
    let no_slots = || Refusal::forbidden("A limit of this route counts requests under way.");
    if route.policies().any(Policy::holds_slots) {
        return Err(no_slots());
    }
    admit(gateway, trace, route, &parts, Charge::Yes).await?;
    // An administrator's quotas may have brought slots.
    if trace
        .decided
        .as_mut()
        .is_some_and(|decided| decided.slots.take().is_some())
    {
        return Err(no_slots());
    }
    Ok(forward_auth::yes(trace.identity.as_deref()))
}

/// The empty answer to a browser that fetches ahead of its user, where that is not wanted.
fn prefetch_refused(trace: &mut Trace<'_>, route: &Route, parts: &Parts) -> Option<Response<Body>> {
    trace.refused_prefetch = route.refuse_prefetch && is_prefetch(parts);
    trace.refused_prefetch.then(|| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        let no_store = HeaderValue::from_static("no-store");
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, no_store);
        response
    })
}

/// Who asks, and whether they may.
async fn admit(
    gateway: &Gateway,
    trace: &mut Trace<'_>,
    route: &Route,
    parts: &Parts,
    charge: Charge,
) -> Result<(), Refusal> {
    let mut subject = Subject {
        address: trace.client,
        user: None,
        user_name: None,
        api_key: None,
        claims: &[],
        headers: &parts.headers,
        query: parts.uri.query(),
        route: &route.name,
    };
    if !route.auth.is_empty() {
        let credential =
            credential(&parts.headers, &route.auth)?.ok_or_else(Refusal::no_credentials)?;
        trace.identity = Some(gateway.identify(&credential, &subject, trace.now).await?);
        if matches!(credential, tollgate_accounts::Credential::Session(_)) {
            csrf::check(parts)?;
        }
    } else if let Action::Builtin { builtin, .. } = route.action {
        trace.identity = match builtin {
            Builtin::Assets => None,
            Builtin::Logout => {
                gateway
                    .session_to_end(&parts.headers, &subject, trace.now)
                    .await?
            }
            // A page greets whoever is logged in; nobody needs to be.
            _ => match credential(&parts.headers, &[Auth::Session, Auth::Bearer]) {
                Ok(Some(credential)) => gateway
                    .identify(&credential, &subject, trace.now)
                    .await
                    .ok(),
                _ => None,
            },
        };
    }
    let identity = trace.identity.as_deref();
    if let Some(identity) = identity {
        // Before anything is charged: what cannot pass costs nothing.
        if !identity.may(&route.scopes) {
            return Err(Refusal::insufficient_scope(&route.scopes));
        }
        subject.user = Some(identity.user.as_str());
        // What another issuer calls somebody is no account's name, and spares nobody a limit.
        subject.user_name = identity.name.as_deref().filter(|_| identity.has_account());
        subject.api_key = identity.counts_as.as_ref().map(|key| key.as_str());
        subject.claims = &identity.claims;
    }
    let decided = match gateway.decide(route, &subject, identity, charge, trace.now)? {
        None => return Ok(()),
        Some(Answer::Ready(decided)) => decided,
        Some(Answer::Pending(deciding)) => {
            let call = trace.begin_store_call(gateway);
            let decided = deciding.await;
            trace.end_store_call(gateway, call, &decided.decision);
            decided
        }
    };
    if decided.decision.is_degraded() {
        gateway.metrics.degraded(&decided.decision);
    }
    if decided.whole && charge == Charge::Yes {
        match decided.overridden {
            false => gateway.metrics.decision(route, &decided.decision),
            true => gateway
                .metrics
                .overridden(route, &decided.policies, &decided.decision),
        }
    }
    if !decided.decision.is_allowed() {
        return Err(Refusal::limited(
            decided.policies.to_vec(),
            decided.decision,
        ));
    }
    trace.decided = Some(decided);
    Ok(())
}

impl Trace<'_> {
    fn windows(&self) -> Vec<Window> {
        self.decided
            .as_ref()
            .map(|decided| Window::of(&decided.policies, &decided.decision))
            .unwrap_or_default()
    }
}

async fn call_builtin(
    gateway: &Gateway,
    (builtin, of): (Builtin, &[Arc<Limit>]),
    rest: String,
    caller: Caller,
    parts: Parts,
    body: Incoming,
) -> Result<Response<Body>, Refusal> {
    if body.size_hint().lower() > BUILTIN_BODY_BYTES_MAX {
        return Err(Refusal::too_large(BUILTIN_BODY_BYTES_MAX));
    }
    let reading = Limited::new(body, BUILTIN_BODY_BYTES_MAX as usize).collect();
    let read = tokio::time::timeout(gateway.read_timeout(), reading)
        .await
        .map_err(|_| Refusal::request_timeout())?;
    let body = match read {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(Refusal::too_large(BUILTIN_BODY_BYTES_MAX));
        }
        Err(_) => return Err(Refusal::bad_request("The body cannot be read.")),
    };
    let (reply, answer) = oneshot::channel();
    let call = BuiltinCall {
        builtin,
        of: of.to_vec(),
        request: Request::from_parts(parts, body),
        rest,
        caller,
        reply,
    };
    gateway
        .calls
        .try_send(Call::Answer(Box::new(call)))
        .map_err(|_| Refusal::unavailable("Too much is going on."))?;
    let answered = answer.await.unwrap_or_else(|_| Err(Refusal::internal()))?;
    Ok(answered.map(Body::from))
}

/// A browser fetches ahead of its user (`Sec-Purpose: prefetch`, and what came before it).
fn is_prefetch(parts: &Parts) -> bool {
    let fields = ["sec-purpose", "purpose", "x-moz", "x-purpose"].into_iter();
    let values = fields.flat_map(|name| parts.headers.get_all(name).iter());
    values
        .filter_map(|value| value.to_str().ok())
        .any(|purpose| {
            let purpose = purpose.to_ascii_lowercase();
            purpose.contains("prefetch") || purpose.contains("preview")
        })
}
