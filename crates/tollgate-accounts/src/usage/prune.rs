//! Ending what is older than usage is kept, a bounded step at a time.

use std::time::Duration;

use tollgate::Micros;

use super::{Step, Usage};
use crate::database::{Columns, stored};
use crate::error::Unavailable;

/// About how many rows one statement deletes: so many, and those that begin together with the last of them.
const ROWS_AT_ONCE: i64 = 1_000;

/// How many statements one pruning takes at most; what is left waits for the next.
const STEPS_MAX: usize = 20;

impl Usage {
    /// Deletes what is older than it is to be kept, up to a bound of work.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn prune(&self, now: Micros) -> Result<(), Unavailable> {
        for step in Step::ALL {
            // A step goes when all of it is old.
            let older_than = step.start_of(Micros(now.0.saturating_sub(micros(self.kept(step)))));
            self.prune_rows(step.table(), "bucket_start < ", older_than)
                .await?;
            // The names of tables and columns are ours; only values are values.
            let of_step = format!("step_s = {} AND bucket_start < ", step.as_secs());
            self.prune_rows("usage_denials", &of_step, older_than)
                .await?;
        }
        Ok(())
    }

    fn kept(&self, step: Step) -> Duration {
        match step {
            Step::Minute => self.kept.minutes,
            Step::Hour => self.kept.hours,
            Step::Day => self.kept.days,
        }
    }

    /// No database deletes a number of rows as the others do; but all of them know where the thousandth begins.
    async fn prune_rows(&self, table: &str, condition: &str, end: Micros) -> sqlx::Result<()> {
        let (number, pool) = (self.db.dialect().parameter(1), self.db.pool());
        let last = ROWS_AT_ONCE - 1;
        let thousandth = format!(
            "SELECT bucket_start FROM {table} WHERE {condition}{number} ORDER BY bucket_start LIMIT 1 OFFSET {last}"
        );
        let delete = format!("DELETE FROM {table} WHERE {condition}{number}");
        for _ in 0..STEPS_MAX {
            let query = self.db.own_sql(thousandth.clone()).bind(stored(end));
            let row = query.fetch_optional(pool).await?;
            let begins = row.map(|row| row.count("bucket_start")).transpose()?;
            let before = begins.map_or(end, |begins| Micros(begins + 1));
            let delete = self.db.own_sql(delete.clone()).bind(stored(before));
            delete.execute(pool).await?;
            if begins.is_none() {
                break;
            }
        }
        Ok(())
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
