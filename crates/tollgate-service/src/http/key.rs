//! A key as JSON: one word, a list of words, or an object of the parts' names.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Words of a key at most.
const WORDS_MAX: usize = 16;

/// Whose units a question means.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Key {
    /// Nobody's alone.
    #[default]
    None,
    /// A word for each part, in the order of the rules.
    Words(Vec<String>),
    /// A word for each part, by the part's name in the rules.
    Parts(Vec<(String, String)>),
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, an array of strings, or an object of strings")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Key, E> {
        Ok(Key::Words(vec![word.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Key, A::Error> {
        let mut words = Vec::new();
        while let Some(word) = items.next_element()? {
            words.push(word);
            within_bounds(words.len())?;
        }
        Ok(Key::Words(words))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Key, A::Error> {
        let mut parts: Vec<(String, String)> = Vec::new();
        while let Some(part) = items.next_entry()? {
            parts.push(part);
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
        let read = |text: &str| serde_json::from_str::<Key>(text).ok();
        let ann = || "ann".to_owned();
        assert_eq!(read("\"ann\""), Some(Key::Words(vec![ann()])));
        assert_eq!(read("[\"ann\"]"), Some(Key::Words(vec![ann()])));
        assert_eq!(
            read("{\"user\":\"ann\"}"),
            Some(Key::Parts(vec![("user".into(), ann())]))
        );
        for wrong in ["1", "[1]", "{\"user\":1}", "[[\"a\"]]", "true"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        let many = format!("[{}\"a\"]", "\"a\",".repeat(WORDS_MAX));
        assert_eq!(read(&many), None);
    }
}
