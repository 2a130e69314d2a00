//! How much is measured: all of it, or with `QUICK=1` what the figures need, within five minutes.

use crate::peers::Which;
use crate::workload::{Distribution, Outcome};

/// The size of a run.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    pub quick: bool,
    pub seed: u64,
    /// Rounds of each measurement, beside one that warms up.
    pub rounds: usize,
    /// Decisions of one thread in a round.
    pub decisions: usize,
    /// Windows of two threads in a round, and how often is tried to get them.
    pub windows: usize,
    pub windows_tried_max: usize,
}

/// Limiters that are filled once and measured in several ways.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    pub keys: u64,
    pub strings: bool,
    pub outcome: Outcome,
    pub distributions: &'static [Distribution],
    pub threads: &'static [usize],
    pub limiters: &'static [Which],
}

const BOTH: &[Distribution] = &[Distribution::Uniform, Distribution::Zipf];
const UNIFORM: &[Distribution] = &[Distribution::Uniform];
const FOR_THE_RATIO: &[Which] = &[Which::Ours, Which::GovernorDashMap];
const FOR_THE_BATCH: &[Which] = &[Which::Ours, Which::OursBatched, Which::GovernorDashMap];

impl Scale {
    /// What the environment asks for: `QUICK=1`, `TOLLGATE_SEED`.
    ///
    /// # Errors
    /// A seed that is no number.
    pub fn from_env() -> Result<Scale, String> {
        let quick = std::env::var("QUICK").is_ok_and(|value| !value.is_empty() && value != "0");
        let seed = match std::env::var("TOLLGATE_SEED") {
            Ok(text) => text
                .parse()
                .map_err(|error| format!("TOLLGATE_SEED `{text}`: {error}"))?,
            Err(_) => 1,
        };
        Ok(match quick {
            true => Scale {
                quick,
                seed,
                rounds: 5,
                decisions: 200_000,
                windows: 3,
                windows_tried_max: 30,
            },
            false => Scale {
                quick,
                seed,
                rounds: 9,
                decisions: 500_000,
                windows: 5,
                windows_tried_max: 60,
            },
        })
    }

    pub fn groups(&self) -> Vec<Group> {
        let mut groups = Vec::new();
        for keys in [1, 1_000, 1_000_000, 10_000_000] {
            for strings in [true, false] {
                for outcome in [Outcome::Allowed, Outcome::Denied] {
                    let group = Group {
                        keys,
                        strings,
                        outcome,
                        distributions: if keys == 1 { UNIFORM } else { BOTH },
                        threads: &[1, 2],
                        limiters: &Which::ALL,
                    };
                    groups.extend(if self.quick {
                        quick(group)
                    } else {
                        Some(group)
                    });
                }
            }
        }
        groups
    }
}

fn quick(group: Group) -> Option<Group> {
    let (distributions, threads) = (UNIFORM, [1].as_slice());
    match (group.keys, group.strings, group.outcome) {
        (..1_000_000, ..) => Some(group),
        (1_000_000, true, Outcome::Allowed) => Some(Group {
            distributions,
            threads,
            ..group
        }),
        (1_000_000, false, Outcome::Allowed) => Some(Group {
            distributions,
            threads,
            limiters: FOR_THE_RATIO,
            ..group
        }),
        (_, true, Outcome::Allowed) => Some(Group {
            distributions,
            threads,
            limiters: FOR_THE_BATCH,
            ..group
        }),
        _ => None,
    }
}
