//! States that grow: units with their times.

use smallvec::SmallVec;

/// A state that grows: units with their times, oldest first.
pub type Log = SmallVec<[Entry; 6]>;

/// Units with a time.
///
/// ```
/// use tollgate::algorithm::{Entry, Log, State};
///
/// let state = State::Log(Log::from_slice(&[Entry { at: 1_000_000, units: 2 }]));
/// assert_eq!(state.mark().0, 1_000_000, "how a refund finds the charge");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// When, in microseconds since the Unix epoch.
    pub at: u64,
    /// How many.
    pub units: u64,
}

/// Takes the newest units out of a log, which may leave it without any, and tells how many they were.
pub(super) fn take_newest(mut log: Log, units: u64) -> (Option<Log>, u64) {
    let taken = empty_newest(&mut log, units);
    log.retain(|entry| entry.units > 0);
    ((!log.is_empty()).then_some(log), taken)
}

/// Leaves entries without units where it has taken them all.
pub(super) fn empty_newest(entries: &mut [Entry], units: u64) -> u64 {
    let mut left = units;
    for newest in entries.iter_mut().rev() {
        let taken = newest.units.min(left);
        newest.units -= taken;
        left -= taken;
    }
    units - left
}
