//! Giving roles to users.

use crate::accounts::Accounts;
use crate::actor::Actor;
use crate::audit::{About, Action, changed};
use crate::changes::Change;
use crate::database::{Columns, Tx};
use crate::error::UserError;
use crate::id::UserId;
use crate::role::Role;
use crate::users::User;

impl Accounts {
    /// Gives a user a role. Whoever is recognised from memory has it with the next request.
    ///
    /// # Errors
    /// [`UserError::LastAdministrator`] when nobody else could administer any more, unless the actor is local.
    pub async fn set_role(&self, name: &str, role: Role) -> Result<(), UserError> {
        let inner = self.inner();
        let user = self
            .user_by_name(name)
            .await?
            .ok_or(UserError::NoSuchUser)?
            .id;
        let now = inner.clock.now();
        let mut transaction = inner.db.begin_change().await?;
        // Before the turn to change came, somebody else may have changed it.
        let user = User::find(&mut transaction, &user)
            .await?
            .ok_or(UserError::NoSuchUser)?;
        if role != Role::Admin {
            self.spare_last_administrator(&mut transaction, &user.id)
                .await?;
        }
        transaction
            .sql("UPDATE users SET role = $1 WHERE id = $2")
            .bind(role.as_str())
            .bind(user.id.to_string())
            .execute(&mut *transaction)
            .await?;
        let detail = changed(Some(user.role.as_str()), Some(role.as_str()));
        let about = About::user(&user.id);
        self.log(&mut transaction, Action::RoleSet, &about, &detail, now)
            .await?;
        let change = Change::UserChanged(user.id.clone());
        Ok(inner.commit(transaction, change, now).await?)
    }

    /// Fails if `user` is the only one who can administer over HTTP. Whoever has the machine may do without any.
    pub(crate) async fn spare_last_administrator(
        &self,
        transaction: &mut Tx,
        user: &UserId,
    ) -> Result<(), UserError> {
        if self.1 == Actor::Local {
            return Ok(());
        }
        let rows = transaction
            .sql("SELECT id FROM users WHERE role = 'admin' AND disabled_at IS NULL LIMIT 2")
            .fetch_all(&mut **transaction)
            .await?;
        match &rows[..] {
            [only] if only.text("id")? == user.as_str() => Err(UserError::LastAdministrator),
            _ => Ok(()),
        }
    }
}
