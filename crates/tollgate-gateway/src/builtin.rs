//! The door from the data plane to the control side, where built-ins are answered: a bounded queue of calls.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use tokio::sync::{mpsc, oneshot};
use tollgate_accounts::{Identity, Question};
use tollgate_rules::{Builtin, Limit};

use crate::refusal::Refusal;

/// Calls that wait at most; beyond it a request is answered 503.
pub const CALLS_WAITING_MAX: usize = 1024;
/// The largest body that a built-in reads.
pub const BUILTIN_BODY_BYTES_MAX: u64 = 64 << 10;

/// What the data plane asks of the control side.
pub enum Call {
    /// Answer a request.
    Answer(Box<BuiltinCall>),
    /// Find out whose credentials these are: the one lookup that may take a query.
    Identify {
        /// What the directory could not say.
        question: Question,
        /// Where the answer goes; an error when the database cannot be reached.
        reply: oneshot::Sender<Result<Option<Arc<Identity>>, Refusal>>,
    },
}

/// One request for a built-in.
pub struct BuiltinCall {
    /// Which.
    pub builtin: Builtin,
    /// The limits that the route shows.
    pub of: Vec<Arc<Limit>>,
    /// The request, its body read.
    pub request: Request<Bytes>,
    /// What follows the pattern's literal part in the path, without a slash at its beginning.
    pub rest: String,
    /// Who asks.
    pub caller: Caller,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<Response<Content>, Refusal>>,
}

/// The body of a built-in's answer.
#[derive(Debug)]
pub enum Content {
    /// It is there.
    Whole(Bytes),
    /// It is pushed, part by part, until the sender is dropped.
    Pushed(Pushed),
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Content::Whole(bytes)
    }
}

/// A body that somebody pushes. The queue is bounded, so whoever pushes learns of a reader that does not keep up.
#[derive(Debug)]
pub struct Pushed(mpsc::Receiver<Bytes>);

impl Pushed {
    /// The body, and where to push: `parts_max` parts wait at most.
    pub fn new(parts_max: usize) -> (mpsc::Sender<Bytes>, Self) {
        let (sender, receiver) = mpsc::channel(parts_max);
        (sender, Pushed(receiver))
    }

    /// The next part, `None` at the end.
    pub(crate) fn poll_part(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.0.poll_recv(context)
    }
}

impl http_body::Body for Pushed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let part = self.get_mut().poll_part(context);
        part.map(|part| part.map(|part| Ok(Frame::data(part))))
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The client's address.
    pub address: IpAddr,
    /// Whether the client came by https, as far as a trusted proxy says so.
    pub secure: bool,
    /// Who it is, if the route asked or a session was at hand.
    pub identity: Option<Arc<Identity>>,
}

/// The data plane's end of the queue.
pub type Calls = mpsc::Sender<Call>;

/// The queue.
pub fn calls() -> (Calls, mpsc::Receiver<Call>) {
    mpsc::channel(CALLS_WAITING_MAX)
}
