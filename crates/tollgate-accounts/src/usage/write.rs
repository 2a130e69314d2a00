//! Carrying counts to the database.

use std::collections::HashMap;
use std::error::Error;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::{Any, Transaction};
use tokio::time::{MissedTickBehavior, interval};
use tollgate::Micros;

use super::pending::{Counts, Row};
use super::{Usage, lock};
use crate::database::{sql, stored};
use crate::error::Unavailable;
use crate::id::KeyId;

const WRITE_EVERY: Duration = Duration::from_secs(1);

/// Rows on their way to the database; unless they arrive, they go back to waiting, even if the writer is dropped.
struct Batch<'a> {
    usage: &'a Usage,
    rows: HashMap<Row, Counts>,
}

impl Usage {
    /// Writes all that waits, in one transaction. What cannot be written waits for the next time.
    pub async fn flush(&self) -> Result<(), Unavailable> {
        let _one_at_a_time = self.writing.lock().await;
        let mut batch = Batch::take(self);
        if batch.rows.is_empty() {
            return Ok(());
        }
        let mut transaction = self.db.begin().await?;
        batch.write_counts(&mut transaction).await?;
        batch.write_last_use(&mut transaction).await?;
        transaction.commit().await?;
        batch.rows.clear();
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

impl<'a> Batch<'a> {
    fn take(usage: &'a Usage) -> Self {
        let rows = usage
            .shards
            .iter()
            .flat_map(|shard| lock(shard).pending.take())
            .collect();
        Self { usage, rows }
    }

    async fn write_counts(&self, transaction: &mut Transaction<'static, Any>) -> sqlx::Result<()> {
        for (row, counts) in &self.rows {
            sql(self.usage.db.dialect().add_usage())
                .bind(row.who.key.as_ref().map_or("", KeyId::as_str).to_owned())
                .bind(row.who.user.to_string())
                .bind(row.route.to_string())
                .bind(stored(row.minute))
                .bind(counts.allowed as i64)
                .bind(counts.denied as i64)
                .bind(counts.failed as i64)
                .execute(&mut **transaction)
                .await?;
        }
        Ok(())
    }

    async fn write_last_use(
        &self,
        transaction: &mut Transaction<'static, Any>,
    ) -> sqlx::Result<()> {
        let mut last_use: HashMap<&KeyId, Micros> = HashMap::new();
        for (row, counts) in &self.rows {
            if let Some(key) = &row.who.key {
                let last = last_use.entry(key).or_default();
                *last = counts.last.max(*last);
            }
        }
        for (key, last) in last_use {
            sql("UPDATE api_keys SET last_used_at = $1 WHERE id = $2")
                .bind(stored(last))
                .bind(key.to_string())
                .execute(&mut **transaction)
                .await?;
        }
        Ok(())
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        for (row, counts) in self.rows.drain() {
            let requests = counts.requests();
            if !self.usage.shard_of(&row.who).pending.add(row, counts) {
                self.usage.dropped.fetch_add(requests, Ordering::Relaxed);
            }
        }
    }
}
