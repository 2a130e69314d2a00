//! Making, listing, revoking and rotating API keys.

mod rows;
mod summary;

use std::time::Duration;

use tollgate::{Micros, Quota};

use crate::accounts::Accounts;
use crate::audit::{About, Action};
use crate::changes::Change;
use crate::database::{Columns, stored};
use crate::error::{Invalid, KeyError, Unavailable};
use crate::id::{KeyId, UserId};
use crate::normal::{HIDDEN, has_hidden};
use crate::own_quota;
use crate::scopes::Scopes;
use rows::{Draft, drop_quotas_of_dead, find, insert, require_room, require_user};
pub(crate) use rows::{counts_as, is_key, is_user};
pub(crate) use summary::read_counts_as;
pub use summary::{KeySummary, NewKey};

/// How many live keys one user may have; rotating leaves room for the old one beside them.
pub const LIVE_KEYS_MAX: usize = 100;

/// The longest name of a key.
const NAME_CHARS_MAX: usize = 64;

/// How many keys a list holds.
const LISTED_MAX: i64 = 10_000;

impl Accounts {
    /// Makes a key. `quota` is the key's own limit, beside the route's; without `expires_at` it lives until revoked.
    pub async fn create_key(
        &self,
        user: &UserId,
        name: &str,
        quota: Option<&Quota>,
        expires_at: Option<Micros>,
    ) -> Result<NewKey, KeyError> {
        self.create_scoped_key(user, name, quota, expires_at, None)
            .await
    }

    /// As [`create_key`](Self::create_key), of a key that may do no more than `scopes`; without them it may do
    /// everything.
    pub async fn create_scoped_key(
        &self,
        user: &UserId,
        name: &str,
        quota: Option<&Quota>,
        expires_at: Option<Micros>,
        scopes: Option<&Scopes>,
    ) -> Result<NewKey, KeyError> {
        let inner = self.inner();
        let now = inner.clock.now();
        check_name(name)?;
        if expires_at.is_some_and(|end| end <= now) {
            return Err(Invalid::new("expires_at", "must be in the future").into());
        }
        if let Some(quota) = quota {
            own_quota::own_policy(quota.clone())
                .map_err(|error| Invalid::new("quota", error.to_string()))?;
        }
        let mut transaction = inner.db.begin_change().await?;
        require_user(&mut transaction, user).await?;
        require_room(&mut transaction, user, None, now).await?;
        let draft = Draft {
            user,
            name,
            quota,
            scopes,
            expires_at,
            rotated_from: None,
        };
        let key = insert(&mut transaction, draft, now).await?;
        drop_quotas_of_dead(&mut transaction, user, now).await?;
        let about = About::key(&key.id, user);
        let detail = format!("of user:{user}");
        self.log(&mut transaction, Action::KeyCreated, &about, &detail, now)
            .await?;
        inner
            .commit(transaction, Change::KeyCreated(key.id.clone()), now)
            .await?;
        Ok(key)
    }

    /// The keys of one user, the newest first, at most 10,000, revoked and expired ones included.
    pub async fn list_keys(&self, user: &UserId) -> Result<Vec<KeySummary>, Unavailable> {
        let rows = self
            .inner()
            .db
            .sql(
                "SELECT k.*, u.name AS user_name FROM api_keys k JOIN users u ON u.id = k.user_id
            WHERE k.user_id = $1 ORDER BY k.created_at DESC, k.id LIMIT $2",
            )
            .bind(user.to_string())
            .bind(LISTED_MAX)
            .fetch_all(self.inner().db.pool())
            .await?;
        Ok(rows
            .iter()
            .map(KeySummary::read)
            .collect::<sqlx::Result<_>>()?)
    }

    /// The keys of all users, the newest first, at most 10,000.
    pub async fn list_all_keys(&self) -> Result<Vec<KeySummary>, Unavailable> {
        let rows = self
            .inner()
            .db
            .sql(
                "SELECT k.*, u.name AS user_name FROM api_keys k JOIN users u ON u.id = k.user_id
            ORDER BY k.created_at DESC, k.id LIMIT $1",
            )
            .bind(LISTED_MAX)
            .fetch_all(self.inner().db.pool())
            .await?;
        Ok(rows
            .iter()
            .map(KeySummary::read)
            .collect::<sqlx::Result<_>>()?)
    }

