//! In which form a client reads its answers.

use http::header::{self, HeaderMap};

/// The form in which a client reads an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepts {
    /// A browser.
    Html,
    /// Everything else, unless it asks for plain text.
    Json,
    /// `Accept: text/plain`.
    Text,
}

/// The media ranges that say something, the usual ones first.
const FORMS: [(&str, Accepts); 8] = [
    ("*/*", Accepts::Json),
    ("application/json", Accepts::Json),
    ("text/html", Accepts::Html),
    ("application/xhtml+xml", Accepts::Html),
    ("application/problem+json", Accepts::Json),
    ("application/*", Accepts::Json),
    ("text/plain", Accepts::Text),
    ("text/*", Accepts::Text),
];

impl Accepts {
    /// What the `Accept` field prefers among the three; JSON when it does not care.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut lines = headers.get_all(header::ACCEPT).iter();
        // One range alone is what programs send.
        if let (Some(line), None) = (lines.next(), lines.next())
            && let Some(form) = form_of(line.as_bytes())
        {
            return form;
        }
        let mut best = (0, Accepts::Json);
        let lines = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|line| line.to_str().ok());
        for range in lines.flat_map(|line| line.split(',')).take(64) {
            let mut parts = range.split(';').map(str::trim);
            let Some(form) = form_of(parts.next().unwrap_or_default().as_bytes()) else {
                continue;
            };
            let weight = parts
                .find_map(|parameter| parameter.strip_prefix("q="))
                .map_or(1000, thousandths);
            if weight > best.0 {
                best = (weight, form);
            }
        }
        best.1
    }
}

fn form_of(media: &[u8]) -> Option<Accepts> {
    let known = FORMS
        .iter()
        .find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(media));
    known.map(|(_, form)| *form)
}

/// A quality value (RFC 9110, section 12.4.2) in thousandths.
fn thousandths(text: &str) -> u32 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    let value =
        whole.parse::<u32>().unwrap_or(0).min(1) * 1000 + digits.parse::<u32>().unwrap_or(0);
    value.min(1000)
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;

    use super::*;

    #[test]
    fn a_client_is_answered_in_the_form_it_prefers() {
        let cases = [
            ("", Accepts::Json),
            ("*/*", Accepts::Json),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                Accepts::Html,
            ),
            ("application/json, text/html;q=0.5", Accepts::Json),
            ("text/html;q=0.5, application/json", Accepts::Json),
            ("text/plain", Accepts::Text),
            ("text/html;q=0, */*", Accepts::Json),
            ("image/png", Accepts::Json),
            ("text/html;q=4294968, text/plain;q=0.5", Accepts::Html),
            ("text/html;q=-1;q=x, text/plain;q=0.0001", Accepts::Json),
        ];
        for (accept, form) in cases {
            let mut headers = HeaderMap::new();
            if !accept.is_empty() {
                headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            }
            assert_eq!(Accepts::of(&headers), form, "{accept}");
        }
    }
}
