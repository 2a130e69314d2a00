//! Charges beside those of a decision: given back, settled, or made in advance.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::{
    LATEST, Stored, facts, governing, is_shadow, look, migrate, migrate_all, peek, put_back,
};
use crate::algorithm::{Algorithm, Charge, State};
use crate::decision::{Decision, Receipt, Verdict};
use crate::store::Check;
use crate::time::Micros;

/// Gives back what the charges of `receipt` still hold, and tells how many units that were. `slots` holds the states of
/// the checks alone.
pub fn refund(
    checks: &[Check<'_>],
    slots: &mut [Option<Stored>],
    receipt: &Receipt,
    now: Micros,
) -> u64 {
    let now = now.min(LATEST);
    let charged = checks.iter().zip(slots).zip(&receipt.charges);
    charged
        .map(|((check, slot), charge)| give_back(check, slot, charge, now))
        .sum()
}

/// Gives back as many units as the checks cost, of what their keys hold, whoever took them, and tells how many that were:
/// of a log the newest, also such as were charged in advance, of a window those of the one that is open. `slots` holds
/// the states of the checks alone.
pub fn release(checks: &[Check<'_>], slots: &mut [Option<Stored>], now: Micros) -> u64 {
    let now = now.min(LATEST);
    let each = checks.iter().zip(slots);
    each.map(|(check, slot)| {
        let foreign = migrate(check, slot, now);
        if slot.is_none() {
            *slot = foreign;
            return 0;
        }
        take_out(check, slot, check.cost, |algorithm, state| {
            algorithm.release(state, now, check.cost)
        })
    })
    .sum()
}

/// Makes the charges of `receipt`, which were estimates, into what the checks now say they cost: gives the difference
/// back, or charges it, up to a debt of one capacity. `slots` holds the states of the checks alone.
pub fn settle(checks: &[Check<'_>], slots: &mut [Option<Stored>], receipt: &Receipt, now: Micros) {
    let now = now.min(LATEST);
    for ((check, slot), charge) in checks.iter().zip(slots).zip(&receipt.charges) {
        if charge.cost == 0 {
            continue;
        }
        if check.cost <= charge.cost {
            let cost = charge.cost - check.cost;
            give_back(check, slot, &Charge { cost, ..*charge }, now);
        } else {
            let foreign = migrate(check, slot, now);
            let owed = check.cost - charge.cost;
            *slot = ahead(check, slot.take(), now, now, owed).or(foreign);
        }
    }
}

/// Charges all `checks` for the first instant, not later than `until`, at which they all fit and no block holds them off,
/// and says when that is. When there is none, or an algorithm takes no reservations, tells what [`peek`] would, and
/// nothing is charged. No block begins: who waits is not denied. `slots` holds the states of the checks' [`cells`](super::cells).
pub fn reserve(
    checks: &[Check<'_>],
    slots: &mut [Option<Stored>],
    now: Micros,
    until: Micros,
) -> Result<(Micros, Receipt), Decision> {
    let now = now.min(LATEST);
    let foreign = migrate_all(checks, slots, now);
    let reserved = reserve_migrated(checks, slots, now, until);
    put_back(slots, foreign);
    reserved
}

fn reserve_migrated(
    checks: &[Check<'_>],
    slots: &mut [Option<Stored>],
    now: Micros,
    until: Micros,
) -> Result<(Micros, Receipt), Decision> {
    let denied = |slots: &[Option<Stored>]| Err(peek(checks, slots, now));
    let seen = look(checks, slots, now, false);
    let wait = match seen.verdict() {
        Verdict::Allow => Duration::ZERO,
        Verdict::Deny { retry_after } => retry_after,
        Verdict::Never { .. } | Verdict::Refused { .. } => return denied(slots),
    };
    let at = now + wait;
    if at > until.min(LATEST) {
        return denied(slots);
    }
    let mut charges = SmallVec::new();
    let mut reserved: SmallVec<[Option<Stored>; 2]> = SmallVec::new();
    for ((check, slot), standing) in checks.iter().zip(slots.iter()).zip(seen.standings()) {
        let counts = check.cost > 0
            && governing(check, slot.as_ref()).algorithm().is_some()
            && !(is_shadow(check) && standing.is_violated());
        if !counts {
            charges.push(Charge::default());
            reserved.push(slot.clone());
            continue;
        }
        let stored = match at > now {
            true => ahead(check, slot.clone(), now, at, check.cost),
            false => stepped(check, slot.clone(), now),
        };
        let Some(stored) = stored else {
            if !is_shadow(check) {
                return denied(slots);
            }
            charges.push(Charge::default());
            reserved.push(slot.clone());
            continue;
        };
        charges.push(Charge {
            cost: check.cost,
            mark: stored.state.mark(),
        });
        reserved.push(Some(stored));
    }
    slots
        .iter_mut()
        .zip(reserved)
        .for_each(|(slot, reserved)| *slot = reserved);
    let degraded = false;
    Ok((at, Receipt { charges, degraded }))
}

/// Charges units in advance, beside a decision that was allowed at `now`, as if at the end of each policy's
/// [lease](crate::Lease): of each check as many as are `wanted`, but at most a quarter of what remains, so that there is
/// enough for others. What was charged, for each check. `slots` holds the states of the checks alone.
pub fn lease(
    checks: &[Check<'_>],
    slots: &mut [Option<Stored>],
    now: Micros,
    wanted: &[u64],
) -> SmallVec<[Charge; 2]> {
    let now = now.min(LATEST);
    let each = checks.iter().zip(slots).zip(wanted);
    each.map(|((check, slot), wanted)| {
        // Under a newer policy's numbers the terms are not known here.
        let governing = governing(check, slot.as_ref());
        let terms = check.policy.lease_terms();
        let Some(terms) = terms.filter(|_| governing.counts_like(check.policy)) else {
            return Charge::default();
        };
        let remaining = facts(check, slot.as_ref(), now).remaining;
        let cost = *wanted.min(&(remaining / 4));
        match ahead(check, slot.clone(), now, now + terms.time, cost) {
            Some(stored) if cost > 0 => {
                let mark = stored.state.mark();
                *slot = Some(stored);
                Charge { cost, mark }
            }
            _ => Charge::default(),
        }
    })
    .collect()
}

/// The state after an ordinary charge at `now`.
fn stepped(check: &Check<'_>, slot: Option<Stored>, now: Micros) -> Option<Stored> {
    let policy = Arc::clone(governing(check, slot.as_ref()));
    let state = slot.map(|stored| stored.state);
    let state = policy.algorithm()?.step(state, now, check.cost).ok()?;
    Some(Stored { policy, state })
}

/// The state after charging `cost` for `at`, as far as that leaves a debt of at most one capacity; the state as it was
/// where the algorithm takes no such charge now, `None` where it takes none for later.
fn ahead(
    check: &Check<'_>,
    slot: Option<Stored>,
    now: Micros,
    at: Micros,
    cost: u64,
) -> Option<Stored> {
    let policy = Arc::clone(governing(check, slot.as_ref()));
    let algorithm = policy.algorithm()?;
    let used = slot.as_ref().map_or(0, |stored| {
        algorithm.facts(Some(&stored.state), now, 0).used
    });
    let room = algorithm.capacity().saturating_mul(2).saturating_sub(used);
    // A state further ahead than this would be void.
    let ahead = at.0.saturating_sub(now.0);
    if ahead > algorithm.full_refill_micros() || at > now && cost > room {
        return None;
    }
    if room == 0 {
        return slot;
    }
    let state = slot.as_ref().map(|stored| stored.state.clone());
    match algorithm.reserve(state, now, at, cost.min(room)) {
        Some(state) => Some(Stored { policy, state }),
        None if at > now => None,
        None => slot,
    }
}

fn give_back(check: &Check<'_>, slot: &mut Option<Stored>, charge: &Charge, now: Micros) -> u64 {
    take_out(check, slot, charge.cost, |algorithm, state| {
        algorithm.give_back(state, now, charge)
    })
}

/// Takes units out of the state by `give_back`, which is asked for `cost` of them, and tells how many they were.
fn take_out(
    check: &Check<'_>,
    slot: &mut Option<Stored>,
    cost: u64,
    give_back: impl FnOnce(&dyn Algorithm, State) -> (Option<State>, u64),
) -> u64 {
    // A charge made under other numbers is marked in them.
    // A lease is known by its end, whatever the limit.
    let same = |stored: &Stored| {
        stored.policy.counts_like(check.policy)
            || stored.policy.holds_slots() && check.policy.holds_slots()
    };
    if cost == 0 || !slot.as_ref().is_some_and(same) {
        return 0;
    }
    let Some(Stored { policy, state }) = slot.take() else {
        return 0;
    };
    let Some(algorithm) = policy.algorithm() else {
        return 0;
    };
    let (state, units) = give_back(algorithm, state);
    *slot = state.map(|state| Stored {
        policy: Arc::clone(&policy),
        state,
    });
    units
}
