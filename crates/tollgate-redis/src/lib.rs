//! A store on Redis, Valkey and Redis Cluster, so that any number of processes share one set of limits.
#![deny(missing_docs)]

mod away;
mod keys;
mod link;
mod location;
mod question;
mod reply;
mod script;
mod scripts;
mod settings;
mod store;
mod value;

pub use link::{LinkError, ROUND_TRIP_BOUNDS, Stats};
pub use location::{Location, UrlError};
pub use settings::{Settings, Time};
pub use store::RedisStore;
