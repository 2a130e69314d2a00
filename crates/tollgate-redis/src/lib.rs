//! A store on Redis, Valkey and Redis Cluster, so that any number of processes share one set of limits.
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    expect(dead_code, reason = "the store, which calls the link, comes next")
)]

mod away;
mod link;
mod location;
mod script;
mod settings;

pub use link::{LinkError, ROUND_TRIP_BOUNDS, Stats};
pub use location::{Location, UrlError};
pub use settings::Settings;
