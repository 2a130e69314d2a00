//! Policies made from numbers that clients send with each question: so many of them, and no more.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tollgate::{Micros, Policy, PolicyError, Quota, QuotaError};
use tollgate_rules::Sharing;

/// Quotas of clients that are known at one time. The memory store tells 65,535 policies apart, and the rules need some.
pub(crate) const QUOTAS_MAX: usize = 4_096;

/// The one name of their policies: what a key has used stays used when a client sends other numbers.
const NAME: &str = "cl.throttle";

/// How often quotas that nobody uses give way to others, once all places are taken. So 49,152 others come in a day at
/// most: a store uses the number of a policy again when it has not been used for a day.
const LOOK_EVERY: Duration = Duration::from_secs(7_200);

/// A quota that nobody has asked for this long gives way to another, however long it takes to refill. What it has
/// counted stays in the store.
const IDLE_MAX: Duration = Duration::from_secs(86_400);

/// How fine the last use of a quota is noted.
const USED_EVERY_MICROS: u64 = 1_000_000;

/// Numbers of a client: a bucket of `capacity` units that is refilled by `count` each `period_s` seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Numbers {
    /// The most units at once.
    pub(crate) capacity: u64,
    /// Units for each period.
    pub(crate) count: u64,
    /// Seconds of a period.
    pub(crate) period_s: u64,
}

/// Why numbers are no quota.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NumbersError {
    /// They are no quota.
    #[error(transparent)]
    Quota(#[from] QuotaError),
    /// They cannot be counted exactly.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// As many others are in use as are known at one time.
    #[error(
        "more than {QUOTAS_MAX} different quotas are in use; use fewer, or limits of the rules"
    )]
    TooMany,
}

/// The quotas of clients.
pub(crate) struct Quotas {
    known: RwLock<All>,
    /// What holds for them in a shared store.
    sharing: Sharing,
}

#[derive(Default)]
struct All {
    by_numbers: HashMap<Numbers, Known, foldhash::fast::RandomState>,
    /// When idle ones were last looked for.
    looked_at: Micros,
}

struct Known {
    policy: Arc<Policy>,
    used_at: AtomicU64,
    /// After this time without use its counts mean nothing any more.
    idle: u64,
}

impl Known {
    fn is_idle(&self, now: Micros) -> bool {
        now.0.saturating_sub(self.used_at.load(Ordering::Relaxed)) > self.idle
    }
}

impl Quotas {
    /// No quota yet.
    pub(crate) fn new(sharing: Sharing) -> Self {
        Quotas {
            known: RwLock::default(),
            sharing,
        }
    }

    /// The policy of these numbers.
    ///
    /// # Errors
    /// Numbers that make none, or too many different ones.
    pub(crate) fn policy(
        &self,
        numbers: Numbers,
        now: Micros,
    ) -> Result<Arc<Policy>, NumbersError> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.by_numbers.get(&numbers) {
            let used_at = known.used_at.load(Ordering::Relaxed);
            if now.0 > used_at.saturating_add(USED_EVERY_MICROS) {
                known.used_at.store(now.0, Ordering::Relaxed);
            }
            return Ok(Arc::clone(&known.policy));
        }
        let is_full = known.is_full(now);
        drop(known);
        self.make(numbers, is_full, now)
    }

    /// A policy by which what a key has used is found, whatever the numbers were.
    ///
    /// # Errors
    /// None that can come about: its numbers are a quota.
    pub(crate) fn any(&self) -> Result<Policy, NumbersError> {
        Ok(Policy::new(NAME, Quota::per_second(1)?.burst(1)?)?)
    }

    fn make(
        &self,
        numbers: Numbers,
        is_full: bool,
        now: Micros,
    ) -> Result<Arc<Policy>, NumbersError> {
        let period = Duration::from_secs(numbers.period_s);
        let quota = Quota::new(numbers.count, period)?.burst(numbers.capacity)?;
        // Making a policy is work: none where there is no room for it.
        if is_full {
            return Err(NumbersError::TooMany);
        }
        let policy = Policy::new(NAME, quota)?.with_version(Policy::VERSION_OF_THE_ASKER);
        let policy = Arc::new(self.sharing.with(policy));
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if !known.has_room(now) && !known.by_numbers.contains_key(&numbers) {
            return Err(NumbersError::TooMany);
        }
        let entry = known.by_numbers.entry(numbers).or_insert_with(|| Known {
            policy,
            used_at: AtomicU64::new(now.0),
            idle: numbers.refill().min(IDLE_MAX).as_micros() as u64 + USED_EVERY_MICROS,
        });
        Ok(Arc::clone(&entry.policy))
    }
}

