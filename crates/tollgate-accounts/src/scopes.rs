//! What an API key, or a token of another issuer, may do, as words that routes ask for.

use std::fmt;
use std::sync::Arc;

use crate::error::Invalid;

/// How many scopes one API key can have.
pub const SCOPES_MAX: usize = 16;

/// How many scopes of another issuer's token count; further ones are not there.
const ISSUED_SCOPES_MAX: usize = 128;

/// The longest scope.
const SCOPE_BYTES_MAX: usize = 64;

/// A set of scopes; shown as words with blanks between them. The empty set may do nothing that asks for one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Arc<[Box<str>]>);

impl Scopes {
    /// Reads words with blanks between them.
    ///
    /// # Errors
    /// No word, more than 16, or one that is longer than 64 bytes or has other characters than RFC 6749 allows.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let refused = |reason: String| Err(Invalid::new("scopes", reason));
        let words = Self::words(text.split_ascii_whitespace());
        match text.split_ascii_whitespace().find(|word| !is_scope(word)) {
            Some(_) => refused(format!(
                "are words of at most {SCOPE_BYTES_MAX} printable ASCII characters, without quotes and backslashes"
            )),
            None if words.0.is_empty() => refused("must have at least one word".to_owned()),
            None if text.split_ascii_whitespace().count() > SCOPES_MAX => {
                refused(format!("must be at most {SCOPES_MAX}"))
            }
            None => Ok(words),
        }
    }

    /// Of these words those that are scopes, each once, the first 128.
    pub(crate) fn words<'w>(words: impl Iterator<Item = &'w str>) -> Self {
        let mut known: Vec<Box<str>> = Vec::new();
        for word in words.filter(|word| is_scope(word)) {
            if known.len() < ISSUED_SCOPES_MAX && !known.iter().any(|other| **other == *word) {
                known.push(word.into());
            }
        }
        Self(known.into())
    }

    /// Whether `scope` is among them.
    pub fn contains(&self, scope: &str) -> bool {
        self.0.iter().any(|known| **known == *scope)
    }

    /// Whether all of these are in `others`.
    pub fn are_within(&self, others: &Scopes) -> bool {
        self.iter().all(|scope| others.contains(scope))
    }

    /// The words.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|scope| &**scope)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, scope) in self.0.iter().enumerate() {
            let blank = if place == 0 { "" } else { " " };
            write!(f, "{blank}{scope}")?;
        }
        Ok(())
    }
}

/// A scope token of RFC 6749, section 3.3.
fn is_scope(word: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    (1..=SCOPE_BYTES_MAX).contains(&word.len()) && word.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_written_and_asked_for() {
        let scopes = Scopes::parse(" numbers:read  keys:write numbers:read").unwrap();
        assert_eq!(scopes.to_string(), "numbers:read keys:write");
        assert!(scopes.contains("keys:write") && !scopes.contains("keys"));
    }

    #[test]
    fn what_is_no_list_of_scopes_is_refused() {
        let many = (0..17).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        for wrong in ["", " ", "a\"b", "a\\b", "\u{e9}", &"x".repeat(65), &many] {
            assert!(Scopes::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Scopes::parse(&"x".repeat(64)).is_ok());
    }
}
