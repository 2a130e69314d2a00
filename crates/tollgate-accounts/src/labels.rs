//! What users and API keys are called, for lists that know them by their ids alone.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, query};

use crate::accounts::Accounts;
use crate::database::{Columns, portions};
use crate::error::Unavailable;
use crate::id::{KeyId, UserId};

/// What a user or an API key is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The user's name, or the key's; keys may have none.
    pub name: String,
    /// Of a key, the name of its user.
    pub owner: Option<String>,
}

impl Accounts {
    /// What these users and keys are called, by their ids. Who is not found, or has no account, is left out.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn labels(
        &self,
        users: &[UserId],
        keys: &[KeyId],
    ) -> Result<BTreeMap<String, Label>, Unavailable> {
        let users: Vec<&str> = users.iter().map(UserId::as_str).collect();
        let keys: Vec<&str> = keys.iter().map(KeyId::as_str).collect();
        let mut labels = BTreeMap::new();
        self.look_up(
            "SELECT id, name, '' AS owner FROM users WHERE id",
            &users,
            &mut labels,
        )
        .await?;
        self.look_up(
            "SELECT k.id, k.name, u.name AS owner FROM api_keys k JOIN users u ON u.id = k.user_id WHERE k.id",
            &keys,
            &mut labels,
        )
        .await?;
        Ok(labels)
    }

    async fn look_up(
        &self,
        select: &str,
        ids: &[&str],
        labels: &mut BTreeMap<String, Label>,
    ) -> Result<(), Unavailable> {
        let db = &self.inner().db;
        for ids in portions(ids) {
            let places: Vec<String> = (1..=ids.len())
                .map(|number| db.dialect().parameter(number))
                .collect();
            let statement = format!("{select} IN ({})", places.join(", "));
            let mut query = query(AssertSqlSafe(statement));
            for id in ids {
                query = query.bind((*id).to_owned());
            }
            for row in query.fetch_all(db.pool()).await? {
                let label = Label {
                    name: row.text("name")?,
                    owner: Some(row.text("owner")?).filter(|owner| !owner.is_empty()),
                };
                labels.insert(row.text("id")?, label);
            }
        }
        Ok(())
    }
}
