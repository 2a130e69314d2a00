//! Coming in and going out.

use std::time::Duration;

use crate::accounts::Accounts;
use crate::audit::{About, Action};
use crate::changes::Change;
use crate::credential::Credential;
use crate::database::{Columns, Tx, stored};
use crate::digest::Digest;
use crate::error::{Invalid, LogInError, PasswordError, Unavailable};
use crate::id::{SessionId, UserId};
use crate::identity::Identity;
use crate::password::Verified;
use crate::random;
use crate::secret::Secret;
use crate::token::Token;
use crate::users::User;

/// How many sessions one user can have; with a further one the oldest ends.
pub const SESSIONS_MAX: usize = 100;

/// How many sessions that a caller holds end with a log-in; more cookies are not looked at.
pub const HELD_MAX: usize = 4;

/// How many sessions above the bound end at once; they can be more only if the bound was once greater.
const TRIMMED_MAX: i64 = 1000;

/// What somebody gets who logs in: a session for the cookie, and a token that lives no longer.
#[derive(Clone, Debug)]
pub struct LogIn {
    /// Who it is.
    pub user: User,
    /// The session, for [`Accounts::log_out`].
    pub session: SessionId,
    /// The value of the cookie.
    pub session_secret: Secret,
    /// How long the session lives from now.
    pub session_expires_in: Duration,
    /// The token for clients without cookies, and how long that lives.
    pub token: Token,
}

/// What becomes of a user whose password was right.
struct Entry<'a> {
    user: User,
    verified_hash: String,
    /// The hash that takes its place.
    new_hash: Option<String>,
    ends: Ends<'a>,
}

/// The sessions that end with the one that begins.
enum Ends<'a> {
    /// Those with these secrets.
    Held(&'a [&'a str]),
    /// All of the user's.
    All,
}

impl Accounts {
    /// Lets somebody in. Whatever is wrong, the answer and the time it takes are the same.
    pub async fn log_in(&self, name: &str, password: &str) -> Result<LogIn, LogInError> {
        self.log_in_holding(name, password, &[]).await
    }

    /// As [`log_in`](Self::log_in), of a caller who holds these session secrets: those sessions end, whosever they are,
    /// so that no session that somebody else may know goes on after a log-in.
    pub async fn log_in_holding(
        &self,
        name: &str,
        password: &str,
        held: &[&str],
    ) -> Result<LogIn, LogInError> {
        let inner = self.inner();
        let row = self.row_by_name(name).await?;
        let found = match &row {
            Some(row) => Some((User::read(row)?, row.text("password_hash")?)),
            None => None,
        };
        let hash = found.as_ref().map(|(_, hash)| hash.as_str());
        let verified = inner.passwords.verify(password, hash).await?;
        let (user, verified_hash) = match found {
            Some((user, hash)) if verified != Verified::Wrong && user.disabled_at.is_none() => {
                (user, hash)
            }
            _ => return Err(LogInError::Wrong),
        };
        let new_hash = match verified {
            // Where too many wait, it stays as it is until the next time.
            Verified::Outdated => inner.passwords.hash(password).await.ok(),
            _ => None,
        };
        let entry = Entry {
            user,
            verified_hash,
            new_hash,
            ends: Ends::Held(held),
        };
        self.open_session(entry).await
    }

    /// Changes a password for whoever knows the current one. All sessions of the user end, and a new one begins; API
    /// keys stay.
    pub async fn change_password(
        &self,
        user: &UserId,
        current: &str,
        new: &str,
    ) -> Result<LogIn, PasswordError> {
        let inner = self.inner();
        inner.passwords.check(new)?;
        if current == new {
            return Err(Invalid::new("password", "must differ from the current one").into());
        }
        let row = inner
            .db
            .sql("SELECT * FROM users WHERE id = $1")
            .bind(user.to_string())
            .fetch_optional(inner.db.pool())
            .await?;
        let Some(row) = row else {
            return Err(PasswordError::Wrong);
        };
        let (user, verified_hash) = (User::read(&row)?, row.text("password_hash")?);
        let verified = inner
            .passwords
            .verify(current, Some(&verified_hash))
            .await?;
        if verified == Verified::Wrong || user.disabled_at.is_some() {
            return Err(PasswordError::Wrong);
        }
        let entry = Entry {
            user,
            verified_hash,
            new_hash: Some(inner.passwords.hash(new).await?),
            ends: Ends::All,
        };
        Ok(self.open_session(entry).await?)
    }

