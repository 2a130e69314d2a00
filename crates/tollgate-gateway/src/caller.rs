//! Who is asking: from credentials to an identity, without waiting for anything that is already known.

use std::sync::Arc;

use http::HeaderMap;
use http::header::{self, HeaderName};
use tokio::sync::oneshot;
use tollgate::{Check, Checks, Decision, Micros, Policy};
use tollgate_accounts::{API_KEY_PREFIX, Credential, HELD_MAX, Identity, Lookup, Question};
use tollgate_rules::{Auth, Subject};

use crate::builtin::Call;
use crate::checks::Charge;
use crate::gateway::Gateway;
use crate::refusal::Refusal;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// The session cookie's name over https: one that no other site and no plain connection can set.
pub const SESSION_COOKIE_SECURE: &str = "__Host-session";
/// The session cookie's name over plain http.
pub const SESSION_COOKIE: &str = "session";

pub(crate) fn is_session_cookie(name: &str) -> bool {
    [SESSION_COOKIE_SECURE, SESSION_COOKIE].contains(&name)
}

/// The credential of a request, among the ways that `auth` takes. The header fields come before the cookie.
pub(crate) fn credential<'h>(
    headers: &'h HeaderMap,
    auth: &[Auth],
) -> Result<Option<Credential<'h>>, Refusal> {
    let authorization = only(headers, &header::AUTHORIZATION)?;
    let api_key = only(headers, &API_KEY)?;
    let takes = |way: Auth| auth.contains(&way);
    match (authorization, api_key) {
        (Some(_), Some(_)) => Err(Refusal::bad_request("Send one credential, not two.")),
        (Some(value), None) => {
            let bearer = value
                .split_once(' ')
                .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
                .map(|(_, token)| token.trim());
            match bearer {
                Some(token) if token.starts_with(API_KEY_PREFIX) => {
                    Ok(takes(Auth::ApiKey).then_some(Credential::ApiKey(token)))
                }
                Some(token) if !token.is_empty() => {
                    Ok(takes(Auth::Bearer).then_some(Credential::Bearer(token)))
                }
                _ => Ok(None),
            }
        }
        (None, Some(key)) => Ok(takes(Auth::ApiKey)
            .then_some(Credential::ApiKey(key))
            .filter(|_| !key.is_empty())),
        (None, None) if takes(Auth::Session) => session_cookie(headers),
        (None, None) => Ok(None),
    }
}

fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.next() {
        Some(_) => Err(Refusal::bad_request(format!("Send `{name}` once."))),
        // What is not text is no credential, and is told apart from none by being a wrong one.
        None => Ok(first.map(|value| value.to_str().unwrap_or("?"))),
    }
}

/// The secrets of the sessions that a request holds, under any of the cookie's names; more than one only if somebody
/// else has set one of them.
pub fn held_sessions(headers: &HeaderMap) -> Vec<&str> {
    let held = cookies(headers).filter(|(name, _)| is_session_cookie(name));
    held.map(|(_, secret)| secret).take(HELD_MAX).collect()
}

fn session_cookie(headers: &HeaderMap) -> Result<Option<Credential<'_>>, Refusal> {
    let mut sessions = cookies(headers)
        .filter(|(name, _)| is_session_cookie(name))
        .map(|(_, value)| value);
    match (sessions.next(), sessions.next()) {
        (Some(_), Some(_)) => Err(Refusal::bad_request("Send one session cookie.")),
        (Some(secret), None) if !secret.is_empty() => Ok(Some(Credential::Session(secret))),
        _ => Ok(None),
    }
}

/// Every cookie that is text; what another part of the site put beside it may be anything.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let lines = headers
        .get_all(header::COOKIE)
        .iter()
        .map(|line| line.as_bytes());
    let pairs = lines.flat_map(|line| line.split(|byte| *byte == b';'));
    let texts = pairs.filter_map(|pair| std::str::from_utf8(pair.trim_ascii()).ok());
    texts.filter_map(|pair| pair.split_once('='))
}

impl Gateway {
    /// Whose credential this is. Wrong ones are charged to the limit on guessing; where that is used up, what is not
    /// known already is not looked up either.
    ///
    /// Right ones are not charged meanwhile: many callers behind one address may all be new to this node at once. So
    /// lookups that are under way together may exceed the limit, by at most the calls that wait.
    pub(crate) async fn identify(
        &self,
        credential: &Credential<'_>,
        subject: &Subject<'_>,
        now: Micros,
    ) -> Result<Arc<Identity>, Refusal> {
        let Some(accounts) = &self.accounts else {
            return Err(Refusal::bad_credentials());
        };
        let question = match accounts.directory().lookup(credential, now) {
            Lookup::Known(identity) => return Ok(identity),
            Lookup::Unknown => return Err(self.wrong_guess(subject, now).await),
            Lookup::Ask(question) => question,
        };
        let (policies, decision) = self.guesses(subject, Charge::No, now).await;
        if !decision.is_allowed() {
            return Err(Refusal::limited(policies, decision));
        }
        match self.ask(question).await? {
            Some(identity) => Ok(identity),
            None => Err(self.wrong_guess(subject, now).await),
        }
    }

    /// The session that a log-out is to end: the token's, or if that is nobody's any more, the cookie's. That it cannot
    /// be found out is said, because a session that lives on must not be taken for ended.
    pub(crate) async fn session_to_end(
        &self,
        headers: &HeaderMap,
        subject: &Subject<'_>,
        now: Micros,
    ) -> Result<Option<Arc<Identity>>, Refusal> {
        let token = credential(headers, &[Auth::Bearer])?;
        for credential in token.into_iter().chain(session_cookie(headers)?) {
            match self.identify(&credential, subject, now).await {
                Ok(identity) => return Ok(Some(identity)),
                Err(refusal) if refusal.is_unauthenticated() => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(None)
    }

    async fn ask(&self, question: Question) -> Result<Option<Arc<Identity>>, Refusal> {
        let (reply, answer) = oneshot::channel();
        let busy = |_| Refusal::unavailable("Too much is going on.");
        self.calls
            .try_send(Call::Identify { question, reply })
            .map_err(busy)?;
        answer
            .await
            .unwrap_or_else(|_| Err(Refusal::unavailable("The gateway is shutting down.")))
    }

    async fn wrong_guess(&self, subject: &Subject<'_>, now: Micros) -> Refusal {
        let (policies, decision) = self.guesses(subject, Charge::Yes, now).await;
        match decision.is_allowed() {
            true => Refusal::bad_credentials(),
            false => Refusal::limited(policies, decision),
        }
    }

    async fn guesses(
        &self,
        subject: &Subject<'_>,
        charge: Charge,
        now: Micros,
    ) -> (Vec<Arc<Policy>>, Decision) {
        let policies = self.guessing.policies.clone();
        let key = self.guessing.key.key_of(subject).unwrap_or_default();
        let mut checks = Checks::new();
        for policy in &policies {
            // An address is a short key, and the rules hold few quotas.
            let _ = checks.push(Check {
                policy,
                key: key.as_ref(),
                cost: 1,
            });
        }
        let answer = match charge {
            Charge::Yes => self.counters.decide(&checks, now),
            Charge::No => self.counters.peek(&checks, now),
        };
        drop(checks);
        let decision = answer.await;
        (policies, decision)
    }
}
