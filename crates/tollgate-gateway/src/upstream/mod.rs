//! Upstreams: connections that are kept, and requests that are forwarded over them.
//!
//! HTTP/1.1 is spoken here without a task for each connection: whoever waits for an answer drives the socket. The parser
//! is `httparse`; what is ours is where a message ends, and when a connection can serve again.

mod answer_body;
mod answer_head;
mod client_body;
mod connection;
mod error;
mod exchange;
mod fault;
mod fields;
mod forward;
mod pool;
mod request;

pub(crate) use answer_body::AnswerBody;
pub(crate) use error::AnswerError;
pub(crate) use fault::{FAULTS, Fault};
pub(crate) use fields::{Identify, is_identity};
pub(crate) use forward::{Forwarded, forward};
pub(crate) use pool::Pool;
