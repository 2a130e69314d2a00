//! How long to wait before connecting again: longer with each failure, and never at the same time as everybody else.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);

/// Before the attempt that follows `failures` failures: anywhere between nothing and a bound that doubles, from 50 ms to
/// `longest` ("full jitter").
pub(super) fn wait(failures: u32, longest: Duration) -> Duration {
    let bound = FIRST.saturating_mul(1 << failures.min(16)).min(longest);
    jitter(Duration::ZERO, bound)
}

/// Anywhere between the two.
pub(super) fn jitter(least: Duration, most: Duration) -> Duration {
    let span = most.saturating_sub(least).as_micros() as u64;
    // A new state is seeded by chance, and that is all that is wanted here.
    let chance = RandomState::new().hash_one(());
    least + Duration::from_micros(chance % (span + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_differ_and_their_bound_doubles_up_to_the_longest() {
        let longest = Duration::from_secs(2);
        let most = |failures| (0..2_000).map(|_| wait(failures, longest)).max().unwrap();
        for (failures, bound) in [(0, 50), (1, 100), (3, 400), (6, 2_000), (40, 2_000)] {
            let bound = Duration::from_millis(bound);
            let most = most(failures);
            assert!(
                most <= bound && most > bound * 9 / 10,
                "{failures}: {most:?}"
            );
        }
        assert!((0..100).any(|_| wait(6, longest) < Duration::from_secs(1)));
    }
}
