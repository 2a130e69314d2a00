//! Who is asking, as far as a request needs to know.

use std::sync::Arc;

use tollgate::{Micros, Policy};

use crate::id::{KeyId, SessionId, UserId};
use crate::liveness::Alive;
use crate::overrides::Terms;
use crate::roles::Role;

/// By what somebody was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Via {
    /// The session cookie.
    Session,
    /// A token, of a session or of a guest.
    Token,
    /// An API key.
    ApiKey,
}

/// Somebody who was recognised; shared by all requests with the same credential.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The account, or the random subject of a guest.
    pub user: UserId,
    /// The account's name; `None` for a guest.
    pub name: Option<Arc<str>>,
    /// By what they were recognised.
    pub via: Via,
    /// The session that a log-out would end.
    pub session: Option<SessionId>,
    /// The API key that was used.
    pub key: Option<KeyId>,
    /// The key's own quota, named `own.<window>`, to be decided together with the route's.
    pub own: Vec<Arc<Policy>>,
    /// Their plan, and quotas that they or their key have in the place of others.
    pub terms: Terms,
    /// What they may do beside using the API.
    pub role: Role,
    /// The first instant at which the credential is no longer good.
    pub expires_at: Option<Micros>,
    pub(crate) alive: Alive,
}

impl Identity {
    /// Whether this is the holder of a guest token, behind whom there is no account.
    pub fn is_guest(&self) -> bool {
        self.name.is_none()
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

    pub(crate) fn has_expired(&self, now: Micros) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    pub(crate) fn guest(subject: UserId, expires_at: Micros) -> Self {
        Self {
            user: subject,
            name: None,
            via: Via::Token,
            session: None,
            key: None,
            own: Vec::new(),
            terms: Terms::default(),
            role: Role::User,
            expires_at: Some(expires_at),
            alive: Alive::default(),
        }
    }
}