    /// How many keys one user has, or all users have, revoked and expired ones included.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn count_keys(&self, user: Option<&UserId>) -> Result<u64, Unavailable> {
        let db = &self.inner().db;
        let query = match user {
            Some(user) => db
                .sql("SELECT COUNT(*) AS keys_there FROM api_keys WHERE user_id = $1")
                .bind(user.to_string()),
            None => db.sql("SELECT COUNT(*) AS keys_there FROM api_keys"),
        };
        let row = query.fetch_one(db.pool()).await?;
        Ok(row.count("keys_there")?)
    }

    /// One key; `None` when there is no such key.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn key(&self, key: &KeyId) -> Result<Option<KeySummary>, Unavailable> {
        if !key.is_well_formed() {
            return Ok(None);
        }
        let db = &self.inner().db;
        let row = db
            .sql(
                "SELECT k.*, u.name AS user_name FROM api_keys k JOIN users u ON u.id = k.user_id
            WHERE k.id = $1",
            )
            .bind(key.to_string())
            .fetch_optional(db.pool())
            .await?;
        Ok(row.as_ref().map(KeySummary::read).transpose()?)
    }

    /// Ends a key at once. `owner` is who asks, or `None` for an administrator; revoking twice is no error.
    pub async fn revoke_key(&self, owner: Option<&UserId>, key: &KeyId) -> Result<(), KeyError> {
        let inner = self.inner();
        let now = inner.clock.now();
        let mut transaction = inner.db.begin_change().await?;
        let user = find(&mut transaction, owner, key).await?.user;
        transaction
            .sql("UPDATE api_keys SET revoked_at = COALESCE(revoked_at, $1) WHERE id = $2")
            .bind(stored(now))
            .bind(key.to_string())
            .execute(&mut *transaction)
            .await?;
        drop_quotas_of_dead(&mut transaction, &user, now).await?;
        let about = About::key(key, &user);
        let detail = format!("of user:{user}");
        self.log(&mut transaction, Action::KeyRevoked, &about, &detail, now)
            .await?;
        inner
            .commit(transaction, Change::KeyRevoked(key.clone()), now)
            .await?;
        Ok(())
    }

    /// Makes a key like this one in its place, with the same quotas and what has been used of them; the old one is good for `grace` longer, and never longer than before.
    pub async fn rotate_key(
        &self,
        owner: Option<&UserId>,
        key: &KeyId,
        grace: Duration,
    ) -> Result<NewKey, KeyError> {
        let inner = self.inner();
        let now = inner.clock.now();
        let mut transaction = inner.db.begin_change().await?;
        let old = find(&mut transaction, owner, key).await?;
        if !old.is_live(now) {
            return Err(KeyError::NotLive);
        }
        require_room(&mut transaction, &old.user, Some(key), now).await?;
        let end = now + grace;
        transaction
            .sql("UPDATE api_keys SET expires_at = $1 WHERE id = $2")
            .bind(stored(old.expires_at.map_or(end, |before| before.min(end))))
            .bind(key.to_string())
            .execute(&mut *transaction)
            .await?;
        let draft = Draft {
            user: &old.user,
            name: &old.name,
            quota: old.quota.as_ref(),
            scopes: old.scopes.as_ref(),
            expires_at: old.expires_at,
            rotated_from: Some(&old),
        };
        let new = insert(&mut transaction, draft, now).await?;
        drop_quotas_of_dead(&mut transaction, &old.user, now).await?;
        let about = About::key(key, &old.user);
        let detail = format!("of user:{}, now key:{}", old.user, new.id);
        self.log(&mut transaction, Action::KeyRotated, &about, &detail, now)
            .await?;
        Change::KeyCreated(new.id.clone())
            .append(&mut transaction, now)
            .await?;
        inner
            .commit(transaction, Change::KeyRotated(key.clone()), now)
            .await?;
        Ok(new)
    }
}

fn check_name(name: &str) -> Result<(), Invalid> {
    if name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return Err(Invalid::new(
            "name",
            "must have at most 64 characters, none of them control characters",
        ));
    }
    match has_hidden(name) {
        true => Err(Invalid::new("name", HIDDEN)),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_no_invisible_characters() {
        assert!(check_name("Ann's laptop").is_ok());
        for name in ["a\u{200b}b", "a\u{202e}b", "a\u{2066}b", "a\nb"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }
}
