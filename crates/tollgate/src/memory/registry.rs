//! The policies that a store has met, each with a number of 16 bits that its cells carry.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::policy::{Meaning, Policy};
use crate::time::Micros;

/// Policies that a store can tell apart at one time. 0 is nobody's number.
const POLICIES_MAX: usize = u16::MAX as usize;
/// Policies that are looked at when another one comes, to see whether their number is free.
const LOOKS: usize = 8;
const INDEX_BITS: u32 = 16;
const DAY_MICROS: u64 = 86_400_000_000;

/// Registries made in this process, so that a policy can remember which one its number is of.
static REGISTRIES: AtomicU64 = AtomicU64::new(0);

pub(super) struct Registry {
    /// Its own, in the bits above those of a number.
    id: u64,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    /// By number, from 1 on.
    entries: Vec<Entry>,
    numbers: HashMap<Meaning, u16>,
    /// Where the next look starts.
    hand: usize,
}

struct Entry {
    policy: Arc<Policy>,
    /// Every policy that counts by it has a copy.
    held: Arc<()>,
    /// When nobody was found to hold it.
    unheld_since: Option<Micros>,
}

impl Registry {
    pub(super) fn new() -> Self {
        Registry {
            id: (REGISTRIES.fetch_add(1, Ordering::Relaxed) + 1) << INDEX_BITS,
            known: RwLock::default(),
        }
    }

    /// The number of a policy that has been here before.
    #[inline]
    pub(super) fn known(&self, policy: &Policy) -> Option<u16> {
        let told = policy.number().told.load(Ordering::Relaxed);
        u16::try_from(told ^ self.id).ok()
    }

    /// The policy's number; `None` when there are too many policies.
    pub(super) fn number(&self, policy: &Arc<Policy>, now: Micros) -> Option<u16> {
        if let Some(number) = self.known(policy) {
            return Some(number);
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let number = known.number(policy, now)?;
        let entry = known.entries.get(usize::from(number) - 1)?;
        let mut held = policy
            .number()
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *held = Some(Arc::clone(&entry.held));
        let told = self.id | u64::from(number);
        policy.number().told.store(told, Ordering::Relaxed);
        entry.policy.number().told.store(told, Ordering::Relaxed);
        Some(number)
    }

    /// States are written under this number although nobody may hold its policy any more.
    pub(super) fn touch(&self, number: u16) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = known.entries.get_mut(usize::from(number).wrapping_sub(1)) {
            entry.unheld_since = None;
        }
    }

    /// The policy with this number.
    pub(super) fn policy(&self, number: u16) -> Option<Arc<Policy>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let entry = known.entries.get(usize::from(number).checked_sub(1)?)?;
        Some(Arc::clone(&entry.policy))
    }

    /// The numbers of all policies of this name.
    pub(super) fn named(&self, name: &str) -> Vec<u16> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let of_name =
            |(meaning, number): (&Meaning, &u16)| meaning.is_named(name).then_some(*number);
        known.numbers.iter().filter_map(of_name).collect()
    }
}

impl Known {
    fn number(&mut self, policy: &Arc<Policy>, now: Micros) -> Option<u16> {
        let meaning = policy.meaning();
        if let Some(number) = self.numbers.get(&meaning).copied() {
            let entry = self.entries.get_mut(usize::from(number) - 1)?;
            entry.unheld_since = None;
            return Some(number);
        }
        let entry = Entry {
            policy: Arc::new(Policy::clone(policy)),
            held: Arc::default(),
            unheld_since: None,
        };
        let number = match self.free(policy.name(), now) {
            Some(index) => {
                self.numbers.remove(&self.entries[index].policy.meaning());
                self.entries[index] = entry;
                index + 1
            }
            None if self.entries.len() < POLICIES_MAX => {
                self.entries.push(entry);
                self.entries.len()
            }
            None => return None,
        };
        let number = u16::try_from(number).ok()?;
        self.numbers.insert(meaning, number);
        Some(number)
    }

