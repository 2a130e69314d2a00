//! The store on real servers.
#![allow(clippy::unwrap_used, reason = "tests")]

mod conformance;
mod servers;
