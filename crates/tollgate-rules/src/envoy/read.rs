//! From values to what is written in such a file: every value typed, every key known.

use std::ops::Range;
use std::rc::Rc;

use tollgate::CalendarUnit;

use super::yaml::{Kind, Node};
use crate::domain::{DESCRIPTORS_MAX, DOMAIN_BYTES_MAX, ENTRIES_MAX, Entry, Metadata, Pattern};
use crate::read::{At, Source, choose, nearest};

/// A file, as it is written.
pub(super) struct Written {
    pub(super) domain: String,
    /// In the order of the file, each before those within it.
    pub(super) descriptors: Vec<Descriptor>,
}

/// A descriptor with all entries that lead to it.
pub(super) struct Descriptor {
    pub(super) entries: Vec<Entry>,
    /// Which of them metrics tell apart by their value.
    pub(super) measured: Vec<bool>,
    pub(super) limit: Option<Limit>,
    pub(super) shadow: bool,
    pub(super) metadata: Vec<(String, Metadata)>,
    /// Whether there are others within it.
    pub(super) is_parent: bool,
    pub(super) span: Range<usize>,
}

/// A `rate_limit`.
pub(super) struct Limit {
    pub(super) rate: Rate,
    pub(super) name: String,
    pub(super) replaces: Vec<String>,
}

#[derive(Clone, Copy)]
pub(super) enum Rate {
    Unlimited,
    Limited { requests: u32, unit: Unit },
}

/// A window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Second,
    Of(CalendarUnit),
}

impl Unit {
    pub(super) const NAMES: [(&'static str, Unit); 7] = [
        ("second", Unit::Second),
        ("minute", Unit::Of(CalendarUnit::Minute)),
        ("hour", Unit::Of(CalendarUnit::Hour)),
        ("day", Unit::Of(CalendarUnit::Day)),
        ("week", Unit::Of(CalendarUnit::Week)),
        ("month", Unit::Of(CalendarUnit::Month)),
        ("year", Unit::Of(CalendarUnit::Year)),
    ];

    pub(super) fn name(self) -> &'static str {
        let known = Unit::NAMES.iter().find(|(_, unit)| *unit == self);
        known.map_or("", |(name, _)| name)
    }
}

const OF_THE_FILE: &[&str] = &["domain", "descriptors"];
const OF_A_DESCRIPTOR: &[&str] = &[
    "key",
    "value",
    "rate_limit",
    "descriptors",
    "shadow_mode",
    "detailed_metric",
    "value_to_metric",
    "metadata",
    "quota_mode",
    "share_threshold",
];
const OF_A_LIMIT: &[&str] = &["unit", "requests_per_unit", "unlimited", "name", "replaces"];

/// What is known there and not done here, and why.
const REFUSED: [(&str, &str); 2] = [
    (
        "quota_mode",
        "a request is denied as soon as one limit denies it: take this line out, and see whether that is what is wanted",
    ),
    (
        "share_threshold",
        "every value has a counter of its own: write the value that is shared into the descriptors of the request",
    ),
];

/// The whole file; `None` where nothing more can be said about it.
pub(super) fn file(source: &Source<'_>, document: &Rc<Node>) -> Option<Written> {
    let map = Map::of(source, document, "the file", OF_THE_FILE)?;
    let domain = match map.value("domain") {
        Some(value) => text(source, value, "domain"),
        None => {
            source.complain_with(
                0..0,
                "the file has no `domain`",
                Some("like `domain: edge`: Envoy's filter names it in its requests".to_owned()),
            );
            None
        }
    };
    if let Some(domain) = &domain
        && (domain.value.is_empty() || domain.value.len() > DOMAIN_BYTES_MAX)
    {
        let message = format!("a domain's name has 1 to {DOMAIN_BYTES_MAX} bytes");
        source.complain(domain.span.clone(), message);
    }
    let mut reader = Reader {
        source,
        found: Vec::new(),
    };
    if let Some(list) = map.value("descriptors") {
        reader.descriptors(list, &[], &[]);
    }
    Some(Written {
        domain: domain?.value,
        descriptors: reader.found,
    })
}

struct Reader<'s, 't> {
    source: &'s Source<'t>,
    found: Vec<Descriptor>,
}

impl Reader<'_, '_> {
    /// The descriptors of a list, and those within them.
    fn descriptors(&mut self, list: &Node, above: &[Entry], measured: &[bool]) {
        for node in items(self.source, list, "descriptors") {
            // Aliases may repeat what is written once.
            if self.found.len() == DESCRIPTORS_MAX {
                let message = format!("a domain has at most {DESCRIPTORS_MAX} descriptors");
                return self.source.complain(node.span.clone(), message);
            }
            if self.source.is_hopeless() {
                return;
            }
            self.descriptor(node, above, measured);
        }
    }

