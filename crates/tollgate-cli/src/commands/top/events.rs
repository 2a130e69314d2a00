//! Server-sent events, one after the other.

use std::time::Duration;

use http::Response;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::failure::Failure;

/// A stream without an event for so long is lost: there is one each second.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(5);

/// An event at most: some hundred routes with long patterns.
const EVENT_BYTES_MAX: usize = 4 << 20;

/// The events of a stream.
pub(super) struct Events {
    stream: Response<Incoming>,
    /// What has been read behind the last event.
    read: Vec<u8>,
}

impl Events {
    pub(super) fn new(stream: Response<Incoming>) -> Self {
        Events {
            stream,
            read: Vec::new(),
        }
    }

    /// The data of the next one.
    pub(super) async fn next(&mut self) -> Result<String, Failure> {
        loop {
            if let Some(end) = self.read.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = self.read.drain(..end + 2).collect();
                let event = String::from_utf8_lossy(&event);
                let data = event.lines().filter_map(|line| line.strip_prefix("data: "));
                return Ok(data.collect());
            }
            if self.read.len() > EVENT_BYTES_MAX {
                return Err(Failure::Failed(
                    "an event of the gateway is too long".to_owned(),
                ));
            }
            let frame = timeout(SILENCE_MAX, self.stream.body_mut().frame()).await;
            let frame = frame.map_err(|_| silent())?.ok_or_else(ended)?;
            let frame = frame.map_err(|error| Failure::because("the gateway broke off", &error))?;
            if let Some(bytes) = frame.data_ref() {
                self.read.extend_from_slice(bytes);
            }
        }
    }
}

/// Why nothing has come for [`SILENCE_MAX`].
pub(super) fn silent() -> Failure {
    Failure::Failed("the gateway does not answer".to_owned())
}

fn ended() -> Failure {
    Failure::Failed("the gateway has ended the stream".to_owned())
}
