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
