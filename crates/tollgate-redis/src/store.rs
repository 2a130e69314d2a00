//! The store: checks become keys and arguments, one script call steps them where the states are, and what was found there
//! becomes the decision, by the same code that decides in memory.

mod change;
mod late;
mod returning;
mod seldom;
mod shared;
mod spoilt;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tollgate::store::{Answer, Checks, Outcome, Store, StoreError};
use tollgate::{Check, Decision, Micros, Policy, Reason, Receipt, SystemClock, decide};

use crate::away::Away;
use crate::error::LinkError;
use crate::keys::KeyNames;
use crate::link::{Link, Stats};
use crate::location::{Kind, Location};
use crate::near::{Look, Near, NearStats};
use crate::question::Question;
use crate::scripts::{self, Operation};
use crate::settings::{Settings, Time};
use change::{Afterwards, GivesBack};
use seldom::Seldom;
use shared::{Came, Shared};

/// States on a Redis or Valkey server, or on a cluster of them, which any number of processes share.
#[derive(Clone)]
pub struct RedisStore {
    shared: Arc<Shared>,
    /// Gives back what no request has use for.
    _returning: Arc<Returning>,
    tag: Option<Arc<[u8]>>,
    /// The version of the rules of those who ask, of which no policy is older.
    version: Arc<AtomicU64>,
}

/// Ends with the store.
struct Returning(Option<AbortHandle>);

