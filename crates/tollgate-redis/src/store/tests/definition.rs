//! What every cell holds by the definition alone.

use std::collections::HashMap;

use tollgate::decide::{self, Stored};
use tollgate::{Check, Decision, Micros, Receipt};

use crate::value;

/// States by the name of their policy and their key.
#[derive(Default)]
pub(super) struct Definition(HashMap<(String, Vec<u8>), Stored>);

impl Definition {
    /// The states of cells. A calendar's that says nothing any more is absent, where its next window is unknown.
    fn load(&self, cells: &[Check<'_>], now: Micros) -> Vec<Option<Stored>> {
        let load = |cell: &Check<'_>| {
            let stored = self.stored(cell)?;
            (!value::is_of_no_use(stored, cell.policy, now)).then(|| stored.clone())
        };
        cells.iter().map(load).collect()
    }

    fn keep(&mut self, cells: &[Check<'_>], slots: Vec<Option<Stored>>) {
        for (cell, slot) in cells.iter().zip(slots) {
            match slot {
                Some(stored) => self.0.insert(place(cell), stored),
                None => self.0.remove(&place(cell)),
            };
        }
    }

    pub(super) fn stored(&self, cell: &Check<'_>) -> Option<&Stored> {
        self.0.get(&place(cell))
    }

    pub(super) fn decide(&mut self, checks: &[Check<'_>], now: Micros) -> Decision {
        let cells = decide::cells(checks);
        let mut slots = self.load(&cells, now);
        let decision = decide::decide(checks, &mut slots, now);
        self.keep(&cells, slots);
        decision
    }

    pub(super) fn peek(&self, checks: &[Check<'_>], now: Micros) -> Decision {
        let cells = decide::cells(checks);
        decide::peek(checks, &self.load(&cells, now), now)
    }

    pub(super) fn refund(&mut self, checks: &[Check<'_>], receipt: &Receipt, now: Micros) -> u64 {
        let stored = |check: &Check<'_>| self.stored(check).cloned();
        let mut slots: Vec<_> = checks.iter().map(stored).collect();
        let given = decide::refund(checks, &mut slots, receipt, now);
        self.keep(checks, slots);
        given
    }

    pub(super) fn release(&mut self, checks: &[Check<'_>], now: Micros) -> u64 {
        let mut slots = self.load(checks, now);
        let given = decide::release(checks, &mut slots, now);
        self.keep(checks, slots);
        given
    }

    pub(super) fn settle(&mut self, checks: &[Check<'_>], receipt: &Receipt, now: Micros) {
        let of_use = self.load(checks, now);
        let slot = |((check, charge), stored): ((&Check<'_>, _), _)| {
            let charge: &tollgate::algorithm::Charge = charge;
            let owes = charge.cost > 0 && check.cost > charge.cost;
            if owes {
                stored
            } else {
                self.stored(check).cloned()
            }
        };
        let each = checks.iter().zip(receipt.charges()).zip(of_use);
        let mut slots: Vec<Option<Stored>> = each.map(slot).collect();
        decide::settle(checks, &mut slots, receipt, now);
        self.keep(checks, slots);
    }

    pub(super) fn reserve(
        &mut self,
        checks: &[Check<'_>],
        now: Micros,
        until: Micros,
    ) -> Result<(Micros, Receipt), Decision> {
        let cells = decide::cells(checks);
        let mut slots = self.load(&cells, now);
        let reserved = decide::reserve(checks, &mut slots, now, until)?;
        self.keep(&cells, slots);
        Ok(reserved)
    }

    pub(super) fn reset(&mut self, check: &Check<'_>) -> bool {
        let cells = decide::cells(std::slice::from_ref(check));
        let mut forget = |cell: &Check<'_>| self.0.remove(&place(cell)).is_some();
        cells.iter().fold(false, |any, cell| forget(cell) | any)
    }
}

fn place(cell: &Check<'_>) -> (String, Vec<u8>) {
    (cell.policy.name().to_owned(), cell.key.to_vec())
}
