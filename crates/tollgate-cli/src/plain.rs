//! Text that others chose, fit for a terminal: it can neither move the cursor nor turn the direction of what stands
//! beside it.

use std::fmt;

use serde::{Deserialize, Deserializer};

/// Characters of one text at most.
const CHARS_MAX: usize = 200;

/// What stands in the place of a character that is not shown.
const REPLACEMENT: char = '\u{fffd}';

/// A text without control characters and invisible ones, and of a bounded length.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Plain(String);

impl Plain {
    pub(crate) fn new(text: &str) -> Self {
        let mut shown: String = text.chars().take(CHARS_MAX).map(replaced).collect();
        if text.chars().nth(CHARS_MAX).is_some() {
            shown.push('…');
        }
        Plain(shown)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Plain::new(&text))
    }
}

/// A line whole, but for such characters.
pub(crate) fn line(text: &str) -> String {
    text.chars().map(replaced).collect()
}

/// Lines whole, with tabs as they are.
pub(crate) fn lines(text: &str) -> String {
    let layout = |char| matches!(char, '\n' | '\t');
    let shown = |char| if layout(char) { char } else { replaced(char) };
    text.chars().map(shown).collect()
}

/// JSON whose texts have no such character either: they are escaped, so that a program reads what they were.
pub(crate) fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for char in json.chars() {
        match char {
            // Between texts it is layout; within them it has been escaped already.
            '\n' => escaped.push(char),
            _ if is_unfit(char) => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    escaped.push_str(&format!("\\u{unit:04x}"));
                }
            }
            _ => escaped.push(char),
        }
    }
    escaped
}

fn replaced(char: char) -> char {
    if is_unfit(char) { REPLACEMENT } else { char }
}

/// Control characters, C1 among them, and those that show nothing but change how others are shown.
fn is_unfit(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ODD: &str = "a\u{1b}[2J\u{9b}31m\u{202e}b\r\n\u{7f}\u{200b}\u{e0041}é漢";

    #[test]
    fn what_could_move_the_cursor_or_turn_the_text_is_replaced() {
        let shown = Plain::new(ODD);
        assert_eq!(
            shown.as_str(),
            "a\u{fffd}[2J\u{fffd}31m\u{fffd}b\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}é漢"
        );
        assert_eq!(
            Plain::new(&"x".repeat(1_000)).as_str().chars().count(),
            CHARS_MAX + 1
        );
    }

    #[test]
    fn lines_are_shown_whole_with_their_layout() {
        assert_eq!(line(&"\u{1b}\t\n".repeat(99)), "\u{fffd}".repeat(297));
        assert_eq!(lines("a\u{1b}\r\n\tb"), "a\u{fffd}\u{fffd}\n\tb");
    }

    #[test]
    fn json_keeps_every_character_but_writes_odd_ones_as_numbers() {
        let value = serde_json::json!({ ODD: [ODD, 1] });
        let escaped = escaped(&serde_json::to_string_pretty(&value).unwrap());
        assert!(
            !escaped.chars().any(|char| char != '\n' && is_unfit(char)),
            "{escaped:?}"
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&escaped).unwrap(),
            value
        );
    }
}
