//! What is wrong with a rules file, shown as a person wants to see it.

use std::fmt;
use std::ops::Range;

use crate::read::nearest;

/// The longest excerpt of a line that is shown.
const EXCERPT_CHARS_MAX: usize = 160;
/// The longest message, which may repeat what the file says.
const MESSAGE_CHARS_MAX: usize = 400;

/// One thing that is wrong: where, why, and what was probably meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    place: Place,
    message: String,
    help: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    File {
        file: String,
        line: usize,
        column: usize,
        width: usize,
        excerpt: String,
    },
    /// The flag and its variable, as `--resp or TOLLGATE_RESP`.
    Flag(String),
}

impl Diagnostic {
    pub(crate) fn new(
        file: &str,
        text: &str,
        span: Range<usize>,
        message: String,
        help: Option<String>,
    ) -> Self {
        let start = floor_char_boundary(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..]
            .find('\n')
            .map_or(text.len(), |newline| start + newline);
        let end = floor_char_boundary(text, span.end.clamp(start, line_end));
        let place = Place::File {
            file: file.to_owned(),
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            width: text[start..end].chars().count().max(1),
            // Of the whole line: what is cut off may be the `@` by which a password is known.
            excerpt: without_passwords(without_tokens(&text[..line_end], line_start))
                .chars()
                .take(EXCERPT_CHARS_MAX)
                .collect(),
        };
        Diagnostic {
            place,
            message: shortened(without_passwords(message)),
            help: help.map(shortened),
        }
    }

    /// One about what the command line says instead of the file: `key` is what the file calls it.
    pub(crate) fn of_flag(key: &str, message: String, help: Option<String>) -> Self {
        let variable = key.to_ascii_uppercase();
        Diagnostic {
            place: Place::Flag(format!("--{key} or TOLLGATE_{variable}")),
            message: shortened(without_passwords(message)),
            help: help.map(shortened),
        }
    }

    /// The line, counted from 1; 0 where a flag is wrong, and not the file.
    pub fn line(&self) -> usize {
        match self.place {
            Place::File { line, .. } => line,
            Place::Flag(_) => 0,
        }
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What was probably meant.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gutter = match &self.place {
            Place::File { line, .. } => line.to_string().len(),
            Place::Flag(_) => 0,
        };
        match &self.place {
            Place::Flag(flag) => writeln!(f, "error: {flag}: {}", self.message)?,
            Place::File {
                file,
                line,
                column,
                width,
                excerpt,
            } => {
                writeln!(f, "error: {}", self.message)?;
                writeln!(f, "{:gutter$}--> {file}:{line}:{column}", "")?;
                writeln!(f, "{:gutter$} |", "")?;
                writeln!(f, "{line} | {excerpt}")?;
                if *column <= EXCERPT_CHARS_MAX {
                    let carets = "^".repeat((*width).min(EXCERPT_CHARS_MAX + 1 - column));
                    let indent = column - 1;
                    writeln!(f, "{:gutter$} | {:indent$}{carets}", "", "")?;
                }
            }
        }
        match &self.help {
            Some(help) => writeln!(f, "{:gutter$} = help: {help}", ""),
            None => Ok(()),
        }
    }
}

/// The last line of the text, which begins at `start`, with `*` in place of every character of a token of the service.
/// Where that is not clear, too much is hidden.
fn without_tokens(text: &str, start: usize) -> String {
    let line = text[start..].trim_end();
    let shown = match token_key(line) {
        Some(end) => end,
        None if goes_on_with_tokens(&text[..start]) => 0,
        None => line.len(),
    };
    let hidden = line[shown..].chars();
    let stars = hidden.map(|c| if c.is_whitespace() { c } else { '*' });
    line[..shown].chars().chain(stars).collect()
}

