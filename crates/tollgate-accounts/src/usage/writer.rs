//! Which batches of this process have arrived: one whose answer was lost is not counted twice.

use sqlx::Row;
use tollgate::Micros;

use super::batch::Batch;
use crate::database::{Tx, stored};
use crate::random;

/// What one process has written, by a number for each batch.
pub(super) struct Writer {
    id: String,
    arrived: i64,
    /// What is on its way. It may have arrived without our hearing of it, so it is written again as it is until we do.
    pub(super) batch: Option<Batch>,
}

impl Writer {
    pub(super) fn new() -> Self {
        Writer {
            id: random::hex_id(),
            arrived: 0,
            batch: None,
        }
    }

    /// Takes the batch's number, in the transaction that writes it. False when an earlier attempt has it, and the batch
    /// has arrived; an attempt that is still under way is waited for.
    pub(super) async fn number(&self, transaction: &mut Tx, at: Micros) -> sqlx::Result<bool> {
        let number = self.arrived + 1;
        let next = transaction.sql(
            "UPDATE usage_writers SET batches = $1, written_at = $2 WHERE id = $3 AND batches = $4",
        );
        let next = next
            .bind(number)
            .bind(stored(at))
            .bind(self.id.clone())
            .bind(self.arrived);
        if next.execute(&mut **transaction).await?.rows_affected() == 1 {
            return Ok(true);
        }
        let known = transaction.sql("SELECT batches FROM usage_writers WHERE id = $1");
        let known = known.bind(self.id.clone());
        if let Some(known) = known.fetch_optional(&mut **transaction).await? {
            return Ok(known.try_get::<i64, _>("batches")? < number);
        }
        let first = transaction
            .sql("INSERT INTO usage_writers (id, batches, written_at) VALUES ($1, $2, $3)");
        let first = first.bind(self.id.clone()).bind(number).bind(stored(at));
        first.execute(&mut **transaction).await?;
        Ok(true)
    }

    /// The batch is in the database.
    pub(super) fn has_arrived(&mut self) {
        self.arrived += 1;
        self.batch = None;
    }
}
