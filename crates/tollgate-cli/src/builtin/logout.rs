//! Ending a session, and with it its token, at once.

use bytes::Bytes;
use http::Response;
use tollgate_gateway::builtin::BuiltinCall;
use tollgate_gateway::refusal::Refusal;

use super::{Builtins, answer, cookie, form, unreachable};

impl Builtins {
    /// Without a session there is nothing to end, and the answer is the same.
    pub(super) async fn log_out(&self, call: &BuiltinCall) -> Result<Response<Bytes>, Refusal> {
        let session = call
            .caller
            .identity
            .as_ref()
            .and_then(|who| who.session.as_ref());
        if let Some(session) = session {
            self.accounts
                .log_out(session)
                .await
                .map_err(|error| unreachable(&error))?;
        }
        let mut response = if form::is_from_page(&call.request) {
            answer::see_other(self.links.home.as_deref().unwrap_or("/"))
        } else {
            answer::no_content()
        };
        cookie::clear(&mut response, self.sets_secure_cookies(call));
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use tollgate_rules::Builtin;

    use super::super::testing::{FORM, Site};

    #[tokio::test]
    async fn a_session_and_its_token_are_dead_at_once() {
        let site = Site::new("random-number").await;
        let ann = site.log_in("ann").await;
        let response = site
            .post(Builtin::Logout, ("", "*/*"), "", Some(&ann))
            .await
            .unwrap();
        assert_eq!(response.status(), 204);
        assert!(
            response.headers()["set-cookie"]
                .to_str()
                .unwrap()
                .contains("session=; ")
        );
        assert!(!ann.is_alive());
    }

    #[tokio::test]
    async fn without_a_session_the_answer_is_the_same() {
        let site = Site::new("random-number").await;
        assert_eq!(
            site.post(Builtin::Logout, ("", "*/*"), "", None)
                .await
                .unwrap()
                .status(),
            204
        );
        let page = site
            .post(Builtin::Logout, (FORM, "text/html"), "", None)
            .await
            .unwrap();
        assert_eq!(
            (
                page.status().as_u16(),
                page.headers()["location"].to_str().unwrap()
            ),
            (303, "/")
        );
        assert_eq!(
            site.get(Builtin::Logout, None)
                .await
                .unwrap_err()
                .status(None),
            405
        );
    }
}
