//! The way of one request: what is known here, one call of a script, what was found there.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use smallvec::SmallVec;
use tokio::sync::Semaphore;
use tollgate::algorithm::Charge;
use tollgate::decide::Stored;
use tollgate::{Check, Clock, Decision, Micros, Reason, Receipt, State, SystemClock, decide};

use super::seldom::Seldom;
use crate::away::Away;
use crate::error::LinkError;
use crate::keys::KeyNames;
use crate::link::Link;
use crate::near::{Look, Near, Probe};
use crate::question::Question;
use crate::reply::{Lacking, Reply};
use crate::scripts::{self, Kinds, Operation};
use crate::settings::Time;

/// A script cannot be asked more often for one decision: of the three things that it may have lacked, it has all by then.
const CALLS_MAX: u32 = 4;

/// What all clones of a store have in common.
pub(super) struct Shared {
    pub(super) link: Link,
    /// Who decides when the link fails.
    pub(super) away: Away,
    pub(super) names: KeyNames,
    pub(super) time: Time,
    /// Whether all keys of a call must be of one slot.
    pub(super) one_slot: bool,
    /// What is answered without asking; unused where tests hold the clock.
    pub(super) near: Near,
    /// The longest that is waited for what another request hears.
    pub(super) deadline: Duration,
    pub(super) clock: SystemClock,
    /// The version of this node's rules.
    pub(super) version: Arc<AtomicU64>,
    /// By how many microseconds the server's clock is ahead of the callers', where a calendar once wanted to know.
    pub(super) ahead: AtomicI64,
    /// When it is said in the log why decisions are made without the store.
    pub(super) complaints: Seldom,
    /// The place of who forgets values that are none of ours beside the decisions that met them.
    pub(super) forgetting: Arc<Semaphore>,
    /// When it is said in the log why such values are not forgotten.
    pub(super) forgetting_complaints: Seldom,
}

/// When a request came: its caller's reading, and the store's own at the same instant; and for how long its caller waits,
/// if not for as long as a call may take.
#[derive(Clone, Copy)]
pub(super) struct Came {
    pub(super) now: Micros,
    pub(super) began: Micros,
    pub(super) time: Option<Duration>,
}

