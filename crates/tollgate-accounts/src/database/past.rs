//! Deleting what is past, a bounded number of rows at a time, so that nobody waits long for their locks.

use sqlx::AssertSqlSafe;
use tollgate::Micros;

use super::{Database, stored};

/// How many rows one statement deletes at most.
const ROWS_AT_ONCE: u64 = 1_000;

/// How many statements one call puts at most.
const ROUNDS_MAX: usize = 5;

impl Database {
    /// Deletes rows that match, up to a bound; true when there may be more. The condition ends with a comparison, whose
    /// other side is the instant. Each statement is a transaction of its own: rows that have gone stay gone.
    pub(crate) async fn delete_past(
        &self,
        table: &str,
        condition: &str,
        instant: Micros,
    ) -> sqlx::Result<bool> {
        let dialect = self.dialect();
        let condition = format!("{condition} {}", dialect.parameter(1));
        let statement = dialect.delete_some(table, &condition, ROWS_AT_ONCE);
        for _ in 0..ROUNDS_MAX {
            let delete = || sqlx::query(AssertSqlSafe(statement.clone())).bind(stored(instant));
            if self.run(delete).await? < ROWS_AT_ONCE {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_call_deletes_a_bounded_number_however_many_rows_are_alike() {
        const MORE: u64 = 100;
        let dir = tempfile::tempdir().unwrap();
        let db = Database::new("sqlite::memory:", dir.path()).unwrap();
        db.prepare().await.unwrap();
        db.set_reachable(true);
        let rows = ROUNDS_MAX as u64 * ROWS_AT_ONCE + MORE;
        let insert = format!(
            "INSERT INTO revoked_tokens (jti, expires_at)
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
            SELECT CAST(i AS TEXT), 7 FROM n"
        );
        db.run(|| db.own_sql(insert.clone())).await.unwrap();
        let left = async || {
            let rows = db.sql("SELECT jti FROM revoked_tokens");
            rows.fetch_all(db.pool()).await.unwrap().len() as u64
        };
        let delete = async |instant| {
            let more = db.delete_past("revoked_tokens", "expires_at <", Micros(instant));
            more.await.unwrap()
        };
        assert!(!delete(7).await, "they are not past yet");
        assert_eq!(left().await, rows);
        assert!(delete(8).await, "there is more");
        assert_eq!(left().await, MORE);
        assert!(!delete(8).await);
        assert_eq!(left().await, 0);
    }
}
