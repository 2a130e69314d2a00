//! What a key is known by here: its hash tag, its policy and its bytes.

use std::hash::{Hash, Hasher};

use quick_cache::Equivalent;
use tollgate::Check;

/// The hash tag of a decision, if it has one.
pub(super) type Tag<'a> = Option<&'a [u8]>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) tag: Option<Box<[u8]>>,
    pub(super) policy: Box<str>,
    pub(super) key: Box<[u8]>,
}

/// The same, borrowed.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) tag: Tag<'a>,
    pub(super) policy: &'a str,
    pub(super) key: &'a [u8],
}

impl Hash for Named<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.tag.hash(state);
        self.policy.hash(state);
        self.key.hash(state);
    }
}

impl Equivalent<Name> for Named<'_> {
    fn equivalent(&self, name: &Name) -> bool {
        self.tag == name.tag.as_deref() && *self.policy == *name.policy && *self.key == *name.key
    }
}

impl Name {
    pub(super) fn borrowed(&self) -> Named<'_> {
        Named {
            tag: self.tag.as_deref(),
            policy: &self.policy,
            key: &self.key,
        }
    }
}

impl<'a> Named<'a> {
    pub(super) fn of(tag: Tag<'a>, check: &'a Check<'_>) -> Self {
        Named {
            tag,
            policy: check.policy.name(),
            key: check.key,
        }
    }

    pub(super) fn owned(&self) -> Name {
        Name {
            tag: self.tag.map(Into::into),
            policy: self.policy.into(),
            key: self.key.into(),
        }
    }
}
