//! A key as people see it.

use sqlx::any::AnyRow;
use tollgate::{Micros, Quota};

use crate::database::Columns;
use crate::id::{KeyId, UserId};
use crate::own_quota;
use crate::scopes::Scopes;
use crate::secret::Secret;

/// A key that was just made; its secret is not shown again.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// What lists and usage know it by.
    pub id: KeyId,
    /// What the caller presents.
    pub secret: Secret,
    /// What lists show of the secret.
    pub hint: String,
}

/// A key as lists show it.
#[derive(Clone, Debug, PartialEq)]
pub struct KeySummary {
    /// What lists and usage know it by.
    pub id: KeyId,
    /// Whose it is.
    pub user: UserId,
    /// Their name.
    pub user_name: String,
    /// What it is for, in its owner's words.
    pub name: String,
    /// `tg_...` and the last four characters.
    pub hint: String,
    /// Its own quota.
    pub quota: Option<Quota>,
    /// What it may do where a route asks for scopes; `None` for everything.
    pub scopes: Option<Scopes>,
    /// When it was made.
    pub created_at: Micros,
    /// The first instant at which it is no longer good.
    pub expires_at: Option<Micros>,
    /// When it was revoked.
    pub revoked_at: Option<Micros>,
    /// The key that it replaces.
    pub rotated_from: Option<KeyId>,
    /// What limits count it as: the first of the keys that took each other's place, so that rotating refills nothing.
    pub counts_as: KeyId,
    /// When it was last used, to the second or two.
    pub last_used_at: Option<Micros>,
}

impl KeySummary {
    /// Whether the key itself is good at `now`; its user may be disabled all the same.
    pub fn is_live(&self, now: Micros) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    pub(super) fn read(row: &AnyRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.text("id")?.into(),
            user: row.text("user_id")?.into(),
            user_name: row.text("user_name")?,
            name: row.text("name")?,
            hint: row.text("hint")?,
            quota: row
                .text_or_null("quota")?
                .as_deref()
                .map(own_quota::read)
                .transpose()?,
            scopes: row
                .text_or_null("scopes")?
                .map(|words| Scopes::words(words.split(' '))),
            created_at: row.instant("created_at")?,
            expires_at: row.instant_or_null("expires_at")?,
            revoked_at: row.instant_or_null("revoked_at")?,
            rotated_from: row.text_or_null("rotated_from")?.map(KeyId::from),
            counts_as: read_counts_as(row)?,
            last_used_at: row.instant_or_null("last_used_at")?,
        })
    }
}

/// What limits count the key of a row as.
pub(crate) fn read_counts_as(row: &AnyRow) -> sqlx::Result<KeyId> {
    let first = row.text_or_null("counts_as")?;
    Ok(first.map_or_else(|| row.text("id"), Ok)?.into())
}
