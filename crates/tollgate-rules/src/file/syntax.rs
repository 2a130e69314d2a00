//! What was probably meant where a file is no TOML.

/// The help for a mistake at this byte, by the line that it is in.
pub(super) fn help(text: &str, at: usize, message: &str) -> Option<&'static str> {
    let before = text.get(..at)?;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text.get(start..)?.lines().next()?;
    let name = line.trim_start();
    let rest = name.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let is_named = rest.len() < name.len() && rest.trim_start().starts_with(':');
    if is_named && message.contains("`=`") {
        return Some("write `=`, not `:`");
    }
    let (_, value) = line.split_once('=')?;
    let value = value.trim_start();
    let is_bare = !value.starts_with(['"', '\'', '[', '{']) && !is_like_a_date(value);
    let has_marks = value.contains([':', '/']) || value.matches('.').count() > 1;
    let is_text = is_bare && has_marks;
    (message.contains("must be quoted") || is_text)
        .then_some("text needs quotes, as in `key = \"client-ip\"`")
}

fn is_like_a_date(value: &str) -> bool {
    let year = value.trim_start_matches(|c: char| c.is_ascii_digit());
    value.len() - year.len() == 4 && year.starts_with('-')
}