    fn descriptor(&mut self, node: &Rc<Node>, above: &[Entry], measured_above: &[bool]) {
        let source = self.source;
        let Some(map) = Map::of(source, node, "a descriptor", OF_A_DESCRIPTOR) else {
            return;
        };
        for (key, why) in REFUSED {
            if let Some(value) = map.value(key)
                && boolean(source, value, key) == Some(true)
            {
                let message = format!("`{key}` is not done by this service");
                source.complain_with(map.key_span(key), message, Some(why.to_owned()));
            }
        }
        let key = map
            .value("key")
            .and_then(|value| text(source, value, "key"));
        let Some(key) = key.filter(|key| !key.value.is_empty()) else {
            let message = "a descriptor needs a `key`";
            return source.complain(map.start(), message);
        };
        let value = map.value("value").filter(|value| !value.is_nothing());
        let value = value.and_then(|value| text(source, value, "value"));
        let value = value.map(|value| value.value);
        let yes = |key| {
            let value = map.value(key);
            value.and_then(|value| boolean(source, value, key)) == Some(true)
        };
        let mut entries = above.to_vec();
        entries.push(Entry {
            key: key.value,
            value: value.filter(|value| !value.is_empty()),
        });
        if entries.len() > ENTRIES_MAX {
            let message = format!("a descriptor has at most {ENTRIES_MAX} entries");
            return source.complain(key.span, message);
        }
        let mut measured = measured_above.to_vec();
        measured.push(yes("value_to_metric"));
        let within = map.value("descriptors");
        let limit = map.value("rate_limit").filter(|value| !value.is_nothing());
        let detailed = yes("detailed_metric");
        let metadata = map.value("metadata").filter(|value| !value.is_nothing());
        self.found.push(Descriptor {
            measured: match detailed {
                true => vec![true; entries.len()],
                false => measured.clone(),
            },
            entries: entries.clone(),
            limit: limit.and_then(|limit| rate_limit(source, limit)),
            shadow: yes("shadow_mode"),
            metadata: metadata.map_or_else(Vec::new, |value| metadata_of(source, value)),
            is_parent: within.is_some(),
            span: map.start(),
        });
        if let Some(within) = within {
            self.descriptors(within, &entries, &measured);
        }
    }
}

fn rate_limit(source: &Source<'_>, node: &Rc<Node>) -> Option<Limit> {
    let map = Map::of(source, node, "`rate_limit`", OF_A_LIMIT)?;
    let name = map
        .value("name")
        .and_then(|value| text(source, value, "name"));
    let name = name.map_or(String::new(), |name| name.value);
    let replaces = map.value("replaces").map_or_else(Vec::new, |list| {
        let listed = items(source, list, "replaces").iter();
        listed
            .filter_map(|node| replaced(source, node, &name))
            .collect()
    });
    let unlimited = map.value("unlimited");
    let unlimited = unlimited.and_then(|value| boolean(source, value, "unlimited"));
    let unit = map.value("unit");
    let rate = if unlimited == Some(true) {
        if let Some(unit) = unit {
            let message = "what is unlimited has no `unit`";
            source.complain(unit.span.clone(), message);
        }
        Rate::Unlimited
    } else {
        let read = |value| {
            let mut word = text(source, value, "unit")?;
            word.value.make_ascii_lowercase();
            choose(source, &word, "unit", &Unit::NAMES)
        };
        let Some(unit) = unit else {
            let message = "`rate_limit` needs a `unit`, or `unlimited: true`";
            source.complain(map.start(), message);
            return None;
        };
        let unit = read(unit);
        // Without a number nothing passes, as there.
        let requests = match map.value("requests_per_unit") {
            Some(value) => number(source, value, "requests_per_unit"),
            None => Some(0),
        };
        Rate::Limited {
            requests: requests?,
            unit: unit?,
        }
    };
    Some(Limit {
        rate,
        name,
        replaces,
    })
}

fn replaced(source: &Source<'_>, node: &Rc<Node>, own: &str) -> Option<String> {
    let map = Map::of(source, node, "`replaces`", &["name"])?;
    let name = map
        .value("name")
        .and_then(|value| text(source, value, "name"));
    match name {
        Some(name) if name.value == own && !own.is_empty() => {
            source.complain(name.span, "a limit does not replace itself");
            None
        }
        Some(name) if !name.value.is_empty() => Some(name.value),
        _ => {
            source.complain(map.start(), "what is replaced has a `name`");
            None
        }
    }
}

fn metadata_of(source: &Source<'_>, node: &Rc<Node>) -> Vec<(String, Metadata)> {
    match passed_on(node) {
        Metadata::Map(values) => values,
        _ => {
            wrong(source, node, "metadata", "a map");
            Vec::new()
        }
    }
}

