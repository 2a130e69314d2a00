//! Signed tokens (JWT) for clients without cookies: ours, and those of issuers that the operator trusts.
//!
//! A token of an account names its session and dies with it; a guest's token stands for itself. Each key has its one
//! algorithm, keys named in a header are compared and never fetched, and time is judged by our clock, so the library's
//! checks of time are off.

pub(crate) mod algorithm;
mod claims;
pub(crate) mod denied;
mod file;
pub(crate) mod issuer;
mod jwks;
mod key;
pub(crate) mod ring;
mod watched;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};
use tollgate::Micros;

use crate::error::OpenError;
use crate::id::{GUEST_PREFIX, SessionId, TokenId, UserId};
use crate::random::hex_id;
use crate::secret::Secret;
use crate::settings::Settings;
use file::KeyFile;
use issuer::{Foreigner, KnownIssuer};
use ring::{Ring, Verifying};
use watched::Watched;

/// No token is good for longer, so that one that was ended need not be remembered for longer.
pub const TOKEN_TTL_MAX: Duration = Duration::from_secs(365 * 86_400);

/// Both `iss` and `aud`: we issue tokens to ourselves.
const ISSUER: &str = "tollgate";

/// A token and how long it is good for.
#[derive(Clone, Debug)]
pub struct Token {
    /// What follows `Bearer `.
    pub token: Secret,
    /// From now.
    pub expires_in: Duration,
}

/// A token that is signed by somebody we believe, and in its time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Bearer {
    Guest {
        subject: UserId,
        token: TokenId,
        expires_at: Micros,
    },
    Session {
        session: SessionId,
        user: UserId,
        token: TokenId,
        expires_at: Micros,
        /// The key of ours that has signed it.
        kid: String,
    },
    Foreign(Box<Foreigner>),
}

/// Issues tokens, and verifies ours and others'.
pub(crate) struct Tokens {
    file: KeyFile,
    keys: RwLock<Arc<Vec<Verifying>>>,
    watched: Mutex<Watched>,
    /// The keys are in the accounts database, and the file is a copy of them for a start without it.
    is_shared: bool,
    issuers: Vec<KnownIssuer>,
    ttl: Duration,
}

/// Types are strict: a number in quotes or with a fraction, a list of audiences or a second `exp` is no token.
#[derive(Serialize, Deserialize)]
struct OwnClaims {
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
    /// Reads the keys, and makes one where there is none. Where they are shared, those in the database take their place
    /// as soon as it is reached.
    pub(crate) fn open(settings: &Settings, now: Micros) -> Result<Self, OpenError> {
        let file = KeyFile::of(&settings.data_dir);
        file.make(settings.token_algorithm)?;
        if !settings.share_token_keys {
            file.sign_with(settings.token_algorithm, now)?;
        }
        // Before they are read: what is written meanwhile is another state.
        let watched = Watched::new(file.stamp().ok());
        let keys = file.load()?;
        let issuers = settings.issuers.iter().map(|issuer| {
            let mut issuer = issuer.clone();
            issuer.jwks = settings.data_dir.join(&issuer.jwks);
            KnownIssuer::open(issuer, now)
        });
        Ok(Self {
            issuers: issuers.collect::<Result<_, _>>()?,
            watched: Mutex::new(watched),
            keys: RwLock::new(Arc::new(keys)),
            ttl: settings.token_ttl,
            is_shared: settings.share_token_keys,
            file,
        })
    }

    /// Reads keys again that have changed; true when one is gone, and what it has proved counts no more. A file that
    /// cannot be read changes nothing.
    pub(crate) fn follow(&self, now: Micros) -> bool {
        let own = self.follow_own();
        let others = self.issuers.iter().filter(|issuer| issuer.follow(now));
        others.count() > 0 || own
    }

