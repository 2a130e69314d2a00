//! What the admin side answers when something cannot be done: plain text for people, one line.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tollgate_accounts::{
    Accounts, Actor, OverrideError, PlanError, SignUpError, Unavailable, UserError,
};

use super::Admin;
use crate::builtin::log_unreachable;

/// Said where accounts are needed; its second line says what is missing in the rules.
pub(crate) const NO_ACCOUNTS: &str = "\
these rules have no accounts
 = help: no route asks who calls: add `auth = [\"api-key\"]` to a route, or a route with `builtin = \"login\"`, and start the gateway anew";

/// What was asked for cannot be read.
pub(super) fn wrong(message: impl std::fmt::Display) -> Response {
    (StatusCode::BAD_REQUEST, format!("{message}\n")).into_response()
}

/// What was asked for is not there.
pub(super) fn missing(message: impl std::fmt::Display) -> Response {
    (StatusCode::NOT_FOUND, format!("{message}\n")).into_response()
}

/// It cannot be done as things are.
pub(super) fn conflict(message: impl std::fmt::Display) -> Response {
    (StatusCode::CONFLICT, format!("{message}\n")).into_response()
}

/// The database does not answer.
pub(super) fn unavailable(error: &Unavailable) -> Response {
    log_unreachable(error);
    (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response()
}

/// The counters' store does not answer, which the log and the readiness say by themselves.
pub(super) fn counters_away(error: &impl std::fmt::Display) -> Response {
    let message = format!("the counters cannot be seen or changed: {error}\n");
    (StatusCode::SERVICE_UNAVAILABLE, message).into_response()
}

pub(super) fn plan(error: &PlanError) -> Response {
    match error {
        PlanError::NoSuchPlan => no_such_plan(error),
        PlanError::NoSuchUser => missing(error),
        PlanError::Invalid(invalid) => wrong(invalid),
        PlanError::Unavailable(error) => unavailable(error),
        _ => conflict(error),
    }
}

pub(super) fn user(error: &UserError) -> Response {
    match error {
        UserError::NoSuchUser => missing(error),
        UserError::Invalid(invalid) => wrong(invalid),
        UserError::Unavailable(error) => unavailable(error),
        UserError::Busy => busy(error),
        _ => conflict(error),
    }
}

pub(super) fn sign_up(error: &SignUpError) -> Response {
    match error {
        SignUpError::Invalid(invalid) => wrong(invalid),
        SignUpError::Unavailable(error) => unavailable(error),
        SignUpError::Busy => busy(error),
        _ => conflict(error),
    }
}

/// Too much of it at once; trying again may help.
fn busy(message: impl std::fmt::Display) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{message}\n")).into_response()
}

pub(super) fn quotas(error: &OverrideError) -> Response {
    match error {
        OverrideError::NoSuchPlan => no_such_plan(error),
        OverrideError::NoSuchLimit
        | OverrideError::NoSuchUser
        | OverrideError::NoSuchKey
        | OverrideError::NotSet => missing(error),
        OverrideError::NotByCaller => wrong(error),
        OverrideError::Invalid(invalid) => wrong(invalid),
        OverrideError::Unavailable(error) => unavailable(error),
        _ => conflict(error),
    }
}

fn no_such_plan(error: &impl std::fmt::Display) -> Response {
    missing(format_args!(
        "{error}: `tollgate plan create NAME` makes one, `tollgate plan list` names those that there are"
    ))
}

/// Nothing in the rules asks for accounts.
pub(super) fn no_accounts() -> Response {
    missing(NO_ACCOUNTS)
}

impl Admin {
    /// The accounts, whose changes are logged as this actor's.
    pub(super) fn accounts_as(&self, actor: Actor) -> Result<Accounts, Response> {
        let accounts = self.accounts.as_ref();
        accounts
            .map(|accounts| accounts.acting_as(actor))
            .ok_or_else(no_accounts)
    }
}
