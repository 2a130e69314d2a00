//! The keys that sign our tokens: the one in use, and those it has replaced, as they are kept.
//!
//! 32 bytes are a secret for HS256, as versions before rotation wrote it; else there is a line for each key, the one in
//! use first: `ALGORITHM BASE64URL [SECOND]`, the last being when it was replaced.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tollgate::Micros;

use super::algorithm::TokenAlgorithm;
use super::key::{Key, Material, SECRET_BYTES};
use crate::error::OpenError;

/// How many keys are kept; whoever rotates more often than tokens expire ends the oldest early.
pub(super) const KEYS_MAX: usize = 8;

/// A key and, if another has taken its place, since when.
#[derive(Clone, PartialEq, Eq)]
struct Stored {
    material: Material,
    replaced_at: Option<u64>,
}

/// At least one key, the one in use first.
#[derive(PartialEq, Eq)]
pub(crate) struct Ring(Vec<Stored>);

/// A key that verifies, and if it no longer signs, since when.
#[derive(Debug)]
pub(super) struct Verifying {
    pub(super) key: Key,
    pub(super) replaced_at: Option<Micros>,
}

impl Ring {
    /// One new key.
    pub(crate) fn fresh(algorithm: TokenAlgorithm) -> Result<Self, OpenError> {
        Ok(Self(vec![Stored::fresh(algorithm)?]))
    }

    /// `None` for what is no ring.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() == SECRET_BYTES {
            let material = Material {
                algorithm: TokenAlgorithm::Hs256,
                bytes: bytes.to_vec(),
            };
            let replaced_at = None;
            return Some(Self(vec![Stored {
                material,
                replaced_at,
            }]));
        }
        let lines = std::str::from_utf8(bytes).ok()?.lines();
        let keys: Vec<Stored> = lines.map(Stored::parse).collect::<Option<_>>()?;
        (!keys.is_empty() && keys[0].replaced_at.is_none()).then_some(Self(keys))
    }

    /// As it is parsed.
    pub(crate) fn text(&self) -> String {
        self.0.iter().map(Stored::line).collect()
    }

    /// Of the key in use.
    pub(crate) fn algorithm(&self) -> TokenAlgorithm {
        self.0[0].material.algorithm
    }

    /// The keys, ready to sign and to verify; `None` when one of them is damaged.
    pub(super) fn verifying(&self) -> Option<Vec<Verifying>> {
        let verifying = |stored: &Stored| {
            Some(Verifying {
                key: Key::new(&stored.material)?,
                replaced_at: stored.replaced_at.map(Micros::from_secs),
            })
        };
        self.0.iter().map(verifying).collect()
    }

    /// Whether each of the keys can be used.
    pub(crate) fn is_sound(&self) -> bool {
        self.verifying().is_some()
    }

    /// Puts a new key of the same algorithm in the place of the one in use, which then only verifies. `at_once` keeps
    /// none of the earlier keys.
    pub(crate) fn rotate(&mut self, at_once: bool, now: Micros) -> Result<(), OpenError> {
        self.replace(self.algorithm(), now)?;
        if at_once {
            self.0.truncate(1);
        }
        Ok(())
    }

    /// Puts a new key in the place of the one in use, which then only verifies.
    pub(crate) fn replace(
        &mut self,
        algorithm: TokenAlgorithm,
        now: Micros,
    ) -> Result<(), OpenError> {
        let fresh = Stored::fresh(algorithm)?;
        self.0[0].replaced_at = Some(now.as_secs());
        self.0.insert(0, fresh);
        self.0.truncate(KEYS_MAX);
        Ok(())
    }
}

impl Stored {
    fn fresh(algorithm: TokenAlgorithm) -> Result<Self, OpenError> {
        let material = Material::fresh(algorithm);
        let material = material.ok_or(OpenError::TokenAlgorithm(algorithm.name()))?;
        Ok(Stored {
            material,
            replaced_at: None,
        })
    }

    fn parse(line: &str) -> Option<Self> {
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

    fn line(&self) -> String {
        let algorithm = self.material.algorithm.name();
        let key = URL_SAFE_NO_PAD.encode(&self.material.bytes);
        let replaced_at = self.replaced_at.map(|second| format!(" {second}"));
        format!("{algorithm} {key}{}\n", replaced_at.unwrap_or_default())
    }
}
