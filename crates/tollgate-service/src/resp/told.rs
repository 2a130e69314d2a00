//! `TOLLGATE.CHECK`, `TOLLGATE.PEEK` and `TOLLGATE.RESET`: the limits of the rules.

use std::str;

use tollgate::{Decision, Verdict};

use super::reply::{Replies, repeated};
use super::throttle::{failed, integer, refused, whole_number};
use crate::Service;
use crate::service::Named;
use crate::summary::Summary;

/// The limit and the key in these arguments: a name, a word for each part of the key, and perhaps `COST n`.
///
/// # Errors
/// What is wrong, as the reply says it.
pub(super) fn decode<'s>(service: &'s Service, args: &[&[u8]]) -> Result<Named<'s>, String> {
    let Some((name, words)) = args.split_first() else {
        return Err("ERR the name of a limit is missing".to_owned());
    };
    let name = str::from_utf8(name).map_err(|_| "ERR a limit's name is UTF-8")?;
    // A word of the key may be `COST` too.
    let expected = service.words_of(name);
    let (words, cost) = match words {
        [words @ .., option, cost]
            if expected == Some(words.len()) && option.eq_ignore_ascii_case(b"COST") =>
        {
            let cost = whole_number(cost).ok_or("ERR COST must be an integer of at least 0")?;
            (words, cost)
        }
        words => (words, 1),
    };
    let words: Result<Vec<&str>, _> = words.iter().map(|word| str::from_utf8(word)).collect();
    let words = words.map_err(|_| "ERR the words of a key are UTF-8")?;
    let named = service.named(name, &words, cost);
    named.map_err(|error| format!("ERR {}", repeated(error.to_string().as_bytes())))
}

/// Forgets what the key has used.
pub(super) async fn reset(service: &Service, named: &Named<'_>, replies: &mut Replies<'_>) {
    let mut any = false;
    for policy in named.policies() {
        match service.counters.reset(policy, named.key.as_ref()).await {
            Ok(had) => any |= had,
            Err(error) => return replies.error(&failed(&error)),
        }
    }
    replies.integer(any.into());
}

/// Names and values: `allowed`, `limit`, `remaining`, `retry_after_ms`, `reset_after_ms`, `policy`, `degraded`.
pub(super) fn reply(named: &Named<'_>, decision: &Decision, replies: &mut Replies<'_>) {
    if let Verdict::Refused { reason } = decision.verdict() {
        match reason {
            tollgate::Reason::Policy => {}
            reason => return replies.error(&refused(reason)),
        }
    }
    let policies = named.policies().iter().map(|policy| &**policy);
    let summary = Summary::of(policies, decision);
    replies.map(7);
    for (name, number) in [
        ("allowed", i64::from(decision.is_allowed())),
        // -1 where nothing limits.
        ("limit", summary.limit.map_or(-1, integer)),
        ("remaining", summary.remaining.map_or(-1, integer)),
        ("retry_after_ms", summary.retry_after_ms.map_or(-1, integer)),
        ("reset_after_ms", integer(summary.reset_after_ms)),
    ] {
        replies.bulk(name.as_bytes());
        replies.integer(number);
    }
    replies.bulk(b"policy");
    replies.bulk(summary.policy.as_bytes());
    replies.bulk(b"degraded");
    replies.integer(decision.is_degraded().into());
}
