//! Reading TOML strictly: every value typed, every key known, every complaint with its place.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ops::Range;

use tollgate::Micros;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::Diagnostic;

/// How many complaints are worth reading; reading a file that has more stops early.
const COMPLAINTS_MAX: usize = 100;

/// Where, what is wrong, and what was probably meant.
type Complaint = (Range<usize>, String, Option<String>);

/// The file being read, and what is wrong with it so far.
pub(crate) struct Source<'t> {
    name: &'t str,
    text: &'t str,
    found: RefCell<Vec<Complaint>>,
    /// What is wrong with what the command line says instead.
    of_flags: RefCell<Vec<Diagnostic>>,
}

impl<'t> Source<'t> {
    pub(crate) fn new(name: &'t str, text: &'t str) -> Self {
        Source {
            name,
            text,
            found: RefCell::default(),
            of_flags: RefCell::default(),
        }
    }

    pub(crate) fn complain(&self, span: Range<usize>, message: impl Into<String>) {
        self.complain_with(span, message, None);
    }

    /// Complains about a part of a string value: `within` counts from its first character, behind the quote.
    pub(crate) fn complain_within(&self, text: &At<String>, within: Range<usize>, message: &str) {
        let raw = self.text.get(text.span.clone()).unwrap_or_default();
        // A string with escapes or several quotes is pointed at as a whole.
        let plain = raw.len() == text.value.len() + 2;
        let span = if plain {
            text.span.start + 1 + within.start..text.span.start + 1 + within.end
        } else {
            text.span.clone()
        };
        self.complain(span, message);
    }

    pub(crate) fn complain_with(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.found.borrow_mut().push((span, message.into(), help));
    }

    /// Complains about what the command line says in the place of `key`.
    pub(crate) fn complain_of_flag(&self, key: &str, message: String, help: Option<String>) {
        let complaint = Diagnostic::of_flag(key, message, help);
        self.of_flags.borrow_mut().push(complaint);
    }

    /// How many complaints there are so far. What depends on a value that could not be read is not worth another one.
    pub(crate) fn complaints(&self) -> usize {
        self.found.borrow().len()
    }

    /// Whether there are more complaints than anybody reads.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.found.borrow().len() > COMPLAINTS_MAX
    }

    /// What was wrong: with flags, then in the order of the file, each once.
    pub(crate) fn into_diagnostics(self) -> Vec<Diagnostic> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|(span, ..)| span.start);
        let mut told = HashSet::new();
        found.retain(|complaint| told.insert(complaint.clone()));
        found.truncate(COMPLAINTS_MAX);
        let shown =
            |(span, message, help)| Diagnostic::new(self.name, self.text, span, message, help);
        let of_flags = self.of_flags.into_inner().into_iter();
        of_flags.chain(found.into_iter().map(shown)).collect()
    }
}

/// The known word that was probably meant; nobody means one by a text that is much longer than each.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const WORD_BYTES_MAX: usize = 128;
    (word.len() <= WORD_BYTES_MAX)
        .then(|| tollgate::notation::nearest(word, known))
        .flatten()
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Range<usize>,
}

/// A table being read: keys are asked for by name, and those that nobody asked for are complained about.
pub(crate) struct Table<'s, 't> {
    source: &'s Source<'t>,
    table: &'s DeTable<'t>,
    name: String,
    span: Range<usize>,
    known: Vec<&'static str>,
}

impl<'s, 't> Table<'s, 't> {
    pub(crate) fn new(source: &'s Source<'t>, table: &'s Spanned<DeTable<'t>>, name: &str) -> Self {
        Table {
            source,
            table: table.get_ref(),
            name: name.to_owned(),
            span: table.span(),
            known: Vec::new(),
        }
    }

    pub(crate) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    pub(crate) fn source(&self) -> &'s Source<'t> {
        self.source
    }

