//! How fine stored usage is: minutes, hours, days.

use tollgate::Micros;

/// The length of time that one stored count is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day, from midnight to midnight UTC.
    Day,
}

impl Step {
    /// From the finest to the coarsest.
    pub const ALL: [Step; 3] = [Step::Minute, Step::Hour, Step::Day];

    /// Its length in seconds.
    pub fn as_secs(self) -> u64 {
        match self {
            Step::Minute => 60,
            Step::Hour => 3_600,
            Step::Day => 86_400,
        }
    }

    /// The start of the one that `at` lies in.
    pub fn start_of(self, at: Micros) -> Micros {
        Micros(at.0 - at.0 % (self.as_secs() * 1_000_000))
    }

    /// As statements name the table of its counts.
    pub(super) fn table(self) -> &'static str {
        match self {
            Step::Minute => r#""usage""#,
            Step::Hour => "usage_hours",
            Step::Day => "usage_days",
        }
    }
}
