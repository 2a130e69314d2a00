//! From a row to policies; a row that cannot be used never makes anybody unlimited.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::any::AnyRow;

use super::Scope;
use crate::database::Columns;
use crate::limits::Limits;
use crate::terms::{ByLimit, Policies};

/// How many rows that cannot be used are told of; what is wrong with so many is wrong with all.
const NOTES_MAX: usize = 1_000;

/// Knows the limits of the rules, and of which rows that cannot be used the log has told.
pub(crate) struct Reader {
    /// `None` where there are no rules, as in a command.
    limits: Option<Arc<dyn Limits>>,
    noted: Mutex<HashSet<String>>,
}

impl Reader {
    pub(crate) fn new(limits: Option<Arc<dyn Limits>>) -> Self {
        Self {
            limits,
            noted: Mutex::default(),
        }
    }

    pub(super) fn knows_limits(&self) -> bool {
        self.limits.is_some()
    }

    /// Adds the policies of a row to those of its scope, or leaves them out and says why, once.
    pub(crate) fn add(&self, row: &AnyRow, scope: &Scope, to: &mut ByLimit) {
        let read = || -> sqlx::Result<_> { Ok((row.text("limit_name")?, row.text("quotas")?)) };
        match read() {
            Ok((limit, quotas)) => match self.policies(scope, &limit, &quotas) {
                Ok(policies) => drop(to.insert(limit, policies)),
                Err(reason) => self.note(scope, &limit, &reason),
            },
            Err(error) => self.note(scope, "", &error.to_string()),
        }
    }

    /// What keeps these rules from using quotas.
    pub(crate) fn unusable(&self, scope: &Scope, limit: &str, quotas: &str) -> Option<String> {
        self.policies(scope, limit, quotas).err()
    }

    fn policies(&self, scope: &Scope, limit: &str, quotas: &str) -> Result<Policies, String> {
        let limits = self.limits.as_ref().ok_or("there are no rules")?;
        match limits.is_by_caller(limit) {
            None => Err("the rules have no such limit".to_owned()),
            Some(false) if *scope != Scope::Everybody => {
                Err("the limit's key does not tell callers apart".to_owned())
            }
            Some(_) => limits.policies_of(limit, quotas).map(Policies::from),
        }
    }

    fn note(&self, scope: &Scope, limit: &str, reason: &str) {
        if self.is_new(format!("{scope} {limit} {reason}")) {
            tracing::warn!(
                %scope, limit, reason,
                "quotas in the accounts cannot be used: the more general ones hold"
            );
        }
    }

    /// Whether this is the first time.
    fn is_new(&self, what: String) -> bool {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.len() < NOTES_MAX && noted.insert(what)
    }
}
