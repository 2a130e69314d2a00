//! One function for each thing that can be asked, besides decisions.

use http::StatusCode;
use http::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::json;
use tollgate::{Micros, Reason, StoreError};

use super::problem::Failure;
use super::question::{Body, Refund, Settle};
use super::wire::Answer;
use crate::Service;
use crate::grpc::JsonAnswer;
use crate::receipts::Taken;
use crate::summary;

/// The media type of what is no problem.
pub(super) const JSON: &str = "application/json";

pub(super) type Answered = Result<Answer, Failure>;

/// What Envoy's rate-limit service answers in JSON.
pub(super) fn envoy(answer: Result<JsonAnswer, String>) -> Answered {
    let answer = answer.map_err(|why| Failure::new(StatusCode::BAD_REQUEST, why))?;
    let status = match answer.is_over {
        true => StatusCode::TOO_MANY_REQUESTS,
        false => StatusCode::OK,
    };
    let mut told = json(status, &answer.body)?;
    for (name, value) in answer.fields {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            told.field(&name, value.as_bytes());
        }
    }
    Ok(told)
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

pub(super) fn read<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, Failure> {
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

fn json(status: StatusCode, value: &impl serde::Serialize) -> Answered {
    let body = serde_json::to_vec(value);
    let body = body.map_err(|error| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error))?;
    Ok(Answer::new(status).with(JSON, body))
}