impl Shared {
    pub(super) fn question(
        &self,
        checks: &[Check<'_>],
        with_penalties: bool,
        tag: Option<&[u8]>,
        version: u64,
    ) -> Result<Question, Reason> {
        let (names, one_slot) = (&self.names, self.one_slot);
        Question::new(names, checks, with_penalties, tag, one_slot, version)
    }

    pub(super) fn came(&self, now: Micros) -> Came {
        let (began, time) = (self.clock.now(), None);
        Came { now, began, time }
    }

    /// For how long, from now on, the answer to a call is of use.
    fn left(&self, came: Came) -> Duration {
        let left = |time: Duration| time.saturating_sub(self.clock.now().since(came.began));
        came.time.map_or(self.deadline, left).min(self.deadline)
    }

    /// What comes of it while its caller waits. A call that is on its way then is seen through by the link.
    pub(super) async fn in_time<T>(
        &self,
        came: Came,
        asks: impl Future<Output = Result<T, LinkError>>,
    ) -> Result<T, LinkError> {
        match came.time {
            None => asks.await,
            // A server that is asked all the same may be quick enough to take units for nobody.
            Some(Duration::ZERO) => Err(LinkError::Timeout(Duration::ZERO)),
            Some(time) => {
                let asked = tokio::time::timeout(time, asks).await;
                asked.unwrap_or(Err(LinkError::Timeout(time)))
            }
        }
    }

    /// The caller's instant by now: a request may have waited. A clock that a test holds stands still.
    pub(super) fn since(&self, came: Came) -> Micros {
        match self.time {
            Time::Server => came.now + self.clock.now().since(came.began),
            Time::Caller => came.now,
        }
    }

    /// Asks a script. Where a value under its keys makes no sense to it, that is forgotten, and it is asked once more; a
    /// peek forgets nothing.
    pub(super) async fn ask(
        self: &Arc<Self>,
        operation: Operation,
        question: &mut Question,
        came: Came,
    ) -> Result<Reply, LinkError> {
        let asked = self.asked(operation, question, came).await;
        if operation == Operation::Peek || !matches!(asked, Err(LinkError::NotOurs(_))) {
            return asked;
        }
        self.forget_spoilt(question).await?;
        let asked = self.asked(operation, question, came).await;
        if !matches!(asked, Err(LinkError::NotOurs(_))) {
            return asked;
        }
        self.forget_all(question).await?;
        self.asked(operation, question, came).await
    }

    /// Asks a script, and again with what it lacked: nothing has been written then.
    pub(super) async fn asked(
        self: &Arc<Self>,
        operation: Operation,
        question: &mut Question,
        came: Came,
    ) -> Result<Reply, LinkError> {
        let (mut kinds, now) = (question.kinds, self.since(came));
        if self.time == Time::Caller {
            question.at(now);
        }
        let ahead = self.ahead.load(Ordering::Relaxed);
        question.with_windows_around(Micros(now.0.saturating_add_signed(ahead)));
        let mut failure = None;
        for _ in 0..CALLS_MAX {
            let sent = self.link.now();
            if self.is_near() && operation.takes() {
                let clock = self.link.server_clock(&question.keys[0], sent);
                question.not_after(clock.map(|sent| sent + self.left(came)));
            }
            let (keys, arguments) = (question.keys.clone(), question.arguments.clone());
            let script = scripts::script(operation, kinds);
            let takes_slots = operation.takes() && question.is_about_slots();
            let late = takes_slots.then(|| self.late(operation, question));
            let value = match takes_slots || came.time.is_some() {
                true => {
                    self.link
                        .call_through(script, keys, arguments, late)
                        .await?
                }
                false => self.link.call(script, keys, arguments).await?,
            };
            let reply = Reply::read(value).ok_or_else(|| self.not_ours())?;
            if self.is_near() {
                self.link.heard_time(&question.keys[0], sent, reply.now);
            }
            match reply.result {
                Ok(_) => return Ok(reply),
                Err(Lacking::Algorithm) => kinds = Kinds::ALL,
                Err(Lacking::WindowEnd) => {
                    let ahead = reply.now.0.cast_signed().wrapping_sub(now.0.cast_signed());
                    self.ahead.store(ahead, Ordering::Relaxed);
                    question.with_windows_around(reply.now);
                }
                // It is still waited for here: the server's clock has been set forward, as is known by now.
                Err(Lacking::Time) => failure = Some(LinkError::Timeout(self.deadline)),
            }
        }
        Err(failure.unwrap_or_else(|| self.not_ours()))
    }

    /// Waits for what others hear who ask the same, and tells what follows from that, or who is to ask.
    pub(super) async fn after(
        &self,
        mut look: Look,
        question: &Question,
        tag: Option<&[u8]>,
        came: Came,
    ) -> Result<Decision, Option<Probe>> {
        // All waits together are no longer than a call.
        let patience = tokio::time::sleep(self.deadline);
        tokio::pin!(patience);
        loop {
            match look {
                Look::Answer(decision) => return Ok(decision),
                Look::Ask(probe) => return Err(probe),
                Look::Wait(heard) => {
                    tokio::select! {
                        // It is closed in the end, and never gives a permit.
                        _ = heard.acquire() => {}
                        () = &mut patience => return Err(None),
                    }
                    let now = self.since(came);
                    look = self.near.look(tag, &question.checks(), now);
                }
            }
        }
    }

    /// Decides, and takes units in advance that there is use for.
    pub(super) async fn decide(
        self: &Arc<Self>,
        question: &mut Question,
        tag: Option<&[u8]>,
        came: Came,
    ) -> Result<Decision, LinkError> {
        let now = self.since(came);
        let wanted = match self.is_near() {
            true => self.near.wants(tag, &question.checks(), now),
            false => SmallVec::new(),
        };
        let mut operation = Operation::Decide;
        if !wanted.is_empty() {
            operation = Operation::Lease;
            question.want(&wanted);
        }
        let asked = self.near.asks(tag, &question.checks(), &wanted, now);
        let reply = self.ask(operation, question, came).await?;
        let heard = self.since(came);
        let mut found = reply.stored(question.policies());
        self.note_newer(question, &found);
        let has_spoilt = reply.has_spoilt(&found, question.policies());
        let checks = question.checks();
        let decision = decide::decide(&checks, &mut found, reply.now);
        if !self.agrees(&reply, decision.is_allowed()) {
            self.disagrees(question, &reply).await?;
            return Err(self.not_ours());
        }
        let mut granted = match decision.is_allowed() {
            true => decide::lease(&checks, &mut found, reply.now, &wanted),
            false => wanted.iter().map(|_| Charge::default()).collect(),
        };
        if has_spoilt {
            // What was charged there is forgotten with the value, and may be less than is read here.
            for (place, _) in reply.spoilt(question.policies()) {
                if let Some(granted) = granted.get_mut(place) {
                    *granted = Charge::default();
                }
            }
            self.forget_spoilt_beside(question);
        }
        if self.is_near() {
            let when = (asked, heard);
            self.near.learn(tag, &checks, &decision, &granted, when);
            // A denial behind the end of a block begins the next one, so the store must hear of it.
            if let Some(end) = block_ends(&found[checks.len()..], reply.now) {
                let until = now + end.since(reply.now);
                self.near.end_denials_by(tag, &checks, until);
            }
        }
        Ok(decision)
    }

    pub(super) async fn reserve(
        self: &Arc<Self>,
        question: &mut Question,
        now: Micros,
        until: Micros,
    ) -> Result<Result<(Micros, Receipt), Decision>, LinkError> {
        let came = self.came(now);
        let reply = self.ask(Operation::Reserve, question, came).await?;
        let mut found = reply.stored(question.policies());
        let reserved = decide::reserve(&question.checks(), &mut found, reply.now, until);
        match self.agrees(&reply, reserved.is_ok()) {
            true => Ok(reserved),
            false => {
                self.disagrees(question, &reply).await?;
                Err(self.not_ours())
            }
        }
    }

    /// Counts decisions under the numbers of newer rules, and says once that there are some.
    pub(super) fn note_newer(&self, question: &Question, found: &[Option<Stored>]) {
        if question.is_governed(found) && self.link.count_governed() == 0 {
            tracing::warn!(
                version = self.version.load(Ordering::Acquire),
                "a limit was decided under newer rules of another node: until this node has them too, theirs hold for what it shares"
            );
        }
    }

    pub(super) fn is_near(&self) -> bool {
        self.time == Time::Server
    }

    /// Counts an answer that makes no sense, or tells something else of a value than is read here.
    pub(super) fn not_ours(&self) -> LinkError {
        let error = LinkError::NotOurs("an answer that no script of ours gives".to_owned());
        self.link.count_failed(&error);
        error
    }

    /// Who decides where a call has failed. Why is said once in a while; of a store that is away it has been said.
    pub(super) fn without(&self, error: &LinkError) -> &Away {
        if *error != LinkError::Away && self.complaints.is_due(self.clock.now()) {
            tracing::warn!(%error, "decisions are made without the store");
        }
        &self.away
    }

    /// Counts values that were not ours, and tells whether the script has decided what the definition decides: it has not
    /// where a value means one thing to it and another here, which no value of ours does.
    pub(super) fn agrees(&self, reply: &Reply, allowed: bool) -> bool {
        let result = reply.result.unwrap_or_default();
        self.link.count_garbage(result / 2);
        (result % 2 == 1) == allowed
    }
}

/// When the first of these blocks ends that hold a key off at `now`.
fn block_ends(blocks: &[Option<decide::Stored>], now: Micros) -> Option<Micros> {
    let ends = blocks
        .iter()
        .flatten()
        .filter_map(|block| match block.state {
            State::Pair(end, _) => Some(Micros(end)),
            _ => None,
        });
    ends.filter(|end| *end > now).min()
}
