//! The store: checks become keys and arguments, one script call steps them where the states are, and what was found there
//! becomes the decision, by the same code that decides in memory.

mod late;
mod seldom;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use smallvec::SmallVec;
use tokio::task::AbortHandle;
use tollgate::algorithm::Charge;
use tollgate::decide::Stored;
use tollgate::store::{Answer, Checks, Outcome, Store, StoreError};
use tollgate::{
    Check, Clock, Decision, Micros, Policy, Reason, Receipt, State, SystemClock, decide,
};

use crate::away::Away;
use crate::keys::KeyNames;
use crate::link::{Link, LinkError, Stats};
use crate::location::{Kind, Location};
use crate::near::{Look, Near, NearStats, Probe};
use crate::question::Question;
use crate::reply::{Lacking, Reply};
use crate::scripts::{self, Kinds, Operation};
use crate::settings::{Settings, Time};
use seldom::Seldom;

/// States on a Redis or Valkey server, or on a cluster of them, which any number of processes share.
#[derive(Clone)]
pub struct RedisStore {
    shared: Arc<Shared>,
    /// Gives back what no request has use for.
    _returning: Arc<Returning>,
    tag: Option<Arc<[u8]>>,
}

struct Shared {
    link: Link,
    /// Who decides when the link fails.
    away: Away,
    names: KeyNames,
    time: Time,
    /// Whether all keys of a call must be of one slot.
    one_slot: bool,
    /// What is answered without asking; unused where tests hold the clock.
    near: Near,
    /// The longest that is waited for what another request hears.
    deadline: Duration,
    clock: SystemClock,
    /// The version of this node's rules, of which no policy is older.
    version: AtomicU64,
    /// By how many microseconds the server's clock is ahead of the callers', where a calendar once wanted to know.
    ahead: AtomicI64,
    /// When it is said in the log why decisions are made without the store.
    complaints: Seldom,
}

/// When a request came: its caller's reading, and the store's own at the same instant.
#[derive(Clone, Copy)]
struct Came {
    now: Micros,
    began: Micros,
}

/// Ends with the store.
struct Returning(Option<AbortHandle>);

impl Drop for Returning {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// How often is looked for units that no request has use for.
const RETURN_EVERY: Duration = Duration::from_millis(25);

/// A script cannot be asked more often for one decision: whatever it lacked, it has by then.
const CALLS_MAX: u32 = 3;

impl RedisStore {
    /// A store at `location`. It need not be there yet: until it is, decisions are made without it, as each policy says.
    /// Its connections live on the runtime that this is called on.
    ///
    /// # Errors
    /// What waiting does not mend: wrong passwords, missing permissions, no TLS, the wrong kind of server, settings of 0.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or on one without timers or I/O.
    pub async fn connect(location: Location, settings: Settings) -> Result<Self, LinkError> {
        let one_slot = location.kind == Kind::Cluster;
        let (names, time) = (KeyNames::new(&settings.prefix), settings.time);
        let deadline = settings.deadline;
        let (nodes, bytes_max) = (settings.nodes, settings.local_bytes_max);
        let link = Link::connect(location, settings).await?;
        let away = Away::new(nodes, bytes_max, Arc::clone(link.stats()));
        let shared = Arc::new(Shared {
            link,
            away,
            names,
            time,
            one_slot,
            near: Near::default(),
            deadline,
            clock: SystemClock::new(),
            version: AtomicU64::new(0),
            ahead: AtomicI64::new(0),
            complaints: Seldom::default(),
        });
        let returning = Arc::clone(&shared).return_unspent();
        let returning = (time == Time::Server).then(|| tokio::spawn(returning).abort_handle());
        Ok(RedisStore {
            shared,
            _returning: Arc::new(Returning(returning)),
            tag: None,
        })
    }

    /// What has been counted so far.
    pub fn stats(&self) -> &Stats {
        self.shared.link.stats()
    }

