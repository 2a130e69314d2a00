//! What holds for one caller beside what holds for everybody: their plan, and quotas of their own or of their key.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::any::AnyRow;

use crate::accounts::{Accounts, Inner};
use crate::database::Columns;
use crate::error::Unavailable;
use crate::id::{KeyId, UserId};
use crate::quotas::{Reader, Scope};
use crate::terms::{ByLimit, OVERRIDES_MAX, Terms};

/// How many rows are read for the keys of all users.
const ROWS_MAX: i64 = 100_000;

/// The terms of many keys at once, for lists.
#[derive(Clone, Debug, Default)]
pub struct TermsOfKeys {
    plans: HashMap<UserId, Arc<str>>,
    users: HashMap<UserId, ByLimit>,
    keys: HashMap<KeyId, ByLimit>,
}

impl TermsOfKeys {
    /// The terms of one of the keys, by what limits count it as.
    pub fn of(&self, user: &UserId, key: &KeyId) -> Terms {
        Terms {
            plan: self.plans.get(user).cloned(),
            of_user: self.users.get(user).cloned().unwrap_or_default(),
            of_key: self.keys.get(key).cloned().unwrap_or_default(),
        }
    }
}

impl Inner {
    /// Adds what is kept for a user and a key alone.
    pub(crate) async fn read_terms(
        &self,
        terms: &mut Terms,
        user: &UserId,
        key: Option<&KeyId>,
    ) -> sqlx::Result<()> {
        let rows = self
            .db
            .sql(
                "SELECT scope, limit_name, quotas FROM overrides
                WHERE (scope = 'user' AND subject = $1) OR (scope = 'key' AND subject = $2) LIMIT $3",
            )
            .bind(user.to_string())
            .bind(key.map_or_else(String::new, KeyId::to_string))
            .bind(2 * OVERRIDES_MAX as i64)
            .fetch_all(self.db.pool())
            .await?;
        for row in &rows {
            match (row.text("scope")?.as_str(), key) {
                ("key", Some(key)) => {
                    self.reader
                        .add(row, &Scope::Key(key.clone()), &mut terms.of_key);
                }
                _ => self
                    .reader
                    .add(row, &Scope::User(user.clone()), &mut terms.of_user),
            }
        }
        Ok(())
    }
}

impl Accounts {
    /// The terms of a user, or of one of their keys by what limits count it as, as their next request will meet them.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn terms_of(&self, user: &UserId, key: Option<&KeyId>) -> Result<Terms, Unavailable> {
        let inner = self.inner();
        let row = inner
            .db
            .sql("SELECT plan FROM users WHERE id = $1")
            .bind(user.to_string())
            .fetch_optional(inner.db.pool())
            .await?;
        let plan = row.map(|row| row.text_or_null("plan")).transpose()?;
        let mut terms = Terms::on_plan(plan.flatten());
        inner.read_terms(&mut terms, user, key).await?;
        Ok(terms)
    }

    /// The terms of the keys of one user, or of all users. Of more than 100,000 rows the rest is left out.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn terms_of_keys(&self, user: Option<&UserId>) -> Result<TermsOfKeys, Unavailable> {
        let inner = self.inner();
        let db = &inner.db;
        let (plans, rows) = match user {
            Some(user) => (
                db.sql("SELECT id, plan FROM users WHERE id = $1 AND plan IS NOT NULL")
                    .bind(user.to_string()),
                db.sql(
                    "SELECT scope, subject, limit_name, quotas FROM overrides
                    WHERE (scope = 'user' AND subject = $1)
                    OR (scope = 'key' AND subject IN (SELECT COALESCE(counts_as, id) FROM api_keys WHERE user_id = $2)) LIMIT $3",
                )
                .bind(user.to_string())
                .bind(user.to_string()),
            ),
            None => (
                db.sql("SELECT id, plan FROM users WHERE plan IS NOT NULL LIMIT $1")
                    .bind(ROWS_MAX),
                db.sql(
                    "SELECT scope, subject, limit_name, quotas FROM overrides
                    WHERE scope IN ('user', 'key') LIMIT $1",
                ),
            ),
        };
        let mut all = TermsOfKeys::default();
        for row in &plans.fetch_all(db.pool()).await? {
            let plan = row.text("plan")?;
            all.plans.insert(row.text("id")?.into(), plan.into());
        }
        for row in &rows.bind(ROWS_MAX).fetch_all(db.pool()).await? {
            all.add(&inner.reader, row)?;
        }
        Ok(all)
    }
}

impl TermsOfKeys {
    fn add(&mut self, reader: &Reader, row: &AnyRow) -> sqlx::Result<()> {
        let scope = Scope::read(&row.text("scope")?, row.text("subject")?);
        match &scope {
            Some(Scope::User(id)) => {
                let limits = self.users.entry(id.clone()).or_default();
                reader.add(row, &Scope::User(id.clone()), limits);
            }
            Some(Scope::Key(id)) => {
                let limits = self.keys.entry(id.clone()).or_default();
                reader.add(row, &Scope::Key(id.clone()), limits);
            }
            _ => {}
        }
        Ok(())
    }
}
