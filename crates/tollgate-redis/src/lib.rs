//! A store on Redis, Valkey and Redis Cluster, so that any number of processes share one set of limits.
//!
//! A decision is one call of a script, however many checks it has: all of them are charged or none is, by the server's
//! clock. The scripts step the states where they are; what they found there becomes the decision by the same code that
//! decides in memory.
//!
//! All of it runs on tokio, with its timers and its I/O: [`RedisStore::connect`] and waiting for what the store answers
//! panic anywhere else.
//!
//! ```no_run
//! use std::sync::Arc;
//! use tollgate::{Limiter, Quota};
//! use tollgate_redis::{RedisStore, Settings};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let store = RedisStore::connect("redis://127.0.0.1:6379".parse()?, Settings::default()).await?;
//! let limiter = Limiter::builder().quotas(Quota::parse_list("5 per minute; 300 per hour")?).store(Arc::new(store)).build()?;
//! let decision = limiter.decide("ann", 1).await;
//! if let Some(seconds) = decision.retry_after_secs() {
//!     println!("come back in {seconds} s");
//! }
//! # Ok(())
//! # }
//! ```
#![deny(missing_docs)]

mod away;
mod error;
mod keys;
mod link;
mod location;
mod near;
mod question;
mod reply;
mod script;
mod scripts;
mod settings;
mod store;
mod value;

/// Rust that stands on the page is compiled with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/redis.md")]
struct Page;

pub use error::{ERROR_KINDS, LinkError};
pub use link::{ROUND_TRIP_BOUNDS, Stats};
pub use location::{Location, UrlError};
pub use near::NearStats;
pub use settings::{Settings, Time};
pub use store::RedisStore;
