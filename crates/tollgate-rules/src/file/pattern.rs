//! What a route matches: a method and a path in its one form.

use http::Method;

use crate::path;
use crate::read::{At, Source};

const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// `"GET /path"`, `"/path"` for every method.
pub(super) fn pattern(source: &Source<'_>, text: &At<String>) -> Option<(Option<Method>, String)> {
    let mut words = text.value.split_ascii_whitespace();
    let (method, path) = match (words.next(), words.next(), words.next()) {
        (Some(path), None, _) => (None, path),
        (Some(method), Some(path), None) => (Some(method), path),
        _ => {
            source.complain(
                text.span.clone(),
                "a match is a method and a path, like \"GET /call_api\", or a path alone",
            );
            return None;
        }
    };
    let method = match method.map(|name| {
        METHODS
            .into_iter()
            .find(|method| method.as_str() == name)
            .ok_or(name)
    }) {
        None => None,
        Some(Ok(method)) => Some(method),
        Some(Err(name)) => {
            let near = METHODS
                .iter()
                .find(|method| method.as_str().eq_ignore_ascii_case(name));
            let help = near.map_or(
                "one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            source.complain_with(
                text.span.clone(),
                format!("`{name}` is no method"),
                Some(help),
            );
            return None;
        }
    };
    // A parameter stands as a segment of plain characters.
    let plain = path.replace('{', "(~").replace('}', "~)");
    let reason = match path::normalise(&plain) {
        _ if !path.starts_with('/') => "a path begins with `/`".to_owned(),
        _ if path
            .split('/')
            .any(|segment| !is_literal_or_parameter(segment)) =>
        {
            "write `{name}` for one segment, and `{*rest}` at the end for all that follow"
                .to_owned()
        }
        Ok(normal) if normal == plain => return Some((method, path.to_owned())),
        Ok(normal) => format!(
            "it is never matched: requests are matched as `{}`",
            normal.replace("(~", "{").replace("~)", "}")
        ),
        Err(why) => why.to_string(),
    };
    source.complain(
        text.span.clone(),
        format!("`{path}` cannot be matched: {reason}"),
    );
    None
}

fn is_literal_or_parameter(segment: &str) -> bool {
    let parameter = segment
        .strip_prefix('{')
        .and_then(|segment| segment.strip_suffix('}'));
    let name = parameter.unwrap_or(segment);
    !name.contains(['{', '}']) && parameter.is_none_or(|name| !name.is_empty())
}
