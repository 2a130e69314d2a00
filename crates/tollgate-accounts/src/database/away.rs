//! Which errors mean that a database server cannot be reached for now, so that waiting may mend them.

use std::io::{self, ErrorKind};

use sqlx::migrate::MigrateError;
use sqlx::mysql::MySqlDatabaseError;

/// Whether the server is away, restarting or full, and not at odds with what was asked of it.
pub(crate) fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => is_of_the_network(error),
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => true,
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
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => is_away(error),
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

/// PostgreSQL, appendix A of its manual: connection exceptions, insufficient resources (too many connections), lock not
/// available, and shutting down or starting up.
fn is_transient_code(code: &str) -> bool {
    code.starts_with("08")
        || code.starts_with("53")
        || matches!(code, "55P03" | "57P01" | "57P02" | "57P03")
}

/// MySQL and MariaDB: too many connections in all, of this user, or within the hour; shutting down; a lock not given in
/// time; and a host that was blocked for broken connections.
fn is_transient_number(number: u16) -> bool {
    matches!(number, 1040 | 1053 | 1129 | 1203 | 1205 | 1226 | 1927)
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
        assert!(!is_away(&sqlx::Error::RowNotFound));
        let started = io::Error::from(ErrorKind::ConnectionReset).into();
        assert!(is_away_from_migration(&MigrateError::Execute(started)));
        assert!(!is_away_from_migration(&MigrateError::Dirty(1)));
    }

    #[test]
    fn a_server_that_starts_or_is_full_is_away_and_one_that_refuses_a_password_is_not() {
        for code in ["57P03", "53300", "08006", "57P01"] {
            assert!(is_transient_code(code), "{code}");
        }
        for code in ["28P01", "3D000", "42P01", "57014", "40001"] {
            assert!(!is_transient_code(code), "{code}");
        }
        assert!(is_transient_number(1040) && is_transient_number(1053));
        for number in [1044, 1045, 1049, 1062, 1146] {
            assert!(!is_transient_number(number), "{number}");
        }
    }
}