    /// The value of `key`, which is from now on a known one.
    pub(crate) fn value(&mut self, key: &'static str) -> Option<Value<'s, 't>> {
        self.known.push(key);
        self.table.get(key).map(|value| Value {
            source: self.source,
            key: key.to_owned(),
            value,
        })
    }

    /// Whether nothing is written for `key`, not even with a slip of the pen: such a key is complained about as unknown,
    /// which is enough.
    pub(crate) fn lacks(&self, key: &str) -> bool {
        let nearly = |written: &str| nearest(written, std::iter::once(key)).is_some();
        !self.table.keys().any(|written| nearly(written.get_ref()))
    }

    /// Complains that nothing is written for `key`, where that is so.
    pub(crate) fn complain_lacking(&self, key: &str, message: impl Into<String>) {
        if self.lacks(key) {
            self.source.complain(self.span(), message);
        }
    }

    /// Whether `key` has just this text. It does not become a known one.
    pub(crate) fn says(&self, key: &str, text: &str) -> bool {
        let value = self.table.get(key);
        value.is_some_and(|value| value.get_ref().as_str() == Some(text))
    }

    /// The table under `key`, if there is one.
    pub(crate) fn table(&mut self, key: &'static str) -> Option<Table<'s, 't>> {
        self.value(key)?.table()
    }

    /// Every key with its value, for tables whose keys are names.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (At<String>, Value<'s, 't>)> {
        self.table.iter().map(|(key, value)| {
            let name = key.get_ref().to_string();
            let at = At {
                value: name.clone(),
                span: key.span(),
            };
            (
                at,
                Value {
                    source: self.source,
                    key: name,
                    value,
                },
            )
        })
    }

    /// Complains about every key that was not asked for.
    pub(crate) fn finish(self) {
        for (key, _) in self
            .table
            .iter()
            .filter(|(key, _)| !self.known.contains(&key.get_ref().as_ref()))
            .take(COMPLAINTS_MAX)
        {
            let near = nearest(key.get_ref(), self.known.iter().copied());
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", self.known.join(", ")),
            };
            self.source.complain_with(
                key.span(),
                format!("unknown key `{}` in {}", key.get_ref(), self.name),
                Some(help),
            );
        }
    }
}

/// A value without parts.
pub(crate) enum Plain {
    Text(String),
    Number(f64),
    Bool(bool),
}

/// One value being read.
pub(crate) struct Value<'s, 't> {
    source: &'s Source<'t>,
    key: String,
    value: &'s Spanned<DeValue<'t>>,
}

impl<'s, 't> Value<'s, 't> {
    pub(crate) fn span(&self) -> Range<usize> {
        self.value.span()
    }

    pub(crate) fn source(&self) -> &'s Source<'t> {
        self.source
    }

