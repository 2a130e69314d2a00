//! What can go wrong with accounts, one family per kind of call.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::away::{is_announced, is_away, is_away_from_migration};

/// The accounts database did not answer. Transient: the same call may succeed later.
#[derive(Debug, Error)]
#[error("the accounts database is unavailable")]
pub struct Unavailable(#[from] sqlx::Error);

impl Unavailable {
    /// Whether the database as a whole is away, and not at odds with what was asked of it, or busy.
    pub fn is_away(&self) -> bool {
        is_away(&self.0)
    }

    /// Whether nothing was tried, because the log has said already that the server cannot be reached, or because the
    /// accounts were closed.
    pub fn is_announced(&self) -> bool {
        is_announced(&self.0)
    }
}

/// What was to be opened did not answer.
impl From<OpenError> for Unavailable {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Database(error) => Self(error),
            OpenError::Migrate(error) => Self(error.into()),
            other => io::Error::other(other).into(),
        }
    }
}

/// A value that was refused, and why.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {reason}")]
pub struct Invalid {
    /// `name`, `password`, `quota`, `quotas`, `role`, `expires_at` or `scopes`.
    pub field: &'static str,
    /// What is wrong with it, for people.
    pub reason: String,
}

impl From<io::Error> for Unavailable {
    fn from(error: io::Error) -> Self {
        Self(error.into())
    }
}

impl Invalid {
    pub(crate) fn new(field: &'static str, reason: impl Into<String>) -> Self {
        Self {
            field,
            reason: reason.into(),
        }
    }
}

/// Too many passwords are waiting to be hashed.
#[derive(Debug)]
pub(crate) struct Busy;

