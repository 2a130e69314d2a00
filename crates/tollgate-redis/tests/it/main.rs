//! The store on real servers.
#![allow(clippy::unwrap_used, reason = "tests")]

mod cluster;
mod conformance;
mod servers;
mod spoilt;
mod time;
mod values;