/// Where the value begins of a key of this line that says one token or several, or probably means to.
fn token_key(line: &str) -> Option<usize> {
    let mut ends = line.match_indices(['=', ':']).map(|(place, _)| place);
    let place = ends.find(|place| {
        let words = line[..*place].rsplit([' ', '\t', ',', '{', '.']);
        let mut words = words.map(|word| word.trim_matches(['"', '\'']));
        let word = words.find(|word| !word.is_empty());
        word.is_some_and(|word| nearest(word, ["token", "tokens"].into_iter()).is_some())
    })?;
    Some(place + 1)
}

/// Whether what stands above a line leaves tokens open: an array, or a text of several lines.
fn goes_on_with_tokens(above: &str) -> bool {
    let codes = above
        .lines()
        .rev()
        .map(|line| line.split('#').next().unwrap_or_default().trim());
    // What ends with `]` ends an array, or is the head of a section.
    let mut codes = codes.take_while(|code| !code.ends_with(']'));
    codes.any(|code| {
        let value = token_key(code).map(|end| code[end..].trim_start());
        value.is_some_and(|value| {
            ["[", "\"\"\"", "'''"]
                .iter()
                .any(|begin| value.starts_with(begin))
        })
    })
}

/// The text with `*` in place of every character of a password in a URL, so that a log holds none.
fn without_passwords(mut text: String) -> String {
    let mut from = 0;
    while let Some(scheme) = text[from..].find("://") {
        let authority = from + scheme + 3;
        let length = text[authority..].find(['"', ' ']);
        let mut end = length.map_or(text.len(), |length| authority + length);
        let at = text[authority..end].rfind('@').map(|at| authority + at);
        let colon = text[authority..end]
            .find(':')
            .map(|colon| authority + colon + 1);
        if let (Some(at), Some(colon)) = (at, colon)
            && colon < at
        {
            let stars = "*".repeat(text[colon..at].chars().count());
            end = end - (at - colon) + stars.len();
            text.replace_range(colon..at, &stars);
        }
        from = end;
    }
    text
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_the_service_are_not_shown_wherever_they_stand() {
        for text in [
            "[service]\ntoken = \"SECRET",
            "[service]\ntoken=\"SECRET=\" # SECRET",
            "service = { resp = \"127.0.0.1:1\", token = \"SECRET\" }",
            "service.\"token\" = 'SECRET'",
            "[service]\ntokens = [\n  \"other\",\n  \"SECRET==\",",
            "[service]\ntoken = \"\"\"\nSECRET",
            "[service]\ntokens = [\n  # team = web\n  # token: web\n  \"SECRET\",",
            "[service]\ntokens = [\n  \"other\", # team=web\n  \"SECRET\", # old = true",
            "[service]\ntokens = [\n  SECRET=,",
            "[service]\ntokens = [ # [a]\n  \"SECRET\"",
            "[service]\ntokens = [\n  [\"SECRET\"],",
            "[service]\ntoken: \"SECRET\"",
            "[service]\ntokne = \"SECRET\"",
        ] {
            let at = text.find("SECRET").unwrap();
            let shown =
                Diagnostic::new("f", text, at..at + 6, "wrong".to_owned(), None).to_string();
            assert!(
                shown.contains("****") && !shown.contains("SECRET"),
                "{shown}"
            );
            assert!(!shown.contains("other"), "{shown}");
        }
        for text in [
            "[accounts]\ntoken_keys = \"shown\"",
            "[service]\ntoken = \"a\"\nresp = \"shown\"",
            "[service]\ntokens = [\"a\"]\nshown",
            "[service]\ntokens = [\n\"a\",\n] # both\nresp = \"shown\"",
            "[service]\ntokens = [\n\"a\",\n\"b\"]\nresp = \"shown\"",
            "[service]\ntokens = [\n\"a\"]\n[shown]",
        ] {
            let at = text.find("shown").unwrap();
            let shown =
                Diagnostic::new("f", text, at..at + 5, "wrong".to_owned(), None).to_string();
            assert!(shown.contains("shown"), "{shown}");
        }
    }
}
