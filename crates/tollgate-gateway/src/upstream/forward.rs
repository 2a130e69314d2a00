//! One request to an upstream and back.

use std::rc::Rc;
use std::time::Duration;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::client_body::{ClientBody, Progress};
use super::fields::{Identify, prepare_request, remove_hop_by_hop};
use super::pool::{Lease, Pool};
use crate::body::Body;
use crate::gateway::{Gateway, Server};
use crate::refusal::Refusal;

/// A request to forward.
pub(crate) struct Forwarded<'a> {
    pub(crate) upstream: usize,
    /// The path in the form that was matched.
    pub(crate) path: &'a str,
    /// How much of the path the pattern spells out.
    pub(crate) literal_bytes: usize,
    pub(crate) who: Identify<'a>,
}

/// Sends the request on, and answers with what comes back.
pub(crate) async fn forward(
    gateway: &Gateway,
    pool: &Pool,
    mut parts: Parts,
    body: Incoming,
    to: Forwarded<'_>,
) -> Result<Response<Body>, Refusal> {
    let server = &gateway.upstreams[to.upstream];
    let body_bytes_max = gateway.rules.server.body_bytes_max;
    if declared_length(&parts) > body_bytes_max {
        return Err(Refusal::too_large(body_bytes_max));
    }
    parts.uri = upstream_uri(server, &to, &parts.uri)?;
    parts.version = Version::HTTP_11;
    prepare_request(&mut parts.headers, &server.host, &to.who);
    let (body, progress) = ClientBody::new(body, body_bytes_max);
    let request = Request::from_parts(parts, body);

    let mut lease = pool.lease(to.upstream, &server.authority).await?;
    let timeout = gateway.read_timeout();
    let response = match send(&mut lease, request, progress.as_deref(), timeout).await {
        Ok(response) => response,
        // A kept connection may have been closed at the other end just now. Nothing of the request has left, so a
        // new one gets it.
        Err(SendError::Unsent(request)) if lease.reused => {
            lease = pool.connect(to.upstream, &server.authority).await?;
            send(&mut lease, *request, progress.as_deref(), timeout)
                .await
                .map_err(|error| error.into_refusal(progress.as_ref(), body_bytes_max))?
        }
        Err(error) => return Err(error.into_refusal(progress.as_ref(), body_bytes_max)),
    };
    // Nobody asked to switch protocols.
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Refusal::bad_gateway());
    }
    lease.upload = progress;
    let (mut parts, incoming) = response.into_parts();
    remove_hop_by_hop(&mut parts.headers);
    Ok(Response::from_parts(
        parts,
        Body::streamed(incoming, lease, timeout),
    ))
}

fn declared_length(parts: &Parts) -> u64 {
    let length = parts
        .headers
        .get(http::header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    length.unwrap_or(0)
}

/// What is forwarded is what was matched; a path of the upstream's URL stands in place of the pattern's literal part.
fn upstream_uri(server: &Server, to: &Forwarded<'_>, asked: &Uri) -> Result<Uri, Refusal> {
    if let (None, Some(unchanged)) = (&server.path, asked.path_and_query())
        && unchanged.path() == to.path
    {
        return Ok(unchanged.clone().into());
    }
    let query = asked.query();
    let mut target = String::with_capacity(to.path.len() + query.map_or(0, str::len) + 16);
    match &server.path {
        Some(base) => {
            target.push_str(base);
            target.push_str(&to.path[to.literal_bytes..]);
        }
        None => target.push_str(to.path),
    }
    if let Some(query) = query {
        target.push('?');
        target.push_str(query);
    }
    PathAndQuery::try_from(target)
        .map(Uri::from)
        .map_err(|_| Refusal::bad_request("The path cannot be forwarded."))
}

enum SendError {
    Unsent(Box<Request<ClientBody>>),
    Broken(hyper::Error),
    Silent,
}

impl SendError {
    fn into_refusal(self, progress: Option<&Rc<Progress>>, body_bytes_max: u64) -> Refusal {
        if let Some(progress) = progress {
            if progress.too_large.get() {
                return Refusal::too_large(body_bytes_max);
            }
            if progress.broken.get() {
                return Refusal::bad_request("The body is framed wrongly, or broke off.");
            }
            if matches!(self, SendError::Silent) && !progress.ended.get() {
                return Refusal::request_timeout();
            }
        }
        match self {
            SendError::Silent => Refusal::gateway_timeout(),
            SendError::Broken(error) => {
                tracing::debug!(%error, "an upstream broke off");
                Refusal::bad_gateway()
            }
            SendError::Unsent(_) => Refusal::bad_gateway(),
        }
    }
}

async fn send(
    lease: &mut Lease,
    request: Request<ClientBody>,
    progress: Option<&Progress>,
    timeout: Duration,
) -> Result<Response<Incoming>, SendError> {
    let sent = lease.sender.try_send_request(request);
    tokio::pin!(sent);
    let answered = match progress {
        None => tokio::time::timeout(timeout, sent)
            .await
            .map_err(|_| SendError::Silent)?,
        // While the client is still sending, it is silence on both sides that counts.
        Some(progress) => loop {
            let deadline = progress.last.get() + timeout;
            match tokio::time::timeout_at(deadline, &mut sent).await {
                Ok(answered) => break answered,
                Err(_) if progress.last.get() + timeout > Instant::now() => {}
                Err(_) => return Err(SendError::Silent),
            }
        },
    };
    answered.map_err(|mut error| match error.take_message() {
        Some(request) => SendError::Unsent(Box::new(request)),
        None => SendError::Broken(error.into_error()),
    })
}
