//! A store on Redis, Valkey and Redis Cluster, so that any number of processes share one set of limits.
#![deny(missing_docs)]

mod link;
mod location;
mod near;
mod script;
mod settings;

pub use link::{LinkError, ROUND_TRIP_BOUNDS, Stats};
pub use location::{Location, UrlError};
pub use settings::Settings;