    pub(crate) fn complain_within(&self, text: &At<String>, within: Range<usize>, message: &str) {
        self.source.complain_within(text, within, message);
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self.value.get_ref(), DeValue::Integer(_))
    }

    fn wrong<T>(&self, expected: &str) -> Option<T> {
        let found = self.value.get_ref().type_str();
        self.source.complain(
            self.span(),
            format!("`{}` must be {expected}, found {found}", self.key),
        );
        None
    }

    pub(crate) fn table(&self) -> Option<Table<'s, 't>> {
        match self.value.get_ref() {
            DeValue::Table(table) => Some(Table {
                source: self.source,
                table,
                name: format!("`{}`", self.key),
                span: self.span(),
                known: Vec::new(),
            }),
            _ => self.wrong("a table"),
        }
    }

    pub(crate) fn is_table(&self) -> bool {
        self.value.get_ref().is_table()
    }

    pub(crate) fn string(&self) -> Option<At<String>> {
        match self.value.get_ref() {
            DeValue::String(text) => Some(At {
                value: text.to_string(),
                span: self.span(),
            }),
            _ => self.wrong("a string"),
        }
    }

    pub(crate) fn bool(&self) -> Option<bool> {
        self.value
            .get_ref()
            .as_bool()
            .or_else(|| self.wrong("true or false"))
    }

    /// A whole number from `low` to `high`.
    pub(crate) fn number(&self, low: u64, high: u64) -> Option<u64> {
        let Some(integer) = self.value.get_ref().as_integer() else {
            return self.wrong("a whole number");
        };
        match u64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) if (low..=high).contains(&number) => Some(number),
            _ => {
                self.source.complain(
                    self.span(),
                    format!("`{}` must be between {low} and {high}", self.key),
                );
                None
            }
        }
    }

    /// An instant: a date with a time and where that is.
    pub(crate) fn instant(&self) -> Option<Micros> {
        let written = match self.value.get_ref() {
            DeValue::Datetime(written) => written,
            _ => return self.wrong("a date and time like 2026-11-22T10:00:00Z"),
        };
        let instant = written.to_string().parse::<jiff::Timestamp>().ok();
        let micros = instant.and_then(|instant| u64::try_from(instant.as_microsecond()).ok());
        if micros.is_none() {
            let message = format!(
                "`{}` must be a date with a time and an offset, like 2026-11-22T10:00:00Z, after 1970",
                self.key
            );
            self.source.complain(self.span(), message);
        }
        micros.map(Micros)
    }

    /// Text, a number, or true or false.
    pub(crate) fn plain(&self) -> Option<Plain> {
        let number = |text: &str| text.replace('_', "").parse().ok().map(Plain::Number);
        let plain = match self.value.get_ref() {
            DeValue::String(text) => Some(Plain::Text(text.to_string())),
            DeValue::Boolean(bool) => Some(Plain::Bool(*bool)),
            DeValue::Integer(integer) if integer.radix() == 10 => number(integer.as_str()),
            DeValue::Float(float) => number(float.as_str()),
            _ => None,
        };
        plain.or_else(|| self.wrong("a string, a number, or true or false"))
    }

    pub(crate) fn array(&self) -> Option<Vec<Value<'s, 't>>> {
        match self.value.get_ref() {
            DeValue::Array(values) => Some(
                values
                    .iter()
                    .map(|value| Value {
                        source: self.source,
                        key: self.key.clone(),
                        value,
                    })
                    .collect(),
            ),
            _ => self.wrong("an array"),
        }
    }

    /// A string, or an array of strings.
    pub(crate) fn strings(&self) -> Option<Vec<At<String>>> {
        match self.value.get_ref() {
            DeValue::Array(_) => self.array()?.iter().map(Value::string).collect(),
            DeValue::String(_) => self.string().map(|one| vec![one]),
            _ => self.wrong("a string or an array of strings"),
        }
    }

    /// One of the words of `choices`.
    pub(crate) fn choice<T: Copy>(&self, choices: &[(&'static str, T)]) -> Option<T> {
        choose(self.source, &self.string()?, &self.key, choices)
    }
}

/// The meaning of one of the words of `choices`.
pub(crate) fn choose<T: Copy>(
    source: &Source<'_>,
    word: &At<String>,
    what: &str,
    choices: &[(&'static str, T)],
) -> Option<T> {
    let found = choices
        .iter()
        .find(|(name, _)| *name == word.value)
        .map(|(_, choice)| *choice);
    if found.is_none() {
        let names = || choices.iter().map(|(name, _)| *name);
        let help = match nearest(&word.value, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("one of: {}", names().collect::<Vec<_>>().join(", ")),
        };
        source.complain_with(
            word.span.clone(),
            format!("`{what}` cannot be `{}`", word.value),
            Some(help),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_complaint_is_told_once_also_where_another_stands_between() {
        let source = Source::new("file", "a b\n");
        for (at, message) in [(2, "x"), (0, "one"), (0, "two"), (0, "one"), (2, "x")] {
            source.complain(at..at + 1, message);
        }
        let told = source.into_diagnostics();
        let messages: Vec<&str> = told.iter().map(Diagnostic::message).collect();
        assert_eq!(messages, ["one", "two", "x"]);
    }
}