impl All {
    /// Whether all places are taken, and it is not yet time to look for idle ones.
    fn is_full(&self, now: Micros) -> bool {
        self.by_numbers.len() >= QUOTAS_MAX && now < self.looked_at + LOOK_EVERY
    }

    /// Whether another one finds room, also in the place of idle ones.
    fn has_room(&mut self, now: Micros) -> bool {
        if self.by_numbers.len() >= QUOTAS_MAX && !self.is_full(now) {
            self.looked_at = now;
            self.by_numbers.retain(|_, known| !known.is_idle(now));
        }
        self.by_numbers.len() < QUOTAS_MAX
    }
}

impl Numbers {
    /// From empty to full.
    fn refill(&self) -> Duration {
        let micros = u128::from(self.capacity) * u128::from(self.period_s) * 1_000_000;
        let micros = micros.div_ceil(u128::from(self.count.max(1)));
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(capacity: u64) -> Numbers {
        Numbers {
            capacity,
            count: 1,
            period_s: 1,
        }
    }

    #[test]
    fn the_same_numbers_are_one_policy_and_a_stranger_makes_so_many_and_no_more() {
        let quotas = Quotas::new(Sharing::default());
        let now = Micros::from_secs(1_000);
        let first = quotas.policy(numbers(1), now).unwrap();
        assert!(Arc::ptr_eq(
            &first,
            &quotas.policy(numbers(1), now).unwrap()
        ));
        for capacity in 2..=QUOTAS_MAX as u64 {
            quotas.policy(numbers(capacity), now).unwrap();
        }
        let further = |now| quotas.policy(numbers(1 << 20), now);
        assert!(matches!(further(now), Err(NumbersError::TooMany)));
        assert!(
            quotas.policy(numbers(7), now).is_ok(),
            "who is known goes on"
        );
        // After its time to refill nobody needs a quota any more, and places are given away every two hours.
        quotas.policy(numbers(7), now + LOOK_EVERY).unwrap();
        assert!(further(now + LOOK_EVERY).is_ok());
        assert_eq!(quotas.known.read().unwrap().by_numbers.len(), 2);
    }

    #[test]
    fn places_are_given_away_so_seldom_that_no_store_runs_out_of_numbers() {
        let quotas = Quotas::new(Sharing::default());
        let every_second = (0..86_400).filter(|second| {
            let now = Micros::from_secs(1_000_000 + second);
            let numbers = Numbers {
                count: second + 1,
                ..numbers(second + 1)
            };
            quotas.policy(numbers, now).is_ok()
        });
        let in_a_day = every_second.count();
        assert!((40_000..60_000).contains(&in_a_day), "{in_a_day}");
    }

    #[test]
    fn a_quota_that_takes_a_century_to_refill_gives_way_after_a_day() {
        let slow = |capacity| Numbers {
            capacity,
            count: 1,
            period_s: 86_400 * 365,
        };
        let quotas = Quotas::new(Sharing::default());
        for capacity in 1..=QUOTAS_MAX as u64 {
            quotas.policy(slow(capacity), Micros::from_secs(0)).unwrap();
        }
        let further = |second| quotas.policy(slow(5_000), Micros::from_secs(second));
        assert!(further(86_000).is_err());
        assert!(further(86_000 + 7_200).is_ok());
    }
}
