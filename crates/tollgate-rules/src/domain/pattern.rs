//! Values with `*` in them, each of which stands for any text.

/// A value with at least one `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    first: Box<str>,
    middle: Vec<Box<str>>,
    last: Box<str>,
}

impl Pattern {
    /// `None` for a text without `*`.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let (first, rest) = text.split_once('*')?;
        let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        let middle = middle.split('*').filter(|part| !part.is_empty());
        Some(Pattern {
            first: first.into(),
            middle: middle.map(Into::into).collect(),
            last: last.into(),
        })
    }

    pub(crate) fn matches(&self, value: &str) -> bool {
        let inner = value
            .strip_prefix(&*self.first)
            .and_then(|value| value.strip_suffix(&*self.last));
        let Some(mut inner) = inner else {
            return false;
        };
        // The first place of each part leaves the most for those that follow.
        for part in &self.middle {
            let Some((_, rest)) = inner.split_once(&**part) else {
                return false;
            };
            inner = rest;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text_and_for_none() {
        let cases = [
            ("*", "", true),
            ("*", "x", true),
            ("/api/*", "/api/", true),
            ("/api/*", "/api", false),
            ("*.example", "a.example", true),
            ("*.example", "a.examples", false),
            ("a*b", "ab", true),
            ("a*a", "a", false),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("a*bc*c", "abc", false),
            ("a**c", "abc", true),
            ("*b*b*", "ab", false),
            ("*b*b*", "abab", true),
        ];
        for (pattern, value, matches) in cases {
            let found = Pattern::new(pattern).unwrap().matches(value);
            assert_eq!(found, matches, "{pattern} and {value}");
        }
        assert_eq!(Pattern::new("plain"), None);
    }
}
