//! Development only: what every store must keep, an oracle that is slow and obvious, and seeded randomness.
#![allow(clippy::unwrap_used, reason = "a test kit fails by panicking")]

pub mod conformance;
pub mod oracle;
pub mod random;

pub use random::Random;
