//! Making users, and what an administrator does with them.

use sqlx::any::AnyRow;
use tollgate::Micros;

use crate::accounts::Accounts;
use crate::audit::{About, Action};
use crate::changes::Change;
use crate::database::{Columns, Tx, stored};
use crate::error::{Invalid, SignUpError, Unavailable, UserError};
use crate::id::UserId;
use crate::normal::{HIDDEN, fold_name, has_hidden, stored_forms};
use crate::role::Role;

/// The longest name.
const NAME_CHARS_MAX: usize = 64;

/// The longest normal form of a name: some characters stand for many letters.
const FOLDED_CHARS_MAX: usize = 192;

/// How many users a list holds.
const LISTED_MAX: i64 = 10_000;

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Random; what limits and usage know the user by.
    pub id: UserId,
    /// As chosen at sign-up; no other user has it in any case.
    pub name: String,
    /// When they signed up.
    pub created_at: Micros,
    /// Since when they may not come in; `None` for everybody else.
    pub disabled_at: Option<Micros>,
    /// What they may do beside using the API.
    pub role: Role,
    /// The name of their plan.
    pub plan: Option<String>,
}

impl User {
    pub(crate) fn read(row: &AnyRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.text("id")?.into(),
            name: row.text("name")?,
            created_at: row.instant("created_at")?,
            disabled_at: row.instant_or_null("disabled_at")?,
            role: Role::read(&row.text("role")?),
            plan: row.text_or_null("plan")?,
        })
    }

    /// As they are while nobody else changes accounts.
    pub(crate) async fn find(transaction: &mut Tx, id: &UserId) -> sqlx::Result<Option<Self>> {
        let row = transaction
            .sql("SELECT * FROM users WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&mut **transaction)
            .await?;
        row.as_ref().map(Self::read).transpose()
    }
}

impl Accounts {
    /// Makes a user. Once this has returned, the account survives a crash.
    ///
    /// A name has 1 to 64 characters, no control characters, no invisible ones and no blanks at its ends. A password has at least as
    /// many characters as the settings say and at most 1024 bytes, and is one in all forms that Unicode has for it.
    pub async fn sign_up(&self, name: &str, password: &str) -> Result<User, SignUpError> {
        self.create_user(name, password, Role::User).await
    }

    /// As [`sign_up`](Self::sign_up), with a role.
    pub async fn create_user(
        &self,
        name: &str,
        password: &str,
        role: Role,
    ) -> Result<User, SignUpError> {
        let inner = self.inner();
        check_name(name)?;
        inner.passwords.check(password)?;
        if self.name_is_taken(name).await? {
            return Err(SignUpError::Taken);
        }
        let password_hash = inner.passwords.hash(password).await?;
        let user = User {
            id: UserId::fresh(),
            name: name.to_owned(),
            created_at: inner.clock.now(),
            disabled_at: None,
            role,
            plan: None,
        };
        let mut transaction = inner.db.begin_change().await?;
        let inserted = transaction
            .sql(
                "INSERT INTO users (id, name, name_folded, password_hash, created_at, role)
            VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(user.id.to_string())
            .bind(user.name.clone())
            .bind(fold_name(name))
            .bind(password_hash)
            .bind(stored(user.created_at))
            .bind(role.as_str())
            .execute(&mut *transaction)
            .await;
        match inserted {
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                return Err(SignUpError::Taken);
            }
            inserted => inserted?,
        };
        let detail = format!("{role} {}", user.name);
        let about = About::user(&user.id);
        self.log(
            &mut transaction,
            Action::UserCreated,
            &about,
            &detail,
            user.created_at,
        )
        .await?;
        let change = Change::UserCreated(user.id.clone());
        inner.commit(transaction, change, user.created_at).await?;
        Ok(user)
    }

    /// All users by name, the first 10,000.
    pub async fn list_users(&self) -> Result<Vec<User>, Unavailable> {
        let rows = self
            .inner()
            .db
            .sql(
                "SELECT id, name, created_at, disabled_at, role, plan FROM users ORDER BY name_folded LIMIT $1",
            )
            .bind(LISTED_MAX)
            .fetch_all(self.inner().db.pool())
            .await?;
        Ok(rows.iter().map(User::read).collect::<sqlx::Result<_>>()?)
    }

    /// The user of this name, in any case and any spelling that Unicode has for it.
    pub async fn user_by_name(&self, name: &str) -> Result<Option<User>, Unavailable> {
        let row = self.row_by_name(name).await?;
        Ok(row.as_ref().map(User::read).transpose()?)
    }

    /// The row of a user with the hash of the password.
    pub(crate) async fn row_by_name(&self, name: &str) -> Result<Option<AnyRow>, Unavailable> {
        let db = &self.inner().db;
        if !can_be_looked_for(name) {
            return Ok(None);
        }
        for form in stored_forms(name) {
            let row = db
                .sql("SELECT * FROM users WHERE name_folded = $1")
                .bind(form)
                .fetch_optional(db.pool())
                .await?;
            if row.is_some() {
                return Ok(row);
            }
        }
        Ok(None)
    }

