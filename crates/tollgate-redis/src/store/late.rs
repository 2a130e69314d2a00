//! Slots that were taken when nobody waited for them any more: they are given back.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use redis::Value;
use tollgate::algorithm::Charge;
use tollgate::{Micros, Receipt, decide};

use super::shared::Shared;
use crate::link::Late;
use crate::question::Question;
use crate::reply::Reply;
use crate::scripts::{self, Operation};

impl Shared {
    /// What is done about a late answer to `question`.
    pub(super) fn late(self: &Arc<Self>, operation: Operation, question: &Question) -> Late {
        let (shared, question) = (Arc::clone(self), question.clone());
        Box::new(move |value| Box::pin(shared.give_back_late(operation, question, value)))
    }

    async fn give_back_late(
        self: Arc<Self>,
        operation: Operation,
        question: Question,
        value: Value,
    ) {
        let Some(receipt) = slots_of(operation, &question, value) else {
            return;
        };
        let question = question.to_give_back(&receipt);
        let script = scripts::script(Operation::Refund, question.kinds);
        let given = self.link.call(script, question.keys, question.arguments);
        // Slots that do not come back are held until their time is up.
        if let Some(reply) = given.await.ok().and_then(Reply::read) {
            let slots = reply.result.unwrap_or(0);
            self.link.stats().late_slots.fetch_add(slots, Relaxed);
        }
    }
}

/// The slots that an answer says were taken, and nothing else that was.
fn slots_of(operation: Operation, question: &Question, value: Value) -> Option<Receipt> {
    let reply = Reply::read(value)?;
    if reply.result.ok()? % 2 == 0 {
        return None;
    }
    let mut found = reply.stored(question.policies());
    let checks = question.checks();
    let receipt = match operation {
        // It was in time for the script.
        Operation::Reserve => decide::reserve(&checks, &mut found, reply.now, Micros(u64::MAX))
            .map(|(_, receipt)| receipt)
            .ok(),
        _ => decide::decide(&checks, &mut found, reply.now).receipt(),
    }?;
    let charges = checks.iter().zip(receipt.charges());
    let slots = charges.map(|(check, charge)| match check.policy.holds_slots() {
        true => *charge,
        false => Charge::default(),
    });
    Some(Receipt::of(slots))
}
