//! Which errors mean that a database server cannot be reached for now, so that waiting may mend them.

use std::io::{self, ErrorKind};

use sqlx::migrate::MigrateError;
use sqlx::mysql::MySqlDatabaseError;
use thiserror::Error;

/// Nothing was tried, because the server could not be reached just now; the log has said so.
#[derive(Debug, Error)]
#[error("it could not be reached when it was last tried")]
pub(crate) struct Closed;

/// Whether whoever follows the database has said this already, or has closed it.
pub(crate) fn is_announced(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.get_ref().is_some_and(|inner| inner.is::<Closed>()),
        sqlx::Error::PoolClosed => true,
        _ => false,
    }
}

/// Whether the server is away, restarting or full, and not at odds with what was asked of it. Who waits in vain for a lock,
/// or for one of our own connections while others have them, waits for somebody who is there.
pub(crate) fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => is_of_the_network(error),
        sqlx::Error::PoolClosed => true,
        sqlx::Error::Database(error) => match error.try_downcast_ref::<MySqlDatabaseError>() {
            Some(error) => is_transient_number(error.number()),
            None => error.code().is_some_and(|code| is_transient_code(&code)),
        },
        sqlx::Error::Migrate(error) => is_away_from_migration(error),
        _ => false,
    }
}

pub(crate) fn is_away_from_migration(error: &MigrateError) -> bool {
    match error {
        // Another process may be bringing the tables up to date, for longer than it was waited for.
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            is_away(error) || is_lock_wait(error)
        }
        _ => false,
    }
}

/// A certificate that is refused is invalid data; a name that cannot be resolved may be there when its server is.
fn is_of_the_network(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        ErrorKind::InvalidData
            | ErrorKind::InvalidInput
            | ErrorKind::PermissionDenied
            | ErrorKind::Unsupported
    )
}

/// PostgreSQL: a lock was not given in time. MySQL and MariaDB have a lock of their own here, whose wait is ours.
fn is_lock_wait(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.as_deref() == Some("55P03")
}

/// PostgreSQL, appendix A of its manual: connection exceptions, insufficient resources (too many connections), and
/// shutting down or starting up.
fn is_transient_code(code: &str) -> bool {
    code.starts_with("08") || code.starts_with("53") || matches!(code, "57P01" | "57P02" | "57P03")
}

/// MySQL and MariaDB: too many connections in all, of this user, or within the hour; shutting down; and a host that was
/// blocked for broken connections.
fn is_transient_number(number: u16) -> bool {
    matches!(number, 1040 | 1053 | 1129 | 1203 | 1226 | 1927)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_fails_may_come_back_and_a_certificate_does_not_become_right() {
        for kind in [
            ErrorKind::ConnectionRefused,
            ErrorKind::TimedOut,
            ErrorKind::ConnectionReset,
            ErrorKind::UnexpectedEof,
            ErrorKind::NotFound,
            ErrorKind::Other,
        ] {
            assert!(is_away(&io::Error::from(kind).into()), "{kind}");
        }
        for kind in [ErrorKind::InvalidData, ErrorKind::PermissionDenied] {
            assert!(!is_away(&io::Error::from(kind).into()), "{kind}");
        }
        assert!(!is_away(&sqlx::Error::RowNotFound) && !is_away(&sqlx::Error::PoolTimedOut));
        let started = io::Error::from(ErrorKind::ConnectionReset).into();
        assert!(is_away_from_migration(&MigrateError::Execute(started)));
        assert!(!is_away_from_migration(&MigrateError::Dirty(1)));
    }

    #[test]
    fn a_server_that_starts_or_is_full_is_away_and_one_that_refuses_a_password_is_not() {
        for code in ["57P03", "53300", "08006", "57P01"] {
            assert!(is_transient_code(code), "{code}");
        }
        for code in ["28P01", "3D000", "42P01", "57014", "40001", "55P03"] {
            assert!(!is_transient_code(code), "{code}");
        }
        assert!(is_transient_number(1040) && is_transient_number(1053));
        for number in [1044, 1045, 1049, 1062, 1146, 1205] {
            assert!(!is_transient_number(number), "{number}");
        }
    }
}
