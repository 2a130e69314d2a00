//! The log of what was changed, when and by whom. A row is written in the transaction of its change.

use std::fmt;

use sqlx::Row;
use sqlx::any::AnyRow;
use tollgate::Micros;

use crate::accounts::Accounts;
use crate::actor::Actor;
use crate::database::{Columns, Tx, stored};
use crate::error::Unavailable;
use crate::id::{KeyId, UserId};

/// How many entries are read at one time.
pub const AUDIT_PAGE_MAX: usize = 1_000;

/// How much of a detail is kept.
const DETAIL_CHARS_MAX: usize = 4_000;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    UserCreated,
    UserDisabled,
    UserEnabled,
    PasswordChanged,
    RoleSet,
    PlanGiven,
    KeyCreated,
    KeyRotated,
    KeyRevoked,
    PlanCreated,
    PlanDeleted,
    QuotasSet,
    QuotasUnset,
    CountersReset,
    TokenRevoked,
    TokenKeyRotated,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::UserCreated => "user-created",
            Self::UserDisabled => "user-disabled",
            Self::UserEnabled => "user-enabled",
            Self::PasswordChanged => "password-changed",
            Self::RoleSet => "role-set",
            Self::PlanGiven => "plan-given",
            Self::KeyCreated => "key-created",
            Self::KeyRotated => "key-rotated",
            Self::KeyRevoked => "key-revoked",
            Self::PlanCreated => "plan-created",
            Self::PlanDeleted => "plan-deleted",
            Self::QuotasSet => "quotas-set",
            Self::QuotasUnset => "quotas-unset",
            Self::CountersReset => "counters-reset",
            Self::TokenRevoked => "token-revoked",
            Self::TokenKeyRotated => "token-key-rotated",
        }
    }
}

/// What a change is about, as the log names it: `user:ID`, `key:ID`, `plan:NAME`, `limit:NAME`.
pub(crate) struct About<'a> {
    kind: &'static str,
    name: &'a str,
    /// Whom [`Actor::Owner`] means.
    owner: Option<&'a UserId>,
}

impl<'a> About<'a> {
    pub(crate) fn user(user: &'a UserId) -> Self {
        Self {
            kind: "user",
            name: user.as_str(),
            owner: Some(user),
        }
    }

    pub(crate) fn key(key: &'a KeyId, owner: &'a UserId) -> Self {
        Self {
            kind: "key",
            name: key.as_str(),
            owner: Some(owner),
        }
    }

    pub(crate) fn named(kind: &'static str, name: &'a str) -> Self {
        Self {
            kind,
            name,
            owner: None,
        }
    }
}

impl fmt::Display for About<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            "" => f.write_str(self.kind),
            name => write!(f, "{}:{name}", self.kind),
        }
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its number; later ones are higher, and some are left out.
    pub seq: i64,
    /// When it was made.
    pub at: Micros,
    /// The id of the user who made it, or `local` for the command line and the admin socket.
    pub actor: String,
    /// Their name, where they are a user.
    pub actor_name: Option<String>,
    /// What was done, like `quotas-set`.
    pub action: String,
    /// What it was done to: `user:ID`, `key:ID`, `plan:NAME`, `limit:NAME`, `token:ID`, `token-key`, or `everybody`.
    pub subject: String,
    /// How it was before and is now. Never a secret.
    pub detail: String,
}

impl AuditEntry {
    fn read(row: &AnyRow) -> sqlx::Result<Self> {
        Ok(Self {
            seq: row.try_get("seq")?,
            at: row.instant("at")?,
            actor: row.text("actor")?,
            actor_name: row.text_or_null("actor_name")?,
            action: row.text("action")?,
            subject: row.text("subject")?,
            detail: row.text("detail")?,
        })
    }
}

impl Accounts {
    /// The same accounts, whose changes are logged as this actor's. Without it they are [`Actor::Local`]'s.
    #[must_use]
    pub fn acting_as(&self, actor: Actor) -> Self {
        Self(self.0.clone(), actor)
    }

    /// The newest changes before the one numbered `before`, the newest first; at most [`AUDIT_PAGE_MAX`].
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn audit_log(
        &self,
        before: Option<i64>,
        entries_max: usize,
    ) -> Result<Vec<AuditEntry>, Unavailable> {
        let rows = self
            .inner()
            .db
            .sql(
                "SELECT a.seq, a.at, a.actor, u.name AS actor_name, a.action, a.subject, a.detail
                FROM audit a LEFT JOIN users u ON u.id = a.actor
                WHERE a.seq < $1 ORDER BY a.seq DESC LIMIT $2",
            )
            .bind(before.unwrap_or(i64::MAX))
            .bind(entries_max.min(AUDIT_PAGE_MAX) as i64)
            .fetch_all(self.inner().db.pool())
            .await?;
        Ok(rows
            .iter()
            .map(AuditEntry::read)
            .collect::<sqlx::Result<_>>()?)
    }

    /// Logs that counters of a limit are about to be reset: of `key`, described for people, or of all.
    ///
    /// # Errors
    /// When the database does not answer; then the reset must not be done, because nobody would know of it.
    pub async fn log_reset(&self, limit: &str, key: &str) -> Result<(), Unavailable> {
        let now = self.inner().clock.now();
        let mut transaction = self.inner().db.begin().await?;
        let about = About::named("limit", limit);
        self.log(&mut transaction, Action::CountersReset, &about, key, now)
            .await?;
        Ok(transaction.commit().await?)
    }

    /// Writes the row of a change into its transaction.
    pub(crate) async fn log(
        &self,
        transaction: &mut Tx,
        action: Action,
        about: &About<'_>,
        detail: &str,
        now: Micros,
    ) -> sqlx::Result<()> {
        let actor = match (&self.1, about.owner) {
            (Actor::User(user), _) | (Actor::Owner, Some(user)) => user.as_str(),
            (Actor::Local, _) | (Actor::Owner, None) => "local",
        };
        transaction
            .sql("INSERT INTO audit (at, actor, action, subject, detail) VALUES ($1, $2, $3, $4, $5)")
            .bind(stored(now))
            .bind(actor.to_owned())
            .bind(action.name())
            .bind(about.to_string())
            .bind(detail.chars().take(DETAIL_CHARS_MAX).collect::<String>())
            .execute(&mut **transaction)
            .await?;
        Ok(())
    }
}

/// How a change reads: `10 per second -> 20 per second`, with `none` for nothing.
pub(crate) fn changed(old: Option<&str>, new: Option<&str>) -> String {
    format!("{} -> {}", old.unwrap_or("none"), new.unwrap_or("none"))
}
