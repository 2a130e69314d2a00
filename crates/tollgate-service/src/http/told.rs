//! What clients are told of a decision, as JSON.

use std::hash::BuildHasher;

use smallvec::SmallVec;
use tollgate::{Decision, Policy, Reason, Standing, Verdict};

use super::members::Members;
use crate::Service;
use crate::service::Named;
use crate::summary::{Summary, is_told, milliseconds};

/// A policy that was decided on, in the rules' words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'n> {
    pub(super) policy: &'n Policy,
    rule: &'n str,
    key: &'n [u8],
}

/// The parts of a decision, in the order of its standings.
pub(super) type Parts<'n> = SmallVec<[Part<'n>; 4]>;

/// The parts of a decision on all these questions.
pub(super) fn parts<'n>(named: &'n [Named<'_>]) -> Parts<'n> {
    let mut parts = Parts::new();
    for named in named {
        let (rule, key) = (named.limit.name.as_str(), named.key.as_ref());
        for policy in named.policies() {
            // The same policy and key twice is one check.
            let same = |known: &Part<'_>| known.key == key && known.policy.name() == policy.name();
            if !parts.iter().any(same) {
                parts.push(Part { policy, rule, key });
            }
        }
    }
    parts
}

/// A decision with its reason, and where every policy stands after it.
pub(super) struct Told<'d> {
    pub(super) service: &'d Service,
    pub(super) parts: &'d [Part<'d>],
    pub(super) decision: &'d Decision,
    /// What settles the charge or gives it back, where it was reserved.
    pub(super) receipt: Option<&'d str>,
}

impl Told<'_> {
    pub(super) fn write(&self, members: &mut Members) {
        let decision = self.decision;
        let Summary {
            policy,
            limit,
            remaining,
            retry_after_ms,
            reset_after_ms,
        } = Summary::of(self.parts.iter().map(|part| part.policy), decision);
        members.bool("allowed", decision.is_allowed());
        // `allowed`, `denied`, `never`, or why it was refused.
        members.text("reason", reason(decision));
        members.text("policy", policy);
        members.number("limit", limit);
        members.number("remaining", remaining);
        members.number("retry_after_ms", retry_after_ms);
        members.number("reset_after_ms", reset_after_ms);
        // Made without the store that should have made it: then the numbers are estimates.
        members.bool("degraded", decision.is_degraded());
        let standings = self.parts.iter().zip(decision.standings());
        members.list("policies", standings, |(part, standing), members| {
            self.write_standing(part, standing, members);
        });
        if let Some(receipt) = self.receipt {
            members.text("receipt", receipt);
        }
    }

    fn write_standing(&self, part: &Part<'_>, standing: &Standing, members: &mut Members) {
        let limited = is_told(standing);
        let key = KeyHash::of(self.service.key_hash.hash_one(part.key));
        let retry_after = standing.retry_after().map(milliseconds);
        members.text("policy", part.policy.name());
        members.text("rule", part.rule);
        members.text("key", key.as_str());
        members.number("limit", limited.then(|| standing.limit()));
        members.number("remaining", limited.then(|| standing.remaining()));
        members.number("charged", standing.charged());
        members.number("retry_after_ms", retry_after);
        members.number("reset_after_ms", milliseconds(standing.full_after()));
        members.bool("violated", standing.is_violated());
        members.bool("shadow", standing.is_shadow());
        members.bool("blocked", standing.is_blocked());
    }
}

/// A hash of a key, in hexadecimal digits: it tells keys apart while the service runs, and nothing more.
struct KeyHash([u8; 16]);

impl KeyHash {
    fn of(hash: u64) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |place: usize| DIGITS[(hash >> (60 - 4 * place)) as usize & 15];
        KeyHash(std::array::from_fn(digit))
    }

    fn as_str(&self) -> &str {
        // Digits are text.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

fn reason(decision: &Decision) -> &'static str {
    match decision.verdict() {
        Verdict::Allow => "allowed",
        Verdict::Deny { .. } => "denied",
        Verdict::Never { .. } => "never",
        Verdict::Refused { reason } => match reason {
            Reason::Policy => "refused-by-policy",
            Reason::KeyTooLong => "key-too-long",
            Reason::TooManyChecks => "too-many-checks",
            Reason::StoreFull => "store-full",
            Reason::StoreClosed => "store-away",
            Reason::MissingKey => "missing-key",
            Reason::KeysApart => "keys-apart",
            Reason::Uncountable => "uncountable",
            // Of a library that is newer than this.
            _ => "refused",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_key_is_sixteen_digits() {
        for hash in [0, 1, 0xabc, u64::MAX, 0x0123_4567_89ab_cdef] {
            assert_eq!(KeyHash::of(hash).as_str(), format!("{hash:016x}"));
        }
    }
}
