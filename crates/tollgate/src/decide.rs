//! The one way from checks and states to a decision, for every store that holds states itself.

mod charges;
mod penalties;

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

pub use charges::{lease, refund, release, reserve, settle};
use penalties::Beside;

use crate::algorithm::{Algorithm, Charge, Counting, Facts, INTEGER_MAX, Outlook, State};
use crate::decision::{Decision, Outcome, Standing, Verdict};
use crate::policy::{Mode, Policy};
use crate::rule::Rule;
use crate::store::Check;
use crate::time::Micros;

/// The latest instant that is decided at, in the year 2255: a later reading is taken for it, so that nothing overflows.
pub(crate) const LATEST: Micros = Micros(INTEGER_MAX);

/// What an algorithm of one's own reports is taken to be no later than this, and no earlier than now.
const FAR: Micros = Micros(u64::MAX / 2);

/// A state with the policy that it was made under.
///
/// ```
/// use std::sync::Arc;
/// use tollgate::decide::{Stored, decide};
/// use tollgate::{Check, Micros, Policy, Quota};
///
/// let policy = Arc::new(Policy::new("per-user", Quota::per_minute(5)?)?);
/// let check = Check { policy: &policy, key: b"ann", cost: 1 };
/// let mut slots: [Option<Stored>; 1] = [None];
/// assert!(decide(&[check], &mut slots, Micros::from_secs(0)).is_allowed());
/// assert!(slots[0].is_some(), "the state, for a store to keep under policy and key");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Stored {
    /// The policy that last wrote it.
    pub policy: Arc<Policy>,
    /// The state.
    pub state: State,
}

/// The states that a decision on `checks` needs, each as a check that has it: those of the checks themselves, in their
/// order, and behind all of them those of their policies' [penalties](crate::Penalty), in the same order.
pub fn cells<'a>(checks: &[Check<'a>]) -> SmallVec<[Check<'a>; 2]> {
    let penalties = checks.iter().filter_map(penalties::cell_of);
    checks.iter().copied().chain(penalties).collect()
}