    /// Sets a new password and ends all sessions of the user; API keys stay.
    pub async fn set_password(&self, name: &str, password: &str) -> Result<(), UserError> {
        let inner = self.inner();
        inner.passwords.check(password)?;
        let user = self
            .user_by_name(name)
            .await?
            .ok_or(UserError::NoSuchUser)?
            .id;
        let hash = inner.passwords.hash(password).await?;
        let mut transaction = inner.db.begin_change().await?;
        transaction
            .sql("UPDATE users SET password_hash = $1 WHERE id = $2")
            .bind(hash)
            .bind(user.to_string())
            .execute(&mut *transaction)
            .await?;
        transaction
            .sql("DELETE FROM sessions WHERE user_id = $1")
            .bind(user.to_string())
            .execute(&mut *transaction)
            .await?;
        let now = inner.clock.now();
        let about = About::user(&user);
        self.log(&mut transaction, Action::PasswordChanged, &about, "", now)
            .await?;
        inner
            .commit(transaction, Change::PasswordChanged(user), now)
            .await?;
        Ok(())
    }

    /// Keeps a user out: ends their sessions, and their API keys rest until the user is enabled again.
    ///
    /// # Errors
    /// [`UserError::LastAdministrator`] when nobody else could administer any more, unless the actor is local.
    pub async fn disable_user(&self, name: &str) -> Result<(), UserError> {
        let inner = self.inner();
        let now = inner.clock.now();
        let user = self
            .user_by_name(name)
            .await?
            .ok_or(UserError::NoSuchUser)?
            .id;
        let mut transaction = inner.db.begin_change().await?;
        self.spare_last_administrator(&mut transaction, &user)
            .await?;
        transaction
            .sql("UPDATE users SET disabled_at = COALESCE(disabled_at, $1) WHERE id = $2")
            .bind(stored(now))
            .bind(user.to_string())
            .execute(&mut *transaction)
            .await?;
        transaction
            .sql("DELETE FROM sessions WHERE user_id = $1")
            .bind(user.to_string())
            .execute(&mut *transaction)
            .await?;
        let about = About::user(&user);
        self.log(&mut transaction, Action::UserDisabled, &about, "", now)
            .await?;
        inner
            .commit(transaction, Change::UserDisabled(user), now)
            .await?;
        Ok(())
    }

    /// Lets a disabled user in again.
    pub async fn enable_user(&self, name: &str) -> Result<(), UserError> {
        let inner = self.inner();
        let user = self
            .user_by_name(name)
            .await?
            .ok_or(UserError::NoSuchUser)?
            .id;
        let mut transaction = inner.db.begin_change().await?;
        transaction
            .sql("UPDATE users SET disabled_at = NULL WHERE id = $1")
            .bind(user.to_string())
            .execute(&mut *transaction)
            .await?;
        let now = inner.clock.now();
        let about = About::user(&user);
        self.log(&mut transaction, Action::UserEnabled, &about, "", now)
            .await?;
        inner
            .commit(transaction, Change::UserEnabled(user), now)
            .await?;
        Ok(())
    }

    /// Asked before hashing, so that a taken name does not cost a hash.
    async fn name_is_taken(&self, name: &str) -> Result<bool, Unavailable> {
        Ok(self.user_by_name(name).await?.is_some())
    }
}

/// Nobody has a name that was refused at every sign-up, and databases differ in what they make of blanks at its end or
/// of a character 0. There may be somebody from before invisible characters were refused.
fn can_be_looked_for(name: &str) -> bool {
    check_form(name).is_ok()
}

/// Of a new name.
fn check_name(name: &str) -> Result<(), Invalid> {
    check_form(name)?;
    match has_hidden(name) {
        true => Err(Invalid::new("name", HIDDEN)),
        false => Ok(()),
    }
}

fn check_form(name: &str) -> Result<(), Invalid> {
    let refused = |reason: &str| Err(Invalid::new("name", reason));
    match name.chars().count() {
        0 => refused("must not be empty"),
        chars if chars > NAME_CHARS_MAX => refused("must have at most 64 characters"),
        _ if name.chars().any(char::is_control) => refused("must not contain control characters"),
        _ if name.trim() != name => refused("must not begin or end with a blank"),
        _ if fold_name(name).chars().count() > FOLDED_CHARS_MAX => {
            refused("must be written with fewer letters in one")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_refused_for_what_cannot_be_seen_and_for_length() {
        for name in ["", " ann", "ann\t", "a\nb", "\u{7f}", &"x".repeat(65)] {
            assert!(check_name(name).is_err(), "{name:?}");
            assert!(!can_be_looked_for(name), "{name:?}");
        }
        for hidden in "\u{ad}\u{34f}\u{61c}\u{200b}\u{200e}\u{2028}\u{202e}\u{2066}\u{2069}\u{3164}\u{fe0f}\u{feff}\u{e0041}".chars() {
            let name = format!("an{hidden}n");
            assert!(check_name(&name).is_err(), "{name:?}");
            assert!(can_be_looked_for(&name), "{name:?}");
        }
        for name in [
            "a",
            "Ann Lee",
            "\u{e9}lodie",
            "'; DROP TABLE users",
            &"\u{e9}".repeat(64),
        ] {
            assert!(check_name(name).is_ok(), "{name:?}");
        }
    }
}
