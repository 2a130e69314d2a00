//! Algorithms of one's own whose states have no units in use.

use super::*;
use crate::algorithm::{Algorithm, Denied, Facts, State};

/// Lets one pass, and the next when so much time is over. It counts no units.
#[derive(Debug)]
struct Pause {
    micros: u64,
}

impl Algorithm for Pause {
    fn name(&self) -> &'static str {
        "pause"
    }

    fn capacity(&self) -> u64 {
        1
    }

    fn full_refill_micros(&self) -> u64 {
        self.micros
    }

    fn step(&self, state: Option<State>, now: Micros, cost: u64) -> Result<State, Denied> {
        match self.facts(state.as_ref(), now, cost).fits_at {
            Some(at) if at > now => Err(Denied { fits_at: Some(at) }),
            _ => Ok(State::Pair(now.0 + self.micros, 0)),
        }
    }

    fn facts(&self, state: Option<&State>, now: Micros, _: u64) -> Facts {
        let end = match state {
            Some(State::Pair(end, _)) => now.max(Micros(*end)),
            _ => now,
        };
        Facts {
            used: 0,
            remaining: u64::from(end == now),
            fits_at: Some(end),
            grows_at: (end > now).then_some(end),
            void_at: end,
        }
    }
}

fn pause(micros: u64) -> Arc<Policy> {
    Arc::new(Policy::custom("pause", Arc::new(Pause { micros })).unwrap())
}

#[test]
fn a_state_without_units_in_use_has_a_place_while_it_lasts() {
    let (store, policy) = (small(OnFull::Closed), pause(10_000_000));
    let passes = |now| charge(&store, &policy, "ann", 1, now).is_allowed();
    assert!(passes(100) && !passes(100) && !passes(109) && passes(110));
    assert_eq!(
        store.stats(Micros::from_secs(110)).newcomers_without_room,
        0
    );
}

#[test]
fn a_state_that_is_void_at_once_needs_no_place() {
    let (store, policy) = (small(OnFull::Closed), pause(0));
    for _ in 0..3 {
        assert!(charge(&store, &policy, "ann", 1, 100).is_allowed());
    }
    let stats = store.stats(Micros::from_secs(100));
    assert_eq!((stats.keys, stats.newcomers_without_room), (0, 0));
}
