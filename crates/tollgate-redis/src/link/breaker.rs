//! Whether a server is asked at all: not while it fails, and again only after three good probes. Reads no clock.

use std::collections::VecDeque;

use tollgate::Micros;

/// So many failures within [`ERRORS_WITHIN`] open it.
const ERRORS_MAX: usize = 5;
const ERRORS_WITHIN: u64 = 1_000_000;
/// So does half of the calls of the last [`SHARE_WITHIN`], if they are at least so many.
const CALLS_MIN: u32 = 20;
const SHARE_WITHIN: u64 = 10 * SLICE;
const SLICE: u64 = 1_000_000;
/// So do so many failures without a good call in between, over so long at least: where calls are rare.
const IN_A_ROW: u32 = 3;
const IN_A_ROW_FOR: u64 = 1_000_000;
/// Good probes in a row that close it.
const PROBES: u32 = 3;

/// The state of one server.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// Good probes so far; `None` while it is closed.
    open: Option<u32>,
    /// When the last failures were.
    failures: VecDeque<u64>,
    slices: VecDeque<Slice>,
    /// How many failures since the last good call, and when the first of them was.
    row: Option<(u32, u64)>,
    is_over: bool,
}

#[derive(Debug)]
struct Slice {
    began: u64,
    calls: u32,
    failed: u32,
}

impl Breaker {
    /// Whether calls are kept from the server.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Hears of a call, and tells whether that opens it.
    pub(super) fn heard(&mut self, has_failed: bool, now: Micros) -> bool {
        if self.is_open() || self.is_over {
            return false;
        }
        let now = now.0;
        self.slice(now, has_failed);
        self.row = has_failed.then(|| {
            let (failures, first) = self.row.unwrap_or((0, now));
            (failures + 1, first)
        });
        if has_failed {
            self.failures.push_back(now);
            if self.failures.len() > ERRORS_MAX {
                self.failures.pop_front();
            }
        }
        has_failed
            && (self.many_at_once(now) || self.half_of_all() || self.nothing_else(now))
            && self.trip()
    }

    /// Opens it at once, and tells whether it was closed.
    pub(super) fn trip(&mut self) -> bool {
        if self.is_over {
            return false;
        }
        self.failures.clear();
        self.slices.clear();
        self.row = None;
        self.open.replace(0).is_none()
    }

    /// The server is none of ours any more: nothing opens or closes it from now on. Tells whether it was open.
    pub(super) fn end(&mut self) -> bool {
        self.is_over = true;
        self.open.take().is_some()
    }

    /// Hears of a probe, and tells whether that closes it.
    pub(super) fn probed(&mut self, is_good: bool) -> bool {
        let Some(good) = &mut self.open else {
            return false;
        };
        *good = if is_good { *good + 1 } else { 0 };
        if *good < PROBES {
            return false;
        }
        self.open = None;
        true
    }

    fn slice(&mut self, now: u64, has_failed: bool) {
        while self
            .slices
            .front()
            .is_some_and(|slice| slice.began + SHARE_WITHIN <= now)
        {
            self.slices.pop_front();
        }
        match self.slices.back_mut() {
            Some(slice) if now < slice.began + SLICE => {
                slice.calls += 1;
                slice.failed += u32::from(has_failed);
            }
            _ => self.slices.push_back(Slice {
                began: now,
                calls: 1,
                failed: u32::from(has_failed),
            }),
        }
    }

    fn many_at_once(&self, now: u64) -> bool {
        self.failures.len() == ERRORS_MAX
            && self
                .failures
                .front()
                .is_some_and(|first| now.saturating_sub(*first) <= ERRORS_WITHIN)
    }

    fn nothing_else(&self, now: u64) -> bool {
        self.row.is_some_and(|(failures, first)| {
            failures >= IN_A_ROW && now.saturating_sub(first) >= IN_A_ROW_FOR
        })
    }

    fn half_of_all(&self) -> bool {
        let calls: u32 = self.slices.iter().map(|slice| slice.calls).sum();
        let failed: u32 = self.slices.iter().map(|slice| slice.failed).sum();
        calls >= CALLS_MIN && failed * 2 >= calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Micros {
        Micros(ms * 1_000)
    }

    #[test]
    fn five_failures_within_a_second_open_it_however_many_calls_are_good() {
        let mut breaker = Breaker::default();
        for call in 0..1_000 {
            assert!(!breaker.heard(false, at(call)));
        }
        for failure in 0..4 {
            assert!(!breaker.heard(true, at(1_000 + failure * 250)));
        }
        assert!(breaker.heard(true, at(2_000)));
        assert!(breaker.is_open());
        assert!(!breaker.heard(true, at(2_000)), "it opens once");
    }

    #[test]
    fn five_failures_over_more_than_a_second_do_not() {
        let mut breaker = Breaker::default();
        for call in 0..100 {
            assert!(!breaker.heard(false, at(call)));
        }
        for failure in 0..20 {
            assert!(!breaker.heard(true, at(failure * 251)));
            assert!(!breaker.heard(false, at(failure * 251 + 1)));
        }
    }

    #[test]
    fn three_failures_without_a_good_call_over_a_second_open_it_however_rare_calls_are() {
        for gap in [500, 1_000, 60_000, 3_600_000] {
            let mut breaker = Breaker::default();
            assert!(!breaker.heard(false, at(0)));
            assert!(!breaker.heard(true, at(gap)));
            assert!(!breaker.heard(true, at(2 * gap)));
            assert!(breaker.heard(true, at(3 * gap)), "{gap}");
            assert!((0..3).any(|_| breaker.probed(true)));
            assert!(!breaker.heard(true, at(4 * gap)));
        }
        let mut answers = Breaker::default();
        for call in 1..100 {
            assert!(!answers.heard(call % 3 != 0, at(call * 10_000)));
        }
        let mut at_once = Breaker::default();
        assert!((0..4).all(|call| !at_once.heard(true, at(call))));
    }

    #[test]
    fn half_of_twenty_calls_that_fail_within_ten_seconds_open_it() {
        let mut breaker = Breaker::default();
        let opened = (0..20).position(|call| breaker.heard(call % 2 == 1, at(call * 400)));
        assert_eq!(opened, Some(19));
        let mut rarely = Breaker::default();
        assert!((0..100).all(|call| !rarely.heard(call % 2 == 1, at(call * 600))));
    }

    #[test]
    fn only_three_good_probes_in_a_row_close_it() {
        let mut breaker = Breaker::default();
        assert!(breaker.trip());
        assert!(!breaker.trip());
        let closes = [true, true, false, true, true, true].map(|is_good| breaker.probed(is_good));
        assert_eq!(closes, [false, false, false, false, false, true]);
        assert!(!breaker.is_open());
        assert!(!breaker.probed(true));
    }

    #[test]
    fn what_has_ended_opens_and_closes_no_more() {
        let mut breaker = Breaker::default();
        assert!(!breaker.end());
        assert!(!breaker.trip() && (0..9).all(|_| !breaker.heard(true, at(0))));
        let mut open = Breaker::default();
        open.trip();
        assert!(open.end());
        assert!((0..9).all(|_| !open.probed(true)));
    }

    #[test]
    fn what_was_before_it_opened_counts_for_nothing_after_it_has_closed() {
        let mut breaker = Breaker::default();
        assert!((0..5).any(|_| breaker.heard(true, at(0))));
        assert!((0..3).any(|_| breaker.probed(true)));
        assert!(!breaker.heard(true, at(1)));
    }
}
