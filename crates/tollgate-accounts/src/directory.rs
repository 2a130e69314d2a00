//! Credentials that this process has met: the only part of accounts that a data-plane thread calls.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;
use tollgate::Micros;

use crate::credential::Credential;
use crate::digest::Digest;
use crate::id::{SessionId, TokenId, UserId};
use crate::identity::Identity;
use crate::liveness::{Epoch, Living, Subject};
use crate::token::denied::Denied;
use crate::token::{Bearer, Tokens};

/// How long an unknown credential is turned away without a query.
const UNKNOWN_FOR: Duration = Duration::from_secs(1);

/// How many unknown credentials are remembered; a flood of them costs queries, never room for the known.
const UNKNOWN_MAX: usize = 10_000;

/// Who presents a credential, from memory.
pub struct Directory {
    known: Cache<Digest, Arc<Identity>>,
    unknown: Cache<Digest, Micros>,
    living: Living,
    tokens: Arc<Tokens>,
    denied: Denied,
}

/// What the directory says about a credential.
#[derive(Debug)]
pub enum Lookup {
    /// This is who it is.
    Known(Arc<Identity>),
    /// Nobody: malformed, expired, forged, or found unknown less than a second ago.
    Unknown,
    /// Only the database can tell: give this to [`Accounts::resolve`](crate::Accounts::resolve), off the data plane.
    Ask(Question),
}

/// A credential that needs one query; holds no secret.
#[derive(Clone, Debug)]
pub struct Question {
    pub(crate) digest: Digest,
    pub(crate) about: About,
}

#[derive(Clone, Debug)]
pub(crate) enum About {
    SessionSecret,
    ApiKey,
    Token {
        session: SessionId,
        user: UserId,
        token: TokenId,
        expires_at: Micros,
        /// The key that has proved it, and may be gone when the answer is there.
        kid: String,
    },
}

impl Directory {
    pub(crate) fn new(credentials_max: usize, tokens: Arc<Tokens>) -> Self {
        Self {
            known: Cache::new(credentials_max),
            unknown: Cache::new(UNKNOWN_MAX),
            living: Living::default(),
            tokens,
            denied: Denied::default(),
        }
    }

    /// Who this is, without I/O. Allocates nothing for a known credential; one that was never met costs a SHA-256,
    /// a token also the check of its signature.
    pub fn lookup(&self, credential: &Credential<'_>, now: Micros) -> Lookup {
        let Some(digest) = credential.digest() else {
            return Lookup::Unknown;
        };
        if let Some(identity) = self.known.get(&digest) {
            if identity.has_expired(now) {
                return Lookup::Unknown;
            }
            // That nobody has used a session is not known here alone, so the row is read again.
            if identity.is_alive() && !identity.is_idle(now) {
                identity.note_use(now);
                return Lookup::Known(identity);
            }
        }
        if self
            .unknown
            .get(&digest)
            .is_some_and(|since| is_recent(since, now))
        {
            return Lookup::Unknown;
        }
        let about = match credential {
            Credential::Session(_) => About::SessionSecret,
            Credential::ApiKey(_) => About::ApiKey,
            Credential::Bearer(token) => {
                // Before the keys are looked at: when one of them goes, what it has just proved is not remembered.
                let epoch = self.living.epoch();
                match self.tokens.verify(token, now) {
                    None => return Lookup::Unknown,
                    Some(Bearer::Guest {
                        subject,
                        token,
                        expires_at,
                    }) => {
                        let guest = Identity::guest(subject, token, expires_at);
                        return self.meet(digest, guest, epoch);
                    }
                    Some(Bearer::Foreign(holder)) => {
                        return self.meet(digest, Identity::foreign(*holder), epoch);
                    }
                    Some(Bearer::Session {
                        session,
                        user,
                        token,
                        expires_at,
                        kid,
                    }) => About::Token {
                        session,
                        user,
                        token,
                        expires_at,
                        kid,
                    },
                }
            }
        };
        Lookup::Ask(Question { digest, about })
    }

