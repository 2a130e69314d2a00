//! Coming in and going out.

use std::time::Duration;

use crate::accounts::Accounts;
use crate::changes::Change;
use crate::database::{Columns, stored};
use crate::digest::Digest;
use crate::error::{LogInError, Unavailable};
use crate::id::{SessionId, UserId};
use crate::identity::Identity;
use crate::random;
use crate::secret::Secret;
use crate::token::Token;
use crate::users::{User, can_be_looked_for, folded};

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

impl Accounts {
    /// Lets somebody in. Whatever is wrong, the answer and the time it takes are the same.
    pub async fn log_in(&self, name: &str, password: &str) -> Result<LogIn, LogInError> {
        let inner = self.inner();
        let row = if can_be_looked_for(name) {
            inner
                .db
                .sql("SELECT id, name, created_at, disabled_at, role, plan, password_hash FROM users WHERE name_folded = $1")
                .bind(folded(name))
                .fetch_optional(inner.db.pool())
                .await?
        } else {
            None
        };
        let found = match &row {
            Some(row) => Some((User::read(row)?, row.text("password_hash")?)),
            None => None,
        };
        let hash = found.as_ref().map(|(_, hash)| hash.as_str());
        let right = inner.passwords.verify(password, hash).await?;
        match found {
            Some((user, hash)) if right && user.disabled_at.is_none() => {
                self.open_session(user, hash).await
            }
            _ => Err(LogInError::Wrong),
        }
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

    async fn open_session(&self, user: User, verified_hash: String) -> Result<LogIn, LogInError> {
        let inner = self.inner();
        let now = inner.clock.now();
        let ttl = inner.settings.session_ttl;
        let (session, secret) = (SessionId::fresh(), random::session_secret());
        let mut transaction = inner.db.begin_change().await?;
        // The user may have been disabled, or the password changed, while it was being verified.
        let inserted = transaction.sql("INSERT INTO sessions (id, token_hash, user_id, created_at, expires_at)
            SELECT $1, $2, id, $3, $4 FROM users WHERE id = $5 AND password_hash = $6 AND disabled_at IS NULL")
            .bind(session.to_string())
            .bind(Digest::of(&secret).to_hex())
            .bind(stored(now))
            .bind(stored(now + ttl))
            .bind(user.id.to_string())
            .bind(verified_hash)
            .execute(&mut *transaction)
            .await?;
        if inserted.rows_affected() == 0 {
            return Err(LogInError::Wrong);
        }
        inner
            .commit(transaction, Change::SessionCreated(session.clone()), now)
            .await?;
        Ok(LogIn {
            token: inner.tokens.for_session(&user.id, &session, now + ttl, now),
            user,
            session,
            session_secret: Secret::new(secret),
            session_expires_in: ttl,
        })
    }
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
        let opened = accounts.open_session(user, verified).await;
        assert!(matches!(opened, Err(LogInError::Wrong)));
    }
}
