//! Since when the quotas of plans, users and keys are what they are, by the one clock of all processes on a database.
//!
//! A gateway derives from it of which version its rules are. What it says is true: whoever is told an instant has heard of
//! every change until then, also of those that other processes have made.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tollgate::Micros;

use crate::database::{Columns, Database, Tx, stored};

/// The least time from one change to the next, in microseconds: versions of rules count in milliseconds.
const STEP: u64 = 1_000;

/// Is told when other quotas hold than before, and since when.
pub type OnTermsChanged = Arc<dyn Fn(Micros) + Send + Sync>;

/// How far this process has heard.
pub(crate) struct TermsChanged {
    at: AtomicU64,
    told: Option<OnTermsChanged>,
}

/// A change that is going to be committed: when the one before it happened, and when it does.
pub(crate) struct Turn {
    before: Micros,
    pub(crate) at: Micros,
}

impl TermsChanged {
    pub(crate) fn new(told: Option<OnTermsChanged>) -> Self {
        Self {
            at: AtomicU64::new(0),
            told,
        }
    }

    /// Every change until `at` is in effect here.
    pub(crate) fn raise(&self, at: Micros) {
        let before = self.at.fetch_max(at.0, Ordering::AcqRel);
        if let Some(told) = self.told.as_ref().filter(|_| at.0 > before) {
            told(at);
        }
    }

    /// A change of this process is in effect here. Where another process made one before it that has not been heard of
    /// yet, the next reading of changes says so instead.
    pub(crate) fn turn(&self, turn: Turn) {
        if self.at.load(Ordering::Acquire) >= turn.before.0 {
            self.raise(turn.at);
        }
    }

    /// When the last change happened, as the database knows it.
    pub(crate) async fn stored(db: &Database) -> sqlx::Result<Micros> {
        let row = db
            .sql("SELECT at FROM terms_changed")
            .fetch_one(db.pool())
            .await?;
        row.instant("at")
    }
}

/// Takes the next instant for a change: this process's, or a later one if another was there already, or the rules are of
/// the same.
pub(crate) async fn turn(
    transaction: &mut Tx,
    now: Micros,
    rules_at: Micros,
) -> sqlx::Result<Turn> {
    let row = transaction
        .sql("SELECT at FROM terms_changed")
        .fetch_one(&mut **transaction)
        .await?;
    let before = row.instant("at")?;
    let at = now.max(Micros(before.max(rules_at).0.saturating_add(STEP)));
    transaction
        .sql("UPDATE terms_changed SET at = $1")
        .bind(stored(at))
        .execute(&mut **transaction)
        .await?;
    Ok(Turn { before, at })
}
