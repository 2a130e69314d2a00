//! The interactive documentation of the routes.

use bytes::Bytes;
use http::{Response, StatusCode};
use tollgate_gateway::builtin::BuiltinCall;
use tollgate_gateway::page;
use tollgate_gateway::refusal::Refusal;

use super::pages::DocsPage;
use super::{Builtins, answer, assets};

impl Builtins {
    /// The page, the document that it shows, and its scripts in case that no route serves assets.
    pub(super) fn docs(&self, call: &BuiltinCall) -> Result<Response<Bytes>, Refusal> {
        let headers = call.request.headers();
        match call.rest.as_str() {
            "" => self.docs_page(call.request.uri().path().trim_end_matches('/')),
            "openapi.json" => {
                let document = self.openapi.clone();
                Ok(answer::with_type(
                    StatusCode::OK,
                    "application/json",
                    document,
                ))
            }
            other => match other.strip_prefix("assets/") {
                Some(path) => assets::answer(path, headers),
                None => Err(Refusal::not_found()),
            },
        }
    }

    fn docs_page(&self, path: &str) -> Result<Response<Bytes>, Refusal> {
        let own_assets = format!("{path}/assets");
        let page = DocsPage {
            title: "API · Tollgate",
            assets: self.links.assets.as_deref().unwrap_or(&own_assets),
            openapi: &format!("{path}/openapi.json"),
        };
        let mut response = answer::page(StatusCode::OK, &page)?;
        page::protect_docs(response.headers_mut());
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use tollgate_rules::Builtin;

    use super::super::testing::{Site, json, text};
    use super::*;

    async fn get(site: &Site, path: &str, rest: &str) -> Result<Response<Bytes>, Refusal> {
        let request = Request::get(path).body(Bytes::new()).unwrap();
        site.send_to(Builtin::Docs, request, rest, None).await
    }

    #[tokio::test]
    async fn the_page_shows_the_document_with_scripts_of_our_own() {
        let site = Site::new("hello-by-ip").await;
        for path in ["/docs", "/docs/"] {
            let page = get(&site, path, "").await.unwrap();
            assert!(
                text(&page).contains("data-openapi=\"/docs/openapi.json\""),
                "{path}"
            );
            assert!(text(&page).contains("src=\"/assets/swagger-ui/swagger-ui-bundle.js\""));
            let policy = page.headers()["content-security-policy"].to_str().unwrap();
            assert!(policy.contains("default-src 'none'"));
        }
        let document = get(&site, "/docs/openapi.json", "openapi.json")
            .await
            .unwrap();
        assert_eq!(json(&document)["openapi"], "3.1.0");
        assert!(get(&site, "/docs/x", "x").await.is_err());
    }

    #[tokio::test]
    async fn without_a_route_for_assets_the_page_brings_its_own() {
        let text_of_rules = "[[routes]]\nmatch = \"GET /d/{*rest}\"\nbuiltin = \"docs\"";
        let rules = tollgate_rules::RuleSet::parse("docs", text_of_rules, &Default::default());
        let site = Site::of(rules.unwrap()).await;
        let page = get(&site, "/d", "").await.unwrap();
        assert!(text(&page).contains("src=\"/d/assets/docs.js\""));
        assert_eq!(
            get(&site, "/d/assets/docs.js", "assets/docs.js")
                .await
                .unwrap()
                .status(),
            200
        );
    }
}
