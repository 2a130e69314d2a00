//! Giving back units that were held in advance and that no request has had use for.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;
use tollgate::{Check, Clock, Receipt};

use super::shared::Shared;
use crate::near::Unspent;
use crate::scripts::Operation;

/// How often is looked for them.
const RETURN_EVERY: Duration = Duration::from_millis(25);

/// Calls that give units back at one time. What is beyond stays with this node, which may still spend it.
pub(super) const RETURNS_MAX: usize = 64;

impl Shared {
    /// Never ends; when it is dropped, so are the calls that are under way.
    pub(super) async fn return_unspent(self: Arc<Self>) {
        let mut returns = JoinSet::new();
        loop {
            tokio::time::sleep(RETURN_EVERY).await;
            loop {
                while returns.try_join_next().is_some() {}
                if returns.len() == RETURNS_MAX {
                    returns.join_next().await;
                }
                let Some(unspent) = self.near.unspent(self.clock.now()) else {
                    break;
                };
                returns.spawn(Arc::clone(&self).give_back(unspent));
            }
        }
    }

    /// What does not come back is lost until the lease would have ended.
    async fn give_back(self: Arc<Self>, unspent: Unspent) {
        let check = Check {
            policy: &unspent.policy,
            key: &unspent.key,
            cost: 1,
        };
        let version = self.version.load(Ordering::Acquire);
        let question = self.question(&[check], false, unspent.tag.as_deref(), version);
        let Ok(question) = question else {
            return;
        };
        if !self.near.is_charged(&unspent) {
            return;
        }
        let receipt = Receipt::of([unspent.charge]);
        let mut question = question.charged(&receipt);
        let came = self.came(self.clock.now());
        let _ = self.ask(Operation::Refund, &mut question, came).await;
    }
}
