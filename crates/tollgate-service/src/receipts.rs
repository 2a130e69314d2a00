//! Charges that their clients may yet settle or give back: kept here, under names that nobody can guess.
//!
//! A receipt is good once. So nobody gets back more than was charged, and nothing of a key leaves the service.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tollgate::key::CompositeKey;
use tollgate::{Check, Checks, Micros, Policy, Reason, Receipt};

/// Charges that are remembered at one time.
pub(crate) const RECEIPTS_MAX: usize = 100_000;

/// How long one is remembered. Then the charge stands as it was made.
pub(crate) const RECEIPT_TTL: Duration = Duration::from_secs(3_600);

/// Bytes of a name.
const NAME_BYTES: usize = 16;

/// A charge, and what it was made to.
#[derive(Debug)]
pub(crate) struct Charged {
    /// Which question of several a check belongs to, its policy and its key.
    pub(crate) checks: Vec<(usize, Arc<Policy>, CompositeKey)>,
    pub(crate) receipt: Receipt,
}

impl Charged {
    /// The checks of the charge, each at the cost of its question.
    pub(crate) fn checks(&self, costs: impl Fn(usize) -> u64) -> Result<Checks<'_>, Reason> {
        let mut checks = Checks::new();
        for (question, policy, key) in &self.checks {
            let key = key.as_ref();
            let cost = costs(*question);
            checks.push(Check { policy, key, cost })?;
        }
        Ok(checks)
    }
}

type Name = [u8; NAME_BYTES];

/// Charges by name.
#[derive(Default)]
pub(crate) struct Receipts(Mutex<Held>);

#[derive(Default)]
struct Held {
    by_name: HashMap<Name, Charged>,
    /// In the order in which they were made, with those that were used since.
    ends: VecDeque<(Micros, Name)>,
}

impl Receipts {
    /// Remembers a charge, and says under which name; `None` where the system has no random numbers.
    pub(crate) fn put(&self, charged: Charged, now: Micros) -> Option<String> {
        let mut name = [0; NAME_BYTES];
        aws_lc_rs::rand::fill(&mut name).ok()?;
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.forget(now);
        held.by_name.insert(name, charged);
        held.ends.push_back((now + RECEIPT_TTL, name));
        Some(name.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// How many questions the charge of this name was made for.
    pub(crate) fn questions(&self, name: &str) -> Option<usize> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let charged = held.by_name.get(&parse(name)?)?;
        charged.checks.last().map(|(question, ..)| question + 1)
    }

    /// The charge of this name, which is good once.
    pub(crate) fn take(&self, name: &str, now: Micros) -> Option<Charged> {
        let name = parse(name)?;
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.forget(now);
        held.by_name.remove(&name)
    }
}

impl Held {
    /// Forgets those whose time is up, and the oldest where there are too many.
    fn forget(&mut self, now: Micros) {
        while let Some((end, name)) = self.ends.front() {
            if *end > now && self.ends.len() < RECEIPTS_MAX {
                break;
            }
            self.by_name.remove(name);
            self.ends.pop_front();
        }
    }
}

fn parse(text: &str) -> Option<Name> {
    let digits = text.as_bytes();
    let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
    if digits.len() != 2 * NAME_BYTES || !is_hex {
        return None;
    }
    let mut name = [0; NAME_BYTES];
    for (byte, at) in name.iter_mut().zip((0..digits.len()).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate::{Limiter, Quota};

    fn charged() -> Charged {
        let limiter = Limiter::new(Quota::per_minute(5).unwrap()).unwrap();
        Charged {
            checks: Vec::new(),
            receipt: limiter.check("ann").receipt().unwrap(),
        }
    }

    #[test]
    fn a_receipt_is_good_once_and_for_its_time() {
        let receipts = Receipts::default();
        let now = Micros::from_secs(1_000);
        let name = receipts.put(charged(), now).unwrap();
        assert_eq!(name.len(), 32);
        for wrong in [
            "",
            "0",
            &name[1..],
            &format!("{name}0"),
            &"g".repeat(32),
            &"é".repeat(16),
        ] {
            assert!(receipts.take(wrong, now).is_none());
        }
        assert!(receipts.take(&name, now).is_some());
        assert!(receipts.take(&name, now).is_none());
        let late = receipts.put(charged(), now).unwrap();
        assert!(receipts.take(&late, now + RECEIPT_TTL).is_none());
    }

    #[test]
    fn of_too_many_the_oldest_is_forgotten() {
        let receipts = Receipts::default();
        let now = Micros::from_secs(1_000);
        let charged = charged();
        let put = || {
            let receipt = charged.receipt.clone();
            receipts
                .put(
                    Charged {
                        checks: Vec::new(),
                        receipt,
                    },
                    now,
                )
                .unwrap()
        };
        let first = put();
        let second = put();
        (2..RECEIPTS_MAX).for_each(|_| drop(put()));
        assert!(receipts.take(&first, now).is_none());
        assert!(receipts.take(&second, now).is_some());
        assert!(receipts.0.lock().unwrap().by_name.len() < RECEIPTS_MAX);
    }
}
