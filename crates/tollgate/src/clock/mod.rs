//! Where "now" comes from. The only module that reads the system's clocks.

mod boot;
mod steady;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::time::{Micros, micros};

/// A source of instants.
///
/// ```
/// use std::sync::Arc;
/// use tollgate::{Clock, Limiter, Micros, Quota};
///
/// /// The time of a recording.
/// struct Recorded(Micros);
///
/// impl Clock for Recorded {
///     fn now(&self) -> Micros {
///         self.0
///     }
/// }
///
/// let clock = Arc::new(Recorded(Micros::from_secs(1_000)));
/// let limiter = Limiter::builder().quotas(Quota::per_minute(5)?).clock(clock).build()?;
/// assert_eq!(limiter.check("ann").at(), Micros::from_secs(1_000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Clock: Send + Sync {
    /// The current instant.
    fn now(&self) -> Micros;
}

/// The system's clock: counts on through suspend, never steps, and is anchored to the wall clock when it is made.
///
/// A step of the wall clock while the process runs is therefore not seen, and a saved state can be compared with
/// an instant of the next process.
///
/// ```
/// use tollgate::{Clock, SystemClock};
///
/// let clock = SystemClock::new();
/// let (first, second) = (clock.now(), clock.now());
/// assert!(second >= first);
/// ```
#[derive(Debug)]
pub struct SystemClock {
    /// What to add to the boot clock to get the time since 1970.
    anchor: u64,
}

impl SystemClock {
    /// A clock anchored to the wall clock as it reads now.
    pub fn new() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "this module is where the system's clock is read"
        )]
        let wall = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, micros);
        SystemClock {
            anchor: wall.saturating_sub(boot::micros()),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Micros {
        Micros(self.anchor + steady::micros())
    }
}

/// A clock that stands still until it is told to move, for tests and simulation.
///
/// ```
/// use std::time::Duration;
/// use tollgate::{Clock, ManualClock, Micros};
///
/// let clock = ManualClock::new(Micros::from_secs(100));
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(clock.now(), Micros::from_secs(105));
/// ```
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that reads `start`.
    pub fn new(start: Micros) -> Self {
        ManualClock(AtomicU64::new(start.0))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(micros(by), Ordering::SeqCst);
    }

    /// Sets the clock, forward or back.
    pub fn set(&self, now: Micros) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Micros {
        Micros(self.0.load(Ordering::SeqCst))
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Micros {
        (**self).now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_reads_what_it_was_last_told() {
        let clock = ManualClock::new(Micros(100));
        for now in [Micros(200), Micros(7)] {
            clock.set(now);
            assert_eq!(clock.now(), now);
            clock.advance(Duration::from_micros(5));
            assert_eq!(clock.now(), Micros(now.0 + 5));
        }
    }

    #[test]
    fn the_system_clock_agrees_with_the_wall_clock_and_never_goes_back() {
        let clock = SystemClock::new();
        #[expect(
            clippy::disallowed_methods,
            reason = "compared with the clock under test"
        )]
        let wall = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        let (first, second) = (clock.now(), clock.now());
        assert!(second >= first);
        assert!(first.as_secs().abs_diff(wall.as_secs()) <= 5);
    }
}
