//! A unit charged in advance: the turn of somebody who waits.

use std::time::Duration;

use super::{Charged, Limiter};
use crate::decision::Decision;
use crate::store::Checks;
use crate::time::Micros;

/// A turn that comes after [`wait`](Turn::wait). Dropped without [`take`](Turn::take), it is given back, and nobody
/// else's turn moves.
///
/// ```
/// use std::time::Duration;
/// use tollgate::{Limiter, Quota};
///
/// let limiter = Limiter::new("10 per second burst 1".parse::<Quota>()?)?;
/// let now = limiter.turn("ann", Duration::ZERO).unwrap();
/// assert_eq!(now.wait(), Duration::ZERO);
/// now.take();
/// let next = limiter.turn("ann", Duration::from_secs(1)).unwrap();
/// assert!(next.wait() <= Duration::from_millis(100));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "dropping the turn gives it back"]
pub struct Turn {
    at: Micros,
    charged: Option<Charged>,
}

impl Turn {
    pub(super) fn reserve(
        limiter: &Limiter,
        key: &[u8],
        patience: Duration,
    ) -> Result<Self, Decision> {
        let now = limiter.clock.now();
        let reserve = |checks: &Checks<'_>| limiter.store.reserve(checks, now, now + patience);
        let checks = limiter.checks(key, 1);
        let checks = checks.map_err(|reason| Decision::refused(reason, now))?;
        let (at, receipt) = reserve(&checks)?;
        Ok(Turn {
            at,
            charged: Some(Charged::new(limiter, key, receipt)),
        })
    }

    /// When the turn comes.
    pub fn at(&self) -> Micros {
        self.at
    }

    /// How long that is from now.
    pub fn wait(&self) -> Duration {
        self.charged
            .as_ref()
            .map_or(Duration::ZERO, |charged| self.at.since(charged.now()))
    }

    /// Uses the turn.
    pub fn take(mut self) {
        self.charged = None;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(charged) = &self.charged {
            charged.give_back();
        }
    }
}