/// Decides all `checks` at `now`. `slots` holds the states of their [`cells`], and afterwards what to keep of them.
///
/// When a check is denied no slot changes, but for the policies that count denied requests, for the blocks that a
/// denial begins, and for states that move to a newer policy's numbers or algorithm.
pub fn decide(checks: &[Check<'_>], slots: &mut [Option<Stored>], now: Micros) -> Decision {
    let now = now.min(LATEST);
    let foreign = migrate_all(checks, slots, now);
    let decision = decide_migrated(checks, slots, now);
    put_back(slots, foreign);
    decision
}

fn decide_migrated(checks: &[Check<'_>], slots: &mut [Option<Stored>], now: Micros) -> Decision {
    let (slots, blocks) = slots.split_at_mut(checks.len().min(slots.len()));
    let mut penalties = penalties::beside(checks, blocks, now);
    let asked: SmallVec<[Outcome; 2]> = checks
        .iter()
        .zip(slots.iter())
        .zip(&penalties)
        .map(|((check, slot), penalty)| {
            penalty.hold_off(check, slot.as_ref(), ask(check, slot.as_ref(), now))
        })
        .collect();
    let allowed = all_pass(checks, &asked);

    let mut standings = SmallVec::new();
    let slots = checks.iter().zip(slots.iter_mut());
    for (((check, slot), outcome), penalty) in slots.zip(asked).zip(&mut penalties) {
        let counts_denied = check.policy.counts_denied() && !is_shadow(check);
        let cost = match outcome {
            Outcome::Pass if allowed => check.cost,
            Outcome::Deny { .. } if counts_denied && penalty.until.is_none() => {
                facts(check, slot.as_ref(), now).remaining
            }
            _ => 0,
        };
        let mark = charge(check, slot, now, cost);
        let outcome = if cost > 0 && outcome != Outcome::Pass {
            ask(check, slot.as_ref(), now)
        } else {
            outcome
        };
        let outcome = penalty.punish(check, slot.as_ref(), outcome, allowed, now);
        standings.push(standing(check, slot.as_ref(), penalty, now, outcome, mark));
    }
    Decision::of(standings, now)
}

fn all_pass(checks: &[Check<'_>], outcomes: &[Outcome]) -> bool {
    let mut each = checks.iter().zip(outcomes);
    each.all(|(check, outcome)| is_shadow(check) || *outcome == Outcome::Pass)
}

/// What [`decide`] says of one check of an enforced policy, after it has been charged.
#[inline]
pub(crate) fn allowed(limit: u64, outlook: Outlook, now: Micros, charge: Charge) -> Decision {
    let standing = Standing::new(limit, Outcome::Pass, outlook, now, charge);
    Decision::new(Verdict::Allow, now, smallvec![standing])
}

/// What [`decide`] says of one check of an enforced policy that does not count what it denies.
#[inline(never)]
pub(crate) fn denied<C: Counting>(
    algorithm: &C,
    state: Option<&C::State>,
    now: Micros,
    cost: u64,
) -> Decision {
    let limit = algorithm.capacity();
    let (outcome, verdict) = match algorithm.fits_at(state, now, cost) {
        None => (Outcome::Never, Verdict::Never { max: limit }),
        Some(fits_at) => {
            let retry_after = fits_at.since(now);
            (Outcome::Deny { fits_at }, Verdict::Deny { retry_after })
        }
    };
    let outlook = algorithm.outlook(state, now);
    let standing = Standing::new(limit, outcome, outlook, now, Charge::default());
    Decision::new(verdict, now, smallvec![standing])
}

/// What [`decide`] would decide, without changing anything. `slots` holds the states of the checks' [`cells`].
///
/// Each policy's standing is the one before a charge, or before the block that a denial would begin; the waits include
/// that block.
pub fn peek(checks: &[Check<'_>], slots: &[Option<Stored>], now: Micros) -> Decision {
    look(checks, slots, now, true)
}

/// What [`peek`] says; without `punished`, as it would be if a denial began no block.
fn look(checks: &[Check<'_>], slots: &[Option<Stored>], now: Micros, punished: bool) -> Decision {
    let now = now.min(LATEST);
    let mut slots: SmallVec<[Option<Stored>; 2]> = slots.iter().cloned().collect();
    let slots = &mut slots[..];
    migrate_all(checks, slots, now);
    let (slots, blocks) = slots.split_at_mut(checks.len().min(slots.len()));
    let mut penalties = penalties::beside(checks, blocks, now);
    let mut outcomes: SmallVec<[Outcome; 2]> = SmallVec::new();
    let mut standings: SmallVec<[Standing; 2]> = SmallVec::new();
    for ((check, slot), penalty) in checks.iter().zip(&*slots).zip(&penalties) {
        let slot = slot.as_ref();
        let outcome = penalty.hold_off(check, slot, ask(check, slot, now));
        outcomes.push(outcome);
        standings.push(standing(check, slot, penalty, now, outcome, None));
    }
    if punished {
        let allowed = all_pass(checks, &outcomes);
        let each = checks.iter().zip(&*slots).zip(&mut penalties).zip(outcomes);
        for ((((check, slot), penalty), outcome), standing) in each.zip(&mut standings) {
            let outcome = penalty.punish(check, slot.as_ref(), outcome, allowed, now);
            *standing = standing.told(outcome, now);
        }
    }
    Decision::of(standings, now)
}

/// How many units are still in use, and the instant from which the state equals absence.
pub fn in_use(stored: &Stored, now: Micros) -> (u64, Micros) {
    let now = now.min(LATEST);
    stored.policy.algorithm().map_or((0, now), |algorithm| {
        let facts = algorithm.facts(Some(&stored.state), now, 0);
        (facts.used, facts.void_at)
    })
}

fn is_shadow(check: &Check<'_>) -> bool {
    check.policy.mode() == Mode::Shadow
}

/// A state made under other numbers moves to those of a policy at least as new; an older policy is decided under
/// the stored numbers.
fn moves(check: &Check<'_>, stored: &Stored) -> bool {
    check.policy.version() >= stored.policy.version() && !check.policy.counts_like(&stored.policy)
}

/// States that a policy without an algorithm cannot move, taken out of their slots.
type Foreign = SmallVec<[Option<Stored>; 2]>;

fn migrate_all(checks: &[Check<'_>], slots: &mut [Option<Stored>], now: Micros) -> Foreign {
    let penalties = checks.iter().filter_map(penalties::cell_of);
    let cells = checks.iter().copied().chain(penalties).zip(slots);
    cells
        .map(|(cell, slot)| migrate(&cell, slot, now))
        .collect()
}

/// A policy without an algorithm has no use for a state, but whoever is still decided by that state, on a node with older
/// rules, must not find its units given back.
fn put_back(slots: &mut [Option<Stored>], foreign: Foreign) {
    for (slot, foreign) in slots.iter_mut().zip(foreign) {
        if slot.is_none() {
            *slot = foreign;
        }
    }
}

/// Moves a state to the check's numbers, if these are to decide. Returns it where they are `deny` or `unlimited`.
fn migrate(check: &Check<'_>, slot: &mut Option<Stored>, now: Micros) -> Option<Stored> {
    let stored = slot.as_mut()?;
    if moves(check, stored) {
        let Some(algorithm) = check.policy.algorithm() else {
            return slot.take();
        };
        let (used, _) = in_use(stored, now);
        let before = stored.policy.algorithm().map(Algorithm::name);
        let state = if before == Some(algorithm.name()) {
            let state = std::mem::replace(&mut stored.state, State::Pair(0, 0));
            algorithm.adopt(state, used, now)
        } else {
            charged_anew(algorithm, used, now)
        };
        *slot = state.map(|state| Stored {
            policy: Arc::clone(check.policy),
            state,
        });
    } else if check.policy.version() > stored.policy.version() {
        stored.policy = Arc::clone(check.policy);
    }
    None
}

/// The state of a key whose units were used under another algorithm: as if they were used now. When they come free by the
/// other algorithm is of no use here, and now is never too early. An empty state would soon be void, and nodes with older
/// rules would begin anew, again and again.
fn charged_anew(algorithm: &dyn Algorithm, used: u64, now: Micros) -> Option<State> {
    let used = used.min(algorithm.capacity());
    let charged = (used > 0).then(|| algorithm.step(None, now, used));
    charged?.ok()
}

/// The policy that decides: the stored one where it is newer.
fn governing<'a>(check: &Check<'a>, slot: Option<&'a Stored>) -> &'a Arc<Policy> {
    match slot {
        Some(stored) if stored.policy.version() > check.policy.version() => &stored.policy,
        _ => check.policy,
    }
}

fn facts(check: &Check<'_>, slot: Option<&Stored>, now: Micros) -> Facts {
    match governing(check, slot).algorithm() {
        Some(algorithm) => algorithm.facts(slot.map(|stored| &stored.state), now, check.cost),
        None => Facts {
            used: 0,
            remaining: u64::MAX,
            fits_at: Some(now),
            grows_at: None,
            void_at: now,
        },
    }
}

fn ask(check: &Check<'_>, slot: Option<&Stored>, now: Micros) -> Outcome {
    match governing(check, slot).rule() {
        Rule::Deny => Outcome::Refused,
        Rule::Unlimited => Outcome::Pass,
        Rule::Counted { .. } if check.cost == 0 => Outcome::Pass,
        Rule::Counted { .. } => match facts(check, slot, now).fits_at {
            Some(at) if at <= now => Outcome::Pass,
            Some(fits_at) => Outcome::Deny {
                fits_at: fits_at.min(FAR),
            },
            None => Outcome::Never,
        },
    }
}

/// Charges `cost`, which is known to fit, and returns the mark of the state that the charge left.
fn charge(check: &Check<'_>, slot: &mut Option<Stored>, now: Micros, cost: u64) -> Option<Charge> {
    if cost == 0 {
        return None;
    }
    let policy = Arc::clone(governing(check, slot.as_ref()));
    let algorithm = policy.algorithm()?;
    let before = slot.take();
    let state = algorithm
        .step(before.map(|stored| stored.state), now, cost)
        .ok()?;
    let mark = state.mark();
    *slot = Some(Stored { policy, state });
    Some(Charge { cost, mark })
}

fn standing(
    check: &Check<'_>,
    slot: Option<&Stored>,
    penalty: &Beside<'_, '_>,
    now: Micros,
    outcome: Outcome,
    charge: Option<Charge>,
) -> Standing {
    let facts = facts(check, slot, now);
    let policy = governing(check, slot);
    let (limit, remaining) = match policy.rule() {
        Rule::Deny => (0, 0),
        _ => (policy.capacity().unwrap_or(u64::MAX), facts.remaining),
    };
    let outlook = Outlook {
        remaining,
        grows_at: facts.grows_at.map(|at| at.clamp(now, FAR)),
        void_at: facts.void_at.clamp(now, FAR),
    };
    let outlook = penalty.over(check, slot, outlook);
    let charge = charge.unwrap_or_default();
    let blocked = penalty.until.is_some();
    Standing::new(limit, outcome, outlook, now, charge).marked(is_shadow(check), blocked)
}
