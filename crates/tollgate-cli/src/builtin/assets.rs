//! Style sheets and scripts, embedded in the binary, so that a page needs nothing from elsewhere.

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use tollgate_gateway::refusal::Refusal;

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! web {
    ($path:literal) => {
        include_bytes!(concat!("../../../../web/", $path))
    };
}

type File = (&'static str, &'static str, &'static [u8]);

/// Path, media type, content.
const FILES: [File; 24] = [
    ("style.css", CSS, web!("assets/style.css")),
    ("app.js", SCRIPT, web!("assets/app.js")),
    ("copy.js", SCRIPT, web!("assets/copy.js")),
    ("docs.js", SCRIPT, web!("assets/docs.js")),
    ("icon.svg", SVG, web!("assets/icon.svg")),
    (
        "console/console.css",
        CSS,
        web!("assets/console/console.css"),
    ),
    ("console/dom.js", SCRIPT, web!("assets/console/dom.js")),
    ("console/api.js", SCRIPT, web!("assets/console/api.js")),
    (
        "console/stream.js",
        SCRIPT,
        web!("assets/console/stream.js"),
    ),
    ("console/chart.js", SCRIPT, web!("assets/console/chart.js")),
    ("console/own.js", SCRIPT, web!("assets/console/own.js")),
    ("console/use.js", SCRIPT, web!("assets/console/use.js")),
    ("console/keys.js", SCRIPT, web!("assets/console/keys.js")),
    ("console/live.js", SCRIPT, web!("assets/console/live.js")),
    (
        "console/callers.js",
        SCRIPT,
        web!("assets/console/callers.js"),
    ),
    (
        "console/limits.js",
        SCRIPT,
        web!("assets/console/limits.js"),
    ),
    ("console/users.js", SCRIPT, web!("assets/console/users.js")),
    ("console/plans.js", SCRIPT, web!("assets/console/plans.js")),
    ("console/audit.js", SCRIPT, web!("assets/console/audit.js")),
    (
        "console/health.js",
        SCRIPT,
        web!("assets/console/health.js"),
    ),
    (
        "uplot/uPlot.min.css",
        CSS,
        web!("vendor/uplot/uPlot.min.css"),
    ),
    (
        "uplot/uPlot.iife.min.js",
        SCRIPT,
        web!("vendor/uplot/uPlot.iife.min.js"),
    ),
    (
        "swagger-ui/swagger-ui.css",
        CSS,
        web!("vendor/swagger-ui/swagger-ui.css"),
    ),
    (
        "swagger-ui/swagger-ui-bundle.js",
        SCRIPT,
        web!("vendor/swagger-ui/swagger-ui-bundle.js"),
    ),
];

/// Files that are there packed as well, for those who take them so: the first page of the console is to be small.
const PACKED: [(&str, &[u8]); 1] = [(
    "uplot/uPlot.iife.min.js",
    web!("vendor/uplot/uPlot.iife.min.js.gz"),
)];

/// The entity tag of each file, in their order.
static ETAGS: LazyLock<[HeaderValue; FILES.len()]> =
    LazyLock::new(|| FILES.map(|(.., body)| etag_of(body)));

/// The file of this path; nothing but its fields when the client has it already.
pub(crate) fn answer(path: &str, headers: &HeaderMap) -> Result<Response<Bytes>, Refusal> {
    let place = FILES.iter().position(|(known, ..)| *known == path);
    let place = place.ok_or_else(Refusal::not_found)?;
    let ((_, media_type, body), etag) = (FILES[place], &ETAGS[place]);
    let packed = PACKED.iter().find(|(known, _)| *known == path);
    let vary = packed.is_some();
    if let Some((_, packed)) = packed.filter(|_| takes_gzip(headers)) {
        let mut response = file(media_type, packed, &etag_of(packed), headers);
        let gzip = HeaderValue::from_static("gzip");
        response
            .headers_mut()
            .insert(header::CONTENT_ENCODING, gzip);
        return Ok(varied(response));
    }
    let response = file(media_type, body, etag, headers);
    Ok(if vary { varied(response) } else { response })
}

/// Which of two forms it is depends on what the client takes.
fn varied(mut response: Response<Bytes>) -> Response<Bytes> {
    let by = HeaderValue::from_static("accept-encoding");
    response.headers_mut().insert(header::VARY, by);
    response
}

/// Whether a client takes gzip (RFC 9110, section 12.5.3). One that says more than the word, a weight say, is not asked
/// for it.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter();
    let mut words = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    words.any(|word| word.trim().eq_ignore_ascii_case("gzip"))
}

