//! One check by itself, on the shortest way: most are of a key that is known, and touch its cell and nothing else.

use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::fingerprint::Fingerprint;
use super::long::{LongKey, LongState};
use super::table::{self, Held};
use super::{MemoryStore, states};
use crate::algorithm::{Charge, Counting, FixedSize, Log, State};
use crate::cpu;
use crate::decide;
use crate::decision::Decision;
use crate::policy::{Counted, Mode};
use crate::store::Check;
use crate::time::Micros;

/// Keys of a batch whose memory is asked for before the first of them is decided.
const AHEAD: usize = 16;

impl MemoryStore {
    /// As [`decide`](MemoryStore::decide), on one check.
    #[inline]
    pub(crate) fn decide_one(&self, check: &Check<'_>, now: Micros) -> Decision {
        let key = self.hasher.fingerprint(check.policy, check.key);
        self.decide_keyed(check, key, now)
    }

    /// Decides several checks, each by itself: as [`decide`](MemoryStore::decide) one after the other would, but the
    /// memory of all of them is on its way before the first is decided.
    pub fn decide_batch<'c>(
        &self,
        batch: impl IntoIterator<Item = Check<'c>>,
        now: Micros,
        decisions: &mut Vec<Decision>,
    ) {
        let mut batch = batch.into_iter().peekable();
        while batch.peek().is_some() {
            let keyed = |check: Check<'c>| {
                let key = self.hasher.fingerprint(check.policy, check.key);
                cpu::prefetch(match states::fixed_size(check.policy) {
                    Some(_) => self.slots.home(key),
                    None => self.lines.home(key),
                });
                (check, key)
            };
            let ahead: SmallVec<[(Check<'c>, Fingerprint); AHEAD]> =
                batch.by_ref().take(AHEAD).map(keyed).collect();
            for (check, key) in ahead {
                decisions.push(self.decide_keyed(&check, key, now));
            }
        }
    }

    /// One check. Most are of a key that is known, of an enforced policy that counts what it allows, under the numbers
    /// that the state was made with; those touch one cell and nothing else.
    #[inline]
    fn decide_keyed(&self, check: &Check<'_>, key: Fingerprint, now: Micros) -> Decision {
        let policy = &**check.policy;
        let plain = check.cost > 0
            && policy.mode() == Mode::Enforce
            && !policy.counts_denied()
            && policy.blocks().is_none();
        let (true, Some(counted), Some(number)) =
            (plain, policy.counted(), self.registry.known(policy))
        else {
            return self.decide_together(std::slice::from_ref(check), now);
        };
        let head = table::head(key, number);
        match counted {
            Counted::TokenBucket(bucket) => self.decide_slot(bucket, check, key, head, now),
            Counted::FixedWindow(window) => self.decide_slot(window, check, key, head, now),
            Counted::SlidingCounter(counter) => self.decide_slot(counter, check, key, head, now),
            Counted::SlidingWindow(window) => self.decide_line(window, check, key, head, now),
            _ => self.decide_together(std::slice::from_ref(check), now),
        }
    }

    // Apart, so that each algorithm has the registers to itself.
    #[inline(never)]
    fn decide_slot<A: FixedSize>(
        &self,
        algorithm: &A,
        check: &Check<'_>,
        key: Fingerprint,
        head: u64,
        now: Micros,
    ) -> Decision {
        let base = self.base.load(Ordering::Relaxed);
        let at = now.min(decide::LATEST);
        if let Some(cell) = self.slots.find(key)
            && let Some(held) = table::hold_as(cell, head)
            && let Some(pair) = states::unpack(held.stamp(), algorithm, base)
        {
            match algorithm.take(pair, at, check.cost) {
                Err((pair, fits_at)) => {
                    return decide::denied(algorithm, pair.as_ref(), at, fits_at);
                }
                Ok((next, outlook)) => {
                    if let Some(stamp) = states::pack(next, algorithm, base) {
                        held.words[1].store(stamp, Ordering::Relaxed);
                        drop(held);
                        let charge = Charge::new(check.cost, &next);
                        return decide::allowed(algorithm.capacity(), outlook, at, charge);
                    }
                }
            }
        }
        self.decide_together(std::slice::from_ref(check), now)
    }

    #[inline(never)]
    fn decide_line<A: Counting<State = Log>>(
        &self,
        algorithm: &A,
        check: &Check<'_>,
        key: Fingerprint,
        head: u64,
        now: Micros,
    ) -> Decision {
        let base = self.base.load(Ordering::Relaxed);
        let at = now.min(decide::LATEST);
        if let Some(cell) = self.lines.find(key)
            && let Some(held) = table::hold_as(cell, head)
        {
            let Some(log) = states::read_log(held.words, base) else {
                match self.decide_long(algorithm, check, key, &held, at) {
                    Some(decision) => return decision,
                    None => {
                        drop(held);
                        return self.decide_together(std::slice::from_ref(check), now);
                    }
                }
            };
            match algorithm.take(log, at, check.cost) {
                Err((log, fits_at)) => {
                    return decide::denied(algorithm, log.as_ref(), at, fits_at);
                }
                Ok((next, outlook)) => {
                    if states::write_log(held.words, &next, outlook.void_at, base).is_some() {
                        drop(held);
                        let charge = Charge::new(check.cost, &next);
                        return decide::allowed(algorithm.capacity(), outlook, at, charge);
                    }
                }
            }
        }
        self.decide_together(std::slice::from_ref(check), now)
    }

    /// As [`decide_line`](MemoryStore::decide_line), on a log that is kept beside its cell.
    fn decide_long<A: Counting<State = Log>>(
        &self,
        algorithm: &A,
        check: &Check<'_>,
        key: Fingerprint,
        held: &Held<'_>,
        at: Micros,
    ) -> Option<Decision> {
        let decide = |long: &mut LongState| {
            let State::Log(log) = &mut long.state else {
                return None;
            };
            match algorithm.take(Some(std::mem::take(log)), at, check.cost) {
                Err((back, fits_at)) => {
                    *log = back.unwrap_or_default();
                    Some(decide::denied(algorithm, Some(log), at, fits_at))
                }
                Ok((next, outlook)) => {
                    *log = next;
                    long.used = algorithm.capacity() - outlook.remaining;
                    long.void_at = outlook.void_at.0;
                    states::stamp_long(
                        held.words,
                        outlook.void_at,
                        self.base.load(Ordering::Relaxed),
                    );
                    let charge = Charge::new(check.cost, log);
                    Some(decide::allowed(algorithm.capacity(), outlook, at, charge))
                }
            }
        };
        let (decision, evicted) = self
            .long
            .change(LongKey::new(key, held.words), at.0, decide)?;
        self.live_evictions.fetch_add(evicted, Ordering::Relaxed);
        if let Some(allowed) = decision.as_ref().filter(|decision| decision.is_allowed()) {
            let base = self.base.load(Ordering::Relaxed);
            states::stamp_long(held.words, at + allowed.full_after(), base);
        }
        decision
    }
}
