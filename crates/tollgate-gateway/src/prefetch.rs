//! Browsers that fetch ahead of their users.

use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use tollgate_rules::Route;

use crate::body::Body;
use crate::trace::Trace;

/// The empty answer to a browser that fetches ahead of its user, where that is not wanted.
pub(crate) fn refused(
    trace: &mut Trace<'_>,
    route: &Route,
    parts: &Parts,
) -> Option<Response<Body>> {
    trace.refused_prefetch = route.refuse_prefetch && is_prefetch(parts);
    trace.refused_prefetch.then(|| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        let no_store = HeaderValue::from_static("no-store");
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, no_store);
        response
    })
}

/// A browser fetches ahead of its user (`Sec-Purpose: prefetch`, and what came before it).
fn is_prefetch(parts: &Parts) -> bool {
    let fields = ["sec-purpose", "purpose", "x-moz", "x-purpose"].into_iter();
    let values = fields.flat_map(|name| parts.headers.get_all(name).iter());
    values
        .filter_map(|value| value.to_str().ok())
        .any(|purpose| {
            let purpose = purpose.to_ascii_lowercase();
            purpose.contains("prefetch") || purpose.contains("preview")
        })
}
