//! What scripts answer.

use std::sync::Arc;

use redis::Value;
use tollgate::decide::Stored;
use tollgate::{Micros, Policy};

use crate::value;

/// What a script on cells answered.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The instant that it decided at.
    pub(crate) now: Micros,
    /// A number, of which each operation says what it means.
    pub(crate) result: Result<u64, Lacking>,
    /// What the cells held, as far as it matters to the decision.
    cells: Vec<Value>,
}

/// What a script cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lacking {
    /// The algorithm that a state was made by.
    Algorithm,
    /// The end of a calendar's window at the server's instant.
    WindowEnd,
    /// Somebody who still waits for it, by the server's clock.
    Time,
}

impl Reply {
    /// `None` for what no script answers.
    pub(crate) fn read(value: Value) -> Option<Self> {
        let Value::Array(parts) = value else {
            return None;
        };
        let mut parts = parts.into_iter();
        let (now, result) = (integer(parts.next()?)?, integer(parts.next()?)?);
        Some(Reply {
            now: Micros(u64::try_from(now).ok()?),
            result: match result {
                -1 => Err(Lacking::Algorithm),
                -2 => Err(Lacking::WindowEnd),
                -3 => Err(Lacking::Time),
                result => Ok(u64::try_from(result).ok()?),
            },
            cells: parts.collect(),
        })
    }

    /// The states that were found, one for each cell's policy, of which the version is said.
    pub(crate) fn stored<'p>(
        &self,
        policies: impl Iterator<Item = (&'p Arc<Policy>, u64)>,
    ) -> Vec<Option<Stored>> {
        let mut cells = self.cells.iter();
        let stored = |(policy, version): (&Arc<Policy>, u64)| {
            let Some(Value::BulkString(found)) = cells.next() else {
                return None;
            };
            let stored = value::read(found, policy, version)?;
            (!value::is_of_no_use(&stored, policy, self.now)).then_some(stored)
        };
        policies.map(stored).collect()
    }

    /// Whether one of the values of which these states were [made](Reply::stored) is none of ours.
    pub(crate) fn has_spoilt<'p>(
        &self,
        found: &[Option<Stored>],
        policies: impl Iterator<Item = (&'p Arc<Policy>, u64)>,
    ) -> bool {
        let mut each = self.cells.iter().zip(found);
        let any = each.any(|(cell, state)| matches!(cell, Value::BulkString(_)) && state.is_none());
        any && self.spoilt(policies).next().is_some()
    }

    /// The values that were found and are none of ours, with the places of their cells.
    pub(crate) fn spoilt<'r, 'p>(
        &'r self,
        policies: impl Iterator<Item = (&'p Arc<Policy>, u64)>,
    ) -> impl Iterator<Item = (usize, &'r [u8])> {
        let each = self.cells.iter().zip(policies).enumerate();
        each.filter_map(|(place, (cell, (policy, version)))| match cell {
            Value::BulkString(found) if value::read(found, policy, version).is_none() => {
                Some((place, &found[..]))
            }
            _ => None,
        })
    }
}

fn integer(value: Value) -> Option<i64> {
    match value {
        Value::Int(integer) => Some(integer),
        _ => None,
    }
}
