//! One form for text that can be written in several: names are compared, and passwords hashed, in NFKC.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};

/// The form in which names are compared: NFKC and lower case. Two names with one form are one name.
pub fn fold_name(name: &str) -> String {
    let lower = nfkc(name).to_lowercase();
    // Lower case can leave what NFKC would join again.
    nfkc(&lower).into_owned()
}

/// The forms under which a name may stand in the database, the one from before names were normalised first: somebody
/// who has such a name must not be taken for the holder of the normal one.
pub(crate) fn stored_forms(name: &str) -> impl Iterator<Item = String> {
    let (before, now) = (name.to_lowercase(), fold_name(name));
    let differ = before != now;
    std::iter::once(before).chain(differ.then_some(now))
}

/// Why a name with such characters is refused.
pub(crate) const HIDDEN: &str = "must not contain invisible characters or marks of direction";

/// Whether a text has characters that are not seen, with which two names look alike, or that turn what stands beside
/// them: those of Unicode 16.0 with `Default_Ignorable_Code_Point` (DerivedCoreProperties.txt), among which are all with
/// `Bidi_Control` (PropList.txt), and the two that separate lines and paragraphs.
pub(crate) fn has_hidden(text: &str) -> bool {
    text.chars().any(is_hidden)
}

pub(crate) fn is_hidden(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// A text in NFKC; most are already.
pub(crate) fn nfkc(text: &str) -> Cow<'_, str> {
    match is_nfkc_quick(text.chars()) {
        IsNormalized::Yes => Cow::Borrowed(text),
        _ => Cow::Owned(text.nfkc().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_that_look_alike_are_one_and_accents_are_not_lost() {
        for (one, other) in [
            ("Ann", "\u{ff21}\u{ff2e}\u{ff2e}"),
            ("\u{e9}lodie", "E\u{301}LODIE"),
            ("fi", "\u{fb01}"),
        ] {
            assert_eq!(fold_name(one), fold_name(other), "{one}");
        }
        assert_ne!(fold_name("ann"), fold_name("\u{e1}nn"));
        assert_eq!(stored_forms("Ann").collect::<Vec<_>>(), ["ann"]);
        assert_eq!(
            stored_forms("\u{fb01}").collect::<Vec<_>>(),
            ["\u{fb01}", "fi"]
        );
    }
}
