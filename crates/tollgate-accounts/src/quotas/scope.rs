//! Whom quotas are for that stand in the place of a limit's own.

use std::fmt;

use crate::changes::Change;
use crate::id::{KeyId, UserId};

/// Whom other quotas are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everybody for whom nothing more special is said.
    Everybody,
    /// Users who have this plan.
    Plan(String),
    /// One user, by whatever credential they come.
    User(UserId),
    /// One API key, which then counts apart from its user.
    Key(KeyId),
}

impl Scope {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Everybody => "everybody",
            Self::Plan(_) => "plan",
            Self::User(_) => "user",
            Self::Key(_) => "key",
        }
    }

    pub(crate) fn subject(&self) -> &str {
        match self {
            Self::Everybody => "",
            Self::Plan(name) => name,
            Self::User(id) => id.as_str(),
            Self::Key(id) => id.as_str(),
        }
    }

    pub(crate) fn read(kind: &str, subject: String) -> Option<Self> {
        match kind {
            "everybody" => Some(Self::Everybody),
            "plan" => Some(Self::Plan(subject)),
            "user" => Some(Self::User(subject.into())),
            "key" => Some(Self::Key(subject.into())),
            _ => None,
        }
    }

    pub(crate) fn change(&self) -> Change {
        match self {
            Self::Everybody => Change::QuotasChanged(String::new()),
            Self::Plan(name) => Change::QuotasChanged(name.clone()),
            Self::User(id) => Change::UserChanged(id.clone()),
            Self::Key(id) => Change::KeyChanged(id.clone()),
        }
    }
}

/// `everybody`, `plan:NAME`, `user:ID` or `key:ID`.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.subject() {
            "" => f.write_str(self.kind()),
            subject => write!(f, "{}:{subject}", self.kind()),
        }
    }
}