    /// Ends one session, and with it its tokens.
    pub async fn log_out(&self, session: &SessionId) -> Result<(), Unavailable> {
        let inner = self.inner();
        let mut transaction = inner.db.begin_change().await?;
        transaction
            .sql("DELETE FROM sessions WHERE id = $1")
            .bind(session.to_string())
            .execute(&mut *transaction)
            .await?;
        let change = Change::SessionEnded(session.clone());
        inner.commit(transaction, change, inner.clock.now()).await?;
        Ok(())
    }

    /// Ends all sessions of a user; API keys stay.
    pub async fn log_out_everywhere(&self, user: &UserId) -> Result<(), Unavailable> {
        let inner = self.inner();
        let mut transaction = inner.db.begin_change().await?;
        transaction
            .sql("DELETE FROM sessions WHERE user_id = $1")
            .bind(user.to_string())
            .execute(&mut *transaction)
            .await?;
        let change = Change::SessionsEnded(user.clone());
        inner.commit(transaction, change, inner.clock.now()).await?;
        Ok(())
    }

    /// A token for somebody without an account; each call makes a new subject. Touches no database.
    pub fn guest_token(&self) -> Token {
        let inner = self.inner();
        inner.tokens.for_guest(inner.clock.now())
    }

    /// The public keys that our tokens can be verified with, as a JWK set (RFC 7517); empty where a secret signs them.
    pub fn jwks(&self) -> String {
        let inner = self.inner();
        inner.tokens.jwks(inner.clock.now())
    }

    /// A fresh token for the session behind `identity`; `None` when there is no session behind it.
    ///
    /// It does not outlive the credential it was made from, so a token cannot prolong itself.
    pub fn user_token(&self, identity: &Identity) -> Option<Token> {
        let inner = self.inner();
        let (session, end) = (identity.session.as_ref()?, identity.expires_at?);
        Some(
            inner
                .tokens
                .for_session(&identity.user, session, end, inner.clock.now()),
        )
    }

