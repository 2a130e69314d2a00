//! A store on Redis, Valkey and Redis Cluster, so that any number of processes share one set of limits.
#![deny(missing_docs)]

mod keys;
mod link;
mod question;
mod reply;
mod script;
mod scripts;
mod store;
mod value;

pub use link::LinkError;
pub use store::{RedisStore, Time};

impl RedisStore {
    /// Connects.
    ///
    /// # Errors
    /// No connection.
    pub async fn connect(url: &str, time: Time) -> Result<Self, LinkError> {
        Ok(RedisStore::over(link::Link::connect(url).await?, "tollgate", time, false))
    }
}
