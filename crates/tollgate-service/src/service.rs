//! What every protocol asks: limits by name, quotas of clients, and decisions on them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use smallvec::SmallVec;
use tollgate::key::CompositeKey;
use tollgate::{Check, Checks, Clock, Micros, Policy, Reason};
use tollgate_accounts::{Accounts, UserId};
use tollgate_gateway::spans::Tracer;
use tollgate_gateway::{Counters, InForce};
use tollgate_rules::{KeyPart, Limit, MissingKey, RuleSet};
use tollgate_tower::fields;

use crate::metrics::Metrics;
use crate::quotas::Quotas;
use crate::receipts::Receipts;
use crate::tokens::Tokens;

/// The decision service, shared by the threads of all protocols.
pub struct Service {
    pub(crate) rules: Arc<RuleSet>,
    pub(crate) accounts: Option<Accounts>,
    pub(crate) counters: Counters,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tokens: Tokens,
    pub(crate) quotas: Quotas,
    pub(crate) receipts: Arc<Receipts>,
    pub(crate) metrics: Arc<Metrics>,
    /// When it started.
    pub(crate) started: Micros,
    /// How keys are told apart in answers.
    pub(crate) key_hash: foldhash::quality::RandomState,
    /// What is written once of each limit of the rules, by name.
    written: HashMap<String, Written, foldhash::fast::RandomState>,
    pub(crate) tracer: Option<Arc<Tracer>>,
}

/// A limit of the rules in the words of clients.
struct Written {
    /// `RateLimit-Policy`, where just its own quotas hold.
    policy_value: Option<HeaderValue>,
    /// The parts of a key that are not the same for everybody, in the order of the rules.
    parts: Vec<String>,
    /// Which word is a user whom the gateway counts under this limit, too, and by id.
    id_at: Option<usize>,
}

/// Words of a key.
pub(crate) type Words<'w> = SmallVec<[Cow<'w, str>; 2]>;
/// Words of a key, each behind the name of its part.
pub(crate) type NamedWords<'w> = SmallVec<[(Cow<'w, str>, Cow<'w, str>); 2]>;

/// A limit of the rules that a client names, and whose units it means.
#[derive(Debug)]
pub(crate) struct Named<'l> {
    pub(crate) limit: &'l Limit,
    pub(crate) in_force: InForce<'l>,
    pub(crate) key: CompositeKey,
    pub(crate) cost: u64,
}

/// Among more limits than these nobody looks for the one that was meant: it takes time, and clients ask often.
const COMPARED_MAX: usize = 100;

/// Why a question names no limit, or no key of it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NamedError {
    #[error("there is no limit `{name}`{}", suggestion(.near))]
    NoLimit { name: String, near: Option<String> },
    #[error("`{limit}` counts by {key}: {expected} words, not {found}")]
    Words {
        limit: String,
        key: String,
        expected: usize,
        found: usize,
    },
    #[error("`{limit}` counts by {key}: its key has just these parts")]
    Parts { limit: String, key: String },
    #[error("`{limit}` counts by {key}: an address is wanted")]
    NoAddress { limit: String, key: String },
    #[error("`{limit}` counts by {key}: an empty word is nobody")]
    Empty { limit: String, key: String },
    #[error(
        "`{limit}` counts users by id here, as `tollgate user list` shows it, and `{word}` is none"
    )]
    NoId { limit: String, word: String },
}

impl Service {
    /// The service of a rule set, on the counters that the gateway uses. Questions are traced where there is a `tracer`.
    pub fn new(
        rules: Arc<RuleSet>,
        accounts: Option<Accounts>,
        counters: Counters,
        clock: Arc<dyn Clock>,
        tracer: Option<Arc<Tracer>>,
    ) -> Arc<Self> {
        Arc::new(Service {
            tokens: Tokens::new(rules.service.tokens.clone()),
            quotas: Quotas::new(rules.counters.sharing),
            receipts: Arc::default(),
            metrics: Arc::new(Metrics::new()),
            started: clock.now(),
            key_hash: foldhash::quality::RandomState::default(),
            written: rules
                .limits
                .iter()
                .map(|limit| written(limit, accounts.is_some() && rules.is_charged(&limit.name)))
                .collect(),
            rules,
            accounts,
            counters,
            clock,
            tracer,
        })
    }

