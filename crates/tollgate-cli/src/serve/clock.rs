//! The one clock of everything that has meaning in time: limits, sessions, tokens, grace, usage.

use std::sync::Arc;

use tollgate::{Clock, ManualClock, SystemClock};

use crate::args::ServeArgs;

/// The clock, and the same one again if it is held by a test.
#[cfg(debug_assertions)]
pub(super) fn choose(args: &ServeArgs) -> (Arc<dyn Clock>, Option<Arc<ManualClock>>) {
    match args.test_clock {
        Some(start) => {
            let held = Arc::new(ManualClock::new(tollgate::Micros::from_secs(start)));
            (Arc::clone(&held) as Arc<dyn Clock>, Some(held))
        }
        None => (Arc::new(SystemClock::new()), None),
    }
}

/// A released gateway has no clock but the system's.
#[cfg(not(debug_assertions))]
pub(super) fn choose(_: &ServeArgs) -> (Arc<dyn Clock>, Option<Arc<ManualClock>>) {
    (Arc::new(SystemClock::new()), None)
}
