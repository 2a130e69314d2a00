//! Carrying counts to the database: all tables in one transaction, many rows with one statement.

use std::error::Error;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::batch::Batch;
use super::counts::UsageCounts;
use super::writer::Writer;
use super::{Step, Usage};
use crate::database::{Database, Latest, Tx, Upsert, is_conflict, portions, stored};
use crate::error::Unavailable;

const WRITE_EVERY: Duration = Duration::from_secs(1);

/// How often rows are written that another process was in the way of.
const ATTEMPTS: usize = 3;

/// The columns that tell one row of usage from the others.
const KEYS: &[&str] = &["key_id", "user_id", "route", "bucket_start"];

/// The columns of [`UsageCounts`] that are added up, in the order of `values`.
pub(super) const SUMMED: &[&str] = &[
    "allowed",
    "denied",
    "failed",
    "unauthenticated",
    "answers_2xx",
    "answers_3xx",
    "answers_4xx",
    "answers_5xx",
    "latency_us",
    "bytes_in",
    "bytes_out",
];

/// The one of which the largest counts.
pub(super) const LARGEST: &str = "latency_us_max";

const DENIALS: Upsert = Upsert {
    table: "usage_denials",
    keys: &[
        "key_id",
        "user_id",
        "route",
        "policy",
        "step_s",
        "bucket_start",
    ],
    summed: &["denied"],
    largest: &[],
};

const LAST_USE: Latest = Latest {
    table: "api_keys",
    column: "last_used_at",
};

impl Usage {
    /// Writes all that waits, in one transaction; before it, what may or may not have arrived the last time. What is not
    /// known to have arrived is kept for the next time, also when the caller gives up.
    pub async fn flush(&self) -> Result<(), Unavailable> {
        let mut writer = self.writer.lock().await;
        self.write(&mut writer).await?;
        writer.batch = Batch::take(self);
        let rows = writer.batch.as_ref().map_or(0, Batch::len);
        self.rows_on_their_way.store(rows, Ordering::Relaxed);
        self.write(&mut writer).await
    }

    async fn write(&self, writer: &mut Writer) -> Result<(), Unavailable> {
        let Some(batch) = &writer.batch else {
            return Ok(());
        };
        let mut written = batch.write(&self.db, writer).await;
        for _ in 1..ATTEMPTS {
            match &written {
                Err(error) if is_conflict(error) => written = batch.write(&self.db, writer).await,
                _ => break,
            }
        }
        written?;
        writer.has_arrived();
        self.rows_on_their_way.store(0, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) async fn write_every_second(&self) {
        let mut ticks = interval(WRITE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            ticks.tick().await;
            let result = self.flush().await;
            match &result {
                Err(error) if !failing => {
                    tracing::warn!(error = error as &dyn Error, "cannot write usage")
                }
                Ok(()) if failing => {
                    tracing::info!(dropped = self.dropped(), "usage is written again")
                }
                _ => {}
            }
            failing = result.is_err();
        }
    }
}

impl Batch {
    /// In one order everywhere, so that two processes with the same rows wait for each other and not in a circle.
    async fn write(&self, db: &Database, writer: &Writer) -> sqlx::Result<()> {
        let mut transaction = db.begin().await?;
        if !writer.number(&mut transaction, self.newest()).await? {
            return Ok(());
        }
        for step in Step::ALL {
            self.write_counts(&mut transaction, step).await?;
        }
        self.write_denials(&mut transaction).await?;
        self.write_last_use(&mut transaction).await?;
        transaction.commit().await
    }

    async fn write_counts(&self, transaction: &mut Tx, step: Step) -> sqlx::Result<()> {
        let table = Upsert {
            table: step.table(),
            keys: KEYS,
            summed: SUMMED,
            largest: &[LARGEST],
        };
        let rows: Vec<_> = self.counts(step).into_iter().collect();
        for rows in portions(&rows) {
            let mut statement = transaction.upsert(&table, rows.len());
            for ((place, start), counts) in rows {
                statement = statement
                    .bind(place.key.to_string())
                    .bind(place.user.to_string())
                    .bind(place.route.to_string())
                    .bind(stored(*start));
                for value in values(counts) {
                    statement = statement.bind(value as i64);
                }
            }
            statement.execute(&mut **transaction).await?;
        }
        Ok(())
    }

    async fn write_denials(&self, transaction: &mut Tx) -> sqlx::Result<()> {
        let rows: Vec<_> = self.denials().into_iter().collect();
        for rows in portions(&rows) {
            let mut statement = transaction.upsert(&DENIALS, rows.len());
            for ((place, policy, step_s, start), denied) in rows {
                statement = statement
                    .bind(place.key.to_string())
                    .bind(place.user.to_string())
                    .bind(place.route.to_string())
                    .bind(policy.to_string())
                    .bind(*step_s as i64)
                    .bind(stored(*start))
                    .bind(*denied as i64);
            }
            statement.execute(&mut **transaction).await?;
        }
        Ok(())
    }

    async fn write_last_use(&self, transaction: &mut Tx) -> sqlx::Result<()> {
        let rows: Vec<_> = self.last_use().into_iter().collect();
        for rows in portions(&rows) {
            let statement = LAST_USE.query(transaction.dialect(), rows);
            statement.execute(&mut **transaction).await?;
        }
        Ok(())
    }
}

/// The values of [`SUMMED`] and [`LARGEST`].
fn values(counts: &UsageCounts) -> [u64; 12] {
    let [ok, elsewhere, refused, failed] = counts.answers;
    [
        counts.allowed,
        counts.denied,
        counts.failed,
        counts.unauthenticated,
        ok,
        elsewhere,
        refused,
        failed,
        counts.latency_us,
        counts.bytes_in,
        counts.bytes_out,
        counts.latency_us_max,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_value_for_each_column() {
        assert_eq!(values(&UsageCounts::default()).len(), SUMMED.len() + 1);
    }
}
