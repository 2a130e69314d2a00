//! The public keys of another issuer, from a file with a JWK set (RFC 7517). Nothing is ever fetched.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use serde_json::Value;

use super::algorithm::TokenAlgorithm;

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// How many keys a set can have.
const KEYS_MAX: usize = 100;

/// The shortest modulus of an RSA key, 2048 bits.
const RSA_MODULUS_BYTES_MIN: usize = 256;

/// The keys of a set that can verify something.
#[derive(Debug)]
pub(super) struct KeySet(Vec<PublicKey>);

#[derive(Debug)]
struct PublicKey {
    kid: Option<String>,
    /// The algorithms that the key is good for, among those that the issuer may use.
    algorithms: Vec<TokenAlgorithm>,
    decoding: DecodingKey,
}

impl KeySet {
    /// Reads a file; a key that is for something else is left out.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub(super) fn read(path: &Path, allowed: &[TokenAlgorithm]) -> Result<Self, String> {
        let bytes = read(path).map_err(|error| error.to_string())?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(format!("it is larger than {FILE_BYTES_MAX} bytes"));
        }
        let set: Value =
            serde_json::from_slice(&bytes).map_err(|error| format!("it is no JSON: {error}"))?;
        let keys = set["keys"].as_array().ok_or("it has no list `keys`")?;
        if keys.len() > KEYS_MAX {
            return Err(format!("it has more than {KEYS_MAX} keys"));
        }
        let keys: Vec<PublicKey> = keys
            .iter()
            .filter_map(|key| PublicKey::of(key, allowed))
            .collect();
        if keys.is_empty() {
            return Err("it has no key for the algorithms of this issuer".to_owned());
        }
        Ok(Self(keys))
    }

    /// The key that a token names; without a name, the one that there is for its algorithm.
    pub(super) fn find(
        &self,
        kid: Option<&str>,
        algorithm: TokenAlgorithm,
    ) -> Option<&DecodingKey> {
        let is_named = |key: &&PublicKey| kid.is_none() || key.kid.as_deref() == kid;
        let fits = |key: &&PublicKey| key.algorithms.contains(&algorithm);
        let mut fitting = self.0.iter().filter(is_named).filter(fits);
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Some(&key.decoding),
            _ => None,
        }
    }

    /// Whether a key of `before` is not here any more.
    pub(super) fn lacks_any_of(&self, before: &Self) -> bool {
        let is_here = |old: &PublicKey| {
            let kid = &old.kid;
            self.0
                .iter()
                .any(|key| key.kid == *kid && same(&key.decoding, &old.decoding))
        };
        !before.0.iter().all(is_here)
    }
}

fn same(one: &DecodingKey, other: &DecodingKey) -> bool {
    use jsonwebtoken::DecodingKeyKind::{RsaModulusExponent, SecretOrDer};
    match (one.kind(), other.kind()) {
        (SecretOrDer(one), SecretOrDer(other)) => one == other,
        (RsaModulusExponent { n, e }, RsaModulusExponent { n: m, e: f }) => n == m && e == f,
        _ => false,
    }
}

impl PublicKey {
    /// `None` for a key of another use, of a kind that is not known, or one that is too short.
    fn of(key: &Value, allowed: &[TokenAlgorithm]) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(key.clone()).ok()?;
        if !matches!(
            jwk.common.public_key_use,
            None | Some(PublicKeyUse::Signature)
        ) {
            return None;
        }
        let verifies =
            |operations: &Vec<KeyOperations>| operations.contains(&KeyOperations::Verify);
        if !jwk.common.key_operations.as_ref().is_none_or(verifies) {
            return None;
        }
        let stated = key["alg"].as_str();
        let mut algorithms = fitting(&jwk).to_vec();
        algorithms.retain(|algorithm| {
            allowed.contains(algorithm) && stated.is_none_or(|name| name == algorithm.name())
        });
        (!algorithms.is_empty()).then_some(Self {
            kid: jwk.common.key_id.clone(),
            algorithms,
            decoding: DecodingKey::from_jwk(&jwk).ok()?,
        })
    }
}

/// What a key of this kind can verify. A secret verifies nothing here: whoever has the file could sign.
fn fitting(jwk: &Jwk) -> &'static [TokenAlgorithm] {
    use TokenAlgorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
    match &jwk.algorithm {
        AlgorithmParameters::RSA(key) => {
            let modulus = URL_SAFE_NO_PAD.decode(&key.n).unwrap_or_default();
            if modulus.len() < RSA_MODULUS_BYTES_MIN {
                return &[];
            }
            &[Rs256, Rs384, Rs512, Ps256, Ps384, Ps512]
        }
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => &[Es256],
            EllipticCurve::P384 => &[Es384],
            _ => &[],
        },
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => &[EdDsa],
        _ => &[],
    }
}

/// One byte more than is allowed at most.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    // A pipe would wait for a writer for ever.
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
