//! What a decision service limits by: domains, and in each the descriptors that it has limits for.
//!
//! A descriptor is a list of entries, each a key and a value. A request carries some, and each of them meets at most one
//! of the domain's: as many entries, and at each place the exact value before a pattern before any value.

mod pattern;

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::sync::Arc;

use tollgate::{OnError, Policy};

pub(crate) use pattern::Pattern;

use crate::version::Contents;

/// The most entries of one descriptor.
pub const ENTRIES_MAX: usize = 16;
/// The most descriptors of one domain.
pub const DESCRIPTORS_MAX: usize = 10_000;
/// The longest name of a domain, in bytes.
pub const DOMAIN_BYTES_MAX: usize = 256;

/// A namespace of descriptors.
#[derive(Debug)]
pub struct Domain {
    /// Its name, which requests carry.
    pub name: String,
    /// How the descriptors of one request are decided.
    pub decide: Decide,
    /// What happens to limits that a request brings with it while a shared store cannot be reached.
    pub on_error: OnError,
    /// What a client reads whose request is denied; empty for nothing.
    pub denied_body: String,
    descriptors: Vec<Arc<Descriptor>>,
    root: Level,
}

/// How the descriptors of one request are decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Decide {
    /// At one instant: all are charged, or none is.
    #[default]
    Together,
    /// Each for itself, and what one denies is charged to the others.
    Apart,
}

/// A descriptor that a domain has a limit for.
#[derive(Debug)]
pub struct Descriptor {
    /// Its place among those of its domain.
    pub index: usize,
    /// Its entries, as messages and metrics write them: `KEY=VALUE/KEY`.
    pub label: String,
    /// Which entries metrics tell apart by their value.
    pub measured: Vec<bool>,
    /// Its name, which others may replace; empty if it has none.
    pub name: String,
    /// What it limits.
    pub rate: DescriptorRate,
    /// Names of those that do not count where this one does.
    pub replaces: Vec<String>,
    /// What is told beside a decision that lets pass.
    pub metadata: Vec<(String, Metadata)>,
}

impl Descriptor {
    /// The policies that it limits by; none where it limits nothing.
    pub fn policies(&self) -> &[Arc<Policy>] {
        match &self.rate {
            DescriptorRate::Limited(policies) => policies,
            DescriptorRate::None | DescriptorRate::Unlimited => &[],
        }
    }
}

/// What a descriptor limits.
#[derive(Debug)]
pub enum DescriptorRate {
    /// Nothing, as if it were not there; the descriptor keeps more general ones from being met.
    None,
    /// Nothing, and says so.
    Unlimited,
    /// By these policies.
    Limited(Vec<Arc<Policy>>),
}

/// A value that is passed on as it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Metadata {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A number.
    Number(f64),
    /// Text.
    Text(String),
    /// Several.
    List(Vec<Metadata>),
    /// Several, by name.
    Map(Vec<(String, Metadata)>),
}

/// One entry of a domain's descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    /// `None` for any.
    pub(crate) value: Option<String>,
}

/// A place for a descriptor is taken already.
#[derive(Debug)]
pub(crate) struct Taken;

/// What can come at one place of a descriptor, by key.
#[derive(Debug, Default)]
struct Level(HashMap<Box<str>, Choices>);

#[derive(Debug, Default)]
struct Choices {
    exact: HashMap<Box<str>, Node>,
    patterns: Vec<(Pattern, Node)>,
    any: Option<Box<Node>>,
}

#[derive(Debug, Default)]
struct Node {
    descriptor: Option<Arc<Descriptor>>,
    below: Level,
}

impl Domain {
    pub(crate) fn new(name: &str, decide: Decide, on_error: OnError) -> Self {
        Domain {
            name: name.to_owned(),
            decide,
            on_error,
            denied_body: String::new(),
            descriptors: Vec::new(),
            root: Level::default(),
        }
    }

    /// What its limits say: the same number wherever they are the same.
    pub fn contents(&self) -> u32 {
        let mut contents = Contents::default();
        let descriptors = self.descriptors.iter();
        descriptors
            .flat_map(|descriptor| descriptor.policies())
            .for_each(|policy| contents.add(policy));
        contents.number()
    }

    /// Adds a descriptor with these entries, of which there is at least one. Its index is set here.
    pub(crate) fn insert(
        &mut self,
        entries: &[Entry],
        mut descriptor: Descriptor,
    ) -> Result<(), Taken> {
        let mut level = &mut self.root;
        let Some((last, before)) = entries.split_last() else {
            return Err(Taken);
        };
        for entry in before {
            level = &mut level.node(entry).below;
        }
        let place = &mut level.node(last).descriptor;
        if place.is_some() {
            return Err(Taken);
        }
        descriptor.index = self.descriptors.len();
        let descriptor = Arc::new(descriptor);
        *place = Some(Arc::clone(&descriptor));
        self.descriptors.push(descriptor);
        Ok(())
    }

    /// Every descriptor, by its index.
    pub fn descriptors(&self) -> &[Arc<Descriptor>] {
        &self.descriptors
    }

    /// The descriptor that these keys and values meet. A value that is met is not left again for a more general one, when
    /// what follows finds nothing behind it.
    pub fn find<'e>(
        &self,
        entries: impl IntoIterator<Item = (&'e str, &'e str)>,
    ) -> Option<&Arc<Descriptor>> {
        let mut level = &self.root;
        let mut found = None;
        for (key, value) in entries {
            let node = level.0.get(key)?.of(value)?;
            found = node.descriptor.as_ref();
            level = &node.below;
        }
        found
    }
}

impl Level {
    fn node(&mut self, entry: &Entry) -> &mut Node {
        let choices = self.0.entry(entry.key.as_str().into()).or_default();
        let Some(value) = &entry.value else {
            return choices.any.get_or_insert_default();
        };
        let Some(pattern) = Pattern::new(value) else {
            return match choices.exact.entry(value.as_str().into()) {
                Place::Occupied(place) => place.into_mut(),
                Place::Vacant(place) => place.insert(Node::default()),
            };
        };
        let patterns = &mut choices.patterns;
        let known = patterns.iter().position(|(known, _)| *known == pattern);
        let place = known.unwrap_or_else(|| {
            patterns.push((pattern, Node::default()));
            patterns.len() - 1
        });
        &mut patterns[place].1
    }
}

impl Choices {
    fn of(&self, value: &str) -> Option<&Node> {
        let pattern = || {
            let mut patterns = self.patterns.iter();
            let (_, node) = patterns.find(|(pattern, _)| pattern.matches(value))?;
            Some(node)
        };
        self.exact
            .get(value)
            .or_else(pattern)
            .or(self.any.as_deref())
    }
}

/// The entries, as messages and metrics write them.
pub(crate) fn label(entries: &[Entry]) -> String {
    let words: Vec<String> = entries.iter().map(Entry::to_string).collect();
    words.join("/")
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value}", self.key),
            None => f.write_str(&self.key),
        }
    }
}

/// What the names of a descriptor's policies begin with. What is no printable ASCII, and what fields cannot carry, becomes
/// `_`; what is too long is cut. A text that was changed ends with a checksum of it, so that two of them have two names.
pub fn policy_prefix(domain: &str, descriptor: &str) -> String {
    const BYTES_MAX: usize = 60;
    let plain = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
    let whole = format!("{domain}/{descriptor}");
    let mut name: String = whole
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .take(BYTES_MAX)
        .collect();
    if name != whole {
        name.push_str(&format!("~{:016x}", checksum(whole.as_bytes())));
    }
    name
}

/// FNV-1a of 64 bits: the same on every machine, as the names of shared counters must be.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests;
