//! What a node holds for all its keys, bounded.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quick_cache::Equivalent;
use quick_cache::sync::Cache;
use smallvec::SmallVec;
use tollgate::algorithm::Charge;
use tollgate::{Check, Decision, Micros, Policy};

use super::NearStats;
use super::denial::Denial;
use super::held::Held;
use super::look::Look;

/// How many keys a node holds something for. What falls out is asked for again; units that fall out are lost until their
/// lease would have ended.
const KEYS_MAX: usize = 16_384;
/// Leases that are looked at again. What finds no room is lost until its lease would have ended.
pub(super) const VISITS_MAX: usize = 16_384;
/// A lease that ends sooner than this is not looked at again: giving back would help nobody.
const LOOK_AGAIN_MIN: Duration = Duration::from_millis(20);

/// In so many places is counted how often what keys have used was changed from outside.
const GENERATIONS: usize = 256;

/// The hash tag of a decision, if it has one.
type Tag<'a> = Option<&'a [u8]>;

/// What one node holds.
pub(crate) struct Near {
    keys: Cache<Name, Arc<Mutex<Held>>>,
    /// Leases to look at again, the earliest first.
    visits: Mutex<BinaryHeap<Reverse<Visit>>>,
    /// How often keys that fall into each place were reset, or units of theirs given back.
    generations: [AtomicU64; GENERATIONS],
    hash: RandomState,
    stats: NearStats,
}

/// Of the keys of a request: it changes when one of them is reset, or units are given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation(u64);

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Visit {
    at: Micros,
    name: Name,
}

/// Units that nobody has had use for, to be given back.
#[derive(Debug)]
pub(crate) struct Unspent {
    pub(crate) tag: Option<Box<[u8]>>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) key: Box<[u8]>,
    pub(crate) charge: Charge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Name {
    tag: Option<Box<[u8]>>,
    policy: Box<str>,
    key: Box<[u8]>,
}

/// The same, borrowed.
#[derive(Clone, Copy)]
struct Named<'a> {
    tag: Option<&'a [u8]>,
    policy: &'a str,
    key: &'a [u8],
}

impl Hash for Named<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.tag.hash(state);
        self.policy.hash(state);
        self.key.hash(state);
    }
}

impl Equivalent<Name> for Named<'_> {
    fn equivalent(&self, name: &Name) -> bool {
        self.tag == name.tag.as_deref() && *self.policy == *name.policy && *self.key == *name.key
    }
}

impl Name {
    fn borrowed(&self) -> Named<'_> {
        Named {
            tag: self.tag.as_deref(),
            policy: &self.policy,
            key: &self.key,
        }
    }
}

impl Named<'_> {
    fn owned(&self) -> Name {
        Name {
            tag: self.tag.map(Into::into),
            policy: self.policy.into(),
            key: self.key.into(),
        }
    }
}

impl Default for Near {
    fn default() -> Self {
        Near {
            keys: Cache::new(KEYS_MAX),
            visits: Mutex::default(),
            generations: std::array::from_fn(|_| AtomicU64::new(0)),
            hash: RandomState::new(),
            stats: NearStats::default(),
        }
    }
}

impl Near {
    pub(crate) fn stats(&self) -> &NearStats {
        &self.stats
    }

