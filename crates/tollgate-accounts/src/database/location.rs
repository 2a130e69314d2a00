//! Where the database is, from the URL that an operator wrote.

use std::fmt::Write;
use std::fs::{DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sqlx::any::AnyConnectOptions;

use super::dialect::Dialect;
use crate::error::OpenError;
use crate::secret::Secret;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Location {
    SqliteMemory,
    SqliteFile(PathBuf),
    /// The URL may hold a password.
    Server(Dialect, Secret),
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Gone with its one connection.
    Memory,
    File,
    Server,
}

impl Location {
    pub(super) fn parse(url: &str, data_dir: &Path) -> Result<Self, OpenError> {
        let refused = |reason| {
            Err(OpenError::Url {
                url: without_secrets(url),
                reason,
            })
        };
        let Some((scheme, rest)) = url.split_once(':') else {
            return refused("it has no scheme");
        };
        let dialect = match scheme {
            "sqlite" => Dialect::Sqlite,
            "postgres" | "postgresql" => Dialect::Postgres,
            "mysql" | "mariadb" => Dialect::MySql,
            _ => return refused("there is no such database"),
        };
        if dialect != Dialect::Sqlite {
            return match names_a_database(url) {
                Ok(true) => Ok(Self::Server(dialect, Secret::new(url.to_owned()))),
                Ok(false) => refused("it names no database"),
                Err(_) => refused("it is no URL"),
            };
        }
        let path = rest.strip_prefix("//").unwrap_or(rest);
        match path {
            ":memory:" => Ok(Self::SqliteMemory),
            "" => refused("it names no file"),
            _ if path.contains('?') => refused("it takes no parameters"),
            _ => Ok(Self::SqliteFile(data_dir.join(path))),
        }
    }

    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::SqliteMemory | Self::SqliteFile(_) => Dialect::Sqlite,
            Self::Server(dialect, _) => *dialect,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::SqliteMemory => Kind::Memory,
            Self::SqliteFile(_) => Kind::File,
            Self::Server(..) => Kind::Server,
        }
    }

    /// Makes a missing file, empty and for its owner only; SQLite gives its side files the same mode. Of a server it looks
    /// whether the files that its URL names can be read: to the driver one that is missing is as a server that is away.
    pub(super) fn prepare(&self) -> Result<(), OpenError> {
        let path = match self {
            Self::SqliteMemory => return Ok(()),
            Self::SqliteFile(path) => path,
            Self::Server(_, url) => {
                return files_of_tls(url.expose()).try_for_each(|path| readable(&path));
            }
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

    /// What the driver connects with.
    pub(super) fn options(&self) -> sqlx::Result<AnyConnectOptions> {
        match self {
            Self::SqliteMemory => "sqlite::memory:".parse(),
            Self::SqliteFile(path) => format!("sqlite://{}?mode=rw", percent_encoded(path)).parse(),
            Self::Server(_, url) => url.expose().parse(),
        }
    }
}

/// Files of certificates and keys that the parameters of a server's URL name.
fn files_of_tls(url: &str) -> impl Iterator<Item = PathBuf> {
    let url = url
        .parse::<AnyConnectOptions>()
        .map(|options| options.database_url);
    let pairs: Vec<_> = url
        .iter()
        .flat_map(|url| url.query_pairs().into_owned())
        .collect();
    let named = |name: &str| {
        let name = name.replace('-', "");
        ["sslrootcert", "sslca", "sslcert", "sslkey"].contains(&&*name)
    };
    // The driver takes the text of a certificate, too.
    let files = pairs
        .into_iter()
        .filter(move |(name, value)| named(name) && !value.trim_start().starts_with("-----"));
    files.map(|(_, path)| path.into())
}

fn readable(path: &Path) -> Result<(), OpenError> {
    let opened = std::fs::File::open(path);
    opened.map(drop).map_err(|source| OpenError::File {
        path: path.to_owned(),
        source,
    })
}

/// Whether a URL names a database; nothing is connected to.
pub fn check_url(url: &str) -> Result<(), OpenError> {
    Location::parse(url, Path::new("")).map(drop)
}

/// The file that a URL names, if it is one of SQLite's.
pub fn file_of_url(url: &str, data_dir: &Path) -> Option<PathBuf> {
    match Location::parse(url, data_dir) {
        Ok(Location::SqliteFile(path)) => Some(path),
        _ => None,
    }
}

/// An accounts URL as it may be shown: of a server only the scheme.
pub(crate) fn without_secrets(url: &str) -> String {
    match url.split_once(':') {
        Some((scheme, _)) if scheme != "sqlite" => format!("{scheme}:"),
        _ => url.to_owned(),
    }
}

fn names_a_database(url: &str) -> sqlx::Result<bool> {
    let options: AnyConnectOptions = url.parse()?;
    let url = options.database_url;
    let name = url.path().strip_prefix('/').unwrap_or_default();
    Ok(!url.cannot_be_a_base() && !name.is_empty() && !name.contains('/'))
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
    fn a_server_is_known_by_its_scheme_and_needs_the_name_of_a_database() {
        for (url, dialect) in [
            ("postgres://h/x", Dialect::Postgres),
            (
                "postgresql://ann:pw@[::1]:5433/x?sslmode=require",
                Dialect::Postgres,
            ),
            ("postgres:///x?host=/run/postgresql", Dialect::Postgres),
            ("mysql://ann@h/x", Dialect::MySql),
            ("mariadb://ann:a%40b@h:3307/x", Dialect::MySql),
        ] {
            let location = parse(url).unwrap();
            assert_eq!(location.dialect(), dialect, "{url}");
            assert!(location.options().is_ok(), "{url}");
        }
        for url in ["postgres://h", "mysql://h/", "mysql://h/a/b", "mysql:x"] {
            let error = parse(url).unwrap_err();
            assert!(error.contains("it names no database"), "{url}: {error}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_repeating_its_password() {
        let ways = "write sqlite:FILE, postgres://USER:PASSWORD@HOST/DATABASE or mysql://USER:PASSWORD@HOST/DATABASE";
        for (url, shown, reason) in [
            (
                "oracle://ann:hunter2@db/x",
                "oracle:",
                "there is no such database",
            ),
            ("mysql://ann:hunter2@db", "mysql:", "it names no database"),
            (
                "postgres://ann:hunter2@db:port/x",
                "postgres:",
                "it is no URL",
            ),
            ("tollgate.db", "tollgate.db", "it has no scheme"),
            ("sqlite:", "sqlite:", "it names no file"),
            (
                "sqlite:a.db?mode=ro",
                "sqlite:a.db?mode=ro",
                "it takes no parameters",
            ),
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(error, format!("accounts url `{shown}`: {reason}; {ways}"));
        }
        let location = parse("mysql://ann:hunter2@db/x").unwrap();
        assert!(!format!("{location:?}").contains("hunter2"));
    }

    #[test]
    fn a_path_with_special_characters_survives_the_url() {
        let location = Location::SqliteFile("/tmp/a b?#%.db".into());
        assert_eq!(
            location.options().unwrap().database_url.as_str(),
            "sqlite:///tmp/a%20b%3F%23%25.db?mode=rw"
        );
    }
}
