//! The admin side over HTTP: an administrator's request goes to the handlers of the admin socket, in their name.

use axum::Router;
use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Request, Response, StatusCode};
use tollgate_accounts::{Actor, Identity};
use tollgate_gateway::builtin::BuiltinCall;
use tollgate_gateway::refusal::Refusal;
use tower_service::Service;

/// The largest answer: ten thousand users, with room.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// What `management` answers at `path`. Whoever calls this has found out that `who` administers.
pub(super) async fn answer(
    call: &BuiltinCall,
    path: &str,
    who: &Identity,
    management: &Router,
) -> Result<Response<Bytes>, Refusal> {
    // A slash or dots within a name are encoded twice, because the gateway takes no path with an encoded one.
    let path = path.replace("%25", "%");
    let target = match call.request.uri().query() {
        Some(query) => format!("/{path}?{query}"),
        None => format!("/{path}"),
    };
    let mut request = Request::builder()
        .method(call.request.method())
        .uri(target)
        .extension(Actor::User(who.user.clone()))
        .body(Body::from(call.request.body().clone()))
        .map_err(|_| Refusal::not_found())?;
    for name in [header::CONTENT_TYPE, header::ACCEPT] {
        if let Some(value) = call.request.headers().get(&name) {
            request.headers_mut().insert(name, value.clone());
        }
    }
    let Ok(response) = management.clone().call(request).await;
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, ANSWER_BYTES_MAX)
        .await
        .map_err(|_| Refusal::internal())?;
    // Nobody has said more about it: there is no such path.
    if parts.status == StatusCode::NOT_FOUND && body.is_empty() {
        return Err(Refusal::not_found());
    }
    let fields = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in fields {
        parts.headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(Response::from_parts(parts, body))
}
