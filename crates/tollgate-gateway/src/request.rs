//! The way of one request, from its header to its answer.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body as _, Incoming};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tollgate::Policy;
use tollgate_rules::{Action, Builtin, Found, Head, Limit};

use crate::accepts::Accepts;
use crate::address::Origin;
use crate::admit::admit;
use crate::body::Body;
use crate::builtin::{BUILTIN_BODY_BYTES_MAX, BuiltinCall, Call, Caller};
use crate::checks::Charge;
use crate::forward_auth::{self, Asked, FORWARDED_PROTO, Taken};
use crate::gateway::Gateway;
use crate::metered::BytesIn;
use crate::refusal::Refusal;
use crate::spans::Leg;
use crate::trace::Trace;
use crate::upstream::{Forwarded, Identify, forward};
use crate::well_formed::{normal_path, well_formed};
use crate::worker::{Peer, Worker};
use crate::{cors, csrf, number_page, prefetch};

/// Answers a request, whatever it is.
pub(crate) async fn answer(
    worker: &Worker,
    peer: &Peer,
    request: Request<Incoming>,
) -> Response<Body> {
    let gateway = &*worker.gateway;
    let (parts, body) = request.into_parts();
    let mut origin = gateway.proxies.origin(peer.address, &parts.headers);
    // Of its own clients a proxy knows better, where it says so.
    if !origin.trusted_peer || !parts.headers.contains_key(FORWARDED_PROTO) {
        origin.secure = peer.secure;
    }
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
        secure: origin.secure,
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
    if let Err(refused) = well_formed(&parts) {
        trace.asked = Asked::before_its_route(&gateway.rules.routes, &parts, origin.trusted_peer);
        return Err(refused);
    }
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
    if let Some(refused) = prefetch::refused(trace, route, &parts) {
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
    let Taken::Route(route) = forward_auth::taken(&gateway.rules.routes, &parts, normal)? else {
        return Ok(forward_auth::yes(None));
    };
    trace.route = Some(route);
    if let Some(refused) = prefetch::refused(trace, route, &parts) {
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
