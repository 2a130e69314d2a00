//! Ending single tokens before they expire: the deny-list, of which every process holds the whole in memory.

use tollgate::Micros;

use crate::accounts::Accounts;
use crate::audit::{About, Action};
use crate::changes::Change;
use crate::database::{Columns, Database, Tx, stored};
use crate::error::{RevokeError, Unavailable};
use crate::id::TokenId;
use crate::identity::Identity;

/// How many tokens those who hold them can end; an administrator can end more.
const REVOKED_MAX: usize = 100_000;

impl Accounts {
    /// Ends a token at once, here and on every node within about a second. Until `expires_at` it is remembered; let
    /// that be no earlier than the token's own end. It is logged.
    pub async fn revoke_token(
        &self,
        token: &TokenId,
        expires_at: Micros,
    ) -> Result<(), Unavailable> {
        let now = self.inner().clock.now();
        let mut transaction = self.inner().db.begin_change().await?;
        let about = About::named("token", token.as_str());
        self.log(&mut transaction, Action::TokenRevoked, &about, "", now)
            .await?;
        Ok(self.deny(transaction, token, expires_at).await?)
    }

    async fn deny(
        &self,
        mut transaction: Tx,
        token: &TokenId,
        expires_at: Micros,
    ) -> sqlx::Result<()> {
        let inner = self.inner();
        transaction
            .sql("DELETE FROM revoked_tokens WHERE jti = $1")
            .bind(token.to_string())
            .execute(&mut *transaction)
            .await?;
        transaction
            .sql("INSERT INTO revoked_tokens (jti, expires_at) VALUES ($1, $2)")
            .bind(token.to_string())
            .bind(stored(expires_at))
            .execute(&mut *transaction)
            .await?;
        let change = Change::TokenRevoked(token.clone(), expires_at);
        inner.commit(transaction, change, inner.clock.now()).await
    }

    /// Ends the token that somebody was recognised by, at their own wish; false when there was none. It is not logged:
    /// tokens are for everybody, and strangers must not fill the log.
    ///
    /// A token that belongs to a session ends with it, by [`log_out`](Self::log_out), and needs no place here.
    pub async fn end_token(&self, identity: &Identity) -> Result<bool, RevokeError> {
        let (Some(token), Some(expires_at)) = (&identity.token, identity.expires_at) else {
            return Ok(false);
        };
        if self.directory().denied().len() >= REVOKED_MAX {
            return Err(RevokeError::TooMany { max: REVOKED_MAX });
        }
        let transaction = self.inner().db.begin_change().await;
        let transaction = transaction.map_err(Unavailable::from)?;
        let denied = self.deny(transaction, token, expires_at).await;
        denied.map_err(Unavailable::from)?;
        Ok(true)
    }

    pub(crate) async fn read_revoked_tokens(&self, db: &Database) -> sqlx::Result<()> {
        let inner = self.inner();
        let rows = db
            .sql("SELECT jti, expires_at FROM revoked_tokens WHERE expires_at > $1")
            .bind(stored(inner.clock.now()))
            .fetch_all(db.pool())
            .await?;
        let revoked = rows
            .iter()
            .map(|row| Ok((row.text("jti")?.into(), row.instant("expires_at")?)))
            .collect::<sqlx::Result<_>>()?;
        inner.directory.denied().replace(revoked);
        Ok(())
    }
}
