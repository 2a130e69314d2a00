//! The store on real servers.
#![allow(clippy::unwrap_used, reason = "tests")]

mod cluster;
mod conformance;
mod servers;
mod time;
mod values;