fn passed_on(node: &Node) -> Metadata {
    match &node.kind {
        Kind::Scalar { .. } if node.is_nothing() => Metadata::Null,
        Kind::Scalar {
            text,
            is_plain: true,
        } => match (truth(text), text.parse::<f64>()) {
            (Some(truth), _) => Metadata::Bool(truth),
            (None, Ok(number)) if number.is_finite() => Metadata::Number(number),
            _ => Metadata::Text(text.clone()),
        },
        Kind::Scalar { text, .. } => Metadata::Text(text.clone()),
        Kind::List(items) => Metadata::List(items.iter().map(|item| passed_on(item)).collect()),
        Kind::Map(pairs) => {
            let named = pairs.iter().filter_map(|(key, value)| match &key.kind {
                Kind::Scalar { text, .. } => Some((text.clone(), passed_on(value))),
                _ => None,
            });
            Metadata::Map(named.collect())
        }
    }
}

/// A map whose keys are known.
struct Map<'n> {
    pairs: &'n [(Rc<Node>, Rc<Node>)],
    span: Range<usize>,
}

impl<'n> Map<'n> {
    /// Complains about everything that is no map of `known` keys, each once.
    fn of(source: &Source<'_>, node: &'n Node, what: &str, known: &[&str]) -> Option<Self> {
        let Kind::Map(pairs) = &node.kind else {
            wrong(source, node, what, "a map");
            return None;
        };
        let mut seen: Vec<&str> = Vec::new();
        for (key, _) in pairs {
            let Kind::Scalar { text, .. } = &key.kind else {
                wrong(source, key, "a key", "a word");
                continue;
            };
            if !known.contains(&text.as_str()) {
                let help = match nearest(text, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known here: {}", known.join(", ")),
                };
                let message = format!("unknown key `{text}` in {what}");
                source.complain_with(key.span.clone(), message, Some(help));
            } else if seen.contains(&text.as_str()) {
                let message = format!("`{text}` is written twice");
                source.complain(key.span.clone(), message);
            }
            seen.push(text);
        }
        let span = node.span.clone();
        Some(Map { pairs, span })
    }

    fn pair(&self, key: &str) -> Option<&'n (Rc<Node>, Rc<Node>)> {
        let is = |node: &Node| matches!(&node.kind, Kind::Scalar { text, .. } if text == key);
        self.pairs.iter().find(|(known, _)| is(known))
    }

    fn value(&self, key: &str) -> Option<&'n Rc<Node>> {
        self.pair(key).map(|(_, value)| value)
    }

    fn key_span(&self, key: &str) -> Range<usize> {
        self.pair(key).map_or(0..0, |(key, _)| key.span.clone())
    }

    /// Where it begins: its first key.
    fn start(&self) -> Range<usize> {
        let first = self.pairs.first();
        first.map_or(self.span.clone(), |(key, _)| key.span.clone())
    }
}

fn wrong(source: &Source<'_>, node: &Node, what: &str, expected: &str) {
    let message = format!("{what} must be {expected}, found {}", node.is_a());
    source.complain(node.span.clone(), message);
}

/// The items of a list; nothing is an empty one.
fn items<'n>(source: &Source<'_>, node: &'n Node, key: &str) -> &'n [Rc<Node>] {
    match &node.kind {
        Kind::List(items) => items,
        _ if node.is_nothing() => &[],
        _ => {
            wrong(source, node, &format!("`{key}`"), "a list");
            &[]
        }
    }
}

fn text(source: &Source<'_>, node: &Node, key: &str) -> Option<At<String>> {
    match &node.kind {
        Kind::Scalar { text, .. } => Some(At {
            value: text.clone(),
            span: node.span.clone(),
        }),
        _ => {
            wrong(source, node, &format!("`{key}`"), "a text");
            None
        }
    }
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

fn boolean(source: &Source<'_>, node: &Node, key: &str) -> Option<bool> {
    let read = match &node.kind {
        Kind::Scalar {
            text,
            is_plain: true,
        } => truth(text),
        _ => None,
    };
    if read.is_none() {
        wrong(source, node, &format!("`{key}`"), "true or false");
    }
    read
}

fn number(source: &Source<'_>, node: &Node, key: &str) -> Option<u32> {
    let read = match &node.kind {
        Kind::Scalar {
            text,
            is_plain: true,
        } => text.replace('_', "").parse().ok(),
        _ => None,
    };
    if read.is_none() {
        let expected = format!("a whole number up to {}", u32::MAX);
        wrong(source, node, &format!("`{key}`"), &expected);
    }
    read
}

impl Descriptor {
    /// Whether one of its values is a pattern.
    pub(super) fn has_pattern(&self) -> bool {
        let values = self
            .entries
            .iter()
            .filter_map(|entry| entry.value.as_deref());
        values
            .into_iter()
            .any(|value| Pattern::new(value).is_some())
    }
}
