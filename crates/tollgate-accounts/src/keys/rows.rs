//! Statements about single keys, inside a transaction.

use tollgate::{Micros, Quota};

use super::LIVE_KEYS_MAX;
use super::summary::{KeySummary, NewKey, read_counts_as};
use crate::api_key;
use crate::database::{Columns, Tx, stored};
use crate::digest::Digest;
use crate::error::KeyError;
use crate::id::{KeyId, UserId};
use crate::scopes::Scopes;

/// What a key is made with.
pub(super) struct Draft<'a> {
    pub(super) user: &'a UserId,
    pub(super) name: &'a str,
    pub(super) quota: Option<&'a Quota>,
    pub(super) scopes: Option<&'a Scopes>,
    pub(super) expires_at: Option<Micros>,
    pub(super) rotated_from: Option<&'a KeySummary>,
}

pub(super) async fn insert(
    transaction: &mut Tx,
    draft: Draft<'_>,
    now: Micros,
) -> Result<NewKey, KeyError> {
    let secret = api_key::fresh();
    let key = NewKey {
        id: KeyId::fresh(),
        hint: api_key::hint(&secret),
        secret,
    };
    transaction.sql("INSERT INTO api_keys (id, user_id, name, hint, secret_hash, quota, scopes, created_at, expires_at, rotated_from, counts_as)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")
        .bind(key.id.to_string())
        .bind(draft.user.to_string())
        .bind(draft.name.to_owned())
        .bind(key.hint.clone())
        .bind(Digest::of(key.secret.expose()).to_hex())
        .bind(draft.quota.map(Quota::to_string))
        .bind(draft.scopes.map(Scopes::to_string))
        .bind(stored(now))
        .bind(draft.expires_at.map(stored))
        .bind(draft.rotated_from.map(|old| old.id.to_string()))
        .bind(draft.rotated_from.map(|old| old.counts_as.to_string()))
        .execute(&mut **transaction)
        .await?;
    Ok(key)
}

/// Somebody else's key is no key.
pub(super) async fn find(
    transaction: &mut Tx,
    owner: Option<&UserId>,
    key: &KeyId,
) -> Result<KeySummary, KeyError> {
    if !key.is_well_formed() {
        return Err(KeyError::NoSuchKey);
    }
    let row = transaction.sql("SELECT k.*, u.name AS user_name FROM api_keys k JOIN users u ON u.id = k.user_id WHERE k.id = $1")
        .bind(key.to_string())
        .fetch_optional(&mut **transaction)
        .await?;
    let found = row.as_ref().map(KeySummary::read).transpose()?;
    found
        .filter(|key| owner.is_none_or(|owner| key.user == *owner))
        .ok_or(KeyError::NoSuchKey)
}

pub(super) async fn require_user(transaction: &mut Tx, user: &UserId) -> Result<(), KeyError> {
    let is_there = is_user(transaction, user).await?;
    is_there.then_some(()).ok_or(KeyError::NoSuchUser)
}

pub(crate) async fn is_user(transaction: &mut Tx, user: &UserId) -> sqlx::Result<bool> {
    let row = transaction
        .sql("SELECT id FROM users WHERE id = $1")
        .bind(user.to_string())
        .fetch_optional(&mut **transaction)
        .await?;
    Ok(row.is_some())
}

pub(crate) async fn is_key(transaction: &mut Tx, key: &KeyId) -> sqlx::Result<bool> {
    if !key.is_well_formed() {
        return Ok(false);
    }
    let row = transaction
        .sql("SELECT id FROM api_keys WHERE id = $1")
        .bind(key.to_string())
        .fetch_optional(&mut **transaction)
        .await?;
    Ok(row.is_some())
}

/// What limits count this key as, which is there.
pub(crate) async fn counts_as(transaction: &mut Tx, key: &KeyId) -> sqlx::Result<KeyId> {
    let row = transaction
        .sql("SELECT id, counts_as FROM api_keys WHERE id = $1")
        .bind(key.to_string())
        .fetch_one(&mut **transaction)
        .await?;
    read_counts_as(&row)
}

/// Drops the quotas that an administrator has given to keys of this user of which none is good any more, also none that
/// took their place.
pub(super) async fn drop_quotas_of_dead(
    transaction: &mut Tx,
    user: &UserId,
    now: Micros,
) -> sqlx::Result<()> {
    transaction
        .sql(
            "DELETE FROM overrides WHERE scope = 'key'
            AND subject IN (SELECT COALESCE(counts_as, id) FROM api_keys WHERE user_id = $1)
            AND subject NOT IN (SELECT COALESCE(counts_as, id) FROM api_keys
                WHERE user_id = $2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3))",
        )
        .bind(user.to_string())
        .bind(user.to_string())
        .bind(stored(now))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Rotating does not count the key that is on its way out, so a user with all keys taken can still rotate.
pub(super) async fn require_room(
    transaction: &mut Tx,
    user: &UserId,
    but: Option<&KeyId>,
    now: Micros,
) -> Result<(), KeyError> {
    let row = transaction.sql("SELECT COUNT(*) AS live FROM api_keys
        WHERE user_id = $1 AND id <> $2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3)")
        .bind(user.to_string())
        .bind(but.map_or_else(String::new, KeyId::to_string))
        .bind(stored(now))
        .fetch_one(&mut **transaction)
        .await?;
    if row.count("live")? < LIVE_KEYS_MAX as u64 {
        Ok(())
    } else {
        Err(KeyError::TooMany { max: LIVE_KEYS_MAX })
    }
}
