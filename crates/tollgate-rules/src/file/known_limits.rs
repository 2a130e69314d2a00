//! Every limit that the file has so far, by name; written out inline, a limit is added under the name of its route.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::limits::{NamedLimits, inline};
use crate::limit::Limit;
use crate::read::{At, Source, nearest};
use crate::terms::Sharing;

/// Limits by name, in the order in which they appear.
pub(super) struct KnownLimits {
    all: Vec<Arc<Limit>>,
    by_name: HashMap<String, usize>,
    /// Names that are there, of limits that could not be read.
    wrong: HashSet<String>,
    /// Whether no limit could be read.
    is_wrong: bool,
    /// The inline limits by base name and meaning: the same text under the same name is one limit.
    inline: HashMap<(String, String), usize>,
    /// The number that the next limit of a base name tries.
    next: HashMap<String, usize>,
    /// Of limits that are written inline.
    sharing: Sharing,
}

impl KnownLimits {
    pub(super) fn new(named: NamedLimits, sharing: Sharing) -> Self {
        let by_name = named
            .read
            .iter()
            .enumerate()
            .map(|(index, limit)| (limit.name.clone(), index))
            .collect();
        KnownLimits {
            all: named.read,
            by_name,
            wrong: named.wrong,
            is_wrong: named.is_wrong,
            inline: HashMap::new(),
            next: HashMap::new(),
            sharing,
        }
    }

    pub(super) fn into_all(self) -> Vec<Arc<Limit>> {
        self.all
    }

    /// The limit that `text` names, or writes out; the latter is added under `base`, or `base-2` and so on. Of one that
    /// there would be if it were not wrong, nothing more is said.
    pub(super) fn resolve(
        &mut self,
        source: &Source<'_>,
        text: &At<String>,
        base: &str,
    ) -> Option<Arc<Limit>> {
        if let Some(index) = self.by_name.get(&text.value) {
            return Some(Arc::clone(&self.all[*index]));
        }
        if self.wrong.contains(&text.value) {
            return None;
        }
        if !text.value.starts_with(|first: char| first.is_ascii_digit()) {
            if !self.is_wrong {
                self.complain_unknown(source, text);
            }
            return None;
        }
        let name = self.free_name(base);
        let limit = inline(source, text, &name, self.sharing)?;
        let meaning = (base.to_owned(), meaning(&limit));
        if let Some(index) = self.inline.get(&meaning) {
            return Some(Arc::clone(&self.all[*index]));
        }
        self.inline.insert(meaning, self.all.len());
        self.by_name.insert(name, self.all.len());
        self.all.push(Arc::clone(&limit));
        Some(limit)
    }

    fn free_name(&mut self, base: &str) -> String {
        let next = self.next.entry(base.to_owned()).or_insert(1);
        loop {
            let name = match *next {
                1 => base.to_owned(),
                number => format!("{base}-{number}"),
            };
            if !self.by_name.contains_key(&name) {
                return name;
            }
            *next += 1;
        }
    }

    fn complain_unknown(&self, source: &Source<'_>, text: &At<String>) {
        let names = self.all.iter().map(|limit| limit.name.as_str());
        let names = names.chain(self.wrong.iter().map(String::as_str));
        let help = match nearest(&text.value, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                "write `[limits.NAME]`, or the limit itself, like \"5 per minute by client-ip\""
                    .to_owned()
            }
        };
        source.complain_with(
            text.span.clone(),
            format!("there is no limit `{}`", text.value),
            Some(help),
        );
    }
}

/// Key and quotas in one canonical form.
fn meaning(limit: &Limit) -> String {
    let quotas = limit.policies.iter().filter_map(|policy| policy.quota());
    let quotas: Vec<String> = quotas.map(|quota| quota.to_string()).collect();
    format!("{:?} {}", limit.key, quotas.join("; "))
}
