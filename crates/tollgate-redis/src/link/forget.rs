//! Deleting all keys that begin alike, in steps that hold nobody up.

use std::time::Duration;

use redis::{Pipeline, Value};
use tokio::time::timeout;

use super::Link;
use super::dial::ask;
use super::node::Node;
use super::refusal;
use crate::error::LinkError;

/// Keys that are looked at in one step of [`Link::forget`], and how long a step may take.
const STEP: u32 = 200;
const STEP_TIMEOUT: Duration = Duration::from_secs(1);

impl Link {
    /// Deletes every key that begins with `prefix`, on every master, some hundred at a time.
    ///
    /// # Errors
    /// The first that stops it; what is deleted by then stays so.
    pub(crate) async fn forget(&self, prefix: &[u8]) -> Result<(), LinkError> {
        let masters = self.0.routes.masters();
        if masters.is_empty() {
            return Err(LinkError::Away);
        }
        for node in masters {
            let _flight = node.enter()?;
            let mut cursor = b"0".to_vec();
            loop {
                let step = timeout(STEP_TIMEOUT, forget_some(&node, prefix, &cursor)).await;
                cursor = step.unwrap_or(Err(LinkError::Timeout(STEP_TIMEOUT)))?;
                if cursor == b"0" {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// One step; the cursor of the next.
async fn forget_some(node: &Node, prefix: &[u8], cursor: &[u8]) -> Result<Vec<u8>, LinkError> {
    let (_, mut connection) = node.connection(0).await?;
    let mut scan = redis::cmd("SCAN");
    scan.arg(cursor)
        .arg("MATCH")
        .arg(pattern(prefix))
        .arg("COUNT")
        .arg(STEP);
    let Value::Array(reply) = ask(&mut connection, &scan).await? else {
        return Err(LinkError::Garbage("keys".to_owned()));
    };
    let [Value::BulkString(next), Value::Array(keys)] = &reply[..] else {
        return Err(LinkError::Garbage("keys".to_owned()));
    };
    let mut unlink = Pipeline::new();
    for key in keys {
        if let Value::BulkString(key) = key {
            // One at a time: in a cluster they are of many slots.
            unlink.cmd("UNLINK").arg(&key[..]);
        }
    }
    if !unlink.is_empty() {
        let count = unlink.len();
        let replies = connection
            .send_packed_commands(&unlink, 0, count)
            .await
            .map_err(refusal::broken)?;
        for reply in replies {
            match refusal::plain(Ok(reply)) {
                // A slot that has just moved takes its keys along; whoever has it now is asked as well.
                Ok(_) | Err(LinkError::IsCluster) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(next.clone())
}

/// A pattern of all that begins with `prefix`.
fn pattern(prefix: &[u8]) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(prefix.len() + 1);
    for byte in prefix {
        if b"*?[]\\^-".contains(byte) {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    pattern.push(b'*');
    pattern
}
