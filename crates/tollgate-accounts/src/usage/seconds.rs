//! All counts of one caller in each of the last 300 seconds, where there was any request.

use std::collections::VecDeque;

use tollgate::Micros;

use super::counts::UsageCounts;
use super::{SECONDS_KEPT_MAX, SHARDS};

/// How many seconds of all its callers one shard keeps.
pub(super) const KEPT_MAX: usize = SECONDS_KEPT_MAX / SHARDS;

/// How far back seconds are kept.
pub const SECONDS: u64 = 300;

/// One second, in a form of 64 bytes.
#[derive(Clone, Default)]
struct Second {
    second: u64,
    bytes_in: u64,
    bytes_out: u64,
    allowed: u32,
    denied: u32,
    failed: u32,
    unauthenticated: u32,
    answers: [u32; 4],
    latency_us: u32,
    latency_us_max: u32,
}

/// The seconds of one caller, the oldest first. How many all callers of a shard have is the shard's to know.
#[derive(Default)]
pub(super) struct Seconds(VecDeque<Second>);

impl Seconds {
    /// Counts into the second of `now`, or into the newest where the clock was set back. `kept` is what the shard keeps
    /// in all: where that is the most, one's own oldest second gives way.
    pub(super) fn count(&mut self, counts: &UsageCounts, now: Micros, kept: &mut usize) {
        let newest = self.0.back().map_or(0, |newest| newest.second);
        let second = now.as_secs().max(newest);
        if self.0.is_empty() || second > newest {
            self.forget_before((second + 1).saturating_sub(SECONDS + 1), kept);
            if *kept >= KEPT_MAX {
                *kept -= usize::from(self.0.pop_front().is_some());
            }
            if *kept >= KEPT_MAX {
                return;
            }
            self.0.push_back(Second {
                second,
                ..Second::default()
            });
            *kept += 1;
        }
        if let Some(newest) = self.0.back_mut() {
            newest.add(counts);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The seconds from `from` to before `to`, each with its number since 1970.
    pub(super) fn between(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, UsageCounts)> {
        let within = move |second: &&Second| (from..to).contains(&second.second);
        let seconds = self.0.iter().filter(within);
        seconds.map(|second| (second.second, second.counts()))
    }

    fn forget_before(&mut self, oldest: u64, kept: &mut usize) {
        while self.0.front().is_some_and(|first| first.second < oldest) {
            self.0.pop_front();
            *kept -= 1;
        }
    }
}

impl Second {
    fn add(&mut self, more: &UsageCounts) {
        let add = |count: &mut u32, more: u64| {
            *count = count.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
        };
        add(&mut self.allowed, more.allowed);
        add(&mut self.denied, more.denied);
        add(&mut self.failed, more.failed);
        add(&mut self.unauthenticated, more.unauthenticated);
        for (class, more) in self.answers.iter_mut().zip(more.answers) {
            add(class, more);
        }
        add(&mut self.latency_us, more.latency_us);
        let longest = u32::try_from(more.latency_us_max).unwrap_or(u32::MAX);
        self.latency_us_max = self.latency_us_max.max(longest);
        self.bytes_in += more.bytes_in;
        self.bytes_out += more.bytes_out;
    }

    fn counts(&self) -> UsageCounts {
        UsageCounts {
            allowed: self.allowed.into(),
            denied: self.denied.into(),
            failed: self.failed.into(),
            unauthenticated: self.unauthenticated.into(),
            answers: self.answers.map(u64::from),
            latency_us: self.latency_us.into(),
            latency_us_max: self.latency_us_max.into(),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> UsageCounts {
        UsageCounts {
            allowed: 1,
            ..UsageCounts::default()
        }
    }

    fn seconds_of(seconds: &Seconds) -> Vec<(u64, u64)> {
        let all = seconds.between(0, u64::MAX);
        all.map(|(second, counts)| (second, counts.allowed))
            .collect()
    }

    #[test]
    fn only_seconds_with_requests_take_room_and_old_ones_go() {
        let (mut seconds, mut kept) = (Seconds::default(), 0);
        for second in [1000, 1000, 1200, 1301] {
            seconds.count(&one(), Micros::from_secs(second), &mut kept);
        }
        assert_eq!(seconds_of(&seconds), [(1200, 1), (1301, 1)]);
        assert_eq!((kept, std::mem::size_of::<Second>()), (2, 64));
    }

    #[test]
    fn where_all_room_is_taken_ones_own_oldest_second_gives_way() {
        let (mut mine, mut kept) = (Seconds::default(), 0);
        mine.count(&one(), Micros::from_secs(1000), &mut kept);
        kept = KEPT_MAX;
        mine.count(&one(), Micros::from_secs(1001), &mut kept);
        assert_eq!(seconds_of(&mine), [(1001, 1)]);
        let mut newcomer = Seconds::default();
        newcomer.count(&one(), Micros::from_secs(1001), &mut kept);
        assert_eq!((newcomer.len(), kept), (0, KEPT_MAX));
    }

    #[test]
    fn a_clock_that_was_set_back_counts_in_the_newest_second() {
        let (mut seconds, mut kept) = (Seconds::default(), 0);
        seconds.count(&one(), Micros::from_secs(1000), &mut kept);
        seconds.count(&one(), Micros::from_secs(10), &mut kept);
        assert_eq!(seconds_of(&seconds), [(1000, 2)]);
    }
}
