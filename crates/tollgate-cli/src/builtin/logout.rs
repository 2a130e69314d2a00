//! Ending a session, and with it its token, at once; or all sessions of a user; or a token that has no session.

use bytes::Bytes;
use http::Response;
use tollgate_accounts::{Identity, RevokeError};
use tollgate_gateway::builtin::BuiltinCall;
use tollgate_gateway::refusal::Refusal;

use super::form::Fields;
use super::{Builtins, answer, cookie, form, unreachable};

impl Builtins {
    /// Without a session there is nothing to end, and the answer is the same.
    pub(super) async fn log_out(&self, call: &BuiltinCall) -> Result<Response<Bytes>, Refusal> {
        let everywhere = match Fields::of_optional(&call.request)? {
            Some(fields) => fields.optional_flag("everywhere")?,
            None => false,
        };
        if let Some(who) = call.caller.identity.as_deref() {
            self.end(who, everywhere).await?;
        }
        let mut response = if form::is_from_page(&call.request) {
            answer::see_other(self.links.home.as_deref().unwrap_or("/"))
        } else {
            answer::no_content()
        };
        cookie::clear(&mut response, self.sets_secure_cookies(call));
        Ok(response)
    }

    async fn end(&self, who: &Identity, everywhere: bool) -> Result<(), Refusal> {
        let ended = match &who.session {
            Some(_) if everywhere => self.accounts.log_out_everywhere(&who.user).await,
            Some(session) => self.accounts.log_out(session).await,
            None => {
                return match self.accounts.end_token(who).await {
                    Ok(_) => Ok(()),
                    Err(RevokeError::Unavailable(error)) => Err(unreachable(&error)),
                    Err(_) => Err(Refusal::unavailable("Too many tokens are being ended.")),
                };
            }
        };
        ended.map_err(|error| unreachable(&error))
    }
}

#[cfg(test)]
mod tests {
    use tollgate_accounts::Credential;
    use tollgate_rules::Builtin;

    use super::super::testing::{FORM, JSON, PASSWORD, Site};

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
    async fn everywhere_ends_all_sessions_of_the_user_and_of_nobody_else() {
        for (media_type, body) in [(JSON, r#"{"everywhere":true}"#), (FORM, "everywhere=true")] {
            let site = Site::new("random-number").await;
            let (ann, bob) = (site.log_in("ann").await, site.log_in("bob").await);
            let again = site.accounts.log_in("ann", PASSWORD).await.unwrap();
            let again = Credential::Session(again.session_secret.expose());
            let again = site.accounts.identify(&again).await.unwrap().unwrap();
            let kept = site
                .post(
                    Builtin::Logout,
                    (JSON, "*/*"),
                    r#"{"everywhere":"x"}"#,
                    Some(&ann),
                )
                .await;
            assert_eq!(kept.unwrap_err().status(None), 422);
            let ended = site.post(Builtin::Logout, (media_type, "*/*"), body, Some(&ann));
            assert_eq!(ended.await.unwrap().status(), 204);
            assert_eq!(
                [&ann, &again, &bob].map(|who| who.is_alive()),
                [false, false, true]
            );
        }
    }

    #[tokio::test]
    async fn a_guest_ends_their_token() {
        let site = Site::new("random-number").await;
        let token = site.accounts.guest_token();
        let token = Credential::Bearer(token.token.expose());
        let guest = site.accounts.identify(&token).await.unwrap().unwrap();
        let ended = site.post(Builtin::Logout, ("", "*/*"), "", Some(&guest));
        assert_eq!(ended.await.unwrap().status(), 204);
        assert!(site.accounts.identify(&token).await.unwrap().is_none());
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
