//! Carrying counts to the database.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tollgate::Micros;

use super::pending::{Counts, Row};
use super::{Usage, lock};
use crate::database::{Tx, is_conflict, stored};
use crate::error::Unavailable;
use crate::id::KeyId;

const WRITE_EVERY: Duration = Duration::from_secs(1);

/// How often rows are written that another process was in the way of.
const ATTEMPTS: usize = 3;

/// How much of a route's name is written; what is longer finds no room in every database.
const ROUTE_CHARS_MAX: usize = 512;

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
        let mut written = batch.write().await;
        for _ in 1..ATTEMPTS {
            match &written {
                Err(error) if is_conflict(error) => written = batch.write().await,
                _ => break,
            }
        }
        written?;
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

    async fn write(&self) -> sqlx::Result<()> {
        let mut transaction = self.usage.db.begin().await?;
        self.write_counts(&mut transaction).await?;
        self.write_last_use(&mut transaction).await?;
        transaction.commit().await
    }

    /// In one order everywhere, so that two processes with the same rows wait for each other and not in a circle.
    async fn write_counts(&self, transaction: &mut Tx) -> sqlx::Result<()> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_unstable_by_key(|(row, _)| (&row.who.key, &row.who.user, &row.route, row.minute));
        for (row, counts) in rows {
            transaction
                .sql(self.usage.db.dialect().add_usage())
                .bind(row.who.key.as_ref().map_or("", KeyId::as_str).to_owned())
                .bind(row.who.user.to_string())
                .bind(row.route.chars().take(ROUTE_CHARS_MAX).collect::<String>())
                .bind(stored(row.minute))
                .bind(counts.allowed as i64)
                .bind(counts.denied as i64)
                .bind(counts.failed as i64)
                .execute(&mut **transaction)
                .await?;
        }
        Ok(())
    }

    async fn write_last_use(&self, transaction: &mut Tx) -> sqlx::Result<()> {
        let mut last_use: BTreeMap<&KeyId, Micros> = BTreeMap::new();
        for (row, counts) in &self.rows {
            if let Some(key) = &row.who.key {
                let last = last_use.entry(key).or_default();
                *last = counts.last.max(*last);
            }
        }
        for (key, last) in last_use {
            transaction
                .sql("UPDATE api_keys SET last_used_at = $1 WHERE id = $2")
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
