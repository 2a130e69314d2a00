//! Tokens that are good by their signature and must not be: all of them in memory, until they expire.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tollgate::Micros;

use crate::id::TokenId;

/// The deny-list. Empty in most processes at most times, so that looking into it costs next to nothing.
#[derive(Default)]
pub(crate) struct Denied(RwLock<HashMap<TokenId, Micros>>);

impl Denied {
    pub(crate) fn contains(&self, token: &TokenId) -> bool {
        self.read().contains_key(token)
    }

    pub(crate) fn len(&self) -> usize {
        self.read().len()
    }

    pub(crate) fn add(&self, revoked: impl IntoIterator<Item = (TokenId, Micros)>) {
        self.write().extend(revoked);
    }

    /// Takes what the database holds for all that there is.
    pub(crate) fn replace(&self, revoked: Vec<(TokenId, Micros)>) {
        *self.write() = revoked.into_iter().collect();
    }

    pub(crate) fn forget_expired(&self, now: Micros) {
        self.write().retain(|_, expires_at| now < *expires_at);
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<TokenId, Micros>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<TokenId, Micros>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
