//! What is to be done again and again: when it was, and whether it fails.

use std::error::Error;

use tollgate::Micros;

use crate::error::Unavailable;

/// What is to be done, and when it was.
pub(crate) struct Chores {
    pub(crate) pruned_at: Micros,
    pub(crate) memory_released_at: Micros,
    pub(crate) seen: Chore,
    pub(crate) accounts: Chore,
    pub(crate) usage: Chore,
}

impl Default for Chores {
    fn default() -> Self {
        Self {
            pruned_at: Micros(0),
            memory_released_at: Micros(0),
            seen: Chore::new("the last use of sessions cannot be written"),
            accounts: Chore::new("old changes and sessions cannot be deleted"),
            usage: Chore::new("old usage cannot be deleted"),
        }
    }
}

/// Something to be done again and again, whose failing is said once.
pub(crate) struct Chore {
    failing_says: &'static str,
    is_failing: bool,
}

impl Chore {
    fn new(failing_says: &'static str) -> Self {
        Self {
            failing_says,
            is_failing: false,
        }
    }

    pub(crate) fn note(&mut self, done: Result<(), Unavailable>) -> Result<(), Unavailable> {
        match &done {
            Err(error) if !self.is_failing => {
                tracing::warn!(error = error as &dyn Error, "{}", self.failing_says);
            }
            _ => {}
        }
        self.is_failing = done.is_err();
        done
    }
}
