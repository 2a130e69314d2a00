//! What a node holds for all its keys, bounded.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quick_cache::sync::Cache;
use smallvec::SmallVec;
use tollgate::algorithm::Charge;
use tollgate::{Check, Decision, Micros, Policy};

use super::denial::Denial;
use super::generation::{Generation, Generations};
use super::held::Held;
use super::look::Look;
use super::name::{Name, Named, Tag};
use super::stats::NearStats;
use super::unspent::Unspent;
use super::visits::{VISITS_MAX, Visits};

/// How many keys a node holds something for. What falls out is asked for again; units that fall out are lost until their
/// lease would have ended.
const KEYS_MAX: usize = 16_384;

/// What one node holds.
pub(crate) struct Near {
    pub(super) keys: Cache<Name, Arc<Mutex<Held>>>,
    /// Leases to look at again.
    visits: Mutex<Visits>,
    /// What is left of leases that others have replaced, to be given back.
    replaced: Mutex<Vec<Unspent>>,
    pub(super) generations: Generations,
    pub(super) stats: NearStats,
}

/// A question that is on its way to the store.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    sent: Micros,
    generation: Generation,
    /// Units that it asks for in advance, as [`Near::wants`] said at the same instant.
    wanted: SmallVec<[u64; 2]>,
}

impl Default for Near {
    fn default() -> Self {
        Near {
            keys: Cache::new(KEYS_MAX),
            visits: Mutex::default(),
            replaced: Mutex::default(),
            generations: Generations::default(),
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

    /// Before the store is asked, also for the units that are `wanted` in advance.
    pub(crate) fn asks(
        &self,
        tag: Tag<'_>,
        checks: &[Check<'_>],
        wanted: &[u64],
        now: Micros,
    ) -> Asked {
        Asked {
            sent: now,
            generation: self.generation(tag, checks),
            wanted: wanted.into(),
        }
    }

    /// Keeps what the store has said to a request that was `asked`, and `heard` at an instant: `granted` is empty, or what
    /// was charged in advance for each check. Of keys that were reset since, units are dropped, for they may have been
    /// charged before and be forgotten there; so are denials, also where units were given back.
    pub(crate) fn learn(
        &self,
        tag: Tag<'_>,
        checks: &[Check<'_>],
        decision: &Decision,
        granted: &[Charge],
        (asked, heard): (Asked, Micros),
    ) {
        self.drop_denials(tag, checks);
        if let Some((place, denial)) = Denial::of(checks, decision, heard) {
            let held = self.held(tag, &checks[place]);
            let mut held = lock(&held);
            // Whoever changes a key counts first and forgets then, and this looks between finding its place and keeping
            // what it knows: so one of the two sees the other.
            if self.generation(tag, checks) == asked.generation {
                held.denial = Some(denial);
            }
        }
        let each = checks.iter().zip(granted).zip(decision.standings());
        for (place, ((check, granted), standing)) in each.enumerate() {
            let Some(terms) = check.policy.lease_terms() else {
                continue;
            };
            let (sent, units) = (asked.sent, granted.cost);
            let found = self.held(tag, check);
            let mut held = lock(&found);
            if asked.wanted.get(place).is_some_and(|units| *units > 0) {
                held.has_heard(sent);
            }
            // Its own before that of all, of which it is a part.
            let resets = self.resets(Named::of(tag, check));
            let is_kept = self.generation(tag, checks).resets == asked.generation.resets;
            self.stats.leased.fetch_add(units, Ordering::Relaxed);
            if units == 0 || !is_kept {
                continue;
            }
            let when = (sent, decision.at());
            let replaced = held.take(check.policy, terms, *granted, resets, when, *standing);
            let visit_at = sent + terms.time / 2;
            let is_to_visit = held.is_to_visit(visit_at);
            drop(held);
            let name = Named::of(tag, check).owned();
            if let Some(idle) = replaced {
                self.give_back(Unspent::of(name.clone(), idle));
            }
            if is_to_visit && !self.visits().push(visit_at, name) {
                lock(&found).has_visit(visit_at);
            }
        }
    }

    fn generation(&self, tag: Tag<'_>, checks: &[Check<'_>]) -> Generation {
        let keys = checks.iter().map(|check| Named::of(tag, check));
        self.generations.of(keys)
    }

    /// How often keys of this one's place were reset.
    pub(super) fn resets(&self, named: Named<'_>) -> u64 {
        self.generations.of([named].into_iter()).resets
    }

    /// Forgets what is held for a key: somebody has changed what it has used.
    pub(crate) fn forget(&self, tag: Tag<'_>, policy: &Policy, key: &[u8]) {
        let policy = policy.name();
        let named = Named { tag, policy, key };
        self.generations.reset(named);
        self.keys.remove(&named);
    }

    /// Forgets what is held for all keys of a policy.
    pub(crate) fn forget_all(&self, policy: &Policy) {
        self.generations.reset_all();
        self.keys.retain(|name, _| *name.policy != *policy.name());
    }

    /// Forgets denials of the keys of these checks: units have been given back.
    pub(crate) fn forget_denials(&self, tag: Tag<'_>, checks: &[Check<'_>]) {
        for check in checks {
            self.generations.refund(Named::of(tag, check));
        }
        self.drop_denials(tag, checks);
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

    /// Has units given back that are this node's no more, if there is room.
    fn give_back(&self, unspent: Unspent) {
        let mut replaced = self.replaced();
        if replaced.len() < VISITS_MAX {
            let units = unspent.charge.cost;
            self.stats.returned.fetch_add(units, Ordering::Relaxed);
            replaced.push(unspent);
        }
    }

    pub(super) fn replaced(&self) -> MutexGuard<'_, Vec<Unspent>> {
        self.replaced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn visits(&self) -> MutexGuard<'_, Visits> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, tag: Tag<'_>, check: &Check<'_>) -> Option<Arc<Mutex<Held>>> {
        self.keys.get(&Named::of(tag, check))
    }

    fn held(&self, tag: Tag<'_>, check: &Check<'_>) -> Arc<Mutex<Held>> {
        self.known(tag, check).unwrap_or_else(|| {
            let made = || Ok::<_, std::convert::Infallible>(Arc::default());
            match self
                .keys
                .get_or_insert_with(&Named::of(tag, check).owned(), made)
            {
                Ok(held) => held,
                Err(never) => match never {},
            }
        })
    }
}

pub(super) fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
