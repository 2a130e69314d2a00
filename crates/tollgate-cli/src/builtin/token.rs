//! A token for whoever asks: a session's own, or a guest's.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::json;
use tollgate_gateway::builtin::BuiltinCall;
use tollgate_gateway::refusal::Refusal;

use super::{Builtins, answer};

impl Builtins {
    pub(super) async fn token(&self, call: &BuiltinCall) -> Result<Response<Bytes>, Refusal> {
        let attempt = self.protection.token(call.caller.address);
        attempt.charge(&self.counters, self.now()).await?;
        let identity = call.caller.identity.as_deref();
        let own = identity.and_then(|who| self.accounts.user_token(who));
        let token = own.unwrap_or_else(|| self.accounts.guest_token());
        let body = json!({
            "token": token.token.expose(),
            "token_type": "Bearer",
            "expires_in": token.expires_in.as_secs(),
        });
        answer::json(StatusCode::OK, &body)
    }
}

#[cfg(test)]
mod tests {
    use tollgate_accounts::Credential;
    use tollgate_rules::Builtin;

    use super::super::testing::{Site, json as body};

    #[tokio::test]
    async fn a_token_stands_for_the_session_that_asks_or_else_for_a_guest() {
        let site = Site::new("hello-by-ip").await;
        let ann = site.log_in("ann").await;
        for (asking, name) in [(None, None), (Some(&ann), Some("ann"))] {
            let response = site.get(Builtin::Token, asking).await.unwrap();
            assert_eq!(response.headers()["cache-control"], "no-store");
            let answer = body(&response);
            assert_eq!(
                (&answer["token_type"], &answer["expires_in"]),
                (&"Bearer".into(), &3600.into())
            );
            let token = Credential::Bearer(answer["token"].as_str().unwrap());
            let identity = site.accounts.identify(&token).await.unwrap().unwrap();
            assert_eq!(identity.name.as_deref(), name);
        }
    }

    #[tokio::test]
    async fn an_address_gets_only_so_many() {
        let site = Site::new("hello-by-ip").await;
        for _ in 0..30 {
            assert!(site.get(Builtin::Token, None).await.is_ok());
        }
        assert_eq!(
            site.get(Builtin::Token, None)
                .await
                .unwrap_err()
                .status(None),
            429
        );
    }
}