    fn follow_own(&self) -> bool {
        if self.is_shared {
            return false;
        }
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = self.file.stamp().ok();
        if !watched.has_changed(stamp) {
            return false;
        }
        match self.file.load() {
            Ok(fresh) => {
                watched.note_read(stamp);
                self.put_in_place(fresh)
            }
            Err(error) => {
                if watched.note_failed() {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(
                        error,
                        "the keys that sign tokens cannot be read; those from before stay"
                    );
                }
                false
            }
        }
    }

    /// True when a key is gone, and what it has proved counts no more.
    fn put_in_place(&self, fresh: Vec<Verifying>) -> bool {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let is_here = |old: &Verifying| fresh.iter().any(|new| new.key.kid == old.key.kid);
        let lost = !keys.iter().all(is_here);
        *keys = Arc::new(fresh);
        tracing::info!("the keys that sign tokens have changed");
        lost
    }

    /// The keys in the file, for others to share.
    pub(crate) fn own_ring(&self) -> Result<Ring, OpenError> {
        self.file.read()
    }

    /// The keys to share where the database has none. Those that it had once have been taken out of it, and this
    /// copy of them must not bring them back.
    pub(crate) fn ring_to_share(&self) -> Result<Ring, OpenError> {
        let own = self.own_ring()?;
        if self.has_shared() {
            return Ring::fresh(own.algorithm());
        }
        Ok(own)
    }

    /// Whether the keys in the file are a copy of shared ones.
    pub(crate) fn has_shared(&self) -> bool {
        self.file.is_copy()
    }

