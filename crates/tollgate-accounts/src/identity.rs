//! Who is asking, as far as a request needs to know.

use std::sync::Arc;

use tollgate::{Micros, Policy};

use crate::id::{KeyId, SessionId, TokenId, UserId};
use crate::liveness::Alive;
use crate::role::Role;
use crate::scopes::Scopes;
use crate::seen::Seen;
use crate::terms::Terms;
use crate::token::issuer::Foreigner;

/// By what somebody was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Via {
    /// The session cookie.
    Session,
    /// A token, of a session, of a guest or of another issuer.
    Token,
    /// An API key.
    ApiKey,
}

/// Somebody who was recognised; shared by all requests with the same credential.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The account, the random subject of a guest, or `ext-` and digits for a user of another issuer.
    pub user: UserId,
    /// The account's name; `None` for a guest. What another issuer says is for people only: it may be anybody's name.
    pub name: Option<Arc<str>>,
    /// By what they were recognised.
    pub via: Via,
    /// The session that a log-out would end.
    pub session: Option<SessionId>,
    /// The token that was used.
    pub token: Option<TokenId>,
    /// Who issued it, when it was not us.
    pub issuer: Option<Arc<str>>,
    /// What it says, of the claims that limits count by.
    pub claims: Vec<(Box<str>, Box<str>)>,
    /// What it may do where a route asks for scopes; `None` for everything.
    pub scopes: Option<Scopes>,
    /// The API key that was used.
    pub key: Option<KeyId>,
    /// What limits count that key as: the first of the keys that took each other's place.
    pub counts_as: Option<KeyId>,
    /// The key's own quota, named `own.<window>`, to be decided together with the route's.
    pub own: Vec<Arc<Policy>>,
    /// Their plan, and quotas that they or their key have in the place of others.
    pub terms: Terms,
    /// What they may do beside using the API.
    pub role: Role,
    /// The first instant at which the credential is no longer good.
    pub expires_at: Option<Micros>,
    pub(crate) alive: Alive,
    pub(crate) seen: Option<Arc<Seen>>,
}

impl Identity {
    /// Whether this is the holder of a guest token, behind whom there is no account.
    pub fn is_guest(&self) -> bool {
        self.name.is_none() && self.issuer.is_none()
    }

    /// Whether there is an account here behind it; there is none behind guests and users of other issuers.
    pub fn has_account(&self) -> bool {
        self.name.is_some() && self.issuer.is_none()
    }

    /// Whether it may do what asks for all of these scopes.
    pub fn may(&self, scopes: &[String]) -> bool {
        match &self.scopes {
            None => true,
            Some(own) => scopes.iter().all(|scope| own.contains(scope)),
        }
    }

    /// Whether the last use of its session is too long ago, as far as is known here.
    pub(crate) fn is_idle(&self, now: Micros) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.is_idle(now))
    }

    pub(crate) fn note_use(&self, now: Micros) {
        if let Some(seen) = &self.seen {
            seen.note(now);
        }
    }

    /// Whether they may manage everybody's accounts and limits.
    pub fn is_administrator(&self) -> bool {
        self.role == Role::Admin
    }

    /// Whether nothing has ended this identity: no log-out, revocation, disabling or change of password.
    ///
    /// A request that outlives its look-up (a long stream, say) may ask again.
    pub fn is_alive(&self) -> bool {
        self.alive.is_alive()
    }

    /// Whether it is still what it was found to be: nothing has ended it, it has not expired, and its session is in use as
    /// far as is known here. For what outlives its look-up, as [`is_alive`](Self::is_alive) is.
    pub fn is_good(&self, now: Micros) -> bool {
        self.is_alive() && !self.has_expired(now) && !self.is_idle(now)
    }

    pub(crate) fn has_expired(&self, now: Micros) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    pub(crate) fn guest(subject: UserId, token: TokenId, expires_at: Micros) -> Self {
        Self {
            user: subject,
            name: None,
            via: Via::Token,
            session: None,
            token: Some(token),
            issuer: None,
            claims: Vec::new(),
            scopes: Some(Scopes::default()),
            key: None,
            counts_as: None,
            own: Vec::new(),
            terms: Terms::default(),
            role: Role::User,
            expires_at: Some(expires_at),
            alive: Alive::default(),
            seen: None,
        }
    }

    pub(crate) fn foreign(holder: Foreigner) -> Self {
        Self {
            name: holder.name,
            issuer: Some(holder.issuer),
            claims: holder.claims,
            scopes: Some(holder.scopes),
            ..Self::guest(holder.user, holder.token, holder.expires_at)
        }
    }
}
