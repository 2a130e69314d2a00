//! The secret that signs tokens: made once, kept in a file that only its owner can read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::OpenError;
use crate::random;

const FILE: &str = "token.secret";
const BYTES: usize = 32;

/// Reads `token.secret` of this directory, or makes it.
///
/// Two processes that start together agree: the file appears whole or not at all, and whoever is second reads it.
pub(crate) fn read_or_make(data_dir: &Path) -> Result<[u8; BYTES], OpenError> {
    let path = data_dir.join(FILE);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::File { path, source }
    };
    if !path.try_exists().map_err(failed(&path))? {
        make(data_dir, &path).map_err(failed(&path))?;
    }
    let bytes = fs::read(&path).map_err(failed(&path))?;
    let found = bytes.len();
    bytes
        .try_into()
        .map_err(|_| OpenError::TokenSecret { path, bytes: found })
}

fn make(data_dir: &Path, path: &PathBuf) -> io::Result<()> {
    let draft = data_dir.join(format!("{FILE}.{}", random::hex_id()));
    let written = write_private(&draft, &random::bytes::<BYTES>()).and_then(|()| {
        // Unlike a rename, a link never replaces what another process has just made.
        match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }
    });
    fs::remove_file(&draft)?;
    written?;
    File::open(data_dir)?.sync_all()
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_secret_is_made_once_private_and_alone() {
        let dir = tempfile::tempdir().unwrap();
        let first = read_or_make(dir.path()).unwrap();
        assert_eq!(first, read_or_make(dir.path()).unwrap());
        let mode = fs::metadata(dir.path().join(FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_secret_is_an_error_not_a_new_secret() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), b"short").unwrap();
        let error = read_or_make(dir.path()).unwrap_err().to_string();
        assert!(error.contains("holds 5 bytes instead of 32"), "{error}");
    }
}
