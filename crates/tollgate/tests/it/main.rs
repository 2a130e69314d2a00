//! The law, held against the code.
#![allow(clippy::unwrap_used, reason = "tests")]

mod algorithms;
mod elsewhere;
mod in_advance;
mod limiter;
mod penalties;
mod rollout;
mod snapshot;

mod memory_store {
    tollgate_testkit::store_conformance!(tollgate::MemoryStore::new);
}
