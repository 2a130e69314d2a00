//! One check by itself, on the shortest way: most are of a key that is known, and touch its cell and nothing else.

use std::cell::Cell;
use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::fingerprint::Fingerprint;
use super::long::{LongKey, LongState};
use super::table::{self, Held};
use super::{MemoryStore, states};
use crate::algorithm::{
    Charge, Compact, Counting, Entry, FixedSize, OpenWindow, Outlook, SlidingWindow, State,
};
use crate::cpu;
use crate::decide;
use crate::decision::Decision;
use crate::policy::Policy;
use crate::rule::Counted;
use crate::store::Check;
use crate::time::Micros;

/// Keys of a batch whose memory is asked for before the first of them is decided.
const AHEAD: usize = 16;

#[cfg(not(loom))]
thread_local! {
    /// Whether the last check that this thread took to [`MemoryStore::decide_slot`] was refused.
    static REFUSED: Cell<bool> = const { Cell::new(false) };
}
#[cfg(loom)]
loom::thread_local! {
    static REFUSED: Cell<bool> = Cell::new(false);
}

/// Whether the next check is probably refused, as the last was. It is then looked at before its cell is held: whoever is
/// refused changes nothing, waits for nobody and keeps nobody waiting.
#[inline(always)]
fn expects_refusal() -> bool {
    REFUSED.with(Cell::get)
}

pub(super) fn note_refusal(refused: bool) {
    REFUSED.with(|last| last.set(refused));
}

/// A charge that was made on the shortest way, under a policy of `limit`.
pub(crate) struct Charged {
    limit: u64,
    charge: Charge,
    outlook: Outlook,
}

impl Charged {
    #[inline(always)]
    pub(crate) fn decision(self, now: Micros) -> Decision {
        decide::allowed(self.limit, self.outlook, now, self.charge)
    }
}

impl MemoryStore {
    /// As [`decide`](MemoryStore::decide), on one check.
    #[inline]
    pub(super) fn decide_one(&self, check: Check<'_>, now: Micros) -> Decision {
        let Check { policy, key, cost } = check;
        match self.charge_quickly(policy, key, cost, now) {
            Some(charged) => charged.decision(now),
            None => self.decide_apart(&check, self.hasher.fingerprint(policy, key), now),
        }
    }

    /// Decides several checks, each by itself: as [`decide`](MemoryStore::decide) one after the other would, but the
    /// memory of all of them is on its way before the first is decided. Decisions are added to those that are there.
    pub fn decide_batch(&self, checks: &[Check<'_>], now: Micros, decisions: &mut Vec<Decision>) {
        self.decide_each(checks.len(), |place| checks[place], now, decisions);
    }

    /// As [`decide_batch`](MemoryStore::decide_batch), on checks that are made when they are needed: twice each.
    pub(crate) fn decide_each<'c>(
        &self,
        count: usize,
        check: impl Fn(usize) -> Check<'c>,
        now: Micros,
        decisions: &mut Vec<Decision>,
    ) {
        decisions.reserve(count);
        for first in (0..count).step_by(AHEAD) {
            let places = first..count.min(first + AHEAD);
            let keyed = |place| {
                let Check { policy, key, .. } = check(place);
                let key = self.hasher.fingerprint(policy, key);
                cpu::prefetch(match states::is_fixed_size(policy) {
                    true => self.slots.home(key),
                    false => self.lines.home(key),
                });
                key
            };
            let keys: SmallVec<[Fingerprint; AHEAD]> = places.clone().map(keyed).collect();
            for (key, place) in keys.into_iter().zip(places) {
                let check = check(place);
                let Check { policy, cost, .. } = check;
                // A decision is made where it stays: it is large, and would else be copied.
                match self.charge_at_home(policy, key, cost, now) {
                    Some(charged) => decisions.push(charged.decision(now)),
                    None => decisions.push(self.decide_apart(&check, key, now)),
                }
            }
        }
    }

    /// Charges a check of a short key as [`charge_at_home`](MemoryStore::charge_at_home) does.
    #[inline(always)]
    pub(crate) fn charge_quickly(
        &self,
        policy: &Policy,
        key: &[u8],
        cost: u64,
        now: Micros,
    ) -> Option<Charged> {
        policy.steady().room_beside(cost)?;
        let key = self.hasher.of_short(policy, key)?;
        self.charge_at_home(policy, key, cost, now)
    }

