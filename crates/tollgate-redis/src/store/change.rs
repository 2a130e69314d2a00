//! Changes of what keys have used: what this node holds for them is forgotten however the call ends, also where whoever
//! asked has gone before the answer.

use std::sync::Arc;

use super::shared::Shared;
use crate::question::Question;

/// Does this when it is dropped.
pub(super) struct Afterwards<F: Fn()>(pub(super) F);

impl<F: Fn()> Drop for Afterwards<F> {
    fn drop(&mut self) {
        self.0();
    }
}

/// A question that gives units back: when it is dropped, denials of its keys are forgotten.
pub(super) struct GivesBack {
    pub(super) shared: Arc<Shared>,
    pub(super) tag: Option<Arc<[u8]>>,
    pub(super) question: Question,
}

impl Drop for GivesBack {
    fn drop(&mut self) {
        let (near, checks) = (&self.shared.near, self.question.checks());
        near.forget_denials(self.tag.as_deref(), &checks);
    }
}