impl Drop for Returning {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

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
        let version = Arc::new(AtomicU64::new(0));
        let shared = Arc::new(Shared {
            link,
            away,
            names,
            time,
            one_slot,
            near: Near::default(),
            deadline,
            clock: SystemClock::new(),
            version: Arc::clone(&version),
            ahead: AtomicI64::new(0),
            complaints: Seldom::default(),
            forgetting: Arc::new(Semaphore::new(1)),
            forgetting_complaints: Seldom::default(),
        });
        let returning = Arc::clone(&shared).return_unspent();
        let returning = (time == Time::Server).then(|| tokio::spawn(returning).abort_handle());
        Ok(RedisStore {
            shared,
            _returning: Arc::new(Returning(returning)),
            tag: None,
            version,
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
        self.version.fetch_max(version, Ordering::AcqRel);
    }

    /// The version of this node's rules; 0 where nothing was said.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The same store with a version of its own, which begins as this one's is: raising one leaves the other. For rules
    /// that change while requests are under way: whoever has taken the old ones asks the store that goes with them.
    #[must_use]
    pub fn with_own_version(&self) -> Self {
        RedisStore {
            version: Arc::new(AtomicU64::new(self.version())),
            ..self.clone()
        }
    }

    /// The same store for decisions whose keys all have this hash tag, so that a cluster has them in one place. States
    /// with a tag and without one are different states, also of one key; without one, the tag is the key itself.
    #[must_use]
    pub fn tagged(&self, tag: &[u8]) -> Self {
        RedisStore {
            tag: Some(tag.into()),
            ..self.clone()
        }
    }

    /// Decides, for whoever waits for no longer than `time`, if that is said.
    fn decided(&self, checks: &Checks<'_>, now: Micros, time: Option<Duration>) -> Outcome {
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
        let came = Came {
            time,
            ..shared.came(now)
        };
        Answer::Pending(Box::pin(async move {
            let asks = async {
                // Dropped when the answer has been kept, or whoever asks is gone.
                let _probe = match shared.after(look, &question, tag.as_deref(), came).await {
                    Ok(decision) => return Ok(decision),
                    Err(probe) => probe,
                };
                shared.decide(&mut question, tag.as_deref(), came).await
            };
            match shared.in_time(came, asks).await {
                Ok(decision) => decision,
                Err(error) => shared.without(&error).decide(&question.checks(), now),
            }
        }))
    }

    /// The same, changing nothing.
    fn peeked(&self, checks: &Checks<'_>, now: Micros, time: Option<Duration>) -> Outcome {
        if checks.is_empty() {
            return Answer::Ready(decide::peek(checks, &[], now));
        }
        let mut question = match self.question(checks, true) {
            Ok(question) => question,
            Err(reason) => return Answer::Ready(Decision::refused(reason, now)),
        };
        let shared = Arc::clone(&self.shared);
        let came = Came {
            time,
            ..shared.came(now)
        };
        Answer::Pending(Box::pin(async move {
            let asks = shared.ask(Operation::Peek, &mut question, came);
            match shared.in_time(came, asks).await {
                Ok(reply) => {
                    let found = reply.stored(question.policies());
                    decide::peek(&question.checks(), &found, reply.now)
                }
                Err(error) => shared.without(&error).peek(&question.checks(), now),
            }
        }))
    }

    /// Asks for an operation that takes units out of the keys, those of a receipt or whosever they are, and tells how many
    /// they were.
    fn take_out(
        &self,
        operation: Operation,
        checks: &Checks<'_>,
        receipt: Option<&Receipt>,
        now: Micros,
    ) -> Answer<Result<u64, StoreError>> {
        if checks.is_empty() {
            return Answer::Ready(Ok(0));
        }
        let question = match self.question(checks, false) {
            Ok(question) => question,
            Err(reason) => return Answer::Ready(Err(refused(reason, checks))),
        };
        let question = match receipt {
            Some(receipt) => question.charged(receipt),
            None => question,
        };
        let (shared, tag) = (Arc::clone(&self.shared), self.tag.clone());
        Answer::Pending(Box::pin(async move {
            let mut asked = GivesBack {
                shared: Arc::clone(&shared),
                tag,
                question,
            };
            let came = shared.came(now);
            let asks = shared.ask(operation, &mut asked.question, came);
            asks.await
                .map(|reply| reply.result.unwrap_or(0))
                .map_err(failed)
        }))
    }

    fn question(&self, checks: &[Check<'_>], with_penalties: bool) -> Result<Question, Reason> {
        let (tag, version) = (self.tag.as_deref(), self.version());
        self.shared.question(checks, with_penalties, tag, version)
    }
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
        self.decided(checks, now, None)
    }

    fn peek(&self, checks: &Checks<'_>, now: Micros) -> Outcome {
        self.peeked(checks, now, None)
    }

    fn decide_within(&self, checks: &Checks<'_>, now: Micros, time: Duration) -> Outcome {
        self.decided(checks, now, Some(time))
    }

    fn peek_within(&self, checks: &Checks<'_>, now: Micros, time: Duration) -> Outcome {
        self.peeked(checks, now, Some(time))
    }

    fn refund(
        &self,
        checks: &Checks<'_>,
        receipt: &Receipt,
        now: Micros,
    ) -> Answer<Result<u64, StoreError>> {
        if receipt.is_degraded() {
            return Answer::Ready(Ok(self.shared.away.refund(checks, receipt, now)));
        }
        self.take_out(Operation::Refund, checks, Some(receipt), now)
    }

    fn release(&self, checks: &Checks<'_>, now: Micros) -> Answer<Result<u64, StoreError>> {
        self.take_out(Operation::Release, checks, None, now)
    }

    fn settle(
        &self,
        checks: &Checks<'_>,
        receipt: &Receipt,
        now: Micros,
    ) -> Answer<Result<(), StoreError>> {
        if receipt.is_degraded() {
            self.shared.away.settle(checks, receipt, now);
            return Answer::Ready(Ok(()));
        }
        self.take_out(Operation::Settle, checks, Some(receipt), now)
            .map(|settled| settled.map(|_| ()))
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
            let _forgets = Afterwards(|| {
                shared.near.forget(tag.as_deref(), &policy, &key);
                shared.away.reset(&policy, &key);
            });
            let value = shared.link.call(scripts::reset(), keys, Vec::new()).await;
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
            let _forgets = Afterwards(|| {
                shared.near.forget_all(&policy);
                shared.away.reset_all(&policy);
            });
            let mut forgotten = Ok(());
            for prefix in prefixes {
                forgotten = forgotten.and(shared.link.forget(prefix.as_bytes()).await);
            }
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