    /// The shortest way, which most checks can go: those that a token bucket allows to a key that has units in use
    /// already, in the first of its places. `None`, and nothing is changed, for every other.
    #[inline(always)]
    fn charge_at_home(
        &self,
        policy: &Policy,
        key: Fingerprint,
        cost: u64,
        now: Micros,
    ) -> Option<Charged> {
        let bucket = policy.steady();
        let room = bucket.room_beside(cost)?;
        if expects_refusal() {
            return None;
        }
        let number = self.registry.known(policy)?;
        let held = self.slots.hold_first(key, table::head(key, number))?;
        // A reading before the base wraps, and is none that a stamp can tell.
        let elapsed = now.0.wrapping_sub(self.base.load(Ordering::Relaxed));
        let full_at = states::unpack_steady(held.stamp())?;
        let left = bucket.take(full_at.wrapping_sub(elapsed), room)?;
        let stamp = states::pack_steady(elapsed, elapsed.wrapping_add(left.full_in))?;
        held.set_stamp(stamp);
        drop(held);
        Some(Charged {
            limit: bucket.burst(),
            charge: Charge::new(cost, &left.state(now)),
            outlook: left.outlook(now),
        })
    }

    /// As [`charge_quickly`](MemoryStore::charge_quickly), to a window.
    #[inline(always)]
    pub(crate) fn charge_window_quickly(
        &self,
        policy: &Policy,
        key: &[u8],
        cost: u64,
        now: Micros,
    ) -> Option<Charged> {
        let key = self.hasher.of_short(policy, key)?;
        self.charge_window(policy, key, cost, now)
    }

    /// As [`charge_at_home`](MemoryStore::charge_at_home), to a window that is open.
    #[inline(always)]
    fn charge_window(
        &self,
        policy: &Policy,
        key: Fingerprint,
        cost: u64,
        now: Micros,
    ) -> Option<Charged> {
        let is_ordinary = policy.is_plain() && cost > 0 && now <= decide::LATEST;
        match policy.counted().filter(|_| is_ordinary)? {
            Counted::SlidingCounter(counter) => self.charge_open(counter, policy, key, cost, now),
            Counted::FixedWindow(window) => self.charge_open(window, policy, key, cost, now),
            _ => None,
        }
    }

    #[inline(always)]
    fn charge_open<A: OpenWindow>(
        &self,
        window: &A,
        policy: &Policy,
        key: Fingerprint,
        cost: u64,
        now: Micros,
    ) -> Option<Charged> {
        if expects_refusal() {
            return None;
        }
        let number = self.registry.known(policy)?;
        let held = self.slots.hold_first(key, table::head(key, number))?;
        let known = held.stamp();
        let stamp = states::add_units(known, cost)?;
        let compact = Compact {
            until: self.base.load(Ordering::Relaxed) + table::until(known),
            rest: table::rest(known).into(),
        };
        let (next, outlook) = window.take_open(compact, now, cost)?;
        held.set_stamp(stamp);
        drop(held);
        Some(Charged {
            limit: window.capacity(),
            charge: Charge::new(cost, &next),
            outlook,
        })
    }

    // Apart, so that a batch has the registers to itself.
    #[inline(never)]
    fn decide_apart(&self, check: &Check<'_>, key: Fingerprint, now: Micros) -> Decision {
        match self.charge_window(check.policy, key, check.cost, now) {
            Some(charged) => charged.decision(now),
            None => self.decide_keyed(check, key, now),
        }
    }

    /// One check, on the shortest way that there is for it but for [`charge_quickly`](MemoryStore::charge_quickly) and
    /// [`charge_window_quickly`](MemoryStore::charge_window_quickly).
    #[inline(always)]
    pub(crate) fn decide_any(&self, check: Check<'_>, now: Micros) -> Decision {
        let key = self.hasher.fingerprint(check.policy, check.key);
        self.decide_keyed(&check, key, now)
    }

    /// Most checks are of a key that is known, of an enforced policy that counts what it allows, under the numbers that
    /// the state was made with; those touch one cell and nothing else.
    #[inline(always)]
    fn decide_keyed(&self, check: &Check<'_>, key: Fingerprint, now: Micros) -> Decision {
        let policy = &**check.policy;
        let is_ordinary = policy.is_plain() && check.cost > 0 && now <= decide::LATEST;
        if is_ordinary
            && let Some(number) = self.registry.known(policy)
            && let Some(counted) = policy.counted()
        {
            let head = table::head(key, number);
            match counted {
                Counted::TokenBucket(bucket) => {
                    return self.decide_slot(bucket, check, key, head, now);
                }
                Counted::FixedWindow(window) => {
                    return self.decide_slot(window, check, key, head, now);
                }
                Counted::SlidingCounter(counter) => {
                    return self.decide_slot(counter, check, key, head, now);
                }
                Counted::SlidingWindow(window) => {
                    return self.decide_line(window, check, key, head, now);
                }
                _ => {}
            }
        }
        self.decide_together(std::slice::from_ref(check), now)
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
        if expects_refusal() {
            let seen = self.slots.look(key, head);
            let base = self.base.load(Ordering::Relaxed);
            if let Some(pair) = seen.and_then(|stamp| states::unpack(stamp, algorithm, base))
                && let Err(pair) = algorithm.take(pair, now, check.cost)
            {
                return decide::denied(algorithm, pair.as_ref(), now, check.cost);
            }
            note_refusal(false);
        }
        match self.slots.hold_as(key, head) {
            Some(held) => self.decide_held(algorithm, check, held, now),
            None => self.decide_together(std::slice::from_ref(check), now),
        }
    }

