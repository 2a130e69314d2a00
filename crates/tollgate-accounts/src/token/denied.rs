//! Tokens that are good by their signature and must not be: all of them in memory, until they expire or, where there are
//! too many, those that expire last.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tollgate::Micros;

use crate::id::TokenId;

/// How many tokens are remembered, here and in the database; those that would expire first are forgotten first.
pub(crate) const REVOKED_MAX: usize = 100_000;

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
        let mut denied = self.write();
        denied.extend(revoked);
        forget_first(&mut denied);
    }

    /// Takes what the database holds for all that there is.
    pub(crate) fn replace(&self, revoked: Vec<(TokenId, Micros)>) {
        let mut denied: HashMap<_, _> = revoked.into_iter().collect();
        forget_first(&mut denied);
        *self.write() = denied;
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

/// Of tokens that expire together the one with the smallest id goes first, as in the database.
fn forget_first(denied: &mut HashMap<TokenId, Micros>) {
    let Some(last) = denied.len().checked_sub(REVOKED_MAX + 1) else {
        return;
    };
    let ends = denied.iter().map(|(token, end)| (*end, token.clone()));
    let mut ends: Vec<_> = ends.collect();
    ends.select_nth_unstable(last);
    for (_, token) in ends.drain(..=last) {
        denied.remove(&token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_tokens_those_that_expire_last_are_remembered() {
        let token = |number: usize| {
            let token = TokenId::from(format!("{number:032x}"));
            (token, Micros(number as u64))
        };
        let denied = Denied::default();
        denied.add((7..REVOKED_MAX + 7).rev().map(token));
        assert!(denied.contains(&token(7).0));
        denied.add([token(0), token(REVOKED_MAX + 7)]);
        assert_eq!(denied.len(), REVOKED_MAX);
        assert!(!denied.contains(&token(0).0) && !denied.contains(&token(7).0));
        assert!(denied.contains(&token(8).0) && denied.contains(&token(REVOKED_MAX + 7).0));
        denied.replace((0..REVOKED_MAX + 1).map(token).collect());
        assert!(denied.len() == REVOKED_MAX && !denied.contains(&token(0).0));
    }
}