    /// An entry that nobody has held for so long that all states under it are void. Where every number is given away, a
    /// day is long enough: what counted by such an entry has been gone for that long. Else one of the same `name` is
    /// spared, for its cells would be taken for those of the new policy, under whose numbers a state that is kept beside
    /// the table may not be void.
    fn free(&mut self, name: &str, now: Micros) -> Option<usize> {
        let full = self.entries.len() >= POLICIES_MAX;
        let looks = if full { POLICIES_MAX } else { LOOKS };
        for _ in 0..looks.min(self.entries.len()) {
            self.hand = (self.hand + 1) % self.entries.len();
            let entry = &mut self.entries[self.hand];
            if Arc::strong_count(&entry.held) > 1 {
                entry.unheld_since = None;
                continue;
            }
            let since = *entry.unheld_since.get_or_insert(now);
            let algorithm = entry.policy.algorithm();
            let lasts = algorithm.map_or(0, |algorithm| algorithm.full_refill_micros());
            let void = lasts.saturating_mul(2);
            let wait = if full { void.min(DAY_MICROS) } else { void };
            let spared = !full && entry.policy.name() == name;
            if now.0 > since.0.saturating_add(wait) && !spared {
                return Some(self.hand);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(quota: &str) -> Arc<Policy> {
        named("p", quota)
    }

    fn named(name: &str, quota: &str) -> Arc<Policy> {
        Arc::new(Policy::new(name, quota.parse().unwrap()).unwrap())
    }

    #[test]
    fn policies_of_one_meaning_share_a_number_and_others_do_not() {
        let registry = Registry::new();
        let (a, same, b) = (policy("5/m"), policy("5 per minute"), policy("6/m"));
        let now = Micros::from_secs(1);
        assert_eq!(registry.number(&a, now), registry.number(&same, now));
        assert_ne!(registry.number(&a, now), registry.number(&b, now));
        assert_eq!(registry.known(&b), registry.number(&b, now));
        assert_eq!(
            Registry::new().known(&b),
            None,
            "a number is one registry's"
        );
        assert_eq!(registry.named("p").len(), 2);
    }

    #[test]
    fn a_number_is_used_again_when_its_policy_is_gone_and_its_states_are_void() {
        let registry = Registry::new();
        let (kept, gone) = (policy("5/m"), policy("6/m"));
        let number = registry.number(&gone, Micros::from_secs(0));
        registry.number(&kept, Micros::from_secs(0));
        drop(gone);
        let later = |quota: &str, at| registry.number(&policy(quota), Micros::from_secs(at));
        assert_ne!(later("7/m", 1), number, "its states may still count");
        assert_ne!(later("8/m", 119), number);
        assert_ne!(later("9/m", 200), number, "its cells have this name");
        let another = named("q", "9/m");
        assert_eq!(registry.number(&another, Micros::from_secs(200)), number);
        assert!(registry.known(&kept).is_some());
    }

    #[test]
    fn numbers_cannot_be_used_up_for_good() {
        let registry = Registry::new();
        let number = |quota: &str, at| registry.number(&policy(quota), Micros::from_secs(at));
        for limit in 1..=POLICIES_MAX {
            let quota = format!("{limit} per century fixed-window");
            assert!(number(&quota, 0).is_some());
        }
        assert_eq!(number("5/m", 0), None, "their states may still count");
        assert_eq!(number("5/m", 86_400), None);
        let known = registry.known.read().unwrap().entries.len();
        assert_eq!(known, POLICIES_MAX, "who finds none is not kept");
        assert!(number("5/m", 86_401).is_some());
    }

    #[test]
    fn a_policy_that_was_changed_asks_for_its_own_number() {
        let registry = Registry::new();
        let now = Micros::from_secs(1);
        let first = policy("5/m");
        let number = registry.number(&first, now);
        let second = Arc::new(Arc::unwrap_or_clone(first).with_version(2));
        assert_eq!(registry.known(&second), None);
        assert_ne!(registry.number(&second, now), number);
    }
}
