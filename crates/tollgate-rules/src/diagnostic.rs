//! What is wrong with a rules file, shown as a person wants to see it.

use std::fmt;
use std::ops::Range;

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
            excerpt: without_passwords(text[line_start..line_end].trim_end().to_owned())
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
