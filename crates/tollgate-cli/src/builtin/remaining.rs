//! What is left in each window, as JSON. Charges nothing, and says what the response fields said last.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::ser::{Serialize, SerializeMap, Serializer};
use tollgate::{Decision, Reason};
use tollgate_accounts::Identity;
use tollgate_gateway::builtin::BuiltinCall;
use tollgate_gateway::refusal::Refusal;
use tollgate_rules::Subject;

use super::standings::{Standings, caller};
use super::{Builtins, answer, time};
use crate::standing::Standing;

/// The answer: who, when, one object for each window, and what passes now.
struct Remaining<'a> {
    user: Option<&'a str>,
    as_of: String,
    standings: Standings,
}

impl Builtins {
    pub(super) async fn remaining(&self, call: &BuiltinCall) -> Result<Response<Bytes>, Refusal> {
        let identity = call.caller.identity.as_deref();
        let user = identity.map(|who| who.user.as_str());
        let name = identity.and_then(|who| who.name.as_deref());
        let account_name = name.filter(|_| identity.is_some_and(Identity::has_account));
        let api_key = identity.and_then(|who| Some(who.counts_as.as_ref()?.as_str()));
        let subject = Subject {
            address: call.caller.address,
            claims: identity.map_or(&[], |who| &who.claims),
            query: call.request.uri().query(),
            route: call.request.uri().path(),
            ..caller(user, account_name, api_key, call.request.headers())
        };
        let own = identity.map_or(&[][..], |who| &who.own);
        let standings = self
            .standings(&call.of, &subject, own, identity.map(|who| &who.terms))
            .await
            .map_err(|reason| match (identity, reason) {
                (None, Reason::MissingKey) => Refusal::no_credentials(),
                _ => Refusal::limited(Vec::new(), Decision::refused(reason, self.now())),
            })?;
        let as_of = time::rfc3339(self.now());
        answer::json(
            StatusCode::OK,
            &Remaining {
                user: name.or(user),
                as_of,
                standings,
            },
        )
    }
}

impl Serialize for Remaining<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("user", &self.user)?;
        map.serialize_entry("as_of", &self.as_of)?;
        for window in &self.standings.windows {
            map.serialize_entry(&window.name, &Standing::from(window))?;
        }
        map.serialize_entry("available_now", &self.standings.available)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tollgate::{Check, Checks};
    use tollgate_rules::Builtin;

    use serde_json::json;

    use super::super::testing::{Site, json as body, text};
    use super::*;

    #[tokio::test]
    async fn what_is_left_is_shown_and_nothing_is_charged() {
        let site = Site::new("random-number").await;
        let ann = site.log_in("ann").await;
        for _ in 0..2 {
            let unused = body(&site.get(Builtin::Remaining, Some(&ann)).await.unwrap());
            assert_eq!(
                unused["minute"],
                json!({ "limit": 5, "used": 0, "remaining": 5, "resets_in": null })
            );
            assert_eq!(unused["available_now"], 5);
        }
        let limit = &site.builtins.rules.limits[0];
        let headers = http::HeaderMap::new();
        let subject = Subject {
            address: "192.0.2.1".parse().unwrap(),
            user: Some(ann.user.as_str()),
            user_name: None,
            api_key: None,
            claims: &[],
            headers: &headers,
            query: None,
            route: "",
        };
        let key = limit.key_of(&subject).unwrap().unwrap();
        let mut checks = Checks::new();
        for policy in &limit.policies {
            checks
                .push(Check {
                    policy,
                    key: key.as_ref(),
                    cost: 2,
                })
                .unwrap();
        }
        assert!(site.store.decide(&checks, site.builtins.now()).is_allowed());
        site.clock.advance(Duration::from_millis(12_500));

        let response = site.get(Builtin::Remaining, Some(&ann)).await.unwrap();
        assert_eq!(
            text(&response),
            concat!(
                r#"{"user":"ann","as_of":"2027-01-15T08:00:12Z","#,
                r#""minute":{"limit":5,"used":2,"remaining":3,"resets_in":48},"#,
                r#""hour":{"limit":300,"used":2,"remaining":298,"resets_in":3588},"available_now":3}"#,
            )
        );
        assert_eq!(response.headers()["cache-control"], "no-store");
    }

    #[tokio::test]
    async fn without_anybody_there_is_nothing_to_show() {
        let site = Site::new("random-number").await;
        let refusal = site.get(Builtin::Remaining, None).await.unwrap_err();
        assert_eq!(refusal.status(None), 401);
    }
}
