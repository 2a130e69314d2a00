//! The keys that sign our tokens, in one file that only its owner can read: the one in use, and those it has replaced.
//!
//! The file appears whole or not at all. 32 bytes are a secret for HS256, as versions before rotation wrote it; else
//! it has a line for each key, the one in use first: `ALGORITHM BASE64URL [SECOND]`, the last being when it was replaced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tollgate::Micros;

use super::algorithm::TokenAlgorithm;
use super::key::{Key, Material, SECRET_BYTES};
use crate::error::OpenError;
use crate::random;

const FILE: &str = "token.secret";

/// How many keys the file keeps; whoever rotates more often than tokens expire ends the oldest early.
const KEYS_MAX: usize = 8;

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 16 << 10;

/// What tells one state of the file from another without reading it. It takes another's name, so its inode differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let file = fs::metadata(path)?;
        Ok(Self {
            inode: file.ino(),
            bytes: file.len(),
            changed: (file.mtime(), file.mtime_nsec()),
        })
    }
}

/// A key and, if another has taken its place, since when.
#[derive(Clone, PartialEq, Eq)]
struct Stored {
    material: Material,
    replaced_at: Option<u64>,
}

/// The keys of a data directory, as its file has them.
pub(crate) struct KeyFile {
    path: PathBuf,
}

/// A key that verifies, and if it no longer signs, since when.
#[derive(Debug)]
pub(super) struct Verifying {
    pub(super) key: Key,
    pub(super) replaced_at: Option<Micros>,
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

    /// The keys, the one that signs first. Without a file it is made; where another algorithm is asked for than that of
    /// the key in use, a key of it takes its place.
    ///
    /// Two processes that start together agree: the file appears whole or not at all, and whoever is second reads it.
    pub(super) fn open(
        &self,
        algorithm: Option<TokenAlgorithm>,
        now: Micros,
    ) -> Result<Vec<Verifying>, OpenError> {
        if !self.path.try_exists().map_err(|error| self.failed(error))? {
            let first = self.fresh(algorithm.unwrap_or(TokenAlgorithm::Hs256))?;
            self.write(&[first], OnExisting::IfAbsent)
                .map_err(|error| self.failed(error))?;
        }
        let keys = self.read()?;
        let in_use = keys[0].material.algorithm;
        match algorithm {
            Some(wanted) if wanted != in_use => {
                self.replace(keys, wanted, now)?;
                self.load()
            }
            _ => self.load(),
        }
    }

    pub(super) fn load(&self) -> Result<Vec<Verifying>, OpenError> {
        let verifying = |stored: Stored| {
            Some(Verifying {
                key: Key::new(&stored.material)?,
                replaced_at: stored.replaced_at.map(Micros::from_secs),
            })
        };
        let keys: Option<Vec<_>> = self.read()?.into_iter().map(verifying).collect();
        keys.ok_or_else(|| self.unreadable())
    }

    /// Puts a new key of the same algorithm in the place of the one in use, which then only verifies. `at_once` keeps
    /// none of the earlier keys.
    pub(crate) fn rotate(&self, at_once: bool, now: Micros) -> Result<(), OpenError> {
        let mut keys = self.read()?;
        let algorithm = keys[0].material.algorithm;
        if at_once {
            keys.clear();
        }
        self.replace(keys, algorithm, now)
    }

    fn replace(
        &self,
        mut keys: Vec<Stored>,
        algorithm: TokenAlgorithm,
        now: Micros,
    ) -> Result<(), OpenError> {
        if let Some(in_use) = keys.first_mut() {
            in_use.replaced_at = Some(now.as_secs());
        }
        keys.insert(0, self.fresh(algorithm)?);
        keys.truncate(KEYS_MAX);
        self.write(&keys, OnExisting::Instead)
            .map_err(|error| self.failed(error))
    }

    fn fresh(&self, algorithm: TokenAlgorithm) -> Result<Stored, OpenError> {
        let material = Material::fresh(algorithm);
        let material = material.ok_or(OpenError::TokenAlgorithm(algorithm.name()))?;
        Ok(Stored {
            material,
            replaced_at: None,
        })
    }

