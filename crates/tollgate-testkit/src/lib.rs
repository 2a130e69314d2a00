//! Development only: what every store must keep, an oracle that is slow and obvious, seeded randomness, and real
//! processes and servers on free loopback ports for the tests that drive the binary.
#![allow(clippy::unwrap_used, reason = "a test kit fails by panicking")]

pub mod certificates;
pub mod client;
pub mod conformance;
pub mod database;
pub mod gateway;
pub mod oracle;
pub mod process;
pub mod random;
pub mod redis;
pub mod relay;
pub mod upstream;
mod wire;

pub use random::Random;
