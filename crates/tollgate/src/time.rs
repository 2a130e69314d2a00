//! The one unit of time: whole microseconds since the Unix epoch.

use std::fmt;
use std::time::Duration;

/// An instant, in whole microseconds since 1970-01-01T00:00:00Z.
///
/// ```
/// use std::time::Duration;
/// use tollgate::Micros;
///
/// let start = Micros::from_secs(60);
/// assert_eq!(start + Duration::from_millis(1), Micros(60_001_000));
/// assert_eq!(Micros::from_secs(61).since(start), Duration::from_secs(1));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub u64);

impl Micros {
    /// The instant `seconds` after the epoch.
    pub const fn from_secs(seconds: u64) -> Self {
        Micros(seconds.saturating_mul(1_000_000))
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The time from `earlier` to this instant; zero if `earlier` is later.
    pub const fn since(self, earlier: Micros) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for Micros {
    type Output = Micros;

    fn add(self, wait: Duration) -> Micros {
        Micros(self.0.saturating_add(micros(wait)))
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// A duration in whole microseconds, saturating.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_reads_as_seconds_and_six_digits() {
        assert_eq!(Micros(60_000_001).to_string(), "60.000001");
    }
}