    /// What has been answered without asking.
    pub fn near_stats(&self) -> &NearStats {
        self.shared.near.stats()
    }

    /// Says that this node's rules are of a version: from now on no policy counts as older, whatever
    /// [its own](Policy::version) is. States that were written under a later version, by nodes with newer rules, are
    /// decided under the numbers that stand there; older ones move to those of the check. A version never falls: a lower
    /// one than before changes nothing.
    ///
    /// Two nodes of one version must have the same rules, and of two with different rules one must be the later:
    /// else each moves what is counted to its own numbers, and units come back.
    pub fn raise_version(&self, version: u64) {
        self.shared.version.fetch_max(version, Ordering::AcqRel);
    }

    /// The version of this node's rules; 0 where nothing was said.
    pub fn version(&self) -> u64 {
        self.shared.version.load(Ordering::Acquire)
    }

    /// The same store for decisions whose keys all have this hash tag, so that a cluster has them in one place. States
    /// with a tag and without one are different states, also of one key; without one, the tag is the key itself.
    #[must_use]
    pub fn tagged(&self, tag: &[u8]) -> Self {
        RedisStore {
            shared: Arc::clone(&self.shared),
            _returning: Arc::clone(&self._returning),
            tag: Some(tag.into()),
        }
    }

    fn question(&self, checks: &[Check<'_>], with_penalties: bool) -> Result<Question, Reason> {
        let Shared {
            names, one_slot, ..
        } = &*self.shared;
        Question::new(
            names,
            checks,
            with_penalties,
            self.tag.as_deref(),
            *one_slot,
            self.version(),
        )
    }
}

impl Shared {
    fn came(&self, now: Micros) -> Came {
        let began = self.clock.now();
        Came { now, began }
    }

    /// The caller's instant by now: a request may have waited. A clock that a test holds stands still.
    fn since(&self, came: Came) -> Micros {
        match self.time {
            Time::Server => came.now + self.clock.now().since(came.began),
            Time::Caller => came.now,
        }
    }

    /// Asks a script. Where values under its keys make no sense to it, they are forgotten, and it is asked once more; a
    /// peek forgets nothing.
    async fn ask(
        self: &Arc<Self>,
        operation: Operation,
        question: &mut Question,
        now: Micros,
    ) -> Result<Reply, LinkError> {
        match self.asked(operation, question, now).await {
            Err(LinkError::NotOurs(_)) if operation != Operation::Peek => {
                self.forget(question).await?;
                self.asked(operation, question, now).await
            }
            answered => answered,
        }
    }

    /// Forgets all cells of a question, whose values are not ours.
    async fn forget(&self, question: &Question) -> Result<(), LinkError> {
        let keys = question.keys.clone();
        self.link.count_garbage(keys.len() as u64);
        let forgotten = self.link.call(scripts::reset(), keys, Vec::new()).await;
        forgotten.map(drop)
    }

