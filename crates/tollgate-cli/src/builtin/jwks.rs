//! The public keys of the gateway's tokens, for whoever else verifies them.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};

use super::{Builtins, answer};

/// A new key signs at once, so a copy must not be old.
const CACHED: &str = "public, max-age=60";

impl Builtins {
    pub(super) fn jwks(&self) -> Response<Bytes> {
        let set = self.accounts.jwks().into();
        let mut response = answer::with_type(StatusCode::OK, "application/jwk-set+json", set);
        let cached = HeaderValue::from_static(CACHED);
        response.headers_mut().insert(header::CACHE_CONTROL, cached);
        response
    }
}

#[cfg(test)]
mod tests {
    use tollgate_rules::Builtin;

    use super::super::testing::{Site, json as body};

    #[tokio::test]
    async fn a_secret_is_not_among_the_public_keys() {
        let site = Site::new("random-number").await;
        let answer = site.get(Builtin::Jwks, None).await.unwrap();
        assert_eq!(answer.headers()["cache-control"], "public, max-age=60");
        assert_eq!(body(&answer), serde_json::json!({ "keys": [] }));
    }
}
