//! A client's body on its way to an upstream: bounded, and framed anew.

use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Body as _;
use hyper::body::Incoming;

use super::error::ClientError;
use crate::metered::BytesIn;

/// A client's body on its way to an upstream.
pub(crate) struct ClientBody {
    incoming: Incoming,
    /// What it may still come to.
    bytes_left: u64,
    /// What is still to come; `None` where nobody knows, and it goes on in chunks.
    length_left: Option<u64>,
    came: Option<BytesIn>,
}

impl ClientBody {
    /// The body, unless there is nothing to come.
    pub(crate) fn new(incoming: Incoming, bytes_max: u64, came: Option<&BytesIn>) -> Option<Self> {
        (!incoming.is_end_stream()).then(|| ClientBody {
            bytes_left: bytes_max,
            length_left: incoming.size_hint().exact(),
            incoming,
            came: came.cloned(),
        })
    }

    /// Writes the field that says how it is framed.
    pub(crate) fn write_framing(&self, head: &mut Vec<u8>) {
        match self.length_left {
            Some(length) => write_to(head, format_args!("content-length: {length}\r\n")),
            None => head.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        }
    }

    /// Writes the next part as it goes on. True when that was the last.
    pub(crate) fn poll_write_part(
        &mut self,
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) -> Poll<Result<bool, ClientError>> {
        let part = ready!(self.poll_part(context))?;
        let ended = match (&mut self.length_left, part) {
            (Some(left), Some(part)) => {
                *left = left
                    .checked_sub(part.len() as u64)
                    .ok_or(ClientError::Broken)?;
                out.extend_from_slice(&part);
                *left == 0
            }
            (Some(left), None) if *left > 0 => return Poll::Ready(Err(ClientError::Broken)),
            (Some(_), None) => true,
            (None, Some(part)) => {
                // A chunk of no bytes would be the last.
                if !part.is_empty() {
                    write_to(out, format_args!("{:x}\r\n", part.len()));
                    out.extend_from_slice(&part);
                    out.extend_from_slice(b"\r\n");
                }
                false
            }
            (None, None) => {
                out.extend_from_slice(b"0\r\n\r\n");
                true
            }
        };
        Poll::Ready(Ok(ended))
    }

    fn poll_part(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ClientError>> {
        let frame = match ready!(Pin::new(&mut self.incoming).poll_frame(context)) {
            Some(frame) => frame.map_err(|_| ClientError::Broken)?,
            None => return Poll::Ready(Ok(None)),
        };
        // Trailer fields are not forwarded: they could carry what was stripped from the header.
        let Ok(part) = frame.into_data() else {
            return Poll::Ready(Ok(None));
        };
        self.bytes_left = self
            .bytes_left
            .checked_sub(part.len() as u64)
            .ok_or(ClientError::TooLarge)?;
        if let Some(came) = &self.came {
            came.came(part.len());
        }
        Poll::Ready(Ok(Some(part)))
    }
}

fn write_to(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to memory does not fail.
    let _ = out.write_fmt(text);
}
