//! Where the database is, from the URL that an operator wrote.

use std::fmt::Write;
use std::fs::{DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::dialect::Dialect;
use crate::error::OpenError;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Location {
    SqliteMemory,
    SqliteFile(PathBuf),
}

impl Location {
    pub(super) fn parse(url: &str, data_dir: &Path) -> Result<Self, OpenError> {
        let Some((scheme, rest)) = url.split_once(':') else {
            return Err(refused(url, "it has no scheme"));
        };
        if scheme != "sqlite" {
            // What follows another scheme may hold a password, so it is not repeated.
            return Err(refused(
                &format!("{scheme}:"),
                "this build speaks to SQLite only",
            ));
        }
        let path = rest.strip_prefix("//").unwrap_or(rest);
        match path {
            ":memory:" => Ok(Self::SqliteMemory),
            "" => Err(refused(url, "it names no file")),
            _ if path.contains('?') => Err(refused(url, "it takes no parameters")),
            _ => Ok(Self::SqliteFile(data_dir.join(path))),
        }
    }

    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::SqliteMemory | Self::SqliteFile(_) => Dialect::Sqlite,
        }
    }

    pub(super) fn is_memory(&self) -> bool {
        *self == Self::SqliteMemory
    }

    /// Makes a missing file, empty and for its owner only; SQLite gives its side files the same mode.
    pub(super) fn prepare(&self) -> Result<(), OpenError> {
        let Self::SqliteFile(path) = self else {
            return Ok(());
        };
        if let Some(parent) = path.parent() {
            make_dir(parent)?;
        }
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path);
        match made {
            Err(source) if source.kind() != ErrorKind::AlreadyExists => Err(OpenError::File {
                path: path.clone(),
                source,
            }),
            _ => Ok(()),
        }
    }

    /// The form that the driver understands.
    pub(super) fn url(&self) -> String {
        match self {
            Self::SqliteMemory => "sqlite::memory:".into(),
            Self::SqliteFile(path) => format!("sqlite://{}?mode=rw", percent_encoded(path)),
        }
    }
}

/// Makes a directory and its parents, for their owner only.
pub(crate) fn make_dir(path: &Path) -> Result<(), OpenError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| OpenError::File {
            path: path.to_owned(),
            source,
        })
}

fn refused(url: &str, reason: &'static str) -> OpenError {
    OpenError::Url {
        url: url.to_owned(),
        reason,
    }
}

fn percent_encoded(path: &Path) -> String {
    let mut text = String::new();
    for &byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Location, String> {
        Location::parse(url, Path::new("/data")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_relative_file_is_below_the_data_directory_and_an_absolute_one_is_not() {
        let file = |path: &str| Ok(Location::SqliteFile(path.into()));
        assert_eq!(parse("sqlite:tollgate.db"), file("/data/tollgate.db"));
        assert_eq!(parse("sqlite:/var/lib/t.db"), file("/var/lib/t.db"));
        assert_eq!(parse("sqlite:///var/lib/t.db"), file("/var/lib/t.db"));
        assert_eq!(parse("sqlite::memory:"), Ok(Location::SqliteMemory));
    }

    #[test]
    fn another_url_is_refused_without_repeating_its_password() {
        let error = parse("postgres://ann:hunter2@db/x").unwrap_err();
        assert_eq!(
            error,
            "accounts url `postgres:`: this build speaks to SQLite only; write sqlite:FILE or sqlite::memory:"
        );
        for url in ["tollgate.db", "sqlite:", "sqlite:a.db?mode=ro"] {
            assert!(parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_path_with_special_characters_survives_the_url() {
        let location = Location::SqliteFile("/tmp/a b?#%.db".into());
        assert_eq!(location.url(), "sqlite:///tmp/a%20b%3F%23%25.db?mode=rw");
    }
}