    /// What is measured.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// How long a client may take to say who it is, or to send a question whole.
    pub(crate) fn question_timeout(&self) -> Duration {
        self.rules.server.header_timeout
    }

    /// How long a client may take to read an answer.
    pub(crate) fn write_timeout(&self) -> Duration {
        self.rules.server.read_timeout
    }

    /// `RateLimit-Policy` of the limit, where just its own quotas hold.
    pub(crate) fn policy_value(&self, named: &Named<'_>) -> Option<&HeaderValue> {
        match named.in_force.is_overridden() {
            true => None,
            false => self.written.get(&named.limit.name)?.policy_value.as_ref(),
        }
    }

    /// How many words make a key of the limit of this name.
    pub(crate) fn words_of(&self, name: &str) -> Option<usize> {
        self.rules.limit(name).map(|limit| words_of(limit))
    }

    /// The words of a key whose parts are named as the rules name them, in the order of the rules.
    pub(crate) fn words<'w>(
        &self,
        name: &str,
        mut parts: NamedWords<'w>,
    ) -> Result<Words<'w>, NamedError> {
        let no_limit = || self.no_limit(name);
        let wanted = &self.written.get(name).ok_or_else(no_limit)?.parts;
        let words = wanted.iter().map(|part| {
            let given = parts.iter().position(|(name, _)| name == part);
            given.map(|place| parts.swap_remove(place).1)
        });
        let words: Option<Words<'w>> = words.collect();
        let words = words.filter(|_| parts.is_empty());
        words.ok_or_else(|| match self.rules.limit(name) {
            Some(limit) => NamedError::Parts {
                limit: limit.name.clone(),
                key: limit.key.to_string(),
            },
            None => no_limit(),
        })
    }

    /// The limit of this name with the key of these words, one for each part that is not the same for everybody.
    pub(crate) fn named(
        &self,
        name: &str,
        words: &[&str],
        cost: u64,
    ) -> Result<Named<'_>, NamedError> {
        let Some(limit) = self.rules.limit(name) else {
            return Err(self.no_limit(name));
        };
        if let Some(word) = self.no_id(limit, words) {
            return Err(NamedError::NoId {
                limit: limit.name.clone(),
                word: shortened(word),
            });
        }
        let key = match has_empty(limit, words) {
            false => limit.key.key_from_words(words),
            // As the gateway has it for requests that carry nothing.
            true if limit.missing == MissingKey::Anonymous => Some(CompositeKey::new()),
            true => {
                return Err(NamedError::Empty {
                    limit: limit.name.clone(),
                    key: limit.key.to_string(),
                });
            }
        };
        let Some(key) = key else {
            let (limit_name, key) = (limit.name.clone(), limit.key.to_string());
            return Err(match (words_of(limit), words.len()) {
                (expected, found) if expected != found => NamedError::Words {
                    limit: limit_name,
                    key,
                    expected,
                    found,
                },
                _ => NamedError::NoAddress {
                    limit: limit_name,
                    key,
                },
            });
        };
        let in_force = InForce::of(limit, self.accounts.as_ref(), None);
        Ok(Named {
            limit,
            key: in_force.key(key, None),
            in_force,
            cost,
        })
    }

    /// The word that should be the id of a user and is none. Under a name somebody else would be counted, whom the
    /// gateway does not know.
    fn no_id<'w>(&self, limit: &Limit, words: &[&'w str]) -> Option<&'w str> {
        self.accounts.as_ref()?;
        let at = self.written.get(&limit.name)?.id_at?;
        let word = words.get(at).copied()?;
        UserId::parse(word).is_none().then_some(word)
    }

    fn no_limit(&self, name: &str) -> NamedError {
        let few = self.rules.limits.len() <= COMPARED_MAX;
        let near = few.then(|| self.rules.nearest_limit(name)).flatten();
        NamedError::NoLimit {
            name: shortened(name),
            near: near.map(str::to_owned),
        }
    }
}

