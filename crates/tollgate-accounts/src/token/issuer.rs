//! Tokens of another issuer: whose they are, by keys from a file.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::{Header, Validation, decode};
use serde_json::Value;
use tollgate::Micros;

use super::algorithm::TokenAlgorithm;
use super::claims::{self, Claims};
use super::jwks::KeySet;
use super::watched::{Stamp, Watched};
use crate::digest::Digest;
use crate::error::OpenError;
use crate::id::{FOREIGN_PREFIX, TokenId, UserId};
use crate::normal::is_hidden;
use crate::scopes::Scopes;

/// How often a file is looked at for a change.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(5);

/// The longest subject that names a user.
const SUBJECT_BYTES_MAX: usize = 1024;

/// The longest name that is shown; the rest is cut.
const NAME_CHARS_MAX: usize = 64;

/// The longest value of a claim that limits count by.
const CLAIM_BYTES_MAX: usize = 256;

/// An issuer whose tokens are taken, and the keys that prove them.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// Its `iss`, to the letter.
    pub issuer: String,
    /// Who its tokens must be for: `aud`, or one of them.
    pub audience: String,
    /// The file with its keys, a JWK set; a relative path is below the data directory.
    pub jwks: PathBuf,
    /// How its tokens may be signed; never `HS256`.
    pub algorithms: Vec<TokenAlgorithm>,
    /// The claim that tells its users apart.
    pub user_claim: String,
    /// The claim with a user's name, for people.
    pub name_claim: Option<String>,
    /// The claims that limits count by.
    pub claims: Vec<String>,
}

/// The holder of a token of another issuer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Foreigner {
    pub(crate) issuer: Arc<str>,
    pub(crate) user: UserId,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) token: TokenId,
    pub(crate) scopes: Scopes,
    pub(crate) claims: Vec<(Box<str>, Box<str>)>,
    pub(crate) expires_at: Micros,
}

/// One issuer with its keys.
pub(super) struct KnownIssuer {
    name: Arc<str>,
    settings: Issuer,
    keys: RwLock<Arc<KeySet>>,
    /// With the instant of the last look.
    watched: Mutex<(Micros, Watched)>,
}

impl KnownIssuer {
    pub(super) fn open(settings: Issuer, now: Micros) -> Result<Self, OpenError> {
        let failed = |reason: String| OpenError::Jwks {
            path: settings.jwks.clone(),
            reason,
        };
        if settings.algorithms.contains(&TokenAlgorithm::Hs256) {
            return Err(failed("HS256 cannot prove another's tokens".to_owned()));
        }
        let stamp = Stamp::of(&settings.jwks).map_err(|error| failed(error.to_string()))?;
        let keys = KeySet::read(&settings.jwks, &settings.algorithms).map_err(failed)?;
        Ok(Self {
            name: settings.issuer.as_str().into(),
            keys: RwLock::new(Arc::new(keys)),
            watched: Mutex::new((now, Watched::new(Some(stamp)))),
            settings,
        })
    }

    pub(super) fn is(&self, issuer: &str) -> bool {
        *self.name == *issuer
    }

    /// Reads the file again if it has changed; true when a key is gone. A file that cannot be read changes nothing.
    pub(super) fn follow(&self, now: Micros) -> bool {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let (looked_at, watched) = &mut *watched;
        if now.since(*looked_at) < LOOKED_AT_EVERY {
            return false;
        }
        *looked_at = now;
        let stamp = Stamp::of(&self.settings.jwks).ok();
        if !watched.has_changed(stamp) {
            return false;
        }
        match KeySet::read(&self.settings.jwks, &self.settings.algorithms) {
            Ok(keys) => {
                watched.note_read(stamp);
                tracing::info!(issuer = %self.name, "the keys of an issuer are read again");
                let mut known = self.keys.write().unwrap_or_else(PoisonError::into_inner);
                let lost = keys.lacks_any_of(&known);
                *known = Arc::new(keys);
                lost
            }
            Err(reason) => {
                if watched.note_failed() {
                    tracing::warn!(issuer = %self.name, reason, "the keys of an issuer cannot be read; those from before stay");
                }
                false
            }
        }
    }

