//! What gRPC puts around the messages of a call that has one each way: a length before them, and a status behind.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use bytes::{Buf, Bytes, BytesMut};
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use tonic::Status;

use super::messages::{self, RateLimitRequest, RateLimitResponse};
use super::peer::{Held, Peer, Pot};

/// The longest message. Envoy's clients choose the values of header fields, of 60 KiB together, and a request may carry
/// each of them more than once: what is too long for its service Envoy lets pass.
pub(super) const MESSAGE_BYTES_MAX: usize = 256 << 10;
/// Whether the message is compressed, and its length.
const PREFIX_BYTES: usize = 5;
/// Most answers are shorter.
const ANSWER_BYTES: usize = 512;

const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");
pub(super) const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const OK: HeaderValue = HeaderValue::from_static("0");

/// Whether the head of a call says how messages are compressed that are.
pub(super) fn says_encoding(head: &HeaderMap) -> bool {
    head.contains_key(ENCODING)
}

/// The message of a call, without what is around it. One that does not come at once is held.
pub(super) async fn message(
    body: &mut RecvStream,
    says_encoding: bool,
    held: &mut Held,
) -> Result<Bytes, Status> {
    let mut whole = chunk(body, held).await?.unwrap_or_default();
    if !body.is_end_stream() {
        let mut joined = BytesMut::from(kept(&whole, held)?);
        drop(whole);
        while let Some(chunk) = chunk(body, held).await? {
            if joined.len() + chunk.len() > PREFIX_BYTES + MESSAGE_BYTES_MAX {
                return Err(too_long());
            }
            held.more(chunk.len())?;
            joined.extend_from_slice(&chunk);
        }
        whole = joined.freeze();
    }
    let Some(&[compressed, ref length @ ..]) = whole.first_chunk::<PREFIX_BYTES>() else {
        return Err(Status::internal("the call ends before its message"));
    };
    let length = u32::from_be_bytes(*length) as usize;
    if length > MESSAGE_BYTES_MAX {
        return Err(too_long());
    }
    whole.advance(PREFIX_BYTES);
    match (compressed, whole.len()) {
        (0, found) if found == length => Ok(whole),
        (0, found) if found < length => Err(Status::internal("the message ends early")),
        (0, _) => Err(Status::unimplemented("the call has more than one message")),
        (1, _) if says_encoding => Err(compressed_message()),
        _ => Err(Status::internal(
            "the message is compressed and nothing says how",
        )),
    }
}

/// A copy for a call that waits. What was read may be a part of much more that came with it and would stay, too.
pub(super) fn kept(read: &Bytes, held: &mut Held) -> Result<Bytes, Status> {
    held.more(read.len())?;
    Ok(Bytes::copy_from_slice(read))
}

async fn chunk(body: &mut RecvStream, held: &mut Held) -> Result<Option<Bytes>, Status> {
    let broken = |error: h2::Error| Status::cancelled(error.to_string());
    let chunk = poll_fn(|context| match body.poll_data(context) {
        Poll::Ready(chunk) => Poll::Ready(chunk.transpose().map_err(broken)),
        // Also a call of which nothing has come.
        Poll::Pending => held
            .wait()
            .map_or_else(|full| Poll::Ready(Err(full)), |()| Poll::Pending),
    });
    let chunk = chunk.await?;
    if let Some(chunk) = &chunk {
        let flow = body.flow_control();
        flow.release_capacity(chunk.len()).map_err(broken)?;
    }
    Ok(chunk)
}

fn too_long() -> Status {
    Status::resource_exhausted(format!(
        "the message is longer than {MESSAGE_BYTES_MAX} bytes"
    ))
}

fn compressed_message() -> Status {
    let mut status = Status::unimplemented("messages must not be compressed");
    let metadata = status.metadata_mut();
    metadata.insert(
        "grpc-accept-encoding",
        tonic::metadata::MetadataValue::from_static("identity"),
    );
    status
}

/// The request that a message is.
pub(super) fn request(message: &[u8]) -> Result<RateLimitRequest<'_>, Status> {
    let wrong = |_| Status::internal("the message is no RateLimitRequest");
    messages::request(message).map_err(wrong)
}

/// Sends an answer, as one message.
pub(super) async fn send(
    peer: &Rc<Peer>,
    respond: &mut SendResponse<Bytes>,
    answer: &RateLimitResponse,
) -> Result<(), h2::Error> {
    let mut framed = Vec::with_capacity(ANSWER_BYTES);
    framed.extend_from_slice(&[0; PREFIX_BYTES]);
    messages::answer(answer, &mut framed);
    // An answer has 64 statuses at most.
    let length = (framed.len() - PREFIX_BYTES) as u32;
    framed[1..PREFIX_BYTES].copy_from_slice(&length.to_be_bytes());
    let mut head = Response::new(());
    head.headers_mut()
        .insert(header::CONTENT_TYPE, CONTENT_TYPE);
    let mut sending = respond.send_response(head, false)?;
    peer.send(Pot::Callers, &mut sending, framed.into()).await?;
    let mut trailers = HeaderMap::new();
    trailers.insert(STATUS, OK);
    sending.send_trailers(trailers)
}
