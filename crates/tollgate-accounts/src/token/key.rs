//! One key that signs our tokens: how it is made, what it is known by, and its public half.

use std::fmt;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{DecodingKey, EncodingKey};

use super::algorithm::TokenAlgorithm;
use crate::random;

/// The bytes of a secret for HS256.
pub(super) const SECRET_BYTES: usize = 32;

/// What the file keeps of a key: 32 random bytes for HS256, PKCS #8 for the others.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Material {
    pub(super) algorithm: TokenAlgorithm,
    pub(super) bytes: Vec<u8>,
}

impl Material {
    /// A new key; `None` for an algorithm that we do not sign with.
    pub(super) fn fresh(algorithm: TokenAlgorithm) -> Option<Self> {
        let made = match algorithm {
            TokenAlgorithm::Hs256 => Ok(random::bytes::<SECRET_BYTES>().to_vec()),
            TokenAlgorithm::Es256 => fresh_p256(),
            TokenAlgorithm::EdDsa => fresh_ed25519(),
            _ => return None,
        };
        let bytes = made.expect("the operating system gives random bytes");
        Some(Self { algorithm, bytes })
    }
}

fn fresh_p256() -> Result<Vec<u8>, Unspecified> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    Ok(pair.to_pkcs8v1()?.as_ref().to_vec())
}

fn fresh_ed25519() -> Result<Vec<u8>, Unspecified> {
    let pair = Ed25519KeyPair::generate()?;
    Ok(pair.to_pkcs8v1()?.as_ref().to_vec())
}

/// A key, ready to sign and to verify.
pub(super) struct Key {
    pub(super) algorithm: TokenAlgorithm,
    /// The thumbprint of RFC 7638: a digest, so that a `kid` is compared and never looked up as anything else.
    pub(super) kid: String,
    pub(super) encoding: EncodingKey,
    pub(super) decoding: DecodingKey,
    jwk: Jwk,
}

impl Key {
    /// `None` when these bytes are no key of this algorithm.
    pub(super) fn new(material: &Material) -> Option<Self> {
        let bytes = &material.bytes;
        let encoding = match material.algorithm {
            TokenAlgorithm::Hs256 if bytes.len() == SECRET_BYTES => EncodingKey::from_secret(bytes),
            TokenAlgorithm::Es256 => EncodingKey::from_ec_der(bytes),
            TokenAlgorithm::EdDsa => EncodingKey::from_ed_der(bytes),
            _ => return None,
        };
        let mut jwk = Jwk::from_encoding_key(&encoding, material.algorithm.jwa()).ok()?;
        let kid = jwk.thumbprint(ThumbprintHash::SHA256).ok()?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Some(Self {
            algorithm: material.algorithm,
            kid,
            decoding: DecodingKey::from_jwk(&jwk).ok()?,
            encoding,
            jwk,
        })
    }

    /// The public half; a secret has none.
    pub(super) fn public(&self) -> Option<&Jwk> {
        (self.algorithm != TokenAlgorithm::Hs256).then_some(&self.jwk)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}
