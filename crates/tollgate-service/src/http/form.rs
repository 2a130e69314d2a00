//! In which form a client wants to hear a decision.

use http::header::HeaderName;

use super::problem::Failure;

/// Says that a preference was heeded (RFC 7240, section 3).
pub(super) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// The preference that is heeded (RFC 7240, section 4.2).
pub(super) const MINIMAL: &[u8] = b"return=minimal";

/// The form of a single decision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Form {
    /// 200 or 429, and everything there is to tell.
    #[default]
    Whole,
    /// The same, and 200 where it is denied.
    Whole200,
    /// 204 with the fields alone where it is allowed; a denial is whole. RFC 7240 means answers to what succeeds.
    Minimal,
}

impl Form {
    /// What a query and the fields `Prefer` ask for. A client that wants 200 for a denial has to read a body.
    pub(super) fn of<'p>(
        query: Option<&str>,
        preferences: impl IntoIterator<Item = &'p [u8]>,
    ) -> Result<Self, Failure> {
        Ok(match (wants_200(query)?, prefers_minimal(preferences)) {
            (true, _) => Form::Whole200,
            (false, true) => Form::Minimal,
            (false, false) => Form::Whole,
        })
    }
}

/// Whether a denial is to be answered with 200.
fn wants_200(query: Option<&str>) -> Result<bool, Failure> {
    let pairs = query.unwrap_or_default().split('&');
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut statuses = pairs.filter(|(name, _)| *name == "status").peekable();
    let is_said = statuses.peek().is_some();
    match statuses.all(|(_, value)| value == "200") {
        true => Ok(is_said),
        false => Err(Failure::unprocessable("`status` can be 200, or left out")),
    }
}

/// The first `return` counts, as of every preference. What cannot be read is no preference.
fn prefers_minimal<'p>(lines: impl IntoIterator<Item = &'p [u8]>) -> bool {
    let preferences = lines.into_iter().flat_map(|line| parts(line, b','));
    let mut named = preferences.map(|preference| {
        // Parameters behind a preference mean nothing here.
        let preference = parts(preference, b';').next().unwrap_or_default();
        let mut parts = preference.splitn(2, |byte| *byte == b'=');
        let mut part = || parts.next().unwrap_or_default().trim_ascii();
        (part(), part())
    });
    let first = named.find(|(name, _)| name.eq_ignore_ascii_case(b"return"));
    first.is_some_and(|(_, value)| {
        let inner = value
            .strip_prefix(b"\"")
            .and_then(|value| value.strip_suffix(b"\""));
        inner.unwrap_or(value).eq_ignore_ascii_case(b"minimal")
    })
}

/// What stands between separators. Those within quotes separate nothing.
fn parts(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |byte| {
        let is_plain = !std::mem::take(&mut escaped);
        match byte {
            b'"' if is_plain => quoted = !quoted,
            b'\\' if is_plain && quoted => escaped = true,
            _ => return *byte == separator && !quoted,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_return_that_a_client_prefers_is_heeded() {
        for (lines, minimal) in [
            (&["return=minimal"][..], true),
            (&["Return = \"Minimal\"; why=not"], true),
            (&["respond-async, wait=10", "return=minimal"], true),
            (&["return=representation, return=minimal"], false),
            (&["return=minimal", "return=representation"], true),
            (&["return"], false),
            (&["x=\"a, return=minimal\""], false),
            (&["x=\"a, return=minimal, b\""], false),
            (&["x=\"\\\", return=minimal, b\""], false),
            (&["x=\"a;\\\\\"; y=\",\", return=minimal"], true),
            (&["x; y=\"a, return=minimal, b\", return=minimal"], true),
            (&["x=\"a", "return=minimal"], true),
            (&["minimal", "returned=minimal", "x=return=minimal"], false),
            (&[""], false),
            (&[], false),
        ] {
            let fields = || lines.iter().map(|line| line.as_bytes());
            let form = Form::of(Some("stat=429"), fields()).unwrap();
            assert_eq!(form == Form::Minimal, minimal, "{lines:?}");
            let whole = Form::of(Some("a&status=200"), fields()).unwrap();
            assert_eq!(whole, Form::Whole200);
        }
    }
}
