//! One function for each thing that can be asked.

use bytes::Bytes;
use futures_util::future::join_all;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::json;
use tollgate::store::Answer;
use tollgate::{Decision, Micros, Outcome, Reason, StoreError, Verdict};
use tollgate_rules::LegacyFields;
use tollgate_tower::Problem;
use tollgate_tower::fields::{self, Legacy};

use super::problem::Failure;
use super::question::{Asked, Body, Refund, Settle};
use super::told::{Told, policies};
use crate::Service;
use crate::grpc::JsonAnswer;
use crate::metrics::{Protocol, Tally};
use crate::receipts::{Charged, Taken};
use crate::service::{self, Named};
use crate::summary;

/// Bytes of most answers.
const USUAL_BYTES: usize = 768;
/// Header fields of most answers.
const USUAL_FIELDS: usize = 8;

pub(super) type Answered = Result<Response<Full<Bytes>>, Failure>;

/// What is done with units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// They are charged.
    Check,
    /// Nothing is charged.
    Peek,
    /// They are charged, and can be settled or given back.
    Reserve,
}

/// Decides. With `always_200` a denial is an answer like any other.
pub(super) async fn decide(service: &Service, act: Act, body: &[u8], always_200: bool) -> Answered {
    let now = service.clock.now();
    match read::<Body<'_>>(body)?.asked(service)? {
        Asked::Together(named) => {
            let decision = ask(service, act, &named, now).await;
            count(service, [&decision]);
            one(service, act, &named, &decision, now, always_200)
        }
        Asked::Each(_) if act == Act::Reserve => Err(Failure::unprocessable(
            "what is reserved is reserved one by one: write `limit` or `checks`",
        )),
        Asked::Each(each) => {
            let decisions = join_all(each.iter().map(|named| ask(service, act, named, now))).await;
            count(service, &decisions);
            let known: Vec<_> = each.iter().map(|named| policies(named)).collect();
            let pairs = each.iter().zip(&known).zip(&decisions);
            let told: Vec<_> = pairs
                .map(|((named, policies), decision)| Told::of(service, named, policies, decision))
                .collect();
            json(StatusCode::OK, &json!({ "answers": told }))
        }
    }
}

/// What Envoy's rate-limit service answers in JSON.
pub(super) fn envoy(answer: Result<JsonAnswer, String>) -> Answered {
    let answer = answer.map_err(|why| Failure::new(StatusCode::BAD_REQUEST, why))?;
    let status = match answer.is_over {
        true => StatusCode::TOO_MANY_REQUESTS,
        false => StatusCode::OK,
    };
    let mut response = json(status, &answer.body)?;
    for (name, value) in answer.fields {
        response.headers_mut().append(name, value);
    }
    Ok(response)
}

/// The answer is seen through also when the client goes: clients that wait for less than the store takes are then heard
/// of there.
fn ask(service: &Service, act: Act, named: &[Named<'_>], now: Micros) -> Outcome {
    let counters = &service.counters;
    match (service::checks(named), act) {
        (Err(reason), _) => Answer::Ready(Decision::refused(reason, now)),
        (Ok(checks), Act::Peek) => counters.see_through(counters.peek(&checks, now)),
        (Ok(checks), Act::Check | Act::Reserve) => counters.decide_through(&checks, now),
    }
}

fn count<'d>(service: &Service, decisions: impl IntoIterator<Item = &'d Decision>) {
    let mut tally = Tally::default();
    decisions
        .into_iter()
        .for_each(|decision| tally.add(decision));
    service.metrics.decisions(Protocol::Http, tally);
}

/// The answer to one question: with the fields that an HTTP client reads, and as a problem where it is denied.
fn one(
    service: &Service,
    act: Act,
    named: &[Named<'_>],
    decision: &Decision,
    now: Micros,
    always_200: bool,
) -> Answered {
    if let Verdict::Refused { reason } = decision.verdict()
        && let Some(failure) = Failure::refused(reason)
    {
        return Err(failure);
    }
    let status = match decision.is_allowed() || always_200 {
        true => StatusCode::OK,
        false => StatusCode::TOO_MANY_REQUESTS,
    };
    let policies = policies(named);
    let mut told = Told::of(service, named, &policies, decision);
    if act == Act::Reserve
        && let Some(receipt) = decision.receipt()
    {
        let checks = named.iter().enumerate().flat_map(|(question, named)| {
            let policies = named.policies().iter();
            policies.map(move |policy| (question, policy.clone(), named.key.clone()))
        });
        let checks = checks.collect();
        told.receipt = service.receipts.put(Charged { checks, receipt }, now);
    }
    let mut response = match status {
        StatusCode::OK => json(status, &told)?,
        status => denied(status, &told)?,
    };
    let shown = policies.iter().map(|policy| &**policy);
    let legacy = match service.rules.fields.legacy {
        LegacyFields::Delta => Legacy::Delta,
        LegacyFields::Epoch => Legacy::Epoch,
        LegacyFields::None => Legacy::None,
    };
    let known = match named {
        [one] => service.policy_value(one),
        _ => None,
    };
    let made = match known {
        Some(_) => None,
        None => fields::policy_value(shown.clone()),
    };
    fields::write(
        response.headers_mut(),
        shown,
        known.or(made.as_ref()),
        decision,
        legacy,
    );
    Ok(response)
}

/// A problem whose further members are the decision.
fn denied(status: StatusCode, told: &Told<'_>) -> Answered {
    #[derive(serde::Serialize)]
    struct Denied<'t> {
        r#type: &'static str,
        title: &'static str,
        status: u16,
        #[serde(flatten)]
        told: &'t Told<'t>,
    }
    let mut response = json(
        status,
        &Denied {
            r#type: Problem::QUOTA_EXCEEDED,
            title: "Quota Exceeded",
            status: status.as_u16(),
            told,
        },
    )?;
    let problem = HeaderValue::from_static(Problem::MEDIA_TYPE);
    response.headers_mut().insert(header::CONTENT_TYPE, problem);
    Ok(response)
}

