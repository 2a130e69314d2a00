//! A cursor over the text of a quota.

use std::ops::Range;

use super::{ABBREVIATIONS, NotationError, TEXT_BYTES_MAX, UNITS, suggest};
use crate::quota::AlgorithmKind;

/// A cursor over the text that knows words, numbers and where it stands.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Result<Self, NotationError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(NotationError::new(
                0..0,
                format!("the text is at most {TEXT_BYTES_MAX} bytes long"),
            ));
        }
        if let Some((at, odd)) = text
            .char_indices()
            .find(|(_, c)| !(c.is_ascii_graphic() || *c == ' ' || *c == '\t'))
        {
            let message = format!(
                "unexpected character U+{:04X}: the notation is written in ASCII",
                u32::from(odd)
            );
            return Err(NotationError::new(at..at + odd.len_utf8(), message));
        }
        Ok(Reader { text, at: 0 })
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start_matches([' ', '\t']).len();
    }

    /// Takes the longest run of characters that `belongs` to one token.
    fn take_run(&mut self, belongs: impl Fn(char) -> bool) -> Option<(&'a str, Range<usize>)> {
        self.skip_blanks();
        let rest = self.rest();
        let len = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        let span = self.at..self.at + len;
        self.at = span.end;
        (len > 0).then(|| (&self.text[span.clone()], span))
    }

    pub(super) fn take_word(&mut self) -> Option<(&'a str, Range<usize>)> {
        self.skip_blanks();
        if !self.rest().starts_with(|c: char| c.is_ascii_alphabetic()) {
            return None;
        }
        self.take_run(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    }

    pub(super) fn peek_word(&mut self) -> &'a str {
        let at = self.at;
        let word = self.take_word().map_or("", |(word, _)| word);
        self.at = at;
        word
    }

    /// Takes the next word if it is this one.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let next = self.peek_word().eq_ignore_ascii_case(word);
        if next {
            self.take_word();
        }
        next
    }

    pub(super) fn at_number(&mut self) -> bool {
        self.skip_blanks();
        self.rest()
            .starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
    }

    /// A whole number; `instead` says what to write for one with a fraction.
    pub(super) fn number(
        &mut self,
        expected: &str,
        instead: Option<&str>,
    ) -> Result<(u64, Range<usize>), NotationError> {
        if !self.at_number() {
            return Err(self.unexpected(expected));
        }
        let Some((digits, span)) =
            self.take_run(|c| c.is_ascii_digit() || matches!(c, '_' | '+' | '-' | '.'))
        else {
            return Err(self.unexpected(expected));
        };
        if !digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'_')
        {
            let error =
                NotationError::new(span, format!("`{digits}` is not a whole, positive number"));
            return Err(match instead.filter(|_| digits.contains('.')) {
                Some(instead) => error.help(instead),
                None => error,
            });
        }
        let plain: String = digits.chars().filter(char::is_ascii_digit).collect();
        let number = plain
            .parse()
            .map_err(|_| NotationError::new(span.clone(), format!("`{digits}` is too large")))?;
        Ok((number, span))
    }

    pub(super) fn expect_per(&mut self) -> Result<(), NotationError> {
        self.skip_blanks();
        if self.rest().starts_with('/') {
            self.at += 1;
            return Ok(());
        }
        match self.take_word() {
            Some((word, _)) if word.eq_ignore_ascii_case("per") => Ok(()),
            Some((word, span)) => Err(suggest(
                NotationError::new(span, format!("expected `per` or `/`, found `{word}`")),
                word,
                ["per"].into_iter(),
            )),
            None => Err(self.unexpected("`per` or `/`")),
        }
    }

    pub(super) fn unit(&mut self) -> Result<(usize, Range<usize>), NotationError> {
        let Some((word, span)) = self.take_word() else {
            return Err(self.unexpected("a unit of time, like `minute`"));
        };
        let lower = word.to_ascii_lowercase();
        let singular = match lower.strip_suffix('s') {
            Some(_) if lower.len() <= 2 => &lower,
            Some("centurie") => "century",
            Some(stem) => stem,
            None => &lower,
        };
        let full = ABBREVIATIONS
            .iter()
            .find(|(short, _)| *short == singular)
            .map_or(singular, |(_, full)| full);
        UNITS
            .iter()
            .position(|(name, ..)| *name == full)
            .map(|unit| (unit, span.clone()))
            .ok_or_else(|| {
                let error = NotationError::new(
                    span,
                    format!("expected a unit of time (microsecond to century), found `{word}`"),
                );
                suggest(error, singular, UNITS.iter().map(|(name, ..)| *name))
            })
    }

    /// A time zone: the next word that is no keyword.
    pub(super) fn zone(&mut self) -> Option<String> {
        let at = self.at;
        let (zone, _) =
            self.take_run(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '+' | '-'))?;
        if zone.eq_ignore_ascii_case("burst") || AlgorithmKind::from_name(zone).is_some() {
            self.at = at;
            return None;
        }
        Some(zone.to_owned())
    }

    pub(super) fn eat_separator(&mut self) -> bool {
        self.skip_blanks();
        let found = self.rest().starts_with([';', ',']);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect_end(&mut self) -> Result<(), NotationError> {
        self.skip_blanks();
        if self.rest().is_empty() {
            Ok(())
        } else {
            Err(self.unexpected("the end"))
        }
    }

    fn unexpected(&mut self, expected: &str) -> NotationError {
        self.skip_blanks();
        let found = match self.rest().split([' ', '\t']).next() {
            None | Some("") => "nothing more".to_owned(),
            Some(word) => format!("`{}`", &word[..word.len().min(32)]),
        };
        NotationError::new(
            self.at..self.at + self.rest().split(' ').next().map_or(0, str::len),
            format!("expected {expected}, found {found}"),
        )
    }
}
