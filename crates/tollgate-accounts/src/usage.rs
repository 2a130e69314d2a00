//! What keys and users have used: counted on the request's path, written once a second.
//!
//! The way of a count: `followed` takes it into memory, where `rates` and `seconds` answer for the last minutes and
//! `waiting` holds what is to be written; `batch` and `write` carry it to the tables of minutes, hours and days, once
//! each (`writer`); `series` and `totals` read them back, and `prune` ends what is old. Requests of all guests count as one user,
//! `guest`, and those without good credentials as nobody's, so that strangers cannot fill the database.

mod batch;
mod counts;
mod followed;
mod prune;
mod rates;
mod seconds;
mod series;
mod step;
mod totals;
mod waiting;
mod write;
mod writer;

use std::fmt;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use tollgate::Micros;

use crate::database::Database;
use crate::id::{KeyId, UserId};
use crate::identity::Identity;
use crate::settings::UsageKept;
pub use counts::UsageCounts;
use followed::Shard;
pub use rates::KeyRate;
pub use seconds::SECONDS as USAGE_SECONDS;
pub use series::{Asked, UsagePoint};
pub use step::Step;
pub use totals::KeyTotal;
use writer::Writer;

/// How many threads can count at the same time, at best.
const SHARDS: usize = 16;

/// How many rows wait to be written, beside as many that are on their way; what finds no room is counted in [`Usage::dropped`] only.
const ROWS_WAITING_MAX: usize = 64_000;

/// How many keys and users [`Usage::rates`] follows; the least recently seen gives way.
const CALLERS_FOLLOWED_MAX: usize = 10_000;

/// How many seconds of all of them together are kept with all counts, 64 bytes each.
const SECONDS_KEPT_MAX: usize = 500_000;

/// How a request ended, as far as usage is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It passed the limits.
    Allowed,
    /// A limit refused it.
    Denied,
    /// It passed, and the upstream did not answer.
    Failed,
    /// Its credentials were missing or wrong.
    Unauthenticated,
}

/// One request, to be counted.
#[derive(Clone, Copy, Debug)]
pub struct UsageEvent<'a> {
    /// Who asked, `None` when nobody knows.
    pub who: Option<&'a Identity>,
    /// The route's name.
    pub route: &'a Arc<str>,
    /// How it ended.
    pub outcome: Outcome,
    /// The status of the answer as the client gets it.
    pub status: u16,
    /// From the request's head to the answer's, in microseconds.
    pub latency_us: u64,
    /// Bytes of the request's body that are known by now.
    pub bytes_in: u64,
    /// Bytes of the answer's body that are known by now.
    pub bytes_out: u64,
    /// The policies that denied it.
    pub denied_by: &'a [&'a str],
}

impl<'a> UsageEvent<'a> {
    /// A request of which nothing is known but how it ended.
    pub fn new(who: Option<&'a Identity>, route: &'a Arc<str>, outcome: Outcome) -> Self {
        Self {
            who,
            route,
            outcome,
            status: 0,
            latency_us: 0,
            bytes_in: 0,
            bytes_out: 0,
            denied_by: &[],
        }
    }
}

/// Counts of requests by key, user, route and minute, and their rates. Bounded in every direction.
pub struct Usage {
    db: Database,
    kept: UsageKept,
    shards: [Mutex<Shard>; SHARDS],
    seed: RandomState,
    dropped: AtomicU64,
    /// One writes at a time.
    writer: tokio::sync::Mutex<Writer>,
    rows_on_their_way: AtomicUsize,
}

/// Whom a request counts for; nobody at all has neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Who<Text = Arc<str>> {
    key: Option<Text>,
    user: Text,
}

/// As whom all guests count.
const GUEST: &str = "guest";

impl<'a> Who<&'a str> {
    fn of(identity: Option<&'a Identity>) -> Self {
        match identity {
            None => Who {
                key: None,
                user: "",
            },
            Some(guest) if guest.is_guest() => Who {
                key: None,
                user: GUEST,
            },
            Some(who) => Who {
                key: who.key.as_ref().map(KeyId::as_str),
                user: who.user.as_str(),
            },
        }
    }

    /// Ids are random, and a key has one user, so one of them says as much as both.
    fn id(self) -> &'a str {
        self.key.unwrap_or(self.user)
    }
}

impl Usage {
    pub(crate) fn new(db: Database, kept: UsageKept) -> Self {
        Self {
            db,
            kept,
            shards: Default::default(),
            seed: RandomState::default(),
            dropped: AtomicU64::new(0),
            writer: tokio::sync::Mutex::new(Writer::new()),
            rows_on_their_way: AtomicUsize::new(0),
        }
    }

    /// Counts one request. Short and without I/O.
    pub fn record(&self, event: &UsageEvent<'_>, now: Micros) {
        let counts = UsageCounts::of(event);
        self.count(event.who, event.route, &counts, event.denied_by, now);
    }

    /// Counts bytes of bodies that went over the wire after their request was recorded.
    pub fn record_bytes(
        &self,
        who: Option<&Identity>,
        route: &Arc<str>,
        (bytes_in, bytes_out): (u64, u64),
        now: Micros,
    ) {
        let counts = UsageCounts {
            bytes_in,
            bytes_out,
            ..UsageCounts::default()
        };
        self.count(who, route, &counts, &[], now);
    }

    fn count(
        &self,
        who: Option<&Identity>,
        route: &Arc<str>,
        counts: &UsageCounts,
        denied_by: &[&str],
        now: Micros,
    ) {
        let who = Who::of(who);
        let mut shard = self.shard_of(who.id());
        if !shard.count(who, route, counts, denied_by, now) {
            let requests = counts.requests();
            self.dropped.fetch_add(requests, Ordering::Relaxed);
        }
    }

    /// How many requests were not counted because too many rows were waiting to be written.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// How many rows wait to be written, with those on their way.
    pub fn rows_waiting(&self) -> usize {
        let waiting = |shard| lock(shard).rows_waiting();
        let waiting: usize = self.shards.iter().map(waiting).sum();
        waiting + self.rows_on_their_way.load(Ordering::Relaxed)
    }

    /// The rates of keys, and of users who came without one, seen since start; in no order.
    pub fn rates(&self, now: Micros) -> Vec<KeyRate> {
        let mut rates = Vec::new();
        for shard in &self.shards {
            rates.extend(lock(shard).rates(now));
        }
        rates
    }

    /// The rate of one key, if it is followed.
    pub fn rate_of(&self, key: &KeyId, now: Micros) -> Option<KeyRate> {
        self.shard_of(key.as_str()).rate(key.as_str(), now)
    }

    /// The rate of what a user asks without a key, if it is followed.
    pub fn rate_of_user(&self, user: &UserId, now: Micros) -> Option<KeyRate> {
        self.shard_of(user.as_str()).rate(user.as_str(), now)
    }

    fn shard_of(&self, id: &str) -> MutexGuard<'_, Shard> {
        let shard = self.seed.hash_one(id) % SHARDS as u64;
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
