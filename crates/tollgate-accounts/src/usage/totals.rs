//! What every key has used in all, from the database: also keys that this process has never seen.

use std::collections::HashMap;

use sqlx::any::AnyRow;
use tollgate::Micros;

use super::Usage;
use super::counts::UsageCounts;
use super::write::{LARGEST, SUMMED};
use crate::database::Columns;
use crate::error::Unavailable;
use crate::id::{KeyId, UserId};

/// How many keys a list holds.
const LISTED_MAX: i64 = 10_000;

/// A key with all that is known about its use, as far back as days are kept.
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
    /// All counts.
    pub counts: UsageCounts,
    /// When it was last used, `None` for never.
    pub last_used_at: Option<Micros>,
}

impl Usage {
    /// All keys, the most recently used first, at most 10,000. What is not flushed yet is not in it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn key_totals(&self) -> Result<Vec<KeyTotal>, Unavailable> {
        let rows = self.total_rows("", None).await?;
        Ok(rows
            .iter()
            .map(KeyTotal::read)
            .collect::<sqlx::Result<_>>()?)
    }

    /// The counts of the keys of one user, or of all; of a key that was never used they are 0.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn counts_by_key(
        &self,
        user: Option<&UserId>,
    ) -> Result<HashMap<KeyId, UsageCounts>, Unavailable> {
        let condition = match user {
            Some(_) => format!("WHERE k.user_id = {}", self.db.dialect().parameter(1)),
            None => String::new(),
        };
        let rows = self.total_rows(&condition, user).await?;
        let read = |row: &AnyRow| Ok((KeyId::from(row.text("id")?), UsageCounts::read(row)?));
        Ok(rows.iter().map(read).collect::<sqlx::Result<_>>()?)
    }

    async fn total_rows(
        &self,
        condition: &str,
        user: Option<&UserId>,
    ) -> sqlx::Result<Vec<AnyRow>> {
        const NAMED: &str = "k.id, k.name, k.hint, k.user_id, u.name";
        let sum = |column: &&str| format!("{}, ", self.sum(column));
        let sums: String = SUMMED.iter().map(sum).collect();
        let statement = format!(
            "SELECT {NAMED} AS user_name, k.last_used_at, {sums}COALESCE(MAX({LARGEST}), 0) AS {LARGEST}
            FROM api_keys k JOIN users u ON u.id = k.user_id LEFT JOIN usage_days d ON d.key_id = k.id
            {condition} GROUP BY {NAMED}, k.last_used_at
            ORDER BY COALESCE(k.last_used_at, 0) DESC, k.id LIMIT {LISTED_MAX}"
        );
        let mut query = self.db.own_sql(statement);
        if let Some(user) = user {
            query = query.bind(user.to_string());
        }
        query.fetch_all(self.db.pool()).await
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
            counts: UsageCounts::read(row)?,
            last_used_at: row.instant_or_null("last_used_at")?,
        })
    }
}
