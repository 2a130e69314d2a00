//! The way to the store.

use redis::aio::MultiplexedConnection;
use redis::Value;
use tollgate::{Check, Decision, Micros, Reason};

use crate::script::Script;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The client's word.
    #[error(transparent)]
    Client(#[from] redis::RedisError),
    /// What came is no reply.
    #[error("the store sent what is no reply: {0}")]
    Garbage(String),
}

#[derive(Clone)]
pub(crate) struct Link(MultiplexedConnection);

impl Link {
    pub(crate) async fn connect(url: &str) -> Result<Self, LinkError> {
        let client = redis::Client::open(url)?;
        Ok(Link(client.get_multiplexed_async_connection().await?))
    }

    pub(crate) async fn call(
        &self,
        script: &Script,
        keys: Vec<Vec<u8>>,
        arguments: Vec<Vec<u8>>,
    ) -> Result<Value, LinkError> {
        let mut connection = self.0.clone();
        let command = |name: &str, script: &str| {
            let mut command = redis::cmd(name);
            command.arg(script).arg(keys.len()).arg(&keys).arg(&arguments);
            command
        };
        match command("EVALSHA", &script.sha).query_async(&mut connection).await {
            Err(error) if error.kind() == redis::ErrorKind::Server(redis::ServerErrorKind::NoScript) => {
                Ok(command("EVAL", &script.text).query_async(&mut connection).await?)
            }
            result => Ok(result?),
        }
    }

    pub(crate) async fn forget(&self, prefix: &[u8]) -> Result<(), LinkError> {
        let mut connection = self.0.clone();
        let mut pattern: Vec<u8> = prefix.to_vec();
        pattern.push(b'*');
        let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await?;
        if !keys.is_empty() {
            let _: i64 = redis::cmd("UNLINK").arg(keys).query_async(&mut connection).await?;
        }
        Ok(())
    }

    pub(crate) fn count_garbage(&self, _: u64) {}

    pub(crate) fn away(&self, _: &[Check<'_>], now: Micros) -> Decision {
        Decision::refused(Reason::StoreClosed, now).degraded()
    }
}
