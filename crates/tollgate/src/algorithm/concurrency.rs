//! `concurrency`: at most N in flight; each holds a lease that ends by itself if its holder dies.

use super::{Charge, Counting, Entry, Log, Outlook, live_until};
use crate::algorithm::log::take_newest;
use crate::numbers::Numbers;
use crate::time::Micros;

/// Holders that one key can have.
pub(crate) const HOLDERS_MAX: u64 = 16_384;

/// At most `limit` unexpired leases at any instant. A lease is given back by a refund of its charge, else it ends
/// after `lease`.
///
/// The state is the log of leases, each with the instant at which it ends.
///
/// ```
/// use tollgate::{Limiter, Quota};
///
/// let limiter = Limiter::new("2 concurrent for 30 seconds".parse::<Quota>()?)?;
/// let first = limiter.acquire("reports");
/// let second = limiter.acquire("reports");
/// assert!(first.is_ok() && second.is_ok() && limiter.acquire("reports").is_err());
/// drop(first);
/// assert!(limiter.acquire("reports").is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concurrency {
    limit: u64,
    lease: u64,
}

impl Concurrency {
    /// `limit` leases of `lease_micros`, or `None` for more holders than a key can have.
    pub(crate) fn new(limit: u64, lease_micros: u64) -> Option<Self> {
        (limit <= HOLDERS_MAX).then_some(Concurrency {
            limit,
            lease: lease_micros,
        })
    }

    pub(crate) fn numbers(&self) -> Numbers {
        Numbers::Concurrency {
            limit: self.limit,
            lease: self.lease,
        }
    }

    /// The leases that have not ended at `now`.
    fn live<'a>(&self, state: Option<&'a Log>, now: Micros) -> &'a [Entry] {
        let Some((leases, last)) = state.and_then(|log| Some((log, log.last()?))) else {
            return &[];
        };
        if live_until(last.at, now, self.lease).is_none() {
            return &[];
        }
        &leases[leases.partition_point(|lease| lease.at <= now.0)..]
    }

    fn frees_at(&self, live: &[Entry], now: Micros, cost: u64) -> Option<Micros> {
        if cost > self.limit {
            return None;
        }
        let mut excess = (units(live) + cost).saturating_sub(self.limit);
        if excess == 0 {
            return Some(now);
        }
        live.iter().find_map(|lease| {
            excess = excess.saturating_sub(lease.units);
            (excess == 0).then_some(Micros(lease.at))
        })
    }
}

impl Counting for Concurrency {
    type State = Log;

    fn name(&self) -> &'static str {
        "concurrency"
    }

    fn capacity(&self) -> u64 {
        self.limit
    }

    fn full_refill_micros(&self) -> u64 {
        self.lease
    }

    fn fits_at(&self, state: Option<&Log>, now: Micros, cost: u64) -> Option<Micros> {
        self.frees_at(self.live(state, now), now, cost)
    }

    fn charge(&self, state: Option<Log>, now: Micros, cost: u64) -> Log {
        let ended =
            state.as_ref().map_or(0, |log| log.len()) - self.live(state.as_ref(), now).len();
        let mut leases = state.unwrap_or_default();
        leases.drain(..ended);
        // None ends before those that are there, also when the clock went back: a lease's mark is the last's end.
        let newest = leases.last().map_or(0, |lease| lease.at);
        let at = newest.max(now.0 + self.lease);
        match leases.last_mut() {
            Some(lease) if lease.at == at => lease.units += cost,
            _ => leases.push(Entry { at, units: cost }),
        }
        leases
    }

    fn outlook(&self, state: Option<&Log>, now: Micros) -> Outlook {
        let live = self.live(state, now);
        let used = units(live);
        let remaining = self.limit.saturating_sub(used);
        Outlook {
            remaining,
            // Where nothing is used, more than all never fits.
            grows_at: self.frees_at(live, now, remaining + 1),
            void_at: live.last().map_or(now, |lease| Micros(lease.at)),
        }
    }

    fn used(&self, state: Option<&Log>, now: Micros) -> u64 {
        units(self.live(state, now))
    }

    /// A lease that has ended holds nothing any more.
    fn give_back(&self, state: Log, now: Micros, charge: &Charge) -> (Option<Log>, u64) {
        let mut leases = Log::from_slice(self.live(Some(&state), now));
        let Ok(place) = leases.binary_search_by_key(&charge.mark.0, |lease| lease.at) else {
            return (Some(state), 0);
        };
        let given_back = charge.cost.min(leases[place].units);
        leases[place].units -= given_back;
        if leases[place].units == 0 {
            leases.remove(place);
        }
        ((!leases.is_empty()).then_some(leases), given_back)
    }

    fn release(&self, state: Log, now: Micros, units: u64) -> (Option<Log>, u64) {
        take_newest(Log::from_slice(self.live(Some(&state), now)), units)
    }

    /// Every lease stays, for its holder is at work, but none for longer than a new one would. A smaller limit is
    /// reached as they end.
    fn adopt(&self, mut leases: Log, _: u64, now: Micros) -> Option<Log> {
        leases.retain(|lease| lease.at > now.0);
        let latest = now.0 + self.lease;
        let in_time = leases.partition_point(|lease| lease.at < latest);
        let cut_short = units(&leases[in_time..]);
        leases.truncate(in_time);
        if cut_short > 0 {
            leases.push(Entry {
                at: latest,
                units: cut_short,
            });
        }
        (!leases.is_empty()).then_some(leases)
    }
}

fn units(leases: &[Entry]) -> u64 {
    let add = |sum: u64, lease: &Entry| sum.saturating_add(lease.units);
    leases.iter().fold(0, add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_that_end_together_are_one_entry_also_when_the_clock_went_back() {
        let algorithm = Concurrency::new(9, 60).unwrap();
        let first = algorithm.charge(None, Micros(1_000), 1);
        let second = algorithm.charge(Some(first), Micros(1_000), 2);
        let third = algorithm.charge(Some(second), Micros(990), 3);
        assert_eq!(
            &third[..],
            [Entry {
                at: 1_060,
                units: 6
            }]
        );
        assert_eq!(algorithm.used(Some(&third), Micros(1_059)), 6);
        assert_eq!(algorithm.used(Some(&third), Micros(1_060)), 0);
    }

    #[test]
    fn a_shorter_lease_cuts_short_those_that_are_there() {
        let long = Concurrency::new(9, 60).unwrap();
        let short = Concurrency::new(2, 10).unwrap();
        let leases = long.charge(None, Micros(1_000), 2);
        let leases = long.charge(Some(leases), Micros(1_030), 3);
        let moved = short.adopt(leases, 5, Micros(1_055)).unwrap();
        let ends = [(1_060, 2), (1_065, 3)].map(|(at, units)| Entry { at, units });
        assert_eq!(&moved[..], ends);
    }

    #[test]
    fn leases_that_are_cut_short_are_one_entry_with_those_that_end_then() {
        let algorithm = Concurrency::new(9, 60).unwrap();
        let lease = |at, units| Entry { at, units };
        let before = [lease(1_030, 1), lease(1_060, 2), lease(1_100, 4)];
        let after = algorithm.adopt(Log::from_slice(&before), 7, Micros(1_000));
        assert_eq!(&after.unwrap()[..], [lease(1_030, 1), lease(1_060, 6)]);
    }
}