    /// At least one key.
    fn read(&self) -> Result<Vec<Stored>, OpenError> {
        let length = fs::metadata(&self.path).map_err(|error| self.failed(error))?;
        if length.len() > FILE_BYTES_MAX {
            return Err(self.unreadable());
        }
        let bytes = fs::read(&self.path).map_err(|error| self.failed(error))?;
        parse(&bytes).ok_or_else(|| self.unreadable())
    }

    fn write(&self, keys: &[Stored], how: OnExisting) -> io::Result<()> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let draft = dir.join(format!("{FILE}.{}", random::hex_id()));
        let written = write_private(&draft, &text_of(keys)).and_then(|()| match how {
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

fn parse(bytes: &[u8]) -> Option<Vec<Stored>> {
    if bytes.len() == SECRET_BYTES {
        let material = Material {
            algorithm: TokenAlgorithm::Hs256,
            bytes: bytes.to_vec(),
        };
        let replaced_at = None;
        return Some(vec![Stored {
            material,
            replaced_at,
        }]);
    }
    let lines = std::str::from_utf8(bytes).ok()?.lines();
    let keys: Vec<Stored> = lines.map(parse_line).collect::<Option<_>>()?;
    (!keys.is_empty() && keys[0].replaced_at.is_none()).then_some(keys)
}

fn parse_line(line: &str) -> Option<Stored> {
    let mut words = line.split(' ');
    let (algorithm, key, replaced_at) = (words.next()?, words.next()?, words.next());
    let material = Material {
        algorithm: TokenAlgorithm::from_name(algorithm)?,
        bytes: URL_SAFE_NO_PAD.decode(key).ok()?,
    };
    let replaced_at = replaced_at.map(str::parse).transpose().ok()?;
    words.next().is_none().then_some(Stored {
        material,
        replaced_at,
    })
}

fn text_of(keys: &[Stored]) -> Vec<u8> {
    let line = |stored: &Stored| {
        let algorithm = stored.material.algorithm.name();
        let key = URL_SAFE_NO_PAD.encode(&stored.material.bytes);
        let replaced_at = stored.replaced_at.map(|second| format!(" {second}"));
        format!("{algorithm} {key}{}\n", replaced_at.unwrap_or_default())
    };
    keys.iter().map(line).collect::<String>().into_bytes()
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

    const NOW: Micros = Micros::from_secs(1_000);

    fn kids(keys: &[Verifying]) -> Vec<&str> {
        keys.iter().map(|verifying| &*verifying.key.kid).collect()
    }

    #[test]
    fn the_key_is_made_once_private_and_alone() {
        for algorithm in ["HS256", "ES256", "EdDSA"] {
            let dir = tempfile::tempdir().unwrap();
            let file = KeyFile::of(dir.path());
            let algorithm = TokenAlgorithm::from_name(algorithm);
            let first = file.open(algorithm, NOW).unwrap();
            assert_eq!(kids(&first), kids(&file.open(None, NOW).unwrap()));
            let mode = fs::metadata(&file.path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_new_key_takes_the_place_of_the_old_one_which_is_kept_privately() {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::of(dir.path());
        let before = file.open(None, NOW).unwrap();
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
        file.open(None, NOW).unwrap();
        let keys = file.open(Some(TokenAlgorithm::EdDsa), NOW).unwrap();
        let algorithms: Vec<_> = keys.iter().map(|one| one.key.algorithm).collect();
        assert_eq!(algorithms, [TokenAlgorithm::EdDsa, TokenAlgorithm::Hs256]);
        assert_eq!(kids(&file.open(None, NOW).unwrap()), kids(&keys));
        let rsa = file.open(Some(TokenAlgorithm::Rs256), NOW);
        assert!(matches!(rsa, Err(OpenError::TokenAlgorithm("RS256"))));
    }

    #[test]
    fn the_secret_of_versions_without_rotation_is_a_key() {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::of(dir.path());
        fs::write(&file.path, [7; SECRET_BYTES]).unwrap();
        assert_eq!(file.open(None, NOW).unwrap().len(), 1);
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
            let error = file.open(None, NOW).err().unwrap().to_string();
            assert!(error.contains("token.secret"), "{error}");
            assert_eq!(fs::read_to_string(&file.path).unwrap(), damaged);
        }
    }
}
