//! The log by which processes on one database hear of each other's changes.

use tollgate::Micros;

use crate::database::{Columns, Database, Tx, stored};
use crate::id::{KeyId, SessionId, TokenId, UserId};
use crate::liveness::Subject;

/// How many rows one query reads.
const ROWS_MAX: usize = 10_000;

/// A change of users, sessions, keys or quotas; its row is written in the same transaction.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    UserCreated(UserId),
    UserDisabled(UserId),
    UserEnabled(UserId),
    PasswordChanged(UserId),
    SessionCreated(SessionId),
    SessionEnded(SessionId),
    SessionsEnded(UserId),
    KeyCreated(KeyId),
    KeyRotated(KeyId),
    KeyRevoked(KeyId),
    /// Role, plan or quotas.
    UserChanged(UserId),
    /// Quotas.
    KeyChanged(KeyId),
    /// Quotas of this plan, or of everybody.
    QuotasChanged(String),
    /// The keys that sign tokens, where they are shared.
    TokenKeysChanged,
    /// With the instant from which on nobody needs to remember it.
    TokenRevoked(TokenId, Micros),
}

impl Change {
    fn kind(&self) -> &'static str {
        match self {
            Self::UserCreated(_) => "user-created",
            Self::UserDisabled(_) => "user-disabled",
            Self::UserEnabled(_) => "user-enabled",
            Self::PasswordChanged(_) => "password-changed",
            Self::SessionCreated(_) => "session-created",
            Self::SessionEnded(_) => "session-ended",
            Self::SessionsEnded(_) => "sessions-ended",
            Self::KeyCreated(_) => "key-created",
            Self::KeyRotated(_) => "key-rotated",
            Self::KeyRevoked(_) => "key-revoked",
            Self::UserChanged(_) => "user-changed",
            Self::KeyChanged(_) => "key-changed",
            Self::QuotasChanged(_) => "quotas-changed",
            Self::TokenKeysChanged => "token-keys-changed",
            Self::TokenRevoked(..) => "token-revoked",
        }
    }

    fn subject(&self) -> String {
        let subject = match self {
            Self::UserCreated(user)
            | Self::UserDisabled(user)
            | Self::UserEnabled(user)
            | Self::PasswordChanged(user)
            | Self::SessionsEnded(user)
            | Self::UserChanged(user) => user.as_str(),
            Self::SessionCreated(session) | Self::SessionEnded(session) => session.as_str(),
            Self::KeyCreated(key)
            | Self::KeyRotated(key)
            | Self::KeyRevoked(key)
            | Self::KeyChanged(key) => key.as_str(),
            Self::QuotasChanged(plan) => plan,
            Self::TokenKeysChanged => "",
            Self::TokenRevoked(token, until) => return format!("{token} {}", stored(*until)),
        };
        subject.to_owned()
    }

    /// `None` for a kind that only a newer version knows.
    fn read(kind: &str, subject: String) -> Option<Self> {
        Some(match kind {
            "user-created" => Self::UserCreated(subject.into()),
            "user-disabled" => Self::UserDisabled(subject.into()),
            "user-enabled" => Self::UserEnabled(subject.into()),
            "password-changed" => Self::PasswordChanged(subject.into()),
            "session-created" => Self::SessionCreated(subject.into()),
            "session-ended" => Self::SessionEnded(subject.into()),
            "sessions-ended" => Self::SessionsEnded(subject.into()),
            "key-created" => Self::KeyCreated(subject.into()),
            "key-rotated" => Self::KeyRotated(subject.into()),
            "key-revoked" => Self::KeyRevoked(subject.into()),
            "user-changed" => Self::UserChanged(subject.into()),
            "key-changed" => Self::KeyChanged(subject.into()),
            "quotas-changed" => Self::QuotasChanged(subject),
            "token-keys-changed" => Self::TokenKeysChanged,
            "token-revoked" => {
                let (token, until) = subject.split_once(' ')?;
                Self::TokenRevoked(token.into(), Micros(until.parse().ok()?))
            }
            _ => return None,
        })
    }

    /// Whether what holds for everybody and for plans is to be read anew.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::QuotasChanged(_))
    }

    /// Whether other quotas may hold for somebody afterwards.
    pub(crate) fn is_of_terms(&self) -> bool {
        matches!(
            self,
            Self::UserChanged(_) | Self::KeyChanged(_) | Self::QuotasChanged(_)
        )
    }

    /// What must no longer be believed from memory. A rotated key is read again, with its new expiry.
    pub(crate) fn ends(&self) -> Vec<Subject> {
        match self {
            Self::UserDisabled(user) | Self::UserChanged(user) => vec![
                Subject::SessionsOf(user.clone()),
                Subject::KeysOf(user.clone()),
            ],
            Self::PasswordChanged(user) | Self::SessionsEnded(user) => {
                vec![Subject::SessionsOf(user.clone())]
            }
            Self::SessionEnded(session) => vec![Subject::Session(session.clone())],
            Self::KeyRotated(key) | Self::KeyRevoked(key) | Self::KeyChanged(key) => {
                vec![Subject::Key(key.clone())]
            }
            Self::TokenRevoked(token, _) => vec![Subject::Token(token.clone())],
            Self::UserCreated(_)
            | Self::UserEnabled(_)
            | Self::SessionCreated(_)
            | Self::KeyCreated(_)
            | Self::QuotasChanged(_)
            | Self::TokenKeysChanged => Vec::new(),
        }
    }

    /// The token that goes on the deny-list.
    pub(crate) fn denies(&self) -> Option<(TokenId, Micros)> {
        match self {
            Self::TokenRevoked(token, until) => Some((token.clone(), *until)),
            _ => None,
        }
    }

    pub(crate) async fn append(&self, transaction: &mut Tx, now: Micros) -> sqlx::Result<()> {
        transaction
            .sql("INSERT INTO changes (at, kind, subject) VALUES ($1, $2, $3)")
            .bind(stored(now))
            .bind(self.kind())
            .bind(self.subject())
            .execute(&mut **transaction)
            .await?;
        Ok(())
    }
}