fn suggestion(near: &Option<String>) -> String {
    let near = near.as_ref();
    near.map_or(String::new(), |near| format!(" (did you mean `{near}`?)"))
}

impl Named<'_> {
    /// The policies, in the order of the decision's standings.
    pub(crate) fn policies(&self) -> &[Arc<Policy>] {
        self.in_force.policies()
    }
}

/// The checks of limits that are decided together.
pub(crate) fn checks<'n>(named: &'n [Named<'_>]) -> Result<Checks<'n>, Reason> {
    let mut checks = Checks::new();
    for named in named {
        for policy in named.policies() {
            checks.push(Check {
                policy,
                key: named.key.as_ref(),
                cost: named.cost,
            })?;
        }
    }
    Ok(checks)
}

fn written(limit: &Arc<Limit>, is_by_id: bool) -> (String, Written) {
    let policies = limit.policies.iter().map(|policy| &**policy);
    let mut parts = limit.key.worded_parts();
    let written = Written {
        policy_value: fields::policy_value(policies),
        parts: parts.clone().map(ToString::to_string).collect(),
        id_at: parts
            .position(|part| matches!(part, KeyPart::User))
            .filter(|_| is_by_id),
    };
    (limit.name.clone(), written)
}

fn words_of(limit: &Limit) -> usize {
    limit.key.worded_parts().count()
}

/// Whether a word is empty that identifies nobody then: the value of a field, a cookie or a parameter.
fn has_empty(limit: &Limit, words: &[&str]) -> bool {
    use KeyPart::{Cookie, Header, Query};
    let mut each = limit.key.worded_parts().zip(words);
    words_of(limit) == words.len()
        && each
            .any(|(part, word)| word.is_empty() && matches!(part, Header(_) | Cookie(_) | Query(_)))
}

/// What a client wrote, short enough to repeat.
pub(crate) fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 64;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use tollgate::{ManualClock, MemoryStore};
    use tollgate_rules::Overrides;

    use super::*;

    #[test]
    fn an_empty_word_of_a_field_is_nobody_or_everybody_who_has_none_as_the_limit_says() {
        let rules = "[service]\nhttp = \"127.0.0.1:1\"\n[limits.strict]\nkey = [\"user\", \"header:x-tenant\"]\nquotas = [\"5 per minute\"]\n[limits.shared]\nkey = [\"user\", \"header:x-tenant\"]\nmissing = \"anonymous\"\nquotas = [\"5 per minute\"]\n";
        let rules = RuleSet::parse("rules", rules, &Overrides::default());
        let rules = rules.unwrap_or_else(|wrong| panic!("{}", wrong[0]));
        let counters = Counters::from(Arc::new(MemoryStore::new()));
        let clock = Arc::new(ManualClock::new(Micros::from_secs(1)));
        let service = Service::new(Arc::new(rules), None, counters, clock, None);
        let key = |name: &str, words: &[&str]| service.named(name, words, 1).map(|named| named.key);
        assert!(key("strict", &["ann", "a"]).is_ok());
        let empty = key("strict", &["ann", ""]).unwrap_err();
        assert!(matches!(empty, NamedError::Empty { .. }), "{empty}");
        let ann = key("shared", &["ann", ""]).unwrap();
        assert_eq!(ann, key("shared", &["bob", ""]).unwrap());
        assert_ne!(ann, key("shared", &["ann", "a"]).unwrap());
        // Of words that are too few the number is told.
        let few = key("strict", &[""]).unwrap_err();
        assert!(matches!(few, NamedError::Words { .. }), "{few}");
    }
}
