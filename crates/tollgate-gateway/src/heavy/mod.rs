//! Who asks most, and who is refused most: by a sketch of a fixed size, so that a flood of callers cannot fill memory.
//!
//! Whoever reads it sees addresses of clients, which are personal data: it is for administrators alone.

mod sketch;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tollgate::Micros;
use tollgate_accounts::{Identity, KeyId, UserId};
use tollgate_tower::address::network;

use sketch::Sketch;

/// How many threads can count at the same time, at best.
const SHARDS: usize = 16;

/// Places of one sketch. Callers are spread over the shards, so all sketches together know 16 times as many.
const PLACES: usize = 64;

/// How long one window is. What is shown is the running one and the one before.
pub const HEAVY_WINDOW_SECS: u64 = 300;

/// Somebody who asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HeavyCaller {
    /// The holder of an API key.
    Key(KeyId),
    /// A user without a key.
    User(UserId),
    /// Anybody else, by address; of IPv6 by the first 64 bits.
    Address(IpAddr),
}

/// A caller with a count that is between `count - error` and `count`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeavyHitter {
    /// Who.
    pub caller: HeavyCaller,
    /// Requests, at most.
    pub count: u64,
    /// How much of that may be others'.
    pub error: u64,
}

/// Those who asked most since an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeavyHitters {
    /// When the older of both windows began.
    pub since: Micros,
    /// All requests since then.
    pub total: u64,
    /// The largest first.
    pub hitters: Vec<HeavyHitter>,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// It passed the limits.
    Allowed,
    /// A limit refused it, or it came without good credentials.
    Denied,
}

/// The heavy hitters of a data plane.
#[derive(Debug, Default)]
pub struct Heavy {
    shards: [Mutex<Windows>; SHARDS],
    seed: RandomState,
}

/// Sketches by [`Share`], of the running window and of the one before.
#[derive(Debug, Default)]
struct Windows {
    /// The number of the running window since 1970.
    window: u64,
    running: [Sketch<HeavyCaller, PLACES>; 2],
    before: [Sketch<HeavyCaller, PLACES>; 2],
}

impl Heavy {
    /// Counts one request. A guest, whose name is a matter of asking for another, counts by address.
    pub(crate) fn count(
        &self,
        identity: Option<&Identity>,
        address: IpAddr,
        share: Share,
        now: Micros,
    ) {
        match identity.filter(|who| !who.is_guest()) {
            Some(Identity { key: Some(key), .. }) => {
                let hash = self.seed.hash_one(key.as_str());
                self.add(hash, || HeavyCaller::Key(key.clone()), share, now);
            }
            Some(Identity { user, .. }) => {
                let hash = self.seed.hash_one(user.as_str());
                self.add(hash, || HeavyCaller::User(user.clone()), share, now);
            }
            None => {
                let address = network(address);
                let hash = self.seed.hash_one(address);
                self.add(hash, || HeavyCaller::Address(address), share, now);
            }
        }
    }

    /// The `limit` callers with the largest counts in the running window and the one before.
    pub fn hitters(&self, share: Share, limit: usize, now: Micros) -> HeavyHitters {
        let (mut total, mut hitters) = (0, Vec::new());
        for shard in &self.shards {
            let mut windows = lock(shard);
            windows.turn(window_of(now));
            total +=
                windows.running[share as usize].total() + windows.before[share as usize].total();
            hitters.extend(windows.hitters(share));
        }
        hitters.sort_unstable_by_key(|hitter| {
            std::cmp::Reverse((hitter.count, hitter.count - hitter.error))
        });
        hitters.truncate(limit);
        let first = window_of(now).saturating_sub(1);
        HeavyHitters {
            since: Micros::from_secs(first * HEAVY_WINDOW_SECS),
            total,
            hitters,
        }
    }

    fn add(&self, hash: u64, caller: impl FnOnce() -> HeavyCaller, share: Share, now: Micros) {
        let mut windows = lock(&self.shards[hash as usize % SHARDS]);
        windows.turn(window_of(now));
        windows.running[share as usize].add(hash, caller);
    }
}

impl Windows {
    /// Begins a new window if it is time. A clock that was set back goes on with the running one.
    fn turn(&mut self, window: u64) {
        if window > self.window {
            let running = std::mem::take(&mut self.running);
            let next = self.window + 1 == window;
            self.before = if next { running } else { Default::default() };
            self.window = window;
        }
    }

    /// Both windows as one: who has no place in one of them may have come as often as its smallest.
    fn hitters(&self, share: Share) -> Vec<HeavyHitter> {
        let windows = [&self.running[share as usize], &self.before[share as usize]];
        let mut callers: HashMap<u64, HeavyHitter> = HashMap::new();
        for (hash, entry) in windows.iter().flat_map(|window| window.entries()) {
            callers.entry(hash).or_insert_with(|| HeavyHitter {
                caller: entry.item.clone(),
                count: 0,
                error: 0,
            });
        }
        for window in windows {
            let known: HashMap<u64, (u64, u64)> = window
                .entries()
                .map(|(hash, entry)| (hash, (entry.count, entry.error)))
                .collect();
            let absent = (window.absent_max(), window.absent_max());
            for (hash, hitter) in &mut callers {
                let (count, error) = known.get(hash).copied().unwrap_or(absent);
                hitter.count += count;
                hitter.error += error;
            }
        }
        callers.into_values().collect()
    }
}

fn window_of(now: Micros) -> u64 {
    now.as_secs() / HEAVY_WINDOW_SECS
}

fn lock(shard: &Mutex<Windows>) -> MutexGuard<'_, Windows> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
