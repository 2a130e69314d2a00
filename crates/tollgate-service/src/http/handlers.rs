//! One function for each thing that can be asked, besides decisions.

use std::sync::Arc;

use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use tollgate::{Micros, Reason, StoreError, store};

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
        told.field(&name, value.as_bytes());
    }
    Ok(told)
}

/// Makes a reserved charge into what the work has cost.
pub(super) async fn settle(service: &Service, body: &[u8]) -> Answered {
    let settle: Settle = read(body)?;
    let now = service.clock.now();
    // Whether the costs can be used is known before the receipt is used up.
    let costs = settle.costs(service.receipts.questions(&settle.receipt))?;
    let taken = take(service, &settle.receipt, now)?;
    let cost = |question: usize| costs.get(question).map_or(0, |cost| cost.0);
    let settled = {
        let checks = taken.charged.checks(cost).map_err(too_many)?;
        let counters = &service.counters;
        counters.settle(&checks, &taken.charged.receipt, now)
    };
    changed(service, settled, taken, now).await?;
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
        counters.refund(&checks, &taken.charged.receipt, now)
    };
    let units = changed(service, refunded, taken, now).await?;
    json(StatusCode::OK, &json!({ "refunded": units }))
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

/// What the store says to a change of a charge. A receipt that nothing was done with is good again, also if the end of
/// the drain has dropped the question meanwhile. Where nobody knows whether it was used, it is spent: nobody gets back more than was charged.
async fn changed<T: Unpin + Send + 'static>(
    service: &Service,
    answer: store::Answer<Result<T, StoreError>>,
    taken: Taken,
    now: Micros,
) -> Result<T, Failure> {
    let receipts = Arc::clone(&service.receipts);
    let answer = answer.map(move |changed| {
        if changed.as_ref().is_err_and(was_not_asked) {
            receipts.put_back(taken, now);
        }
        changed
    });
    let changed = service.counters.see_through(answer).await;
    changed.map_err(|error| match was_not_asked(&error) {
        true => Failure::store(&error),
        false => Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The store of the counters did not answer. Whether the charge was changed is not known, and the receipt is spent.",
        ),
    })
}

/// Whether nothing can have been done.
fn was_not_asked(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Unavailable(_)
            | StoreError::Unsupported
            | StoreError::KeysApart
            | StoreError::Uncountable(_)
    )
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
