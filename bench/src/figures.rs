//! The figures, and the bar of each.

/// What a figure is held to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bar {
    AtLeast(f64),
    AtMost(f64),
}

impl Bar {
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Bar::AtLeast(bar) => value >= bar,
            Bar::AtMost(bar) => value <= bar,
        }
    }

    pub fn value(self) -> f64 {
        match self {
            Bar::AtLeast(bar) | Bar::AtMost(bar) => bar,
        }
    }

    pub fn sense(self) -> &'static str {
        match self {
            Bar::AtLeast(_) => "at least",
            Bar::AtMost(_) => "at most",
        }
    }
}

/// One figure of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    Governor1M,
    Governor10M,
    Governor1MNumbers,
    Governor1K,
    Batch1M,
    Batch10M,
    HotKeyTwoThreads,
    Instructions,
    SlidingCounter,
    FixedWindow,
    SlidingWindowTime,
    SlidingWindowBytes,
    BytesPerKey,
    KeysEvicted,
    Pause,
    FloodResident,
    FloodAdmitted,
    Allocations,
}

const GOVERNOR: &str = "times governor's time";
const TOKEN_BUCKET: &str = "times token-bucket";

/// Every figure: name, unit, bar.
pub const FIGURES: [(Figure, &str, &str, Bar); 18] = [
    (
        Figure::Governor1M,
        "speed-1m-strings",
        GOVERNOR,
        Bar::AtLeast(8.0),
    ),
    (
        Figure::Governor10M,
        "speed-10m-strings",
        GOVERNOR,
        Bar::AtLeast(8.0),
    ),
    (
        Figure::Governor1MNumbers,
        "speed-1m-u64",
        GOVERNOR,
        Bar::AtLeast(2.5),
    ),
    (
        Figure::Governor1K,
        "speed-1k-strings",
        GOVERNOR,
        Bar::AtLeast(2.0),
    ),
    (
        Figure::Batch1M,
        "speed-batch-1m-strings",
        GOVERNOR,
        Bar::AtLeast(15.0),
    ),
    (
        Figure::Batch10M,
        "speed-batch-10m-strings",
        GOVERNOR,
        Bar::AtLeast(20.0),
    ),
    (
        Figure::HotKeyTwoThreads,
        "speed-one-key-two-threads",
        GOVERNOR,
        Bar::AtLeast(3.0),
    ),
    (
        Figure::Instructions,
        "instructions-per-decision",
        "instructions",
        Bar::AtMost(120.0),
    ),
    (
        Figure::SlidingCounter,
        "time-sliding-counter",
        TOKEN_BUCKET,
        Bar::AtMost(1.5),
    ),
    (
        Figure::FixedWindow,
        "time-fixed-window",
        TOKEN_BUCKET,
        Bar::AtMost(1.5),
    ),
    (
        Figure::SlidingWindowTime,
        "speed-sliding-window",
        "times mutex-and-deque's time",
        Bar::AtLeast(4.0),
    ),
    (
        Figure::SlidingWindowBytes,
        "bytes-per-key-sliding-window",
        "bytes",
        Bar::AtMost(128.0),
    ),
    (
        Figure::BytesPerKey,
        "bytes-per-key-10m",
        "bytes",
        Bar::AtMost(28.0),
    ),
    (
        Figure::KeysEvicted,
        "live-keys-evicted-10m",
        "of 10,000 keys",
        Bar::AtMost(1.0),
    ),
    (
        Figure::Pause,
        "pause-p99.99",
        "microseconds",
        Bar::AtMost(10.0),
    ),
    (
        Figure::FloodResident,
        "flood-resident",
        "of the bound",
        Bar::AtMost(1.05),
    ),
    (
        Figure::FloodAdmitted,
        "flood-admitted",
        "of 10,000 keys over their limit",
        Bar::AtMost(0.0),
    ),
    (
        Figure::Allocations,
        "allocations-per-decision",
        "allocations",
        Bar::AtMost(0.0),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_met_at_its_own_value_and_never_by_no_number() {
        assert!(Bar::AtLeast(8.0).is_met(8.0) && !Bar::AtLeast(8.0).is_met(7.9));
        assert!(Bar::AtMost(8.0).is_met(8.0) && !Bar::AtMost(8.0).is_met(8.1));
        assert!(!Bar::AtLeast(8.0).is_met(f64::NAN) && !Bar::AtMost(8.0).is_met(f64::NAN));
    }
}