/// Makes a reserved charge into what the work has cost.
pub(super) async fn settle(service: &Service, body: &[u8]) -> Answered {
    let settle: Settle = read(body)?;
    let now = service.clock.now();
    // Whether the costs can be used is known before the receipt is used up.
    let questions = service.receipts.questions(&settle.receipt);
    let costs = questions.map(|count| settle.costs(count)).transpose()?;
    let taken = take(service, &settle.receipt, now)?;
    let costs = costs.unwrap_or_default();
    let cost = |question: usize| costs.get(question).copied().unwrap_or(0);
    let settled = {
        let checks = taken.charged.checks(cost).map_err(too_many)?;
        let counters = &service.counters;
        counters.see_through(counters.settle(&checks, &taken.charged.receipt, now))
    };
    if let Err(error) = settled.await {
        return Err(not_done(service, taken, &error, now));
    }
    json(StatusCode::OK, &json!({ "settled": true }))
}

/// Gives a reserved charge back, as far as it still holds anything.
pub(super) async fn refund(service: &Service, body: &[u8]) -> Answered {
    let refund: Refund = read(body)?;
    let now = service.clock.now();
    let taken = take(service, &refund.receipt, now)?;
    let refunded = {
        let checks = taken.charged.checks(|_| 1).map_err(too_many)?;
        let counters = &service.counters;
        counters.see_through(counters.refund(&checks, &taken.charged.receipt, now))
    };
    match refunded.await {
        Ok(units) => json(StatusCode::OK, &json!({ "refunded": units })),
        Err(error) => Err(not_done(service, taken, &error, now)),
    }
}

/// What was charged in one decision fits into one again.
fn too_many(reason: Reason) -> Failure {
    Failure::unprocessable(summary::refused(reason))
}

fn take(service: &Service, receipt: &str, now: Micros) -> Result<Taken, Failure> {
    let taken = service.receipts.take(receipt, now);
    taken.ok_or_else(|| {
        let why = "The receipt is unknown, was used already, is older than an hour, or had to make room for others.";
        Failure::new(StatusCode::GONE, why)
    })
}

/// A receipt that nothing was done with is good again. Where nobody knows whether it was used, it is spent: nobody gets
/// back more than was charged.
fn not_done(service: &Service, taken: Taken, error: &StoreError, now: Micros) -> Failure {
    match error {
        StoreError::Unavailable(_)
        | StoreError::Unsupported
        | StoreError::KeysApart
        | StoreError::Uncountable(_) => {
            service.receipts.put_back(taken, now);
            Failure::store(error)
        }
        _ => Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The store of the counters did not answer. Whether the charge was changed is not known, and the receipt is spent.",
        ),
    }
}

/// Forgets what a key has used.
pub(super) async fn reset(service: &Service, body: &[u8]) -> Answered {
    let named = read::<Body<'_>>(body)?.together(service)?;
    let mut any = false;
    for named in &named {
        for policy in named.policies() {
            let reset = service.counters.reset(policy, named.key.as_ref()).await;
            any |= reset.map_err(|error| Failure::store(&error))?;
        }
    }
    json(StatusCode::OK, &json!({ "reset": any }))
}

/// The limits of the rules.
pub(super) fn limits(service: &Service) -> Answered {
    let limits = service.rules.limits.iter().map(|limit| {
        let parts = limit.key.parts().iter();
        let parts: Vec<String> = parts.map(ToString::to_string).collect();
        let quotas = limit.policies.iter().map(|policy| {
            json!({
                "policy": policy.name(),
                "quota": policy.quota().map(|quota| quota.to_string()),
                "limit": policy.capacity(),
            })
        });
        let quotas: Vec<_> = quotas.collect();
        json!({ "limit": limit.name, "key": parts, "policies": quotas })
    });
    let limits: Vec<_> = limits.collect();
    json(StatusCode::OK, &json!({ "limits": limits }))
}

fn read<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, Failure> {
    // A list of an object's values would be read as the object.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(Failure::unprocessable("an object is expected"));
    }
    serde_json::from_slice(body).map_err(|error| {
        let status = match error.classify() {
            serde_json::error::Category::Data => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::BAD_REQUEST,
        };
        Failure::new(status, format!("the body is not what is expected: {error}"))
    })
}

pub(super) fn json(status: StatusCode, value: &impl serde::Serialize) -> Answered {
    let mut body = Vec::with_capacity(USUAL_BYTES);
    let written = serde_json::to_writer(&mut body, value);
    written.map_err(|error| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error))?;
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(USUAL_FIELDS);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
