//! The monitor answers several questions below one pattern; the document has a path for each.

use tollgate_rules::{Action, Builtin, Route};

/// What stands below `{*rest}`, and what its operations' names begin with.
const BELOW_KEYS: [(&str, &str); 3] = [
    ("{id}", "key "),
    ("{id}/series", "series "),
    ("live", "live "),
];
const BELOW: [(&str, &str); 4] = [
    ("keys", ""),
    ("keys/{id}", "key "),
    ("keys/{id}/series", "series "),
    ("live", "live "),
];

/// The paths of a pattern, each with what its operations' names begin with; of other routes the pattern alone.
pub(super) fn parts(pattern: &str, route: &Route) -> Vec<(String, &'static str)> {
    let is_monitor = matches!(
        &route.action,
        Action::Builtin {
            builtin: Builtin::Monitor,
            ..
        }
    );
    let above = pattern.split_once("{*").map(|(above, _)| above);
    let Some(above) = above.filter(|_| is_monitor) else {
        return vec![(pattern.to_owned(), "")];
    };
    let below: &[_] = match above.ends_with("/keys/") {
        true => &BELOW_KEYS,
        false => &BELOW,
    };
    let path = |(path, part): &(&str, &'static str)| (format!("{above}{path}"), *part);
    below.iter().map(path).collect()
}