/// A file, or nothing but its fields when the client has it already.
fn file(
    media_type: &'static str,
    body: &'static [u8],
    etag: &HeaderValue,
    headers: &HeaderMap,
) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(body));
    if is_known(headers, etag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Bytes::new();
    } else {
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    let fields = response.headers_mut();
    fields.insert(header::ETAG, etag.clone());
    fields.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=3600"),
    );
    fields.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// Tells two builds' files apart; nobody gains by forging one.
fn etag_of(body: &[u8]) -> HeaderValue {
    let tag = format!("\"{:08x}-{:x}\"", crc32fast::hash(body), body.len());
    HeaderValue::from_str(&tag).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// Weak comparison (RFC 9110, section 13.1.2).
fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let lines = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|line| line.to_str().ok());
    let mut tags = lines.flat_map(|line| line.split(',')).map(str::trim);
    tags.any(|tag| {
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag.as_bytes()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str, known: &str) -> Response<Bytes> {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_str(known).unwrap());
        answer(path, &headers).unwrap()
    }

    #[test]
    fn a_file_that_the_client_has_is_not_sent_again() {
        for (path, media_type, body) in FILES {
            let first = get(path, "\"other\"");
            assert_eq!(first.status(), 200);
            assert_eq!(first.headers()[header::CONTENT_TYPE], media_type);
            assert_eq!(first.body(), body);
            let etag = first.headers()[header::ETAG].to_str().unwrap();
            for known in [
                etag.to_owned(),
                format!("\"other\", W/{etag}"),
                "*".to_owned(),
            ] {
                let second = get(path, &known);
                assert_eq!(second.status(), 304, "{known}");
                assert!(second.body().is_empty());
                assert_eq!(second.headers()[header::ETAG], etag);
            }
        }
    }

    #[test]
    fn a_packed_file_is_for_those_who_take_it_and_is_the_file() {
        for (path, packed) in PACKED {
            let mut headers = HeaderMap::new();
            let plain = answer(path, &headers).unwrap();
            assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));
            for none in ["br", "gzip;q=0", "x-gzip"] {
                headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(none));
                assert_eq!(answer(path, &headers).unwrap().body(), plain.body());
            }
            let takes = HeaderValue::from_static("gzip, deflate, br");
            headers.insert(header::ACCEPT_ENCODING, takes);
            let response = answer(path, &headers).unwrap();
            assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
            assert_eq!(response.body(), packed);
            for answer in [&plain, &response] {
                assert_eq!(answer.headers()[header::VARY], "accept-encoding");
            }
            let etag = response.headers()[header::ETAG].clone();
            assert_ne!(etag, plain.headers()[header::ETAG]);
            headers.insert(header::IF_NONE_MATCH, etag);
            assert_eq!(answer(path, &headers).unwrap().status(), 304);
            // What was packed: its CRC and its length stand at the end (RFC 1952, section 2.3.1).
            let end: [u8; 8] = packed[packed.len() - 8..].try_into().unwrap();
            let (crc, length) = (crc32fast::hash(plain.body()), plain.body().len());
            assert_eq!(end[..4], crc.to_le_bytes());
            assert_eq!(end[4..], u32::try_from(length).unwrap().to_le_bytes());
        }
    }

    #[test]
    fn files_have_different_tags_and_unknown_paths_nothing() {
        let mut tags: Vec<_> = ETAGS.iter().collect();
        tags.sort_unstable();
        tags.dedup();
        assert_eq!(tags.len(), FILES.len());
        for path in ["", "STYLE.CSS", "../assets/style.css", "swagger-ui/"] {
            assert_eq!(
                answer(path, &HeaderMap::new()).unwrap_err().status(None),
                404,
                "{path}"
            );
        }
    }
}
