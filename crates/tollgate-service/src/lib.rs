//! The decision service: other protocols than the gateway's on the same limits and counters.
//!
//! The way of a question: `listen` (a socket for each thread) -> a transport (`resp`, `http` or `grpc`, which decodes) ->
//! [`Service`] (limits by name, quotas of clients) -> the store -> the transport again, which encodes. Nothing but transports is
//! here: how a decision is made is the library's business.
#![warn(missing_docs)]

pub mod grpc;
pub mod http;
pub mod listen;
pub mod metrics;
mod quotas;
mod receipts;
pub mod resp;
mod service;
mod spans;
mod summary;
mod tokens;

pub use metrics::Metrics;
pub use service::Service;
