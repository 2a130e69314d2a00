//! What clients show to be let in.

use aws_lc_rs::constant_time::verify_slices_are_equal;

/// The tokens of the service; with none of them everybody may ask.
pub(crate) struct Tokens(Vec<String>);

impl Tokens {
    /// These tokens.
    pub(crate) fn new(tokens: Vec<String>) -> Self {
        Tokens(tokens)
    }

    /// Whether nothing needs to be shown.
    pub(crate) fn is_open(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is one of them. It takes as long for a wrong one as for a right one of its length.
    pub(crate) fn admit(&self, shown: &[u8]) -> bool {
        let same = |token: &String| verify_slices_are_equal(token.as_bytes(), shown).is_ok();
        self.0.iter().fold(false, |any, token| same(token) | any)
    }

    /// Whether the value of a field `Authorization` lets its sender in: `Bearer`, in whatever case, and a token.
    pub(crate) fn admit_bearer(&self, value: Option<&[u8]>) -> bool {
        const SCHEME: &[u8] = b"Bearer ";
        let shown = || {
            let (scheme, token) = value?.split_at_checked(SCHEME.len())?;
            scheme.eq_ignore_ascii_case(SCHEME).then_some(token)
        };
        self.is_open() || shown().is_some_and(|token| self.admit(token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_is_let_in_and_nothing_else() {
        let tokens = Tokens::new(vec!["first-0123456789".into(), "other-0123456789".into()]);
        assert!(!tokens.is_open());
        assert!(tokens.admit(b"first-0123456789") && tokens.admit(b"other-0123456789"));
        for wrong in [
            &b""[..],
            b"first-012345678",
            b"first-01234567890",
            b"third-0123456789",
        ] {
            assert!(!tokens.admit(wrong));
        }
        assert!(Tokens::new(Vec::new()).is_open());
    }

    #[test]
    fn a_token_is_shown_as_a_bearer_has_it() {
        let tokens = Tokens::new(vec!["first-0123456789".into()]);
        for (value, admitted) in [
            (Some(&b"Bearer first-0123456789"[..]), true),
            (Some(b"bEARER first-0123456789"), true),
            (Some(b"Bearer  first-0123456789"), false),
            (Some(b"Basic: first-0123456789"), false),
            (Some(b"first-0123456789"), false),
            (Some(b"Bearer"), false),
            (None, false),
        ] {
            assert_eq!(tokens.admit_bearer(value), admitted, "{value:?}");
        }
        assert!(Tokens::new(Vec::new()).admit_bearer(None));
    }
}