/// What was read, and where to go on.
pub(crate) struct Heard {
    pub(crate) ends: Vec<Subject>,
    /// What holds for everybody and for plans is to be read anew.
    pub(crate) shared: bool,
    pub(crate) denied: Vec<(TokenId, Micros)>,
    /// Other keys sign tokens.
    pub(crate) token_keys: bool,
    /// When the last of them happened after which other quotas may hold for somebody; 0 where there is none.
    pub(crate) terms_changed: Micros,
    /// Some row was of a kind that this version does not know.
    pub(crate) not_understood: bool,
    pub(crate) last: i64,
    /// There may be more to read.
    pub(crate) more: bool,
}

/// The number of the newest row.
pub(crate) async fn newest(db: &Database) -> sqlx::Result<i64> {
    let row = db
        .sql("SELECT COALESCE(MAX(seq), 0) AS newest FROM changes")
        .fetch_one(db.pool())
        .await?;
    sqlx::Row::try_get(&row, "newest")
}

pub(crate) async fn after(db: &Database, last: i64) -> sqlx::Result<Heard> {
    let rows = db
        .sql("SELECT seq, at, kind, subject FROM changes WHERE seq > $1 ORDER BY seq LIMIT $2")
        .bind(last)
        .bind(ROWS_MAX as i64)
        .fetch_all(db.pool())
        .await?;
    let mut heard = Heard {
        ends: Vec::new(),
        shared: false,
        denied: Vec::new(),
        token_keys: false,
        terms_changed: Micros(0),
        not_understood: false,
        last,
        more: rows.len() == ROWS_MAX,
    };
    for row in rows {
        heard.last = sqlx::Row::try_get(&row, "seq")?;
        match Change::read(&row.text("kind")?, row.text("subject")?) {
            Some(change) => {
                heard.shared |= change.is_shared();
                heard.token_keys |= matches!(change, Change::TokenKeysChanged);
                if change.is_of_terms() {
                    heard.terms_changed = heard.terms_changed.max(row.instant("at")?);
                }
                heard.ends.extend(change.ends());
                heard.denied.extend(change.denies());
            }
            None => heard.not_understood = true,
        }
    }
    Ok(heard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_as_it_was_written() {
        let id = "x".to_owned();
        let all = [
            Change::UserCreated(id.clone().into()),
            Change::UserDisabled(id.clone().into()),
            Change::UserEnabled(id.clone().into()),
            Change::PasswordChanged(id.clone().into()),
            Change::SessionCreated(id.clone().into()),
            Change::SessionEnded(id.clone().into()),
            Change::SessionsEnded(id.clone().into()),
            Change::KeyCreated(id.clone().into()),
            Change::KeyRotated(id.clone().into()),
            Change::KeyRevoked(id.clone().into()),
            Change::UserChanged(id.clone().into()),
            Change::KeyChanged(id.clone().into()),
            Change::QuotasChanged(id.clone()),
            Change::TokenKeysChanged,
        ];
        for change in all {
            let read = Change::read(change.kind(), change.subject().to_owned()).unwrap();
            assert_eq!(format!("{read:?}"), format!("{change:?}"));
        }
        assert!(Change::read("plan-changed", id).is_none());
    }
}
