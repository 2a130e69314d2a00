//! Ending single tokens before they expire: the deny-list, of which every process holds the whole in memory.
//!
//! Whoever holds tokens can end them, so there are shares: users of other issuers cannot keep guests from ending theirs, and
//! neither can keep an administrator from it.

use tollgate::Micros;

use crate::accounts::Accounts;
use crate::audit::{About, Action};
use crate::changes::Change;
use crate::database::{Columns, Database, Tx, stored};
use crate::error::{RevokeError, Unavailable};
use crate::id::TokenId;
use crate::identity::Identity;
use crate::token::denied::REVOKED_MAX;

/// How many tokens are remembered while those who hold them can still end one. What is left is an administrator's, whose
/// share also takes in what was under way on several nodes at once.
const BY_HOLDERS_MAX: usize = REVOKED_MAX / 10 * 9;

/// How many are remembered while users of other issuers can still end one: they may hold any number of tokens.
const FOREIGN_MAX: usize = BY_HOLDERS_MAX / 2;

impl Accounts {
    /// Ends a token at once, here and on every node within about a second. Until `expires_at` it is remembered; let
    /// that be no earlier than the token's own end. It is logged. Where no more tokens can be remembered, the one that
    /// expires first is forgotten.
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
        make_room(&mut transaction).await?;
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
        let max = match identity.issuer {
            Some(_) => FOREIGN_MAX,
            None => BY_HOLDERS_MAX,
        };
        if self.directory().denied().len() >= max {
            return Err(RevokeError::TooMany { max });
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
            .sql(
                "SELECT jti, expires_at FROM revoked_tokens WHERE expires_at > $1
                ORDER BY expires_at DESC, jti DESC LIMIT $2",
            )
            .bind(stored(inner.clock.now()))
            .bind(REVOKED_MAX as i64)
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

async fn make_room(transaction: &mut Tx) -> sqlx::Result<()> {
    let row = transaction
        .sql("SELECT COUNT(*) AS remembered FROM revoked_tokens")
        .fetch_one(&mut **transaction)
        .await?;
    if row.count("remembered")? < REVOKED_MAX as u64 {
        return Ok(());
    }
    let first = transaction
        .sql("SELECT jti FROM revoked_tokens ORDER BY expires_at, jti LIMIT 1")
        .fetch_one(&mut **transaction)
        .await?;
    transaction
        .sql("DELETE FROM revoked_tokens WHERE jti = $1")
        .bind(first.text("jti")?)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
