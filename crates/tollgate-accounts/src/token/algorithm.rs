//! The ways of signing a token that are known here, by the names that JWA (RFC 7518, RFC 8037) gives them.

use jsonwebtoken::Algorithm;

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the standard's")]
pub enum TokenAlgorithm {
    Hs256,
    Es256,
    Es384,
    EdDsa,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
}

const NAMES: [(&str, TokenAlgorithm, Algorithm); 10] = [
    ("HS256", TokenAlgorithm::Hs256, Algorithm::HS256),
    ("ES256", TokenAlgorithm::Es256, Algorithm::ES256),
    ("ES384", TokenAlgorithm::Es384, Algorithm::ES384),
    ("EdDSA", TokenAlgorithm::EdDsa, Algorithm::EdDSA),
    ("RS256", TokenAlgorithm::Rs256, Algorithm::RS256),
    ("RS384", TokenAlgorithm::Rs384, Algorithm::RS384),
    ("RS512", TokenAlgorithm::Rs512, Algorithm::RS512),
    ("PS256", TokenAlgorithm::Ps256, Algorithm::PS256),
    ("PS384", TokenAlgorithm::Ps384, Algorithm::PS384),
    ("PS512", TokenAlgorithm::Ps512, Algorithm::PS512),
];

impl TokenAlgorithm {
    /// The algorithm of this name: `HS256`, `ES256`, `ES384`, `EdDSA`, `RS256` and so on.
    pub fn from_name(name: &str) -> Option<Self> {
        let mut names = NAMES.iter();
        names
            .find(|(known, ..)| *known == name)
            .map(|(_, algorithm, _)| *algorithm)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        NAMES[self as usize].0
    }

    pub(crate) fn jwa(self) -> Algorithm {
        NAMES[self as usize].2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_is_known_by_its_name() {
        for (name, algorithm, jwa) in NAMES {
            assert_eq!(TokenAlgorithm::from_name(name), Some(algorithm));
            assert_eq!((algorithm.name(), algorithm.jwa()), (name, jwa));
        }
        for wrong in ["none", "hs256", "HS384", ""] {
            assert_eq!(TokenAlgorithm::from_name(wrong), None);
        }
    }
}
