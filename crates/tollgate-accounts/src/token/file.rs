//! The keys that sign our tokens, in a file of the data directory that only its owner can read.
//!
//! The file appears whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tollgate::Micros;

use super::algorithm::TokenAlgorithm;
use super::ring::{Ring, Verifying};
use super::watched::Stamp;
use crate::error::OpenError;
use crate::random;

const FILE: &str = "token.secret";

/// Stands beside it where it is a copy of keys that gateways share.
const SHARED: &str = "token.shared";

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 16 << 10;

/// The keys of a data directory, as its file has them.
pub(crate) struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    pub(crate) fn of(data_dir: &Path) -> Self {
        Self {
            path: data_dir.join(FILE),
        }
    }

    pub(super) fn stamp(&self) -> io::Result<Stamp> {
        Stamp::of(&self.path)
    }

    /// Makes the file where there is none.
    ///
    /// Two processes that start together agree: the file appears whole or not at all, and whoever is second reads it.
    pub(super) fn make(&self, algorithm: Option<TokenAlgorithm>) -> Result<(), OpenError> {
        if self.path.try_exists().map_err(|error| self.failed(error))? {
            return Ok(());
        }
        let ring = Ring::fresh(algorithm.unwrap_or(TokenAlgorithm::Hs256))?;
        self.put(&ring, OnExisting::IfAbsent)
    }

    /// Where another algorithm is asked for than that of the key in use, a key of it takes its place.
    pub(super) fn sign_with(
        &self,
        algorithm: Option<TokenAlgorithm>,
        now: Micros,
    ) -> Result<(), OpenError> {
        let mut ring = self.read()?;
        match algorithm {
            Some(wanted) if wanted != ring.algorithm() => {
                ring.replace(wanted, now)?;
                self.write(&ring)
            }
            _ => Ok(()),
        }
    }

    /// The keys, the one that signs first.
    pub(super) fn load(&self) -> Result<Vec<Verifying>, OpenError> {
        self.read()?.verifying().ok_or_else(|| self.unreadable())
    }

    /// Puts a new key of the same algorithm in the place of the one in use, which then only verifies. `at_once` keeps
    /// none of the earlier keys.
    pub(crate) fn rotate(&self, at_once: bool, now: Micros) -> Result<(), OpenError> {
        let mut ring = self.read()?;
        ring.rotate(at_once, now)?;
        self.write(&ring)
    }

    pub(super) fn read(&self) -> Result<Ring, OpenError> {
        let length = fs::metadata(&self.path).map_err(|error| self.failed(error))?;
        if length.len() > FILE_BYTES_MAX {
            return Err(self.unreadable());
        }
        let bytes = fs::read(&self.path).map_err(|error| self.failed(error))?;
        Ring::parse(&bytes).ok_or_else(|| self.unreadable())
    }

    /// In the place of what is there.
    pub(super) fn write(&self, ring: &Ring) -> Result<(), OpenError> {
        self.put(ring, OnExisting::Instead)
    }

    /// Whether it is a copy of keys that gateways share, as far as is known.
    pub(crate) fn is_copy(&self) -> bool {
        self.shared().exists()
    }

    /// Remembers that it is a copy.
    pub(super) fn note_copy(&self) -> Result<(), OpenError> {
        if self.is_copy() {
            return Ok(());
        }
        match write_private(&self.shared(), b"") {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(self.failed(error)),
            _ => Ok(()),
        }
    }

    /// From now on it is of this data directory alone.
    pub(super) fn note_own(&self) -> Result<(), OpenError> {
        if !self.is_copy() {
            return Ok(());
        }
        match fs::remove_file(self.shared()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(error)),
            _ => Ok(()),
        }
    }

    fn shared(&self) -> PathBuf {
        self.path.with_file_name(SHARED)
    }

    fn put(&self, ring: &Ring, how: OnExisting) -> Result<(), OpenError> {
        let put = self.try_put(ring, how);
        put.map_err(|error| self.failed(error))
    }

    fn try_put(&self, ring: &Ring, how: OnExisting) -> io::Result<()> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let draft = dir.join(format!("{FILE}.{}", random::hex_id()));
        let written = write_private(&draft, ring.text().as_bytes()).and_then(|()| match how {
            OnExisting::Instead => fs::rename(&draft, &self.path),
            // Unlike a rename, a link never replaces what another process has just made.
            OnExisting::IfAbsent => match fs::hard_link(&draft, &self.path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                linked => linked,
            },
        });
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => written?,
        }
        File::open(dir)?.sync_all()
    }

    fn failed(&self, source: io::Error) -> OpenError {
        let path = self.path.clone();
        OpenError::File { path, source }
    }

    fn unreadable(&self) -> OpenError {
        OpenError::TokenKeys {
            path: self.path.clone(),
        }
    }
}

