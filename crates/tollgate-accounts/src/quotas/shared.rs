//! What holds for everybody and for plans, in memory: read at the start, and anew after every change of it.

use std::collections::HashMap;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use super::{Reader, Scope};
use crate::database::{Columns, Database};
use crate::terms::{ByLimit, OVERRIDES_MAX, PLANS_MAX, Policies};

/// How many rows are read: as many as plans and everybody can have together.
const ROWS_MAX: usize = (PLANS_MAX + 1) * OVERRIDES_MAX;

#[derive(Default)]
pub(crate) struct Shared {
    /// Whether there is anything in the table: most often there is not, and then it is not asked.
    any: AtomicBool,
    table: RwLock<Table>,
    /// One at a time reads, so that what was read later stays.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Table {
    everybody: ByLimit,
    plans: HashMap<String, ByLimit>,
}

impl Shared {
    /// The policies in the place of a limit's own, for somebody with this plan.
    pub(crate) fn find(&self, limit: &str, plan: Option<&str>) -> Option<Policies> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let of_plan = plan.and_then(|plan| table.plans.get(plan)?.get(limit));
        of_plan.or_else(|| table.everybody.get(limit)).cloned()
    }

    fn replace(&self, table: Table) {
        let any = !table.everybody.is_empty() || !table.plans.is_empty();
        let mut held = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let old = mem::replace(&mut *held, table);
        self.any.store(any, Ordering::Release);
        // What was there is taken apart while nobody waits for it.
        drop(held);
        drop(old);
    }

    /// Reads it anew from `db`; afterwards every change committed before is in effect here.
    pub(crate) async fn read(&self, db: &Database, reader: &Reader) -> sqlx::Result<()> {
        if !reader.knows_limits() {
            return Ok(());
        }
        let _one_at_a_time = self.reading.lock().await;
        let rows = db
            .sql(
                "SELECT scope, subject, limit_name, quotas FROM overrides
                WHERE scope IN ('everybody', 'plan') ORDER BY scope, subject, limit_name LIMIT $1",
            )
            .bind(ROWS_MAX as i64)
            .fetch_all(db.pool())
            .await?;
        let mut table = Table::default();
        for row in &rows {
            match Scope::read(&row.text("scope")?, row.text("subject")?) {
                Some(Scope::Plan(name)) => {
                    let scope = Scope::Plan(name.clone());
                    reader.add(row, &scope, table.plans.entry(name).or_default());
                }
                Some(scope) => reader.add(row, &scope, &mut table.everybody),
                None => {}
            }
        }
        table.plans.retain(|_, limits| !limits.is_empty());
        self.replace(table);
        Ok(())
    }
}
