//! What a cluster asks of the rules: all limits of a route are decided together, so their keys must be on one server.
//!
//! A key's server follows from the first part of the key. So limits that are decided together begin with one part.

use std::ops::Range;
use std::sync::Arc;

use crate::key::{KeyPart, KeySpec};
use crate::limit::Limit;
use crate::read::{At, Source};
use crate::route::Auth;

/// Complains about a route whose keys may be on several servers.
pub(super) fn keys_are_together(
    source: &Source<'_>,
    span: &Range<usize>,
    limits: &[(Arc<Limit>, At<String>)],
    auth: &[Auth],
) {
    let mut limits = limits.iter();
    let Some((first, _)) = limits.next() else {
        return;
    };
    for (other, text) in limits {
        if begins_with(&first.key) != begins_with(&other.key) {
            let message = format!(
                "in a cluster `{}`, by {}, and `{}`, by {}, cannot be decided together: their keys may be on different servers",
                first.name, first.key, other.name, other.key
            );
            let help = "let both keys begin with the same part, like `key = \"user\"` and `key = [\"user\", \"client-ip\"]`, or use one server";
            source.complain_with(text.span.clone(), message, Some(help.to_owned()));
        }
    }
    if auth.contains(&Auth::ApiKey) && begins_with(&first.key) != Some(&KeyPart::User) {
        let message = format!(
            "in a cluster `{}`, by {}, cannot be decided together with the quota that an API key may have of its own: that counts by user",
            first.name, first.key
        );
        let help = "let the key begin with the user, like `key = [\"user\", \"api-key\"]`; leave `api-key` out of `auth`; or use one server";
        source.complain_with(span.clone(), message, Some(help.to_owned()));
    }
}

/// The part that says on which server a key is; `None` for the one key of everybody.
fn begins_with(key: &KeySpec) -> Option<&KeyPart> {
    key.worded_parts().next()
}
