//! Charges that their clients may yet settle or give back: kept here, under names that nobody can guess.
//!
//! A receipt is good once. So nobody gets back more than was charged, and nothing of a key leaves the service.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tollgate::key::CompositeKey;
use tollgate::{Check, Checks, Micros, Policy, Reason, Receipt};

/// Charges that are remembered at one time.
pub(crate) const RECEIPTS_MAX: usize = 100_000;

/// What they take together, as it is estimated: clients choose how long keys are.
pub(crate) const RECEIPTS_BYTES_MAX: usize = 64 << 20;

/// How long one is remembered. Then the charge stands as it was made.
pub(crate) const RECEIPT_TTL: Duration = Duration::from_secs(3_600);

/// Bytes of a name.
const NAME_BYTES: usize = 16;

/// What one takes beside its checks, and what a check takes beside its key: entries of both tables, with the room that
/// tables leave, and the numbers of a charge.
const RECEIPT_BYTES: usize = 256;
const CHECK_BYTES: usize = 192;

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

    fn bytes(&self) -> usize {
        let keys = self.checks.iter().map(|(.., key)| key.as_ref().len());
        keys.fold(RECEIPT_BYTES, |sum, key| sum + CHECK_BYTES + key)
    }
}

type Name = [u8; NAME_BYTES];

/// Charges by name.
#[derive(Default)]
pub(crate) struct Receipts(Mutex<Held>);

#[derive(Default)]
struct Held {
    by_name: HashMap<Name, Kept>,
    /// Just those that are in `by_name`, by when they end.
    ends: BTreeSet<(Micros, Name)>,
    bytes: usize,
}

struct Kept {
    charged: Charged,
    end: Micros,
}

/// A charge that nobody else can settle or give back any more.
pub(crate) struct Taken {
    pub(crate) charged: Charged,
    name: Name,
    end: Micros,
}

impl Receipts {
    /// Remembers a charge, and says under which name; `None` where the system has no random numbers.
    pub(crate) fn put(&self, charged: Charged, now: Micros) -> Option<String> {
        let mut name = [0; NAME_BYTES];
        aws_lc_rs::rand::fill(&mut name).ok()?;
        let end = now + RECEIPT_TTL;
        self.lock().keep(name, Kept { charged, end }, now);
        Some(name.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// How many questions the charge of this name was made for.
    pub(crate) fn questions(&self, name: &str) -> Option<usize> {
        let held = self.lock();
        let kept = held.by_name.get(&parse(name)?)?;
        kept.charged
            .checks
            .last()
            .map(|(question, ..)| question + 1)
    }

    /// The charge of this name, which is good once.
    pub(crate) fn take(&self, name: &str, now: Micros) -> Option<Taken> {
        let name = parse(name)?;
        let mut held = self.lock();
        held.forget(now);
        let Kept { charged, end } = held.remove(&name)?;
        Some(Taken { charged, name, end })
    }

    /// Remembers again, under the same name and for the rest of its time, what was taken and is as it was.
    pub(crate) fn put_back(&self, taken: Taken, now: Micros) {
        let Taken { charged, name, end } = taken;
        self.lock().keep(name, Kept { charged, end }, now);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn keep(&mut self, name: Name, kept: Kept, now: Micros) {
        self.bytes += kept.charged.bytes();
        self.ends.insert((kept.end, name));
        self.by_name.insert(name, kept);
        self.forget(now);
    }

    fn remove(&mut self, name: &Name) -> Option<Kept> {
        let kept = self.by_name.remove(name)?;
        self.ends.remove(&(kept.end, *name));
        self.bytes -= kept.charged.bytes();
        Some(kept)
    }

    /// Forgets those whose time is up, and those that end next where there are too many.
    fn forget(&mut self, now: Micros) {
        while let Some((end, name)) = self.ends.first().copied() {
            let is_within = self.by_name.len() <= RECEIPTS_MAX && self.bytes <= RECEIPTS_BYTES_MAX;
            if end > now && is_within {
                break;
            }
            self.remove(&name);
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

    impl Charged {
        fn again(&self) -> Self {
            Charged {
                checks: Vec::new(),
                receipt: self.receipt.clone(),
            }
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
        let put = || receipts.put(charged.again(), now).unwrap();
        let earlier = Micros::from_secs(999);
        let first = receipts.put(charged.again(), earlier).unwrap();
        let second = put();
        (1..RECEIPTS_MAX).for_each(|_| drop(put()));
        assert!(receipts.take(&first, now).is_none());
        assert!(receipts.take(&second, now).is_some());
        assert!(receipts.lock().by_name.len() < RECEIPTS_MAX);
    }

    #[test]
    fn those_that_were_used_push_out_nobody() {
        let receipts = Receipts::default();
        let now = Micros::from_secs(1_000);
        let charged = charged();
        let live = receipts.put(charged.again(), now).unwrap();
        for _ in 0..RECEIPTS_MAX + 1 {
            let used = receipts.put(charged.again(), now).unwrap();
            assert!(receipts.take(&used, now).is_some());
        }
        assert!(receipts.take(&live, now).is_some());
        let held = receipts.lock();
        assert_eq!((held.by_name.len(), held.ends.len(), held.bytes), (0, 0, 0));
    }

    #[test]
    fn keys_of_any_length_take_no_more_than_so_many_bytes() {
        let receipts = Receipts::default();
        let policy = Policy::new("p", Quota::per_minute(5).unwrap()).unwrap();
        let policy = Arc::new(policy);
        let mut key = CompositeKey::new();
        key.push(&[7; tollgate::key::KEY_BYTES_MAX - 4]);
        let largest = || Charged {
            checks: vec![(0, Arc::clone(&policy), key.clone()); tollgate::store::CHECKS_MAX],
            ..charged()
        };
        let put = |second| receipts.put(largest(), Micros::from_secs(second)).unwrap();
        let all: Vec<String> = (1_000..6_000).map(put).collect();
        let held = receipts.lock().by_name.len();
        let keys = tollgate::store::CHECKS_MAX * tollgate::key::KEY_BYTES_MAX;
        assert!(
            held < all.len() && held * keys <= RECEIPTS_BYTES_MAX,
            "{held}"
        );
        assert!(
            receipts
                .take(&all[4_999], Micros::from_secs(6_000))
                .is_some()
        );
    }

    #[test]
    fn what_was_taken_and_could_not_be_used_is_good_again_for_the_rest_of_its_time() {
        let receipts = Receipts::default();
        let now = Micros::from_secs(1_000);
        let name = receipts.put(charged(), now).unwrap();
        let taken = receipts.take(&name, now).unwrap();
        let later = now + RECEIPT_TTL / 2;
        receipts.put_back(taken, later);
        let taken = receipts.take(&name, later).unwrap();
        receipts.put_back(taken, later);
        assert!(receipts.take(&name, now + RECEIPT_TTL).is_none());
    }
}
