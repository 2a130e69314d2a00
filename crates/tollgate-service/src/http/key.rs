//! A key as JSON: one word, a list of words, or an object of the parts' names.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use smallvec::smallvec;

use crate::service::{NamedWords, Words};

/// Words of a key at most.
const WORDS_MAX: usize = 16;

/// A string that stays in the body where nothing in it is escaped.
#[derive(Debug, Deserialize)]
pub(super) struct Text<'b>(#[serde(borrow)] pub(super) Cow<'b, str>);

/// Whose units a question means.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Key<'b> {
    /// Nobody's alone.
    #[default]
    None,
    /// A word for each part, in the order of the rules.
    Words(Words<'b>),
    /// A word for each part, by the part's name in the rules.
    Parts(NamedWords<'b>),
}

impl<'de: 'b, 'b> Deserialize<'de> for Key<'b> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KeyVisitor(PhantomData))
    }
}

struct KeyVisitor<'b>(PhantomData<&'b ()>);

impl<'de: 'b, 'b> Visitor<'de> for KeyVisitor<'b> {
    type Value = Key<'b>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, an array of strings, or an object of strings")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Key<'b>, E> {
        Ok(Key::Words(smallvec![Cow::Owned(word.to_owned())]))
    }

    fn visit_borrowed_str<E: Error>(self, word: &'de str) -> Result<Key<'b>, E> {
        Ok(Key::Words(smallvec![Cow::Borrowed(word)]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Key<'b>, A::Error> {
        let mut words = Words::new();
        while let Some(Text(word)) = items.next_element()? {
            words.push(word);
            within_bounds(words.len())?;
        }
        Ok(Key::Words(words))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Key<'b>, A::Error> {
        let mut parts = NamedWords::new();
        while let Some((Text(name), Text(word))) = items.next_entry()? {
            parts.push((name, word));
            within_bounds(parts.len())?;
        }
        Ok(Key::Parts(parts))
    }
}

fn within_bounds<E: Error>(count: usize) -> Result<(), E> {
    match count > WORDS_MAX {
        true => Err(E::custom("a key has at most 16 words")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_word_a_list_or_an_object() {
        fn read(text: &str) -> Option<Key<'_>> {
            serde_json::from_str(text).ok()
        }
        let ann = || Cow::from("ann");
        assert_eq!(read("\"ann\""), Some(Key::Words(smallvec![ann()])));
        assert_eq!(read("[\"ann\"]"), Some(Key::Words(smallvec![ann()])));
        assert_eq!(read("[\"a\\u006en\"]"), Some(Key::Words(smallvec![ann()])));
        assert_eq!(read("\"a\\u006en\""), Some(Key::Words(smallvec![ann()])));
        assert_eq!(
            read("{\"user\":\"ann\"}"),
            Some(Key::Parts(smallvec![("user".into(), ann())]))
        );
        for wrong in ["1", "[1]", "{\"user\":1}", "[[\"a\"]]", "true"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        let many = format!("[{}\"a\"]", "\"a\",".repeat(WORDS_MAX));
        assert_eq!(read(&many), None);
    }
}
