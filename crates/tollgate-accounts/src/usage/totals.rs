//! What every key has used in all, from the database: also keys that this process has never seen.

use sqlx::any::AnyRow;
use tollgate::Micros;

use super::Usage;
use crate::database::Columns;
use crate::error::Unavailable;
use crate::id::{KeyId, UserId};

/// How many keys a list holds.
const LISTED_MAX: i64 = 10_000;

/// A key with all that was ever written about its use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTotal {
    /// The key.
    pub key: KeyId,
    /// What it is for, in its owner's words.
    pub key_name: String,
    /// What lists show of its secret.
    pub hint: String,
    /// Whose it is.
    pub user: UserId,
    /// Their name.
    pub user_name: String,
    /// Requests that passed.
    pub allowed: u64,
    /// Requests that a limit refused.
    pub denied: u64,
    /// Requests that the upstream failed.
    pub failed: u64,
    /// When it was last used, `None` for never.
    pub last_used_at: Option<Micros>,
}

impl Usage {
    /// All keys, the most recently used first, at most 10,000. What is not flushed yet is not in it.
    pub async fn key_totals(&self) -> Result<Vec<KeyTotal>, Unavailable> {
        let rows = self
            .db
            .sql(
                r#"SELECT k.id, k.name, k.hint, k.user_id, u.name AS user_name, k.last_used_at,
                CAST(COALESCE(SUM(c.allowed), 0) AS BIGINT) AS allowed,
                CAST(COALESCE(SUM(c.denied), 0) AS BIGINT) AS denied,
                CAST(COALESCE(SUM(c.failed), 0) AS BIGINT) AS failed
            FROM api_keys k
            JOIN users u ON u.id = k.user_id
            LEFT JOIN "usage" c ON c.key_id = k.id
            GROUP BY k.id, k.name, k.hint, k.user_id, u.name, k.last_used_at
            ORDER BY COALESCE(k.last_used_at, 0) DESC, k.id
            LIMIT $1"#,
            )
            .bind(LISTED_MAX)
            .fetch_all(self.db.pool())
            .await?;
        Ok(rows
            .iter()
            .map(KeyTotal::read)
            .collect::<sqlx::Result<_>>()?)
    }
}

impl KeyTotal {
    fn read(row: &AnyRow) -> sqlx::Result<Self> {
        Ok(Self {
            key: row.text("id")?.into(),
            key_name: row.text("name")?,
            hint: row.text("hint")?,
            user: row.text("user_id")?.into(),
            user_name: row.text("user_name")?,
            allowed: row.count("allowed")?,
            denied: row.count("denied")?,
            failed: row.count("failed")?,
            last_used_at: row.instant_or_null("last_used_at")?,
        })
    }
}
