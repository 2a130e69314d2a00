//! Requests that another site makes a browser send. No hidden tokens: the browser itself says where they come from.

use http::header::{self, HeaderName};
use http::request::Parts;

use crate::refusal::Refusal;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses what changes something and comes from another site: by `Sec-Fetch-Site`, else by `Origin`. A request that
/// carries neither is no browser's.
pub(crate) fn check(parts: &Parts) -> Result<(), Refusal> {
    if parts.method.is_safe() {
        return Ok(());
    }
    let same_site = match (
        parts.headers.get(SEC_FETCH_SITE),
        parts.headers.get(header::ORIGIN),
    ) {
        (Some(site), _) => matches!(site.as_bytes(), b"same-origin" | b"none"),
        (None, Some(origin)) => {
            let host = parts
                .headers
                .get(header::HOST)
                .and_then(|host| host.to_str().ok());
            let from = origin
                .to_str()
                .ok()
                .and_then(|origin| origin.split_once("://"))
                .map(|(_, host)| host);
            from.is_some() && from == host
        }
        (None, None) => true,
    };
    if same_site {
        Ok(())
    } else {
        Err(Refusal::forbidden("This request was sent by another site."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn passes(method: &str, fields: &[(&str, &str)]) -> bool {
        let mut request = Request::builder()
            .method(method)
            .uri("/")
            .header("host", "site:8000");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap().into_parts().0).is_ok()
    }

    #[test]
    fn a_browser_that_was_sent_here_by_another_site_changes_nothing() {
        assert!(passes("POST", &[]));
        assert!(passes(
            "POST",
            &[
                ("sec-fetch-site", "same-origin"),
                ("origin", "http://elsewhere")
            ]
        ));
        assert!(passes("POST", &[("sec-fetch-site", "none")]));
        assert!(passes("POST", &[("origin", "http://site:8000")]));
        assert!(passes("GET", &[("sec-fetch-site", "cross-site")]));
        for fields in [
            [("sec-fetch-site", "cross-site")],
            [("sec-fetch-site", "same-site")],
            [("origin", "http://elsewhere")],
            [("origin", "null")],
            [("origin", "http://site:8001")],
        ] {
            assert!(!passes("POST", &fields), "{fields:?}");
        }
    }
}
