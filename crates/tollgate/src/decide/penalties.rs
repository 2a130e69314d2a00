//! Penalties beside the policies that they belong to: whom they hold off, and whose block begins.

use smallvec::SmallVec;

use super::{Stored, ask, charge, facts, is_shadow};
use crate::algorithm::Outlook;
use crate::decision::Outcome;
use crate::store::Check;
use crate::time::Micros;

/// The penalty of one check's policy, if it has one, and what it makes of the check.
pub(super) struct Beside<'a, 's> {
    cell: Option<(Check<'a>, &'s mut Option<Stored>)>,
    /// The end of the block that holds the key off.
    pub(super) until: Option<Micros>,
    /// When the blocks are forgiven.
    void_at: Micros,
}

/// A penalty's state as that of a check of its own: the key is the same, and a denial is one unit.
pub(super) fn cell_of<'a>(check: &Check<'a>) -> Option<Check<'a>> {
    check.policy.blocks().map(|policy| Check {
        policy,
        key: check.key,
        cost: 1,
    })
}

/// What stands beside each check. `blocks` are the states of the penalties, in the order of the checks that have one.
pub(super) fn beside<'a, 's>(
    checks: &[Check<'a>],
    blocks: &'s mut [Option<Stored>],
    now: Micros,
) -> SmallVec<[Beside<'a, 's>; 2]> {
    let mut blocks = blocks.iter_mut();
    let of = |check: &Check<'a>| {
        let cell = cell_of(check).and_then(|cell| Some((cell, blocks.next()?)));
        let mut beside = Beside {
            cell,
            until: None,
            void_at: now,
        };
        beside.read(now);
        beside
    };
    checks.iter().map(of).collect()
}

impl Beside<'_, '_> {
    fn read(&mut self, now: Micros) {
        if let Some((cell, slot)) = &self.cell {
            let facts = facts(cell, slot.as_ref(), now);
            self.until = facts.fits_at.filter(|end| *end > now);
            self.void_at = facts.void_at;
        }
    }

    /// The policy's own outcome, unless a block stands in its way. What costs nothing passes through a block, and what
    /// can never pass is not told to wait.
    pub(super) fn hold_off(
        &self,
        check: &Check<'_>,
        slot: Option<&Stored>,
        outcome: Outcome,
    ) -> Outcome {
        match (outcome, self.until) {
            (Outcome::Pass | Outcome::Deny { .. }, Some(until)) if check.cost > 0 => {
                // The policy is asked at the end of the block: if the clock has gone back, it may know more by then.
                let fits_at = match ask(check, slot, until) {
                    Outcome::Deny { fits_at } => fits_at,
                    _ => until,
                };
                Outcome::Deny { fits_at }
            }
            (outcome, _) => outcome,
        }
    }

    /// Begins the block of a check that its policy denies outside of any block, and tells the outcome then. That of a
    /// policy which only watches begins when the request passes.
    pub(super) fn punish(
        &mut self,
        check: &Check<'_>,
        slot: Option<&Stored>,
        outcome: Outcome,
        allowed: bool,
        now: Micros,
    ) -> Outcome {
        let denied = matches!(outcome, Outcome::Deny { .. }) && self.until.is_none();
        if denied
            && (allowed || !is_shadow(check))
            && let Some((cell, block)) = &mut self.cell
        {
            charge(cell, block, now, 1);
            self.read(now);
        }
        self.hold_off(check, slot, outcome)
    }

    /// How the policy's state goes on, as far as the penalty lets it count.
    pub(super) fn over(
        &self,
        check: &Check<'_>,
        slot: Option<&Stored>,
        outlook: Outlook,
    ) -> Outlook {
        let void_at = outlook.void_at.max(self.void_at);
        let Some(until) = self.until else {
            return Outlook { void_at, ..outlook };
        };
        let one = Check { cost: 1, ..*check };
        Outlook {
            remaining: 0,
            grows_at: facts(&one, slot, until).fits_at.max(Some(until)),
            void_at,
        }
    }
}
