//! The bodies of requests, which are read whole before anything is decided.

use std::io;

use bytes::BytesMut;
use http::StatusCode;
use tokio::io::AsyncReadExt;
use tollgate_gateway::framing::Framing;

use super::head::Head;
use super::problem::Failure;
use tollgate_gateway::stream::Stream;

/// The largest body of a request.
pub(super) const BODY_BYTES_MAX: usize = 64 << 10;
/// What such a body may take in chunks, with all that says where these end.
const CHUNKED_BYTES_MAX: usize = 8 * BODY_BYTES_MAX;
/// Room that is made to read into, where there is less than the second.
const READ_BYTES: usize = 4 << 10;
const READ_BYTES_MIN: usize = 1 << 10;

/// A body that has come whole.
pub(super) enum Body {
    /// It stands behind its head, this long.
    Behind(usize),
    /// It came in chunks.
    Gathered(Vec<u8>),
}

impl Body {
    pub(super) fn bytes<'b>(&'b self, head: &Head, read: &'b [u8]) -> &'b [u8] {
        match self {
            // It was waited for.
            Body::Behind(length) => read
                .get(head.bytes..head.bytes + length)
                .unwrap_or_default(),
            Body::Gathered(body) => body,
        }
    }
}

/// The whole body, which comes in chunks; what is behind it stays in `rest`.
pub(super) async fn gather(
    stream: &mut Stream,
    mut framing: Framing,
    rest: &mut BytesMut,
) -> io::Result<Result<Vec<u8>, Failure>> {
    let mut body = Vec::new();
    let mut left = CHUNKED_BYTES_MAX;
    loop {
        match framing.take(rest) {
            Ok(Some(part)) => body.extend_from_slice(&part),
            Ok(None) if framing == Framing::ENDED => return Ok(Ok(body)),
            Ok(None) => {
                make_room(rest);
                match stream.read_buf(rest).await? {
                    0 => return Ok(Err(broken_off())),
                    count => left = left.saturating_sub(count),
                }
            }
            Err(error) => return Ok(Err(Failure::new(StatusCode::BAD_REQUEST, error))),
        }
        if body.len() > BODY_BYTES_MAX || left == 0 {
            return Ok(Err(too_large()));
        }
    }
}

/// Makes room to read into, where there is hardly any.
pub(super) fn make_room(read: &mut BytesMut) {
    if read.capacity() - read.len() < READ_BYTES_MIN {
        read.reserve(READ_BYTES);
    }
}

pub(super) fn too_large() -> Failure {
    let why = format!("The body is larger than {BODY_BYTES_MAX} bytes.");
    Failure::new(StatusCode::PAYLOAD_TOO_LARGE, why)
}

pub(super) fn too_late() -> Failure {
    Failure::new(
        StatusCode::REQUEST_TIMEOUT,
        "The body did not come in time.",
    )
}

pub(super) fn broken_off() -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, "The body broke off.")
}