    #[inline(always)]
    fn decide_held<A: FixedSize>(
        &self,
        algorithm: &A,
        check: &Check<'_>,
        held: Held<'_>,
        now: Micros,
    ) -> Decision {
        let base = self.base.load(Ordering::Relaxed);
        if let Some(Some(pair)) = states::unpack(held.stamp(), algorithm, base) {
            match algorithm.take(Some(pair), now, check.cost) {
                Err(pair) => {
                    drop(held);
                    note_refusal(true);
                    return decide::denied(algorithm, pair.as_ref(), now, check.cost);
                }
                Ok((next, outlook)) => {
                    if let Some(stamp) = states::pack(next, algorithm, base) {
                        held.set_stamp(stamp);
                        drop(held);
                        let charge = Charge::new(check.cost, &next);
                        let limit = algorithm.capacity();
                        return decide::allowed(limit, outlook, now, charge);
                    }
                }
            }
        }
        drop(held);
        self.decide_together(std::slice::from_ref(check), now)
    }

    #[inline(never)]
    fn decide_line(
        &self,
        algorithm: &SlidingWindow,
        check: &Check<'_>,
        key: Fingerprint,
        head: u64,
        now: Micros,
    ) -> Decision {
        cpu::prefetch(self.lines.behind_home(key));
        if let Some(held) = self.lines.hold_as(key, head) {
            if let Some(allowed) = self.decide_few(algorithm, check, &held, now) {
                return allowed;
            }
            let base = self.base.load(Ordering::Relaxed);
            let Some(log) = states::read_log(held.words, base) else {
                match self.decide_long(algorithm, check, key, &held, now) {
                    Some(decision) => return decision,
                    None => {
                        drop(held);
                        return self.decide_together(std::slice::from_ref(check), now);
                    }
                }
            };
            match algorithm.take(log, now, check.cost) {
                Err(log) => {
                    drop(held);
                    return decide::denied(algorithm, log.as_ref(), now, check.cost);
                }
                Ok((next, outlook)) => {
                    if states::write_log(held.words, &next, outlook.void_at, base).is_some() {
                        drop(held);
                        let charge = Charge::new(check.cost, &next);
                        return decide::allowed(algorithm.capacity(), outlook, now, charge);
                    }
                }
            }
        }
        self.decide_together(std::slice::from_ref(check), now)
    }

    /// As [`decide_line`](MemoryStore::decide_line), on the few entries of a log in its cell, if the check is allowed and
    /// they stay few.
    fn decide_few(
        &self,
        algorithm: &SlidingWindow,
        check: &Check<'_>,
        held: &Held<'_>,
        now: Micros,
    ) -> Option<Decision> {
        let base = self.base.load(Ordering::Relaxed);
        let (entries, known) = states::few(held.words, base)?;
        if entries[..known].last()?.at >= now.0 {
            return None;
        }
        let (live, outlook) = algorithm.take_few(&entries, now, check.cost)?;
        let added = Entry {
            at: now.0,
            units: check.cost,
        };
        states::add_to_few(held.words, (known, live), added, outlook.void_at, base)?;
        let charge = Charge {
            cost: check.cost,
            mark: (now.0, 0),
        };
        let limit = algorithm.capacity();
        Some(decide::allowed(limit, outlook, now, charge))
    }

    /// As [`decide_line`](MemoryStore::decide_line), on a log that is kept beside its cell.
    fn decide_long(
        &self,
        algorithm: &SlidingWindow,
        check: &Check<'_>,
        key: Fingerprint,
        held: &Held<'_>,
        now: Micros,
    ) -> Option<Decision> {
        let decide = |long: &mut LongState| {
            let State::Log(log) = &mut long.state else {
                return None;
            };
            match algorithm.take(Some(std::mem::take(log)), now, check.cost) {
                Err(back) => {
                    *log = back.unwrap_or_default();
                    Some(decide::denied(algorithm, Some(log), now, check.cost))
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
                    Some(decide::allowed(algorithm.capacity(), outlook, now, charge))
                }
            }
        };
        let (decision, evicted) = self
            .long
            .change(LongKey::new(key, held.words), now.0, decide)?;
        self.live_evictions.fetch_add(evicted, Ordering::Relaxed);
        decision
    }
}
