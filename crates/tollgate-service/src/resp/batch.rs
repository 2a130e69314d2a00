//! Questions of one pipeline: decided together, in their order, and answered with one write.

use std::sync::Arc;

use futures_util::future::join_all;
use smallvec::SmallVec;
use tollgate::key::CompositeKey;
use tollgate::store::Answer;
use tollgate::{Check, Checks, Decision, Micros, Outcome, Policy, Reason};
use tollgate_gateway::Counters;

use super::reply::Replies;
use super::throttle::{self, Style};
use super::told;
use crate::Service;
use crate::metrics::{Protocol, Tally};
use crate::quotas::{Numbers, NumbersError};
use crate::service::{self, Named};

/// Questions that are decided together at most.
pub(super) const BATCH_MAX: usize = 1_024;

/// Questions that there is room for before any has come.
const USUAL: usize = 16;

/// How many of the last different quotas are compared before the table is asked.
const LAST: usize = 4;

/// A question whose answer is owed.
enum Question<'s> {
    /// With numbers of the client's.
    Throttle {
        policy: Arc<Policy>,
        key: CompositeKey,
        cost: u64,
        style: Style,
    },
    /// On a limit of the rules.
    Named { named: Named<'s>, charge: bool },
}

/// Questions whose answers are owed, in their order.
pub(super) struct Batch<'s> {
    service: &'s Service,
    questions: Vec<Question<'s>>,
    last: SmallVec<[(Numbers, Arc<Policy>); LAST]>,
}

impl<'s> Batch<'s> {
    pub(super) fn new(service: &'s Service) -> Self {
        Batch {
            service,
            questions: Vec::with_capacity(USUAL),
            last: SmallVec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.questions.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.questions.len() >= BATCH_MAX
    }

    /// Adds a question with numbers of the client's.
    pub(super) fn throttle(
        &mut self,
        asked: &throttle::Asked<'_>,
        now: Micros,
    ) -> Result<(), NumbersError> {
        let policy = self.policy(asked.numbers, now)?;
        self.questions.push(Question::Throttle {
            policy,
            key: throttle::key(asked.key),
            cost: asked.cost,
            style: asked.style,
        });
        Ok(())
    }

    /// Adds a question on a limit of the rules.
    pub(super) fn named(&mut self, named: Named<'s>, charge: bool) {
        self.questions.push(Question::Named { named, charge });
    }

    fn policy(&mut self, numbers: Numbers, now: Micros) -> Result<Arc<Policy>, NumbersError> {
        if let Some((_, policy)) = self.last.iter().find(|(last, _)| *last == numbers) {
            return Ok(Arc::clone(policy));
        }
        let policy = self.service.quotas.policy(numbers, now)?;
        if self.last.len() == LAST {
            self.last.remove(0);
        }
        self.last.push((numbers, Arc::clone(&policy)));
        Ok(policy)
    }

    /// Decides all that are owed and writes the answers.
    pub(super) async fn answer(&mut self, now: Micros, replies: &mut Replies<'_>) {
        if self.questions.is_empty() {
            return;
        }
        let decisions = match &self.service.counters {
            Counters::Memory(store) => self.in_memory(store, now),
            counters @ Counters::Shared(_) => {
                let outcomes = self
                    .questions
                    .iter()
                    .map(|question| question.ask(counters, now));
                join_all(outcomes).await
            }
        };
        let mut tally = Tally::default();
        for (question, decision) in self.questions.drain(..).zip(&decisions) {
            tally.add(decision);
            match question {
                Question::Throttle { style, .. } => throttle::reply(style, decision, replies),
                Question::Named { named, .. } => told::reply(&named, decision, replies),
            }
        }
        self.service.metrics.decisions(Protocol::Resp, tally);
    }

    fn in_memory(&self, store: &tollgate::MemoryStore, now: Micros) -> Vec<Decision> {
        let mut decisions = Vec::with_capacity(self.questions.len());
        let mut run: Vec<Check<'_>> = Vec::with_capacity(self.questions.len());
        for question in &self.questions {
            match question {
                Question::Throttle {
                    policy, key, cost, ..
                } if key.as_ref().len() <= tollgate::key::KEY_BYTES_MAX => run.push(Check {
                    policy,
                    key: key.as_ref(),
                    cost: *cost,
                }),
                question => {
                    store.decide_batch(&run, now, &mut decisions);
                    run.clear();
                    let outcome = question.ask(&self.service.counters, now);
                    decisions.push(match outcome {
                        Answer::Ready(decision) => decision,
                        // Memory has every answer at hand.
                        Answer::Pending(_) => Decision::refused(Reason::StoreClosed, now),
                    });
                }
            }
        }
        store.decide_batch(&run, now, &mut decisions);
        decisions
    }
}

impl Question<'_> {
    /// Asks the store for this one alone.
    fn ask(&self, counters: &Counters, now: Micros) -> Outcome {
        let mut throttled = Checks::new();
        let checks = match self {
            Question::Throttle {
                policy, key, cost, ..
            } => throttled
                .push(Check {
                    policy,
                    key: key.as_ref(),
                    cost: *cost,
                })
                .map(|()| throttled),
            Question::Named { named, .. } => service::checks(std::slice::from_ref(named)),
        };
        match (checks, self) {
            (Err(reason), _) => Answer::Ready(Decision::refused(reason, now)),
            (Ok(checks), Question::Named { charge: false, .. }) => counters.peek(&checks, now),
            (Ok(checks), _) => counters.decide(&checks, now),
        }
    }
}
