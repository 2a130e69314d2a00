//! The control side: answers the routes that end in a part of the gateway. Their paths are the rules' business.
//!
//! One file for each part; refusals are returned, never rendered here, but for forms that a person can mend.

mod answer;
pub(crate) mod assets;
mod console;
mod cookie;
mod docs;
mod example;
mod form;
mod home;
mod jwks;
pub(crate) mod keys;
mod login;
mod logout;
pub(crate) mod monitor;
mod openapi;
pub(crate) mod pages;
mod password;
pub(crate) mod protect;
mod remaining;
mod signup;
mod standings;
#[cfg(test)]
mod testing;
mod token;
mod turns;
mod unreachable;

use std::sync::Arc;

use axum::Router;
use bytes::Bytes;
use http::{Method, Response};
use tollgate::{Clock, Micros, PolicyError};
use tollgate_accounts::{Accounts, Actor, Identity};
use tollgate_gateway::Counters;
use tollgate_gateway::builtin::{BuiltinCall, Content};
use tollgate_gateway::page::{Links, Site};
use tollgate_gateway::refusal::Refusal;
use tollgate_rules::{Builtin, RuleSet};

use crate::monitor::Monitor;
use crate::time;
use protect::Protection;
use turns::Turns;
pub(crate) use unreachable::{log as log_unreachable, unreachable};

/// What the parts of the gateway answer from.
pub(crate) struct Builtins {
    rules: Arc<RuleSet>,
    accounts: Accounts,
    counters: Counters,
    clock: Arc<dyn Clock>,
    links: Links,
    protection: Protection,
    login_turns: Turns,
    openapi: Bytes,
    /// `None` where nothing streams.
    monitor: Option<Arc<Monitor>>,
}

impl Builtins {
    /// The parts of a rule set.
    ///
    /// # Errors
    /// A quota of the protection that cannot be counted exactly.
    pub(crate) fn new(
        rules: Arc<RuleSet>,
        accounts: Accounts,
        counters: Counters,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, PolicyError> {
        Ok(Builtins {
            links: Links::of(&rules),
            protection: Protection::new(
                &rules.accounts.protection,
                rules.counters.on_error_of_protection(),
            )?,
            login_turns: Turns::new(),
            openapi: openapi::document(&rules).to_string().into(),
            monitor: None,
            rules,
            // Whoever calls a built-in changes what is their own.
            accounts: accounts.acting_as(Actor::Owner),
            counters,
            clock,
        })
    }

    /// The same with streams of what goes on.
    pub(crate) fn with_monitor(self, monitor: Arc<Monitor>) -> Self {
        let monitor = Some(monitor);
        Builtins { monitor, ..self }
    }

    /// Answers one request, also those whose answer streams; `management` is what administrators see and change.
    pub(crate) async fn respond(
        self: &Arc<Self>,
        call: &BuiltinCall,
        management: &Router,
    ) -> Result<Response<Content>, Refusal> {
        let is_get = matches!(*call.request.method(), Method::GET | Method::HEAD);
        match call.builtin {
            Builtin::Console => self.console(call, management).await,
            Builtin::Monitor if is_get && monitor::streams(&call.rest) => {
                Ok(self.live(call)?.map(Content::Pushed))
            }
            _ => Ok(self.answer(call).await?.map(Content::from)),
        }
    }

    /// Answers one request whose answer is there as a whole. HEAD is a GET whose body the connection leaves out.
    pub(crate) async fn answer(&self, call: &BuiltinCall) -> Result<Response<Bytes>, Refusal> {
        let method = match *call.request.method() {
            Method::HEAD => &Method::GET,
            ref method => method,
        };
        match (call.builtin, method) {
            (Builtin::Signup, &Method::GET) => self.signup_page(call),
            (Builtin::Signup, &Method::POST) => self.sign_up(call).await,
            (Builtin::Login, &Method::GET) => self.login_page(call),
            (Builtin::Login, &Method::POST) => self.log_in(call).await,
            (Builtin::Logout, &Method::POST) => self.log_out(call).await,
            (Builtin::Password, &Method::GET) => self.password_page(call),
            (Builtin::Password, &Method::POST) => self.change_password(call).await,
            (Builtin::Jwks, &Method::GET) => Ok(self.jwks()),
            (Builtin::Token, &Method::GET) => self.token(call).await,
            (Builtin::Remaining, &Method::GET) => self.remaining(call).await,
            (Builtin::Home, &Method::GET) => self.home(call),
            (Builtin::Keys, &Method::GET) => self.list_keys(call).await,
            (Builtin::Keys, &Method::POST) => self.change_keys(call).await,
            (Builtin::Assets, &Method::GET) => assets::answer(&call.rest, call.request.headers()),
            (Builtin::Docs, &Method::GET) => self.docs(call),
            (Builtin::Monitor, &Method::GET) => self.monitor(call).await,
            (builtin, _) => Err(Refusal::method_not_allowed(allow(builtin).to_owned())),
        }
    }

    fn now(&self) -> Micros {
        self.clock.now()
    }

    fn site(&self, call: &BuiltinCall) -> Site<'_> {
        let name = call
            .caller
            .identity
            .as_ref()
            .and_then(|who| who.name.as_deref());
        Site {
            user: name.map(str::to_owned),
            links: &self.links,
        }
    }
}

/// Who asks, when there is an account behind it.
fn account(call: &BuiltinCall) -> Result<&Identity, Refusal> {
    let account = call
        .caller
        .identity
        .as_deref()
        .filter(|who| who.has_account());
    account.ok_or_else(Refusal::no_credentials)
}

/// Too many passwords are being hashed.
fn busy() -> Refusal {
    Refusal::unavailable("Too many people sign up and log in at once. Try again in a moment.")
}

fn allow(builtin: Builtin) -> &'static str {
    match builtin {
        Builtin::Signup | Builtin::Login | Builtin::Password | Builtin::Keys => "GET, HEAD, POST",
        Builtin::Logout => "POST",
        _ => "GET, HEAD",
    }
}
