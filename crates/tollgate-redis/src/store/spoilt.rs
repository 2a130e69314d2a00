//! Values that are none of ours, where they keep a decision from being made: they are forgotten, and the states of the
//! request's other limits stay.

use std::sync::Arc;

use tollgate::Clock;

use super::shared::Shared;
use crate::error::LinkError;
use crate::question::Question;
use crate::reply::Reply;
use crate::scripts::{self, Kinds, Operation};

impl Shared {
    /// After a script has decided something else than the definition, of what `reply` says it found.
    pub(super) async fn disagrees(
        &self,
        question: &Question,
        reply: &Reply,
    ) -> Result<(), LinkError> {
        match reply.spoilt(question.policies()).next() {
            Some(_) => self.forget_spoilt(question).await,
            None => self.forget_all(question).await,
        }
    }

    /// Forgets the values of a question that are none of ours, as they now stand there.
    pub(super) async fn forget_spoilt(&self, question: &Question) -> Result<(), LinkError> {
        // It tells what is there, and looks into nothing.
        let script = scripts::script(Operation::Peek, Kinds::default());
        let (keys, arguments) = (question.keys.clone(), question.arguments_at_any_time());
        let value = self.link.call(script, keys, arguments).await?;
        let reply = Reply::read(value).ok_or_else(|| self.not_ours())?;
        let spoilt = reply.spoilt(question.policies());
        let (keys, values): (Vec<_>, Vec<_>) = spoilt
            .map(|(place, value)| (question.keys[place].clone(), value.to_vec()))
            .unzip();
        if keys.is_empty() {
            return Ok(());
        }
        match self.link.call(scripts::forget(), keys, values).await? {
            redis::Value::Int(forgotten) => {
                self.link.count_garbage(forgotten.unsigned_abs());
                Ok(())
            }
            _ => Err(self.not_ours()),
        }
    }

    /// The same, beside a decision that stands: the script has decided what the definition decides, and has charged it, so
    /// that whoever asked has their answer however this ends. One at a time: what is left over is met by the next decision.
    pub(super) fn forget_spoilt_beside(self: &Arc<Self>, question: &Question) {
        let Ok(place) = Arc::clone(&self.forgetting).try_acquire_owned() else {
            return;
        };
        let (shared, question) = (Arc::clone(self), question.clone());
        self.link.beside(async move {
            let forgotten = shared.forget_spoilt(&question).await;
            drop(place);
            let Err(error) = forgotten else {
                return;
            };
            if error != LinkError::Away && shared.forgetting_complaints.is_due(shared.clock.now()) {
                tracing::warn!(%error, "a value that is none of ours could not be forgotten");
            }
        });
    }

    /// Forgets all cells of a question: one of them makes no sense to scripts, and nothing tells which.
    pub(super) async fn forget_all(&self, question: &Question) -> Result<(), LinkError> {
        let keys = question.keys.clone();
        self.link.count_garbage(keys.len() as u64);
        let forgotten = self.link.call(scripts::reset(), keys, Vec::new()).await;
        forgotten.map(drop)
    }
}
