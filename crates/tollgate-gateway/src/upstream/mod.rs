//! Upstreams: connections that are kept, and requests that are forwarded over them.

mod client_body;
mod fields;
mod forward;
mod pool;

pub(crate) use client_body::BodyError;
pub(crate) use fields::Identify;
pub(crate) use forward::{Forwarded, forward};
pub(crate) use pool::{Lease, Pool};