    /// Signs and verifies with these keys from now on, and keeps a copy in the file for a start without the database.
    /// True when a key is gone, as [`follow`](Self::follow) has it; `None` when the ring is damaged.
    pub(crate) fn adopt(&self, ring: &Ring) -> Option<bool> {
        let fresh = ring.verifying()?;
        if let Err(error) = self.file.note_copy() {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                "nothing notes that the keys that sign tokens are shared"
            );
        }
        if self.file.read().is_ok_and(|own| own == *ring) {
            let keys = self.keys();
            let is_same = |(one, other): (&Verifying, &Verifying)| one.key.kid == other.key.kid;
            if keys.len() == fresh.len() && keys.iter().zip(&fresh).all(is_same) {
                return Some(false);
            }
        } else if let Err(error) = self.file.write(ring) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                "there is no copy of the keys that sign tokens; a start without the database would use others"
            );
        }
        Some(self.put_in_place(fresh))
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
        let claims = OwnClaims {
            iss: ISSUER.into(),
            aud: ISSUER.into(),
            sub,
            exp: end.0.div_ceil(1_000_000),
            iat: now.as_secs(),
            nbf: None,
            jti: TokenId::fresh().to_string(),
            sid,
        };
        let keys = self.keys();
        let key = &keys[0].key;
        let mut header = Header::new(key.algorithm.jwa());
        header.kid = Some(key.kid.clone());
        let token = encode(&header, &claims, &key.encoding);
        Token {
            token: Secret::new(token.expect("strings and integers can be written and signed")),
            expires_in: end.since(now),
        }
    }

    /// `None` for whatever nobody whom we believe has signed, or is not good at this instant.
    pub(crate) fn verify(&self, token: &str, now: Micros) -> Option<Bearer> {
        let header = decode_header(token).ok()?;
        // What must be understood and is not makes the token void (RFC 7515, section 4.1.11).
        if header.crit.is_some() {
            return None;
        }
        match self.issuer_of(token) {
            None => self.verify_own(token, &header, now),
            Some(issuer) => {
                let holder = issuer.verify(token, &header, now)?;
                Some(Bearer::Foreign(Box::new(holder)))
            }
        }
    }

    /// The other issuer that a token says it is of; that it is, its signature must show.
    fn issuer_of(&self, token: &str) -> Option<&KnownIssuer> {
        #[derive(Deserialize)]
        struct Said {
            iss: String,
        }
        if self.issuers.is_empty() {
            return None;
        }
        let said: Said = insecure_decode_claims(token).ok()?;
        self.issuers.iter().find(|issuer| issuer.is(&said.iss))
    }

    /// Whether what this key of ours has signed is still to be believed.
    pub(crate) fn verifies(&self, kid: &str, now: Micros) -> bool {
        let keys = self.keys();
        let mut keys = keys.iter();
        keys.any(|one| one.key.kid == kid && !self.has_ended(one, now))
    }

    /// A key that was replaced outlives the tokens that it has signed, and ends.
    fn has_ended(&self, key: &Verifying, now: Micros) -> bool {
        key.replaced_at.is_some_and(|since| since + self.ttl <= now)
    }

    fn verify_own(&self, token: &str, header: &Header, now: Micros) -> Option<Bearer> {
        let keys = self.keys();
        let key = match &header.kid {
            Some(kid) => keys.iter().find(|one| one.key.kid == *kid)?,
            // Versions before rotation named no key.
            None => &keys[0],
        };
        if self.has_ended(key, now) {
            return None;
        }
        let mut validation = Validation::new(key.key.algorithm.jwa());
        validation.validate_exp = false;
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let claims = decode::<OwnClaims>(token, &key.key.decoding, &validation).ok()?;
        let claims = claims.claims;
        let expires_at = claims::end_of(claims.exp, claims.nbf, Some(claims.iat), now)?;
        let token = TokenId::of(ISSUER, &claims.jti);
        match claims.sid {
            Some(session) => Some(Bearer::Session {
                session: session.into(),
                user: claims.sub.into(),
                token,
                expires_at,
                kid: key.key.kid.clone(),
            }),
            None if claims.sub.starts_with(GUEST_PREFIX) => Some(Bearer::Guest {
                subject: claims.sub.into(),
                token,
                expires_at,
            }),
            None => None,
        }
    }

    /// The public keys of ours that still verify, as a JWK set; none where tokens are signed by a secret.
    pub(crate) fn jwks(&self, now: Micros) -> String {
        #[derive(Serialize)]
        struct Set<'k> {
            keys: Vec<&'k Jwk>,
        }
        let keys = self.keys();
        let verifying = keys.iter().filter(|one| !self.has_ended(one, now));
        let keys = verifying.filter_map(|one| one.key.public()).collect();
        serde_json::to_string(&Set { keys }).expect("keys are text")
    }

    fn keys(&self) -> Arc<Vec<Verifying>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.clone()
    }
}

/// Puts a new key in the place of the one that signs the tokens of a data directory. Tokens signed before stay good for
/// as long as they live; with `at_once` they end. A gateway that runs there notices within two seconds.
///
/// # Errors
/// When the keys cannot be read or written.
pub fn rotate_token_key(data_dir: &Path, at_once: bool, now: Micros) -> Result<(), OpenError> {
    KeyFile::of(data_dir).rotate(at_once, now)
}

/// Notes that the keys of a data directory are its own, where a gateway that shared them does so no longer: a rotation
/// then puts none in the database.
///
/// # Errors
/// When the data directory cannot be written.
pub fn keep_own_token_keys(data_dir: &Path) -> Result<(), OpenError> {
    KeyFile::of(data_dir).note_own()
}

/// What a token is known by and when it expires, as it says itself: nothing is verified. `None` when it is no token.
pub fn read_token(token: &str) -> Option<(TokenId, Micros)> {
    #[derive(Deserialize)]
    struct Said {
        iss: String,
        exp: u64,
        jti: Option<String>,
    }
    let said: Said = insecure_decode_claims(token).ok()?;
    let (signed, _) = token.rsplit_once('.')?;
    let name = said.jti.as_deref().unwrap_or(signed);
    let expires_at = Micros(said.exp.checked_mul(1_000_000)?);
    Some((TokenId::of(&said.iss, name), expires_at))
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