    pub(super) fn verify(&self, token: &str, header: &Header, now: Micros) -> Option<Foreigner> {
        let allowed = &self.settings.algorithms;
        let algorithm = *allowed.iter().find(|known| known.jwa() == header.alg)?;
        let keys = self.keys().clone();
        let key = keys.find(header.kid.as_deref(), algorithm)?;
        let mut validation = Validation::new(algorithm.jwa());
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.set_issuer(&[&*self.name]);
        validation.set_required_spec_claims(&["exp", "iss"]);
        let claims = decode::<Claims>(token, key, &validation).ok()?.claims;
        self.holder(token, &claims, now)
    }

    fn holder(&self, token: &str, claims: &Claims, now: Micros) -> Option<Foreigner> {
        let Issuer {
            user_claim,
            name_claim,
            ..
        } = &self.settings;
        if claims.text("iss")? != &*self.name || !self.is_audience(claims.value("aud")?) {
            return None;
        }
        let (nbf, iat) = (claims.seconds("nbf")?, claims.seconds("iat")?);
        let exp = claims.seconds("exp")??;
        let expires_at = claims::foreign_end_of(exp, nbf, iat, now)?;
        let subject = claims.text(user_claim)?;
        if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX {
            return None;
        }
        let name = name_claim.as_deref().and_then(|name| claims.text(name));
        Some(Foreigner {
            user: self.user(subject),
            name: name.and_then(shown),
            token: self.token_id(token, claims)?,
            scopes: scopes_of(claims),
            claims: self.kept(claims),
            issuer: self.name.clone(),
            expires_at,
        })
    }

    /// RFC 7519 lets a token be for several: then one of them must be us, and each must be text.
    fn is_audience(&self, audience: &Value) -> bool {
        match audience {
            Value::String(one) => *one == self.settings.audience,
            Value::Array(all) => {
                all.iter().all(Value::is_string)
                    && all.iter().any(|one| *one == *self.settings.audience)
            }
            _ => false,
        }
    }

    /// The same for one subject at all times, and another for every other subject of any issuer. It is no account's:
    /// those have 32 digits and nothing before them.
    fn user(&self, subject: &str) -> UserId {
        let digest = Digest::of(&format!("{}\0{subject}", self.name)).to_hex();
        format!("{FOREIGN_PREFIX}{}", &digest[..32]).into()
    }

    /// By the token's own name or, where it has none, by what is signed: two signatures can be good for the same.
    fn token_id(&self, token: &str, claims: &Claims) -> Option<TokenId> {
        match claims.value("jti") {
            Some(Value::String(jti)) => Some(TokenId::of(&self.name, jti)),
            Some(_) => None,
            None => {
                let (signed, _) = token.rsplit_once('.')?;
                Some(TokenId::of(&self.name, signed))
            }
        }
    }

    fn kept(&self, claims: &Claims) -> Vec<(Box<str>, Box<str>)> {
        let names = self.settings.claims.iter();
        let pair = |name: &String| {
            let value = claims.text(name)?;
            (1..=CLAIM_BYTES_MAX)
                .contains(&value.len())
                .then(|| (name.as_str().into(), value.into()))
        };
        names.filter_map(pair).collect()
    }

    fn keys(&self) -> Arc<KeySet> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.clone()
    }
}

/// `scope` as RFC 8693 and RFC 9068 have it, or `scp` as others write it, also as a list. Without either there are none.
fn scopes_of(claims: &Claims) -> Scopes {
    match claims.value("scope").or_else(|| claims.value("scp")) {
        Some(Value::String(text)) => Scopes::words(text.split_ascii_whitespace()),
        Some(Value::Array(words)) => Scopes::words(words.iter().filter_map(Value::as_str)),
        _ => Scopes::default(),
    }
}

/// A name that a page can show; `None` when nothing is left of it.
fn shown(name: &str) -> Option<Arc<str>> {
    let plain = name
        .chars()
        .filter(|letter| !letter.is_control() && !is_hidden(*letter));
    let cut: String = plain.take(NAME_CHARS_MAX).collect();
    Some(cut.trim())
        .filter(|name| !name.is_empty())
        .map(Arc::from)
}
