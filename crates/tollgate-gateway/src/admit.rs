//! Who asks, and whether they may: credentials, scopes, limits.

use http::request::Parts;
use tollgate::store::Answer;
use tollgate_rules::{Action, Auth, Builtin, Route, Subject};

use crate::caller::credential;
use crate::checks::Charge;
use crate::csrf;
use crate::gateway::Gateway;
use crate::refusal::Refusal;
use crate::trace::Trace;

/// Finds out who asks, and charges what they ask for.
pub(crate) async fn admit(
    gateway: &Gateway,
    trace: &mut Trace<'_>,
    route: &Route,
    parts: &Parts,
    charge: Charge,
) -> Result<(), Refusal> {
    let mut subject = Subject {
        address: trace.client,
        user: None,
        user_name: None,
        api_key: None,
        claims: &[],
        headers: &parts.headers,
        query: parts.uri.query(),
        route: &route.name,
    };
    if !route.auth.is_empty() {
        let credential =
            credential(&parts.headers, &route.auth)?.ok_or_else(Refusal::no_credentials)?;
        trace.identity = Some(gateway.identify(&credential, &subject, trace.now).await?);
        if matches!(credential, tollgate_accounts::Credential::Session(_)) {
            csrf::check(parts)?;
        }
    } else if let Action::Builtin { builtin, .. } = route.action {
        trace.identity = match builtin {
            Builtin::Assets => None,
            Builtin::Logout => {
                gateway
                    .session_to_end(&parts.headers, &subject, trace.now)
                    .await?
            }
            // A page greets whoever is logged in; nobody needs to be.
            _ => match credential(&parts.headers, &[Auth::Session, Auth::Bearer]) {
                Ok(Some(credential)) => gateway
                    .identify(&credential, &subject, trace.now)
                    .await
                    .ok(),
                _ => None,
            },
        };
    }
    let identity = trace.identity.as_deref();
    if let Some(identity) = identity {
        // Before anything is charged: what cannot pass costs nothing.
        if !identity.may(&route.scopes) {
            return Err(Refusal::insufficient_scope(&route.scopes));
        }
        subject.user = Some(identity.user.as_str());
        // What another issuer calls somebody is no account's name, and spares nobody a limit.
        subject.user_name = identity.name.as_deref().filter(|_| identity.has_account());
        subject.api_key = identity.counts_as.as_ref().map(|key| key.as_str());
        subject.claims = &identity.claims;
    }
    let decided = match gateway.decide(route, &subject, identity, charge, trace.now)? {
        None => return Ok(()),
        Some(Answer::Ready(decided)) => decided,
        Some(Answer::Pending(deciding)) => {
            let call = trace.begin_store_call(gateway);
            let decided = deciding.await;
            trace.end_store_call(gateway, call, &decided.decision);
            decided
        }
    };
    if decided.decision.is_degraded() {
        gateway.metrics.degraded(&decided.decision);
    }
    if decided.whole && charge == Charge::Yes {
        match decided.overridden {
            false => gateway.metrics.decision(route, &decided.decision),
            true => gateway
                .metrics
                .overridden(route, &decided.policies, &decided.decision),
        }
    }
    if !decided.decision.is_allowed() {
        return Err(Refusal::limited(
            decided.policies.to_vec(),
            decided.decision,
        ));
    }
    trace.decided = Some(decided);
    Ok(())
}
