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

/// How many keys one statement asks about.
const KEYS_AT_ONCE: usize = 1_000;

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
        const NAMED: &str = "k.id, k.name, k.hint, k.user_id, u.name";
        let statement = format!(
            "SELECT {NAMED} AS user_name, k.last_used_at, {}
            FROM api_keys k JOIN users u ON u.id = k.user_id LEFT JOIN usage_days d ON d.key_id = k.id
            GROUP BY {NAMED}, k.last_used_at
            ORDER BY COALESCE(k.last_used_at, 0) DESC, k.id LIMIT {LISTED_MAX}",
            self.totals()
        );
        let rows = self.db.own_sql(statement).fetch_all(self.db.pool()).await?;
        Ok(rows
            .iter()
            .map(KeyTotal::read)
            .collect::<sqlx::Result<_>>()?)
    }

    /// The counts of these keys; those that were never used are left out.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn counts_by_key(
        &self,
        keys: &[KeyId],
    ) -> Result<HashMap<KeyId, UsageCounts>, Unavailable> {
        let mut counts = HashMap::new();
        for some in keys.chunks(KEYS_AT_ONCE) {
            let number = |place| self.db.dialect().parameter(place);
            let numbers: Vec<String> = (1..=some.len()).map(number).collect();
            let statement = format!(
                "SELECT key_id, {} FROM usage_days WHERE key_id IN ({}) GROUP BY key_id",
                self.totals(),
                numbers.join(", ")
            );
            let query = self.db.own_sql(statement);
            let query = some
                .iter()
                .fold(query, |query, key| query.bind(key.to_string()));
            for row in &query.fetch_all(self.db.pool()).await? {
                counts.insert(KeyId::from(row.text("key_id")?), UsageCounts::read(row)?);
            }
        }
        Ok(counts)
    }

    fn totals(&self) -> String {
        let sum = |column: &&str| format!("{}, ", self.sum(column));
        let sums: String = SUMMED.iter().map(sum).collect();
        format!("{sums}COALESCE(MAX({LARGEST}), 0) AS {LARGEST}")
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
