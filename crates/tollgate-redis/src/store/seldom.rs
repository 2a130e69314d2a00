//! What is said at most once in a while, however often there is a reason.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tollgate::Micros;

const EVERY: Duration = Duration::from_secs(10);

/// When something was last said.
#[derive(Debug, Default)]
pub(super) struct Seldom {
    said: AtomicU64,
}

impl Seldom {
    /// Whether it is time to say it, which one of those who ask at once is told.
    pub(super) fn is_due(&self, now: Micros) -> bool {
        let said = self.said.load(Relaxed);
        // After a step back of the clock nothing is kept silent for longer than usual.
        let is_recent = (said..(Micros(said) + EVERY).0).contains(&now.0);
        let swap = || {
            self.said
                .compare_exchange(said, now.0.max(1), Relaxed, Relaxed)
        };
        (said == 0 || !is_recent) && swap().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_at_once_and_then_every_ten_seconds() {
        let seldom = Seldom::default();
        let due = |seconds| seldom.is_due(Micros::from_secs(seconds));
        assert!(due(100));
        assert!(!due(100) && !due(109));
        assert!(due(110));
        assert!(!due(119));
        assert!(due(50), "the clock has been put back");
        assert!(!due(51));
    }
}
