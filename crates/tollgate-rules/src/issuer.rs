//! Identity systems elsewhere whose tokens are taken.

use std::path::PathBuf;

/// How a token is signed, by the name that JWA (RFC 7518) gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenAlgorithm(pub(crate) &'static str);

impl TokenAlgorithm {
    /// The name, like `ES256`.
    pub fn name(self) -> &'static str {
        self.0
    }

    /// Those that the gateway's own tokens can be signed with.
    pub(crate) const OWN: [(&'static str, Self); 3] = [
        ("HS256", Self("HS256")),
        ("ES256", Self("ES256")),
        ("EdDSA", Self("EdDSA")),
    ];

    /// Those that another issuer's tokens can be signed with. A shared secret is none of them: whoever can verify could
    /// sign.
    pub(crate) const OTHERS: [(&'static str, Self); 9] = [
        ("RS256", Self("RS256")),
        ("RS384", Self("RS384")),
        ("RS512", Self("RS512")),
        ("PS256", Self("PS256")),
        ("PS384", Self("PS384")),
        ("PS512", Self("PS512")),
        ("ES256", Self("ES256")),
        ("ES384", Self("ES384")),
        ("EdDSA", Self("EdDSA")),
    ];
}

/// An issuer whose tokens are taken.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// Its `iss`, to the letter.
    pub issuer: String,
    /// Who its tokens must be for.
    pub audience: String,
    /// The file with its keys, a JWK set; a relative path is below the data directory.
    pub jwks: PathBuf,
    /// How its tokens may be signed.
    pub algorithms: Vec<TokenAlgorithm>,
    /// The claim that tells its users apart.
    pub user_claim: String,
    /// The claim with a user's name.
    pub name_claim: Option<String>,
}
