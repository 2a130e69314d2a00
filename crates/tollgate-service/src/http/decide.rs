//! Decisions, and what clients hear of them.

use futures_util::future::join_all;
use http::StatusCode;
use tollgate::store;
use tollgate::{Decision, Micros, Outcome, Verdict};
use tollgate_rules::LegacyFields;
use tollgate_tower::Problem;
use tollgate_tower::fields::{self, Legacy};

use super::form::{Form, MINIMAL, PREFERENCE_APPLIED};
use super::handlers::{Answered, JSON, read};
use super::members::Members;
use super::problem::Failure;
use super::question::{Asked, Body};
use super::told::{Part, Told, parts};
use super::wire::Answer;
use crate::Service;
use crate::metrics::{Protocol, Tally};
use crate::receipts::Charged;
use crate::service::{self, Named};

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

/// Decides on what the body asks. Several questions that have nothing to do with each other are always answered whole.
pub(super) async fn decide(service: &Service, act: Act, body: &[u8], form: Form) -> Answered {
    let now = service.clock.now();
    match read::<Body<'_>>(body)?.asked(service)? {
        Asked::Together(named) => {
            let decision = ask(service, act, &named, now).await;
            count(service, [&decision]);
            one(service, act, &named, &decision, now, form)
        }
        Asked::Each(_) if act == Act::Reserve => Err(Failure::unprocessable(
            "what is reserved is reserved one by one: write `limit` or `checks`",
        )),
        Asked::Each(each) => {
            let decisions = join_all(each.iter().map(|named| ask(service, act, named, now))).await;
            count(service, &decisions);
            let mut members = Members::open();
            let pairs = each.iter().zip(&decisions);
            members.list("answers", pairs, |(named, decision), members| {
                let parts = parts(named);
                let told = Told {
                    service,
                    parts: &parts,
                    decision,
                    receipt: None,
                };
                told.write(members);
            });
            Ok(Answer::new(StatusCode::OK).with(JSON, members.close()))
        }
    }
}

/// The answer is seen through also when the end of the drain drops the question. A client that goes does not: nobody looks
/// for it before there is an answer.
fn ask(service: &Service, act: Act, named: &[Named<'_>], now: Micros) -> Outcome {
    let counters = &service.counters;
    match (service::checks(named), act) {
        (Err(reason), _) => store::Answer::Ready(Decision::refused(reason, now)),
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
    form: Form,
) -> Answered {
    if let Verdict::Refused { reason } = decision.verdict()
        && let Some(failure) = Failure::refused(reason)
    {
        return Err(failure);
    }
    let parts = parts(named);
    let mut answer = match (decision.is_allowed(), form) {
        // A receipt needs a body.
        (true, Form::Minimal) if act != Act::Reserve => minimal(),
        (allowed, form) => {
            let receipt = reserved(service, act, named, decision, now);
            let told = Told {
                service,
                parts: &parts,
                decision,
                receipt: receipt.as_deref(),
            };
            match allowed || form == Form::Whole200 {
                true => whole(&told),
                false => problem(&told),
            }
        }
    };
    write_fields(service, named, &parts, decision, &mut answer);
    Ok(answer)
}

/// The name of the receipt of what was reserved.
fn reserved(
    service: &Service,
    act: Act,
    named: &[Named<'_>],
    decision: &Decision,
    now: Micros,
) -> Option<String> {
    let receipt = decision.receipt().filter(|_| act == Act::Reserve)?;
    let checks = named.iter().enumerate().flat_map(|(question, named)| {
        let policies = named.policies().iter();
        policies.map(move |policy| (question, policy.clone(), named.key.clone()))
    });
    let checks = checks.collect();
    service.receipts.put(Charged { checks, receipt }, now)
}

/// Yes: the fields say the rest.
fn minimal() -> Answer {
    let mut answer = Answer::new(StatusCode::NO_CONTENT);
    answer.field(&PREFERENCE_APPLIED, MINIMAL);
    answer
}

fn whole(told: &Told<'_>) -> Answer {
    let mut members = Members::open();
    told.write(&mut members);
    Answer::new(StatusCode::OK).with(JSON, members.close())
}

/// A denial as a problem whose further members are the decision.
fn problem(told: &Told<'_>) -> Answer {
    let status = StatusCode::TOO_MANY_REQUESTS;
    let mut members = Members::open();
    members.text("type", Problem::QUOTA_EXCEEDED);
    members.text("title", "Quota Exceeded");
    members.number("status", u64::from(status.as_u16()));
    told.write(&mut members);
    Answer::new(status).with(Problem::MEDIA_TYPE, members.close())
}

fn write_fields(
    service: &Service,
    named: &[Named<'_>],
    parts: &[Part<'_>],
    decision: &Decision,
    answer: &mut Answer,
) {
    let legacy = match service.rules.fields.legacy {
        LegacyFields::Delta => Legacy::Delta,
        LegacyFields::Epoch => Legacy::Epoch,
        LegacyFields::None => Legacy::None,
    };
    let shown = parts.iter().map(|part| part.policy);
    let known = match named {
        [one] => service.policy_value(one),
        _ => None,
    };
    let made = match known {
        Some(_) => None,
        None => fields::policy_value(shown.clone()),
    };
    if let Some(value) = known.or(made.as_ref()) {
        answer.field(&fields::RATE_LIMIT_POLICY, value.as_bytes());
    }
    fields::each(shown, decision, legacy, |name, value| {
        answer.field(&name, value);
    });
}