    /// Asks a script, and again with what it lacked: nothing has been written then.
    async fn asked(
        self: &Arc<Self>,
        operation: Operation,
        question: &mut Question,
        now: Micros,
    ) -> Result<Reply, LinkError> {
        let mut kinds = question.kinds;
        if self.time == Time::Caller {
            question.at(now);
        }
        let ahead = self.ahead.load(Ordering::Relaxed);
        question.with_windows_around(Micros(now.0.saturating_add_signed(ahead)));
        let mut failure = None;
        for _ in 0..CALLS_MAX {
            let sent = self.link.now();
            if self.is_near() && operation.takes() {
                question.not_after(self.link.latest(&question.keys[0], sent));
            }
            let (keys, arguments) = (question.keys.clone(), question.arguments.clone());
            let script = scripts::script(operation, kinds);
            let value = match operation.takes() && question.is_about_slots() {
                true => {
                    let late = self.late(operation, question);
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
    async fn after(
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
    async fn decide(
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
        let generation = self.near.generation(tag, &question.checks());
        let reply = self.ask(operation, question, now).await?;
        let heard = self.since(came);
        let mut found = reply.stored(question.policies());
        self.note_newer(question, &found);
        let checks = question.checks();
        let decision = decide::decide(&checks, &mut found, reply.now);
        if !self.agrees(&reply, decision.is_allowed()) {
            self.forget(question).await?;
            return Err(self.not_ours());
        }
        let granted = match decision.is_allowed() {
            true => decide::lease(&checks, &mut found, reply.now, &wanted),
            false => wanted.iter().map(|_| Charge::default()).collect(),
        };
        if self.is_near() {
            let when = (now, heard);
            let near = &self.near;
            near.learn_of(generation, tag, &checks, &decision, &granted, when);
            // A denial behind the end of a block begins the next one, so the store must hear of it.
            if let Some(end) = block_ends(&found[checks.len()..], reply.now) {
                let until = now + end.since(reply.now);
                self.near.end_denials_by(tag, &checks, until);
            }
        }
        Ok(decision)
    }

    async fn reserve(
        self: &Arc<Self>,
        question: &mut Question,
        now: Micros,
        until: Micros,
    ) -> Result<Result<(Micros, Receipt), Decision>, LinkError> {
        let reply = self.ask(Operation::Reserve, question, now).await?;
        let mut found = reply.stored(question.policies());
        let reserved = decide::reserve(&question.checks(), &mut found, reply.now, until);
        match self.agrees(&reply, reserved.is_ok()) {
            true => Ok(reserved),
            false => {
                self.forget(question).await?;
                Err(self.not_ours())
            }
        }
    }

    /// Counts decisions under the numbers of newer rules, and says once that there are some.
    fn note_newer(&self, question: &Question, found: &[Option<Stored>]) {
        if question.is_governed(found) && self.link.count_governed() == 0 {
            tracing::warn!(
                version = self.version.load(Ordering::Acquire),
                "a limit was decided under newer rules of another node: until this node has them too, theirs hold for what it shares"
            );
        }
    }

    fn is_near(&self) -> bool {
        self.time == Time::Server
    }

    /// Never ends.
    async fn return_unspent(self: Arc<Self>) {
        loop {
            tokio::time::sleep(RETURN_EVERY).await;
            for unspent in self.near.unspent(self.clock.now()) {
                let check = Check {
                    policy: &unspent.policy,
                    key: &unspent.key,
                    cost: 1,
                };
                let tag = unspent.tag.as_deref();
                let version = self.version.load(Ordering::Acquire);
                let question =
                    Question::new(&self.names, &[check], false, tag, self.one_slot, version);
                let Ok(question) = question else {
                    continue;
                };
                let receipt = Receipt::of([unspent.charge]);
                // What does not come back is lost until the lease would have ended.
                let mut question = question.charged(&receipt);
                let _ = self
                    .ask(Operation::Refund, &mut question, self.clock.now())
                    .await;
            }
        }
    }

    /// Counts an answer that makes no sense, or tells something else of a value than is read here.
    fn not_ours(&self) -> LinkError {
        let error = LinkError::NotOurs("an answer that no script of ours gives".to_owned());
        self.link.count_failed(&error);
        error
    }

    /// Who decides where a call has failed. Why is said once in a while; of a store that is away it has been said.
    fn without(&self, error: &LinkError) -> &Away {
        if *error != LinkError::Away && self.complaints.is_due(self.clock.now()) {
            tracing::warn!(%error, "decisions are made without the store");
        }
        &self.away
    }

    /// Counts values that were not ours, and tells whether the script has decided what the definition decides: it has not
    /// where a value means one thing to it and another here, which no value of ours does.
    fn agrees(&self, reply: &Reply, allowed: bool) -> bool {
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

fn failed(error: LinkError) -> StoreError {
    match error {
        LinkError::Timeout(_)
        | LinkError::Broken
        | LinkError::Garbage(_)
        | LinkError::Script(_)
        | LinkError::NotOurs(_) => StoreError::Unanswered(Box::new(error)),
        error => StoreError::Unavailable(Box::new(error)),
    }
}

/// Why a change of checks' states is not asked for.
fn refused(reason: Reason, checks: &[Check<'_>]) -> StoreError {
    match reason {
        Reason::Uncountable => {
            let is_own = |check: &&Check<'_>| check.policy.numbers().is_none();
            let policy = checks.iter().find(is_own);
            let name = policy.map_or_else(String::new, |check| check.policy.name().to_owned());
            StoreError::Uncountable(name)
        }
        _ => StoreError::KeysApart,
    }
}

impl Store for RedisStore {
    fn decide(&self, checks: &Checks<'_>, now: Micros) -> Outcome {
        if checks.is_empty() {
            return Answer::Ready(decide::decide(checks, &mut [], now));
        }
        let (shared, tag) = (Arc::clone(&self.shared), self.tag.clone());
        let look = match shared.is_near() {
            true => shared.near.look(tag.as_deref(), checks, now),
            false => Look::Ask(None),
        };
        if let Look::Answer(decision) = look {
            return Answer::Ready(decision);
        }
        let mut question = match self.question(checks, true) {
            Ok(question) => question,
            Err(reason) => return Answer::Ready(Decision::refused(reason, now)),
        };
        let came = shared.came(now);
        Answer::Pending(Box::pin(async move {
            // Dropped when the answer has been kept, or whoever asks is gone.
            let _probe = match shared.after(look, &question, tag.as_deref(), came).await {
                Ok(decision) => return decision,
                Err(probe) => probe,
            };
            match shared.decide(&mut question, tag.as_deref(), came).await {
                Ok(decision) => decision,
                Err(error) => shared.without(&error).decide(&question.checks(), now),
            }
        }))
    }

    fn peek(&self, checks: &Checks<'_>, now: Micros) -> Outcome {
        if checks.is_empty() {
            return Answer::Ready(decide::peek(checks, &[], now));
        }
        let mut question = match self.question(checks, true) {
            Ok(question) => question,
            Err(reason) => return Answer::Ready(Decision::refused(reason, now)),
        };
        let shared = Arc::clone(&self.shared);
        Answer::Pending(Box::pin(async move {
            match shared.ask(Operation::Peek, &mut question, now).await {
                Ok(reply) => {
                    let found = reply.stored(question.policies());
                    decide::peek(&question.checks(), &found, reply.now)
                }
                Err(error) => shared.without(&error).peek(&question.checks(), now),
            }
        }))
    }

    fn refund(
        &self,
        checks: &Checks<'_>,
        receipt: &Receipt,
        now: Micros,
    ) -> Answer<Result<u64, StoreError>> {
        if checks.is_empty() {
            return Answer::Ready(Ok(0));
        }
        if receipt.is_degraded() {
            return Answer::Ready(Ok(self.shared.away.refund(checks, receipt, now)));
        }
        let mut question = match self.question(checks, false) {
            Ok(question) => question.charged(receipt),
            Err(reason) => return Answer::Ready(Err(refused(reason, checks))),
        };
        let (shared, tag) = (Arc::clone(&self.shared), self.tag.clone());
        Answer::Pending(Box::pin(async move {
            let reply = shared.ask(Operation::Refund, &mut question, now).await;
            shared
                .near
                .forget_denials(tag.as_deref(), &question.checks());
            reply.map(|reply| reply.result.unwrap_or(0)).map_err(failed)
        }))
    }

    fn release(&self, checks: &Checks<'_>, now: Micros) -> Answer<Result<u64, StoreError>> {
        if checks.is_empty() {
            return Answer::Ready(Ok(0));
        }
        let mut question = match self.question(checks, false) {
            Ok(question) => question,
            Err(reason) => return Answer::Ready(Err(refused(reason, checks))),
        };
        let (shared, tag) = (Arc::clone(&self.shared), self.tag.clone());
        Answer::Pending(Box::pin(async move {
            let reply = shared.ask(Operation::Release, &mut question, now).await;
            shared
                .near
                .forget_denials(tag.as_deref(), &question.checks());
            reply.map(|reply| reply.result.unwrap_or(0)).map_err(failed)
        }))
    }

    fn settle(
        &self,
        checks: &Checks<'_>,
        receipt: &Receipt,
        now: Micros,
    ) -> Answer<Result<(), StoreError>> {
        if checks.is_empty() {
            return Answer::Ready(Ok(()));
        }
        if receipt.is_degraded() {
            self.shared.away.settle(checks, receipt, now);
            return Answer::Ready(Ok(()));
        }
        let mut question = match self.question(checks, false) {
            Ok(question) => question.charged(receipt),
            Err(reason) => return Answer::Ready(Err(refused(reason, checks))),
        };
        let (shared, tag) = (Arc::clone(&self.shared), self.tag.clone());
        Answer::Pending(Box::pin(async move {
            let reply = shared.ask(Operation::Settle, &mut question, now).await;
            shared
                .near
                .forget_denials(tag.as_deref(), &question.checks());
            reply.map(|_| ()).map_err(failed)
        }))
    }

    fn reserve(
        &self,
        checks: &Checks<'_>,
        now: Micros,
        until: Micros,
    ) -> Answer<Result<(Micros, Receipt), Decision>> {
        if checks.is_empty() {
            return Answer::Ready(decide::reserve(checks, &mut [], now, until));
        }
        let mut question = match self.question(checks, true) {
            Ok(question) => question.until(until),
            Err(reason) => return Answer::Ready(Err(Decision::refused(reason, now))),
        };
        let shared = Arc::clone(&self.shared);
        Answer::Pending(Box::pin(async move {
            match shared.reserve(&mut question, now, until).await {
                Ok(reserved) => reserved,
                Err(error) => shared
                    .without(&error)
                    .reserve(&question.checks(), now, until),
            }
        }))
    }

    fn reset(&self, policy: &Policy, key: &[u8]) -> Answer<Result<bool, StoreError>> {
        let policy = Arc::new(policy.clone());
        let check = Check {
            policy: &policy,
            key,
            cost: 0,
        };
        let names = &self.shared.names;
        let keys = decide::cells(&[check])
            .iter()
            .map(|cell| names.of(cell, self.tag.as_deref()))
            .collect();
        let (shared, tag, key) = (Arc::clone(&self.shared), self.tag.clone(), key.to_vec());
        Answer::Pending(Box::pin(async move {
            let value = shared.link.call(scripts::reset(), keys, Vec::new()).await;
            shared.near.forget(tag.as_deref(), &policy, &key);
            match value.map_err(failed)? {
                redis::Value::Int(forgotten) => Ok(forgotten > 0),
                _ => Err(failed(shared.not_ours())),
            }
        }))
    }

    fn reset_all(&self, policy: &Policy) -> Answer<Result<(), StoreError>> {
        let policy = Arc::new(policy.clone());
        let check = Check {
            policy: &policy,
            key: b"",
            cost: 0,
        };
        let prefix = |cell: &Check<'_>| self.shared.names.of_all(cell.policy.name());
        let prefixes: Vec<String> = decide::cells(&[check]).iter().map(prefix).collect();
        let shared = Arc::clone(&self.shared);
        Answer::Pending(Box::pin(async move {
            let mut forgotten = Ok(());
            for prefix in prefixes {
                forgotten = forgotten.and(shared.link.forget(prefix.as_bytes()).await);
            }
            shared.near.forget_all(&policy);
            forgotten.map_err(failed)
        }))
    }
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStore").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
