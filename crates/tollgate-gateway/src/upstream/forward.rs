//! One request to an upstream and back.

use std::borrow::Cow;

use bytes::{Buf, Bytes};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Response, StatusCode, header};
use hyper::body::{Body as _, Incoming};

use super::answer_body::AnswerBody;
use super::answer_head::AnswerHead;
use super::client_body::ClientBody;
use super::error::{AnswerError, ClientError};
use super::exchange::{ExchangeError, exchange};
use super::fault::Fault;
use super::fields::{Identify, write_fields};
use super::pool::{Lease, Pool};
use super::request::OutgoingRequest;
use crate::body::Body;
use crate::gateway::{Gateway, Server};
use crate::metered::BytesIn;
use crate::refusal::Refusal;

/// Room for the head of a usual request.
const HEAD_BYTES_USUAL: usize = 1 << 10;

/// Of an answer that has been read whole.
const COPIED_BYTES_MAX: u64 = 1 << 10;

/// A request to forward.
pub(crate) struct Forwarded<'a> {
    pub(crate) upstream: usize,
    /// The path in the form that was matched.
    pub(crate) path: &'a str,
    /// How much of the path the pattern spells out.
    pub(crate) literal_bytes: usize,
    pub(crate) who: Identify<'a>,
    /// Where the bytes of the body are counted as they come.
    pub(crate) bytes_in: Option<&'a BytesIn>,
}

/// Sends the request on, and answers with what comes back.
pub(crate) async fn forward(
    gateway: &Gateway,
    pool: &Pool,
    parts: &Parts,
    body: Incoming,
    to: Forwarded<'_>,
) -> Result<Response<Body>, Refusal> {
    let server = &gateway.upstreams[to.upstream];
    let body_bytes_max = gateway.rules.server.body_bytes_max;
    if body.size_hint().lower() > body_bytes_max {
        return Err(Refusal::too_large(body_bytes_max));
    }
    let body = ClientBody::new(body, body_bytes_max, to.bytes_in);
    let head = head(parts, body.as_ref(), server, &to)?;
    let mut request = OutgoingRequest::new(head, body, parts.method.is_safe());

    let (leg, method) = (to.who.leg, &parts.method);
    let failed = |fault: Fault| {
        gateway.metrics.fault(to.upstream, fault);
        if let Some(leg) = leg {
            leg.failed(server, method, fault);
        }
        fault.refusal()
    };
    let leased = pool.lease(to.upstream, &server.authority).await;
    let mut lease = leased.map_err(failed)?;
    let mut answered = exchange(&mut lease.connection, &mut request, &parts.method).await;
    // A kept connection may have been closed at the other end just now, without anything having been read of this.
    let closed = matches!(
        answered,
        Err(ExchangeError::Upstream(AnswerError::Closed(_)))
    );
    if closed && lease.reused && request.begin_anew() {
        let connected = Box::pin(pool.connect(to.upstream, &server.authority)).await;
        lease = connected.map_err(failed)?;
        answered = exchange(&mut lease.connection, &mut request, &parts.method).await;
    }
    let head = answered.map_err(|error| match error {
        ExchangeError::Client(error) => {
            if let Some(leg) = leg {
                leg.given_up(server, method);
            }
            refusal(error, body_bytes_max)
        }
        ExchangeError::Upstream(error) => {
            tracing::debug!(%error, "an upstream broke off");
            failed(Fault::from(&error))
        }
    })?;
    // Nobody asked to switch protocols.
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(failed(Fault::Malformed));
    }
    if let Some(leg) = leg {
        leg.answered(server, method, head.status);
    }
    if !request.is_sent()
        && let Some(writer) = lease.connection.writer.take()
    {
        tokio::task::spawn_local(request.send_rest(writer, gateway.read_timeout()));
    }
    lease.keeps_alive = head.keeps_alive;
    Ok(response(head, lease))
}

/// The head of the request as the upstream reads it. What is written has passed through the types of a valid request.
fn head(
    parts: &Parts,
    body: Option<&ClientBody>,
    server: &Server,
    to: &Forwarded<'_>,
) -> Result<Vec<u8>, Refusal> {
    let target = target(parts, server, to)?;
    let mut head = Vec::with_capacity(HEAD_BYTES_USUAL);
    head.extend_from_slice(parts.method.as_str().as_bytes());
    // What stands before a query alone is a slash that need not be written in a URL.
    head.extend_from_slice(match target.as_str().starts_with('/') {
        true => b" ",
        false => b" /",
    });
    head.extend_from_slice(target.as_str().as_bytes());
    head.extend_from_slice(b" HTTP/1.1\r\n");
    write_fields(&mut head, &parts.headers, &server.host, &to.who);
    match body {
        Some(body) => body.write_framing(&mut head),
        None if parts.headers.contains_key(header::CONTENT_LENGTH) => {
            head.extend_from_slice(b"content-length: 0\r\n");
        }
        None => {}
    }
    head.extend_from_slice(b"\r\n");
    Ok(head)
}

/// What is forwarded is what was matched; a path of the upstream's URL stands in place of the pattern's literal part.
fn target<'p>(
    parts: &'p Parts,
    server: &Server,
    to: &Forwarded<'_>,
) -> Result<Cow<'p, PathAndQuery>, Refusal> {
    if let (None, Some(unchanged)) = (&server.path, parts.uri.path_and_query())
        && unchanged.path() == to.path
    {
        return Ok(Cow::Borrowed(unchanged));
    }
    let query = parts.uri.query();
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
        .map(Cow::Owned)
        .map_err(|_| Refusal::bad_request("The path cannot be forwarded."))
}

fn response(head: AnswerHead, mut lease: Lease) -> Response<Body> {
    let read = &mut lease.connection.read;
    let body = match head.framing.bytes_left() {
        // A short answer has usually been read with its head. Its connection need not wait for the client, and copying
        // it costs less than sharing the buffer.
        Some(length) if length <= COPIED_BYTES_MAX.min(read.len() as u64) => {
            let whole = Bytes::copy_from_slice(&read[..length as usize]);
            read.advance(whole.len());
            lease.give_back();
            Body::from(whole)
        }
        _ => Body::streamed(AnswerBody::new(lease, head.framing)),
    };
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.fields;
    if let Some(reason) = head.reason {
        response.extensions_mut().insert(reason);
    }
    response
}

fn refusal(error: ClientError, body_bytes_max: u64) -> Refusal {
    match error {
        ClientError::TooLarge => Refusal::too_large(body_bytes_max),
        ClientError::Broken => Refusal::bad_request("The body is framed wrongly, or broke off."),
        ClientError::Silent => Refusal::request_timeout(),
    }
}
