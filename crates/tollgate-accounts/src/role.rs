//! What somebody may do beside using the API.

use std::fmt;
use std::str::FromStr;

use crate::error::Invalid;

/// What somebody may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// Use the API, and manage their own account.
    #[default]
    User,
    /// Manage everybody's accounts and limits as well.
    Admin,
}

impl Role {
    /// As it is written: `user` or `admin`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }

    /// A role that this version does not know gives no rights.
    pub(crate) fn read(text: &str) -> Self {
        text.parse().unwrap_or_default()
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "user" => Ok(Self::User),
            "admin" => Ok(Self::Admin),
            _ => Err(Invalid::new("role", "must be `user` or `admin`")),
        }
    }
}