/// Accounts could not be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL names no database.
    #[error(
        "accounts url `{url}`: {reason}; write sqlite:FILE, postgres://USER:PASSWORD@HOST/DATABASE or mysql://USER:PASSWORD@HOST/DATABASE"
    )]
    Url {
        /// Only the scheme where the rest could hold a password.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A file or directory could not be made or read.
    #[error("{}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `token.secret` does not hold the keys that sign tokens.
    #[error("{} holds no keys that sign tokens; restore it, or delete it, which ends every token", path.display())]
    TokenKeys {
        /// Where it is.
        path: PathBuf,
    },
    /// Tokens are not signed in this way here.
    #[error("tokens cannot be signed with {0} here, but with HS256, ES256 or EdDSA")]
    TokenAlgorithm(&'static str),
    /// The keys of another issuer cannot be read.
    #[error("the keys in {} cannot be used: {reason}", path.display())]
    Jwks {
        /// Where they should be.
        path: PathBuf,
        /// What is wrong with them.
        reason: String,
    },
    /// The cost of hashing is outside what Argon2 allows.
    #[error("password hashing cost: {0}")]
    Cost(String),
    /// The system gives no threads to hash passwords on.
    #[error("cannot start threads for hashing")]
    Threads {
        /// Why.
        source: io::Error,
    },
    /// The database could not be opened.
    #[error("cannot open the accounts database")]
    Database(#[from] sqlx::Error),
    /// The tables could not be brought up to date, or belong to a newer version.
    #[error("cannot bring the accounts database up to date")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

impl OpenError {
    /// Whether a server cannot be reached for now, so that waiting may mend it.
    pub fn is_away(&self) -> bool {
        match self {
            Self::Database(error) => is_away(error),
            Self::Migrate(error) => is_away_from_migration(error),
            _ => false,
        }
    }
}

/// An account was not made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SignUpError {
    /// Somebody has this name, in this or another case.
    #[error("this name is taken")]
    Taken,
    /// The name or the password is not acceptable.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Too many passwords are being hashed; transient.
    #[error("too many sign-ups and log-ins at once")]
    Busy,
    /// The database did not answer; transient.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// A log-in was refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogInError {
    /// Unknown name, wrong password or disabled user: deliberately not told apart.
    #[error("wrong name or password")]
    Wrong,
    /// Too many passwords are being hashed; transient.
    #[error("too many sign-ups and log-ins at once")]
    Busy,
    /// The database did not answer; transient.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// A password was not changed by its owner.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// The current password is wrong, or the user is disabled or gone.
    #[error("the current password is wrong")]
    Wrong,
    /// The new password is not acceptable.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Too many passwords are being hashed; transient.
    #[error("too many passwords are being hashed")]
    Busy,
    /// The database did not answer; transient.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<LogInError> for PasswordError {
    fn from(error: LogInError) -> Self {
        match error {
            LogInError::Wrong => Self::Wrong,
            LogInError::Busy => Self::Busy,
            LogInError::Unavailable(error) => Self::Unavailable(error),
        }
    }
}

/// A token was not ended.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// As many tokens are on the deny-list as may be put there by those who hold them. Transient: they expire.
    #[error("at most {max} tokens can be ended at one time")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// The database did not answer; transient.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// A user was not changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UserError {
    /// Nobody has this name.
    #[error("there is no such user")]
    NoSuchUser,
    /// Without them nobody could administer over HTTP any more.
    #[error("this is the last administrator")]
    LastAdministrator,
    /// The new password is not acceptable.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Too many passwords are being hashed; transient.
    #[error("too many passwords are being hashed")]
    Busy,
    /// The database did not answer; transient.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// An API key was not made or changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// There is no such user.
    #[error("there is no such user")]
    NoSuchUser,
    /// This user has no such key.
    #[error("there is no such key")]
    NoSuchKey,
    /// The key is revoked or has expired, so it cannot be rotated.
    #[error("the key is no longer live")]
    NotLive,
    /// The user has as many live keys as anybody may have.
    #[error("a user may have at most {max} live keys; revoke one first")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// The name, the quota or the expiry is not acceptable.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The database did not answer; transient.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// A plan was not made, given or deleted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PlanError {
    /// There is no such plan.
    #[error("there is no such plan")]
    NoSuchPlan,
    /// There is no such user.
    #[error("there is no such user")]
    NoSuchUser,
    /// There is a plan of this name.
    #[error("this plan exists already")]
    Taken,
    /// Users have the plan, so it cannot be deleted.
    #[error("users who have this plan: {users}; give them another one first")]
    InUse {
        /// How many.
        users: u64,
    },
    /// There are as many plans as there may be.
    #[error("there may be at most {max} plans; delete one first")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// The name is not acceptable.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The database did not answer; transient.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Quotas were not put in the place of a limit's.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OverrideError {
    /// The rules have no limit of this name.
    #[error("there is no such limit")]
    NoSuchLimit,
    /// There is no such plan.
    #[error("there is no such plan")]
    NoSuchPlan,
    /// There is no such user.
    #[error("there is no such user")]
    NoSuchUser,
    /// There is no such key.
    #[error("there is no such key")]
    NoSuchKey,
    /// The limit's key tells neither users nor keys apart, so that nobody can have quotas of their own.
    #[error(
        "the key of this limit has neither `user` nor `api-key`, so that it can have other quotas only for everybody"
    )]
    NotByCaller,
    /// There is nothing to take away.
    #[error("no other quotas are set there")]
    NotSet,
    /// As many limits have other quotas as may have.
    #[error("at most {max} limits can have other quotas there; unset one first")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// The quotas are not acceptable.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The database did not answer; transient.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Lets `?` carry a database error into a family through [`Unavailable`], and a full queue into `Busy`.
macro_rules! from_database {
    ($($family:ident),*) => {$(
        impl From<sqlx::Error> for $family {
            fn from(error: sqlx::Error) -> Self {
                Self::Unavailable(Unavailable(error))
            }
        }
    )*};
}

macro_rules! from_busy {
    ($($family:ident),*) => {$(
        impl From<Busy> for $family {
            fn from(_: Busy) -> Self {
                Self::Busy
            }
        }
    )*};
}

from_database!(
    SignUpError,
    LogInError,
    PasswordError,
    RevokeError,
    UserError,
    KeyError,
    PlanError,
    OverrideError
);
from_busy!(SignUpError, LogInError, PasswordError, UserError);
