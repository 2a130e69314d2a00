//! What keys and users have used: counted on the request's path, written once a second.
//!
//! `rates` answers for the last minutes from memory, `write` carries the counts to the database, and `totals` reads
//! them back. Requests of all guests count as one user, `guest`, so that guest tokens cannot fill the database.

mod pending;
mod rates;
mod totals;
mod write;

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tollgate::Micros;

use crate::database::Database;
use crate::id::{KeyId, UserId};
use crate::identity::Identity;
use pending::{Counts, Pending, Row};
pub use rates::KeyRate;
use rates::Rates;
pub use totals::KeyTotal;

/// How many threads can count at the same time, at best.
const SHARDS: usize = 16;

/// How many rows wait to be written; what finds no room is counted in [`Usage::dropped`] only.
const ROWS_PENDING_MAX: usize = 64_000;

/// How many keys and users [`Usage::rates`] follows; the least recently seen gives way.
const RATES_TRACKED_MAX: usize = 10_000;

/// How a request ended, as far as usage is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It passed the limits.
    Allowed,
    /// A limit refused it.
    Denied,
    /// It passed, and the upstream did not answer.
    Failed,
}

/// One request, to be counted.
#[derive(Clone, Copy, Debug)]
pub struct UsageEvent<'a> {
    /// Who asked.
    pub who: &'a Identity,
    /// The route's name.
    pub route: &'a Arc<str>,
    /// How it ended.
    pub outcome: Outcome,
}

/// Counts of requests by key, user, route and minute, and their rates. Bounded in every direction.
pub struct Usage {
    db: Database,
    shards: [Mutex<Shard>; SHARDS],
    seed: RandomState,
    guest: UserId,
    dropped: AtomicU64,
    writing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Shard {
    pending: Pending,
    rates: Rates,
}

/// Whom a request counts for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Who {
    key: Option<KeyId>,
    user: UserId,
}

/// Ids are random, so one of them spreads as well as both.
impl Hash for Who {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.key {
            Some(key) => key.hash(state),
            None => self.user.hash(state),
        }
    }
}

impl Usage {
    pub(crate) fn new(db: Database) -> Self {
        Self {
            db,
            shards: Default::default(),
            seed: RandomState::new(),
            guest: UserId::from("guest"),
            dropped: AtomicU64::new(0),
            writing: tokio::sync::Mutex::new(()),
        }
    }

    /// Counts one request. Short and without I/O.
    pub fn record(&self, event: &UsageEvent<'_>, now: Micros) {
        let user = if event.who.is_guest() {
            &self.guest
        } else {
            &event.who.user
        };
        let who = Who {
            key: event.who.key.clone(),
            user: user.clone(),
        };
        let counts = Counts::one(event.outcome, now);
        let mut shard = self.shard_of(&who);
        shard.rates.count(&who, &counts, now);
        let row = Row::new(who, event.route.clone(), now);
        if !shard.pending.add(row, counts) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many requests were not counted because too many rows were waiting to be written.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The rates of keys, and of users who came without one, seen since start; in no order.
    pub fn rates(&self, now: Micros) -> Vec<KeyRate> {
        let each = |shard| lock(shard).rates.all(now);
        self.shards.iter().flat_map(each).collect()
    }

    fn shard_of(&self, who: &Who) -> MutexGuard<'_, Shard> {
        let shard = self.seed.hash_one(who) % SHARDS as u64;
        lock(&self.shards[shard as usize])
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Usage")
            .field("dropped", &self.dropped)
            .finish_non_exhaustive()
    }
}
