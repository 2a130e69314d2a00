//! Units as JSON: a whole number, however it is written.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};

/// The largest cost: 2^53, which JSON carries exactly everywhere.
const COST_MAX: u64 = 1 << 53;

/// How many units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost(pub(super) u64);

impl Default for Cost {
    fn default() -> Self {
        Cost(1)
    }
}

impl<'de> Deserialize<'de> for Cost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(CostVisitor)
    }
}

struct CostVisitor;

impl Visitor<'_> for CostVisitor {
    type Value = Cost;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from 0 to {COST_MAX}")
    }

    fn visit_u64<E: Error>(self, cost: u64) -> Result<Cost, E> {
        match cost > COST_MAX {
            true => Err(E::invalid_value(Unexpected::Unsigned(cost), &self)),
            false => Ok(Cost(cost)),
        }
    }

    /// Languages that have no integers write `3.0`, which JSON Schema takes for one.
    fn visit_f64<E: Error>(self, cost: f64) -> Result<Cost, E> {
        let is_cost = cost.fract() == 0.0 && (0.0..=COST_MAX as f64).contains(&cost);
        match is_cost {
            true => Ok(Cost(cost as u64)),
            false => Err(E::invalid_value(Unexpected::Float(cost), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_a_whole_number_that_json_carries_exactly() {
        let read = |text: &str| {
            let cost = serde_json::from_str(text).ok();
            cost.map(|Cost(units)| units)
        };
        for (text, units) in [
            ("0", 0),
            ("-0", 0),
            ("3.0", 3),
            ("30e-1", 3),
            ("9007199254740992", COST_MAX),
            ("9007199254740992.0", COST_MAX),
        ] {
            assert_eq!(read(text), Some(units), "{text}");
        }
        for wrong in [
            "-1",
            "-1.0",
            "0.5",
            "9007199254740993",
            "9007199254740994.0",
            "1e300",
            "\"1\"",
            "null",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
