//! Signed tokens (JWT, HS256) for clients without cookies.
//!
//! A token of an account names its session and dies with it; a guest's token stands for itself. The algorithm is
//! pinned, keys named in a header are ignored, and time is judged by our clock, so the library's checks of time are
//! off.

use std::fmt;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use tollgate::Micros;

use crate::id::{SessionId, UserId};
use crate::random::hex_id;
use crate::secret::Secret;

/// Both `iss` and `aud`: we issue tokens to ourselves.
const ISSUER: &str = "tollgate";

const GUEST_PREFIX: &str = "guest-";

/// How far another node's clock may be ahead in `iat`; expiry has no such leeway.
const ISSUED_AHEAD_MAX: Duration = Duration::from_secs(60);

/// A token and how long it is good for.
#[derive(Clone, Debug)]
pub struct Token {
    /// What follows `Bearer `.
    pub token: Secret,
    /// From now.
    pub expires_in: Duration,
}

/// A token that is signed by us and in its time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Bearer {
    Guest {
        subject: UserId,
        expires_at: Micros,
    },
    Session {
        session: SessionId,
        user: UserId,
        expires_at: Micros,
    },
}

/// Issues and verifies tokens under one secret.
pub(crate) struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    ttl: Duration,
}

/// Types are strict: a number in quotes or with a fraction, a list of audiences or a second `exp` is no token.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    exp: u64,
    iat: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<u64>,
    jti: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
}

impl Tokens {
    pub(crate) fn new(secret: &[u8; 32], ttl: Duration) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_exp = false;
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
            ttl,
        }
    }

    pub(crate) fn for_guest(&self, now: Micros) -> Token {
        let subject = format!("{GUEST_PREFIX}{}", hex_id());
        self.issue(subject, None, now, now + self.ttl)
    }

    /// A token that dies with its session, and at `session_end` at the latest.
    pub(crate) fn for_session(
        &self,
        user: &UserId,
        session: &SessionId,
        session_end: Micros,
        now: Micros,
    ) -> Token {
        let end = session_end.min(now + self.ttl);
        self.issue(user.to_string(), Some(session.to_string()), now, end)
    }

    fn issue(&self, sub: String, sid: Option<String>, now: Micros, end: Micros) -> Token {
        let claims = Claims {
            iss: ISSUER.into(),
            aud: ISSUER.into(),
            sub,
            exp: end.0.div_ceil(1_000_000),
            iat: now.as_secs(),
            nbf: None,
            jti: hex_id(),
            sid,
        };
        let token = encode(&Header::new(Algorithm::HS256), &claims, &self.encoding);
        Token {
            token: Secret::new(token.expect("strings and integers can be written and signed")),
            expires_in: end.since(now),
        }
    }

    /// `None` for whatever is not a token of ours at this instant.
    pub(crate) fn verify(&self, token: &str, now: Micros) -> Option<Bearer> {
        let claims = decode::<Claims>(token, &self.decoding, &self.validation)
            .ok()?
            .claims;
        let expires_at = instant(claims.exp)?;
        let not_before = instant(claims.nbf.unwrap_or(0))?;
        let issued_at = instant(claims.iat)?;
        if expires_at <= now || not_before > now || issued_at > now + ISSUED_AHEAD_MAX {
            return None;
        }
        match claims.sid {
            Some(session) => Some(Bearer::Session {
                session: session.into(),
                user: claims.sub.into(),
                expires_at,
            }),
            None if claims.sub.starts_with(GUEST_PREFIX) => Some(Bearer::Guest {
                subject: claims.sub.into(),
                expires_at,
            }),
            None => None,
        }
    }
}

fn instant(seconds: u64) -> Option<Micros> {
    seconds.checked_mul(1_000_000).map(Micros)
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
