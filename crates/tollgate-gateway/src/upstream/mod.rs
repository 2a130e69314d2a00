//! Upstreams: connections that are kept, and requests that are forwarded over them.

mod fields;
mod forward;
mod pool;

pub(crate) use fields::Identify;
pub(crate) use forward::{Forwarded, forward};
pub(crate) use pool::{Lease, Pool};