    /// Somebody whose token stands for itself, unless it is on the deny-list.
    fn meet(&self, digest: Digest, identity: Identity, epoch: Epoch) -> Lookup {
        if self.is_denied(identity.token.as_ref()) {
            return Lookup::Unknown;
        }
        let Some(alive) = self.living.admit(subjects(&identity), epoch) else {
            // Something has ended meanwhile, perhaps this: true when it was read, and not remembered.
            return Lookup::Known(Arc::new(identity));
        };
        let identity = Arc::new(Identity { alive, ..identity });
        self.known.insert(digest, identity.clone());
        Lookup::Known(identity)
    }

    /// Whether a token is on the deny-list.
    pub(crate) fn is_denied(&self, token: Option<&TokenId>) -> bool {
        token.is_some_and(|token| self.denied.contains(token))
    }

    /// Whether the key that has proved a question's token still does; true of what no key proves.
    pub(crate) fn is_proved(&self, question: &Question, now: Micros) -> bool {
        match &question.about {
            About::Token { kid, .. } => self.tokens.verifies(kid, now),
            About::SessionSecret | About::ApiKey => true,
        }
    }

    /// The deny-list.
    pub(crate) fn denied(&self) -> &Denied {
        &self.denied
    }

    /// Taken before a query whose answer [`learn`](Self::learn) is to remember.
    pub(crate) fn epoch(&self) -> Epoch {
        self.living.epoch()
    }

    /// Remembers an answer; `None` when it may be out of date because something ended since `epoch`.
    pub(crate) fn learn(
        &self,
        question: &Question,
        identity: &Identity,
        epoch: Epoch,
    ) -> Option<Arc<Identity>> {
        let alive = self.living.admit(subjects(identity), epoch)?;
        let identity = Arc::new(Identity {
            alive,
            ..identity.clone()
        });
        self.known.insert(question.digest, identity.clone());
        Some(identity)
    }

    pub(crate) fn learn_unknown(&self, question: &Question, now: Micros) {
        self.known.remove(&question.digest);
        self.unknown.insert(question.digest, now);
    }

    /// Ends what is cached about these subjects, and what queries in flight may bring about them.
    pub(crate) fn end(&self, subjects: &[Subject]) {
        self.living.end(subjects);
    }

    /// Forgets everybody, so that only the database can tell.
    pub(crate) fn forget_all(&self) {
        self.living.end_all();
        self.known.clear();
    }
}

/// A clock that was set back makes a negative entry void, not long.
fn is_recent(since: Micros, now: Micros) -> bool {
    now.0
        .checked_sub(since.0)
        .is_some_and(|age| u128::from(age) < UNKNOWN_FOR.as_micros())
}

/// All that can end an identity.
fn subjects(identity: &Identity) -> impl Iterator<Item = Subject> {
    let user = || identity.user.clone();
    let key = identity.key.clone().map(Subject::Key);
    // Quotas are changed for all keys that count as one.
    let counts_as = identity.counts_as.clone();
    let counts_as = counts_as.filter(|first| identity.key.as_ref() != Some(first));
    let counts_as = counts_as.map(Subject::Key);
    let keys = identity.key.as_ref().map(|_| Subject::KeysOf(user()));
    let session = identity.session.clone().map(Subject::Session);
    let sessions = identity
        .session
        .as_ref()
        .map(|_| Subject::SessionsOf(user()));
    let token = identity.token.clone().map(Subject::Token);
    [key, counts_as, keys, session, sessions, token]
        .into_iter()
        .flatten()
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory")
            .field("known", &self.known.len())
            .field("unknown", &self.unknown.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn what_a_key_has_proved_before_it_went_is_not_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let now = Micros::from_secs(1_000);
        let settings = Settings::new("sqlite::memory:", dir.path());
        let tokens = Arc::new(Tokens::open(&settings, now).unwrap());
        let directory = Directory::new(10, tokens);
        let guest = || Identity::guest("guest-1".into(), TokenId::fresh(), now);
        let digest = || Digest::of("token");
        let before = directory.epoch();
        directory.forget_all();
        assert!(matches!(
            directory.meet(digest(), guest(), before),
            Lookup::Known(_)
        ));
        assert!(directory.known.get(&digest()).is_none());
        directory.meet(digest(), guest(), directory.epoch());
        assert!(directory.known.get(&digest()).is_some());
    }
}