    /// Whether this node can decide: every check is paid from units that it holds, or the request was denied a moment ago.
    pub(crate) fn look(&self, tag: Tag<'_>, checks: &[Check<'_>], now: Micros) -> Look {
        let held: SmallVec<[Option<Arc<Mutex<Held>>>; 2]> =
            checks.iter().map(|check| self.known(tag, check)).collect();
        let denial = held.iter().flatten().find_map(|held| {
            let held = lock(held);
            held.denial.as_ref()?.answer(checks, now)
        });
        if let Some(denial) = denial {
            self.stats.remembered.fetch_add(1, Ordering::Relaxed);
            return Look::Answer(denial);
        }
        if let Some(decision) = self.pay(checks, &held, now) {
            return Look::Answer(decision);
        }
        let mut held = held.iter().flatten();
        let probe = held.find_map(|held| lock(held).probe(checks));
        probe.unwrap_or(Look::Ask(None))
    }

    #[cfg(test)]
    pub(super) fn visits_len(&self) -> usize {
        self.visits().len()
    }

    #[cfg(test)]
    pub(super) fn known_answer(&self, checks: &[Check<'_>], now: Micros) -> Option<Decision> {
        match self.look(None, checks, now) {
            Look::Answer(decision) => Some(decision),
            Look::Wait(_) | Look::Ask(_) => None,
        }
    }

    fn pay(
        &self,
        checks: &[Check<'_>],
        held: &[Option<Arc<Mutex<Held>>>],
        now: Micros,
    ) -> Option<Decision> {
        if checks
            .iter()
            .any(|check| check.cost == 0 || check.policy.lease_terms().is_none())
        {
            return None;
        }
        let held: SmallVec<[&Arc<Mutex<Held>>; 2]> =
            held.iter().map(Option::as_ref).collect::<Option<_>>()?;
        let mut order: SmallVec<[usize; 2]> = (0..held.len()).collect();
        // Whoever takes several takes them in one order.
        order.sort_unstable_by_key(|place| Arc::as_ptr(held[*place]).addr());
        let mut locked: SmallVec<[(usize, MutexGuard<'_, Held>); 2]> = order
            .into_iter()
            .map(|place| (place, lock(held[place])))
            .collect();
        for (place, held) in &mut locked {
            let check = &checks[*place];
            if let Some(terms) = check.policy.lease_terms() {
                held.note(check.cost, now, terms);
            }
        }
        let all = locked.iter().all(|(place, held)| {
            let check = &checks[*place];
            held.can_pay(check.policy, check.cost, now)
        });
        if !all {
            return None;
        }
        locked.sort_unstable_by_key(|(place, _)| *place);
        let mut at = now;
        let mut standings = SmallVec::<[_; 2]>::new();
        for (place, held) in &mut locked {
            let (standing, decided_at) = held.pay(checks[*place].cost, now)?;
            at = decided_at;
            standings.push(standing);
        }
        self.stats.paid.fetch_add(1, Ordering::Relaxed);
        Some(Decision::estimated(standings, at))
    }

    /// How many units to ask for in advance beside each check; empty when there are to be none.
    pub(crate) fn wants(
        &self,
        tag: Tag<'_>,
        checks: &[Check<'_>],
        now: Micros,
    ) -> SmallVec<[u64; 2]> {
        let every = |check: &Check<'_>| check.cost > 0 && check.policy.lease_terms().is_some();
        if !checks.iter().all(every) {
            return SmallVec::new();
        }
        let want = |check: &Check<'_>| {
            let terms = check.policy.lease_terms()?;
            let held = self.held(tag, check);
            let mut held = lock(&held);
            Some(held.wants(terms, now))
        };
        let wants: SmallVec<[u64; 2]> = checks
            .iter()
            .map(|check| want(check).unwrap_or_default())
            .collect();
        if wants.iter().all(|units| *units == 0) {
            return SmallVec::new();
        }
        wants
    }

    /// Keeps what the store has said to a request between the instants `sent` and `heard`: `granted` is empty, or what was charged in advance for
    /// each check.
    pub(crate) fn learn(
        &self,
        tag: Tag<'_>,
        checks: &[Check<'_>],
        decision: &Decision,
        granted: &[Charge],
        (sent, heard): (Micros, Micros),
    ) {
        for held in checks.iter().filter_map(|check| self.known(tag, check)) {
            lock(&held).denial = None;
        }
        if let Some((place, denial)) = Denial::of(checks, decision, heard) {
            lock(&self.held(tag, &checks[place])).denial = Some(denial);
        }
        let each = checks.iter().zip(granted).zip(decision.standings());
        for ((check, granted), standing) in each {
            let Some(terms) = check.policy.lease_terms() else {
                continue;
            };
            let held = self.held(tag, check);
            lock(&held).learn(
                check.policy,
                terms,
                *granted,
                (sent, decision.at()),
                *standing,
            );
            if granted.cost > 0 {
                self.stats.leased.fetch_add(granted.cost, Ordering::Relaxed);
                let at = sent + terms.time / 2;
                let name = named(tag, check).owned();
                visit(&mut self.visits(), Visit { at, name });
            }
        }
    }

    /// Before the store is asked: what [`learn_of`](Near::learn_of) wants to know.
    pub(crate) fn generation(&self, tag: Tag<'_>, checks: &[Check<'_>]) -> Generation {
        let each = checks.iter().map(|check| self.place(named(tag, check)));
        Generation(each.fold(0, |sum, place| {
            sum.wrapping_add(place.load(Ordering::SeqCst))
        }))
    }

    /// As [`learn`](Near::learn), but remembers no denial that may be older than a reset or a refund of its keys.
    pub(crate) fn learn_of(
        &self,
        asked: Generation,
        tag: Tag<'_>,
        checks: &[Check<'_>],
        decision: &Decision,
        granted: &[Charge],
        when: (Micros, Micros),
    ) {
        self.learn(tag, checks, decision, granted, when);
        // Whoever resets counts first and forgets then, so that one of the two sees the other.
        if self.generation(tag, checks) != asked {
            self.drop_denials(tag, checks);
        }
    }

    /// Forgets what is held for a key: somebody has changed what it has used.
    pub(crate) fn forget(&self, tag: Tag<'_>, policy: &Policy, key: &[u8]) {
        let policy = policy.name();
        let named = Named { tag, policy, key };
        self.place(named).fetch_add(1, Ordering::SeqCst);
        self.keys.remove(&named);
    }

    /// Forgets what is held for all keys of a policy.
    pub(crate) fn forget_all(&self, policy: &Policy) {
        for place in &self.generations {
            place.fetch_add(1, Ordering::SeqCst);
        }
        self.keys.retain(|name, _| *name.policy != *policy.name());
    }

    /// Forgets denials of the keys of these checks: units have been given back.
    pub(crate) fn forget_denials(&self, tag: Tag<'_>, checks: &[Check<'_>]) {
        for check in checks {
            let place = self.place(named(tag, check));
            place.fetch_add(1, Ordering::SeqCst);
        }
        self.drop_denials(tag, checks);
    }

    fn place(&self, named: Named<'_>) -> &AtomicU64 {
        let hash = self.hash.hash_one(named) as usize;
        &self.generations[hash % GENERATIONS]
    }

    fn drop_denials(&self, tag: Tag<'_>, checks: &[Check<'_>]) {
        for held in checks.iter().filter_map(|check| self.known(tag, check)) {
            lock(&held).denial = None;
        }
    }

    /// Remembers denials of these checks until `until` at the longest.
    pub(crate) fn end_denials_by(&self, tag: Tag<'_>, checks: &[Check<'_>], until: Micros) {
        for held in checks.iter().filter_map(|check| self.known(tag, check)) {
            if let Some(denial) = &mut lock(&held).denial {
                denial.end_by(until);
            }
        }
    }

    /// Units that nobody has had use for at `now`: no longer this node's, to be given back to the store.
    pub(crate) fn unspent(&self, now: Micros) -> Vec<Unspent> {
        let mut unspent = Vec::new();
        let mut again = Vec::new();
        let mut visits = self.visits();
        while visits.peek().is_some_and(|Reverse(next)| next.at <= now) {
            let Some(Reverse(visit)) = visits.pop() else {
                break;
            };
            let Some(held) = self.keys.get(&visit.name.borrowed()) else {
                continue;
            };
            let mut held = lock(&held);
            match held.take_idle(now) {
                Some((policy, charge)) => unspent.push(Unspent {
                    tag: visit.name.tag,
                    policy,
                    key: visit.name.key,
                    charge,
                }),
                // Once more, while giving back still helps.
                None if held.ends().is_some_and(|ends| now < ends) => again.push(visit.name),
                None => {}
            }
        }
        let later = |name: Name| {
            let held = self.keys.get(&name.borrowed())?;
            let ends = lock(&held).ends()?;
            let at = now + ends.since(now) / 2;
            (ends.since(now) > LOOK_AGAIN_MIN).then_some(Visit { at, name })
        };
        let again = again.into_iter().filter_map(later);
        again.for_each(|next| visit(&mut visits, next));
        let units = unspent.iter().map(|unspent| unspent.charge.cost).sum();
        self.stats.returned.fetch_add(units, Ordering::Relaxed);
        unspent
    }

    fn visits(&self) -> MutexGuard<'_, BinaryHeap<Reverse<Visit>>> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, tag: Tag<'_>, check: &Check<'_>) -> Option<Arc<Mutex<Held>>> {
        self.keys.get(&named(tag, check))
    }

    fn held(&self, tag: Tag<'_>, check: &Check<'_>) -> Arc<Mutex<Held>> {
        self.known(tag, check).unwrap_or_else(|| {
            let made = || Ok::<_, std::convert::Infallible>(Arc::default());
            match self
                .keys
                .get_or_insert_with(&named(tag, check).owned(), made)
            {
                Ok(held) => held,
                Err(never) => match never {},
            }
        })
    }
}

fn visit(visits: &mut BinaryHeap<Reverse<Visit>>, next: Visit) {
    if visits.len() < VISITS_MAX {
        visits.push(Reverse(next));
    }
}

fn named<'a>(tag: Tag<'a>, check: &'a Check<'_>) -> Named<'a> {
    Named {
        tag,
        policy: check.policy.name(),
        key: check.key,
    }
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