/// What becomes of a file that is there already.
#[derive(Clone, Copy)]
enum OnExisting {
    IfAbsent,
    Instead,
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
    use crate::token::key::SECRET_BYTES;
    use crate::token::ring::KEYS_MAX;

    const NOW: Micros = Micros::from_secs(1_000);

    /// As a gateway opens it.
    fn open(
        file: &KeyFile,
        algorithm: Option<TokenAlgorithm>,
    ) -> Result<Vec<Verifying>, OpenError> {
        file.make(algorithm)?;
        file.sign_with(algorithm, NOW)?;
        file.load()
    }

    fn kids(keys: &[Verifying]) -> Vec<&str> {
        keys.iter().map(|verifying| &*verifying.key.kid).collect()
    }

    #[test]
    fn the_key_is_made_once_private_and_alone() {
        for algorithm in ["HS256", "ES256", "EdDSA"] {
            let dir = tempfile::tempdir().unwrap();
            let file = KeyFile::of(dir.path());
            let algorithm = TokenAlgorithm::from_name(algorithm);
            let first = open(&file, algorithm).unwrap();
            assert_eq!(kids(&first), kids(&open(&file, None).unwrap()));
            let mode = fs::metadata(&file.path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_new_key_takes_the_place_of_the_old_one_which_is_kept_privately() {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::of(dir.path());
        let before = open(&file, None).unwrap();
        let stamp = file.stamp().unwrap();
        file.rotate(false, NOW).unwrap();
        let after = file.load().unwrap();
        assert_eq!(after[1].key.kid, before[0].key.kid);
        assert_ne!(after[0].key.kid, before[0].key.kid);
        assert_eq!(
            (after[0].replaced_at, after[1].replaced_at),
            (None, Some(NOW))
        );
        assert_ne!(file.stamp().unwrap(), stamp);
        let mode = fs::metadata(&file.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        file.rotate(true, NOW).unwrap();
        assert_eq!(file.load().unwrap().len(), 1);
        for _ in 0..2 * KEYS_MAX {
            file.rotate(false, NOW).unwrap();
        }
        assert_eq!(file.load().unwrap().len(), KEYS_MAX);
    }

    #[test]
    fn another_algorithm_takes_the_place_and_what_was_signed_before_still_verifies() {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::of(dir.path());
        open(&file, None).unwrap();
        let keys = open(&file, Some(TokenAlgorithm::EdDsa)).unwrap();
        let algorithms: Vec<_> = keys.iter().map(|one| one.key.algorithm).collect();
        assert_eq!(algorithms, [TokenAlgorithm::EdDsa, TokenAlgorithm::Hs256]);
        assert_eq!(kids(&open(&file, None).unwrap()), kids(&keys));
        let rsa = open(&file, Some(TokenAlgorithm::Rs256));
        assert!(matches!(rsa, Err(OpenError::TokenAlgorithm("RS256"))));
    }

    #[test]
    fn the_secret_of_versions_without_rotation_is_a_key() {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::of(dir.path());
        fs::write(&file.path, [7; SECRET_BYTES]).unwrap();
        assert_eq!(open(&file, None).unwrap().len(), 1);
        assert_eq!(fs::read(&file.path).unwrap(), [7; SECRET_BYTES]);
    }

    #[test]
    fn damaged_keys_are_an_error_not_new_keys() {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::of(dir.path());
        for damaged in [
            "short",
            "",
            "HS256 AAAA\n",
            "HS256\n",
            "none AAAA\n",
            "EdDSA AAAA 5\n",
            "\n",
        ] {
            fs::write(&file.path, damaged).unwrap();
            let error = open(&file, None).err().unwrap().to_string();
            assert!(error.contains("token.secret"), "{error}");
            assert_eq!(fs::read_to_string(&file.path).unwrap(), damaged);
        }
    }
}