    async fn open_session(&self, entry: Entry<'_>) -> Result<LogIn, LogInError> {
        let inner = self.inner();
        let now = inner.clock.now();
        let ttl = inner.settings.session_ttl;
        let (session, secret) = (SessionId::fresh(), random::session_secret());
        let mut changes = Vec::new();
        let mut transaction = inner.db.begin_change().await?;
        let hash = match &entry.new_hash {
            Some(new) => {
                replace_hash(&mut transaction, &entry, new).await?;
                new
            }
            None => &entry.verified_hash,
        };
        let user = entry.user.id.clone();
        match entry.ends {
            Ends::All => {
                transaction
                    .sql("DELETE FROM sessions WHERE user_id = $1")
                    .bind(user.to_string())
                    .execute(&mut *transaction)
                    .await?;
                let about = About::user(&user);
                self.log(&mut transaction, Action::PasswordChanged, &about, "", now)
                    .await?;
                changes.push(Change::PasswordChanged(user.clone()));
            }
            Ends::Held(secrets) => {
                for secret in secrets.iter().take(HELD_MAX) {
                    changes.extend(end_held(&mut transaction, secret).await?);
                }
            }
        }
        // The user may have been disabled, or the password changed, while it was being verified.
        let inserted = transaction.sql("INSERT INTO sessions (id, token_hash, user_id, created_at, expires_at, last_seen_at)
            SELECT $1, $2, id, $3, $4, $5 FROM users WHERE id = $6 AND password_hash = $7 AND disabled_at IS NULL")
            .bind(session.to_string())
            .bind(Digest::of(&secret).to_hex())
            .bind(stored(now))
            .bind(stored(now + ttl))
            .bind(stored(now))
            .bind(user.to_string())
            .bind(hash.clone())
            .execute(&mut *transaction)
            .await?;
        if inserted.rows_affected() == 0 {
            return Err(LogInError::Wrong);
        }
        changes.extend(trim(&mut transaction, &user, &session).await?);
        changes.push(Change::SessionCreated(session.clone()));
        inner.commit_all(transaction, &changes, now).await?;
        Ok(LogIn {
            token: inner.tokens.for_session(&user, &session, now + ttl, now),
            user: entry.user,
            session,
            session_secret: Secret::new(secret),
            session_expires_in: ttl,
        })
    }
}

async fn replace_hash(
    transaction: &mut Tx,
    entry: &Entry<'_>,
    new_hash: &str,
) -> Result<(), LogInError> {
    let replaced = transaction
        .sql(
            "UPDATE users SET password_hash = $1
            WHERE id = $2 AND password_hash = $3 AND disabled_at IS NULL",
        )
        .bind(new_hash.to_owned())
        .bind(entry.user.id.to_string())
        .bind(entry.verified_hash.clone())
        .execute(&mut **transaction)
        .await?;
    match replaced.rows_affected() {
        0 => Err(LogInError::Wrong),
        _ => Ok(()),
    }
}

/// Ends the session with this secret, if there is one.
async fn end_held(transaction: &mut Tx, secret: &str) -> sqlx::Result<Option<Change>> {
    let Some(digest) = Credential::Session(secret).digest() else {
        return Ok(None);
    };
    let row = transaction
        .sql("SELECT id FROM sessions WHERE token_hash = $1")
        .bind(digest.to_hex())
        .fetch_optional(&mut **transaction)
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    end(transaction, row.text("id")?.into()).await.map(Some)
}

/// Ends the oldest sessions of a user who has too many.
async fn trim(
    transaction: &mut Tx,
    user: &UserId,
    newest: &SessionId,
) -> sqlx::Result<Vec<Change>> {
    let rows = transaction
        .sql(
            "SELECT id FROM sessions WHERE user_id = $1 AND id <> $2
            ORDER BY created_at DESC, id LIMIT $3 OFFSET $4",
        )
        .bind(user.to_string())
        .bind(newest.to_string())
        .bind(TRIMMED_MAX)
        .bind(SESSIONS_MAX as i64 - 1)
        .fetch_all(&mut **transaction)
        .await?;
    let mut changes = Vec::new();
    for row in rows {
        changes.push(end(transaction, row.text("id")?.into()).await?);
    }
    Ok(changes)
}

async fn end(transaction: &mut Tx, session: SessionId) -> sqlx::Result<Change> {
    transaction
        .sql("DELETE FROM sessions WHERE id = $1")
        .bind(session.to_string())
        .execute(&mut **transaction)
        .await?;
    Ok(Change::SessionEnded(session))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tollgate::{ManualClock, Micros};

    use super::*;
    use crate::settings::{HashCost, Settings};

    #[tokio::test]
    async fn a_password_changed_while_it_was_verified_opens_no_session() {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings::new("sqlite::memory:", dir.path());
        settings.cost = HashCost {
            memory_kib: 8,
            passes: 1,
            lanes: 1,
        };
        let clock = Arc::new(ManualClock::new(Micros::from_secs(1)));
        let accounts = Accounts::open(settings, clock).await.unwrap();
        let user = accounts.sign_up("ann", "password").await.unwrap();
        let row = accounts
            .inner()
            .db
            .sql("SELECT password_hash FROM users")
            .fetch_one(accounts.inner().db.pool())
            .await
            .unwrap();
        let verified = row.text("password_hash").unwrap();
        accounts
            .set_password("ann", "other password")
            .await
            .unwrap();
        for new_hash in [None, Some("new".to_owned())] {
            let entry = Entry {
                user: user.clone(),
                verified_hash: verified.clone(),
                new_hash,
                ends: Ends::All,
            };
            let opened = accounts.open_session(entry).await;
            assert!(matches!(opened, Err(LogInError::Wrong)), "{opened:?}");
        }
    }
}
