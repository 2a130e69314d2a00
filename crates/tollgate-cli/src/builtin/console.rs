//! The console: what is one's own, and for administrators what is everybody's. Pages, and the JSON that they show.
//!
//! Administrators see and change what the admin socket does, through the same handlers.

mod manage;
mod own;
mod page;

use std::sync::Arc;

use axum::Router;
use bytes::Bytes;
use http::{Method, Response};
use tollgate_accounts::{Identity, Via};
use tollgate_gateway::builtin::{BuiltinCall, Content};
use tollgate_gateway::refusal::Refusal;

use super::monitor::sees_everything;
use super::{Builtins, account};
use page::Page;

/// What a path below the console's asks for.
enum Part<'p> {
    Page(Page),
    Keys,
    Series(&'p str),
    Live,
    /// A path of the admin side.
    Management(&'p str),
}

impl<'p> Part<'p> {
    fn of(rest: &'p str) -> Option<Self> {
        match rest.split_once('/') {
            None => Page::named(rest).map(Part::Page),
            Some(("me", "keys")) => Some(Part::Keys),
            Some(("me", "live")) => Some(Part::Live),
            Some(("me", below)) => below.strip_prefix("series/").map(Part::Series),
            Some(("api", below)) => Some(Part::Management(below)),
            Some(_) => None,
        }
    }
}

impl Builtins {
    pub(super) async fn console(
        self: &Arc<Self>,
        call: &BuiltinCall,
        management: &Router,
    ) -> Result<Response<Content>, Refusal> {
        let who = person(call)?;
        let part = Part::of(&call.rest).ok_or_else(Refusal::not_found)?;
        if needs_administrator(&part) && !sees_everything(who) {
            return Err(Refusal::forbidden("This is for administrators."));
        }
        let whole = |answer: Response<Bytes>| answer.map(Content::from);
        match (part, call.request.method()) {
            (Part::Management("monitor/live"), &(Method::GET | Method::HEAD)) => {
                Ok(self.live_of_all(call)?.map(Content::Pushed))
            }
            (Part::Management(path), _) => {
                manage::answer(call, path, who, management).await.map(whole)
            }
            (Part::Keys, &Method::POST) => self.change_keys(call).await.map(whole),
            (part, &(Method::GET | Method::HEAD)) => match part {
                Part::Live => Ok(self.own_live(call)?.map(Content::Pushed)),
                Part::Page(page) => self.console_page(call, page).await.map(whole),
                Part::Series(id) => self.own_series(call, id).await.map(whole),
                _ => self.list_keys(call).await.map(whole),
            },
            (Part::Keys, _) => Err(Refusal::method_not_allowed("GET, HEAD, POST".to_owned())),
            _ => Err(Refusal::method_not_allowed("GET, HEAD".to_owned())),
        }
    }
}

/// Who has logged in. What an API key is lent to uses the API, and not its owner's console.
fn person(call: &BuiltinCall) -> Result<&Identity, Refusal> {
    let who = account(call)?;
    match who.via {
        Via::ApiKey => Err(Refusal::forbidden(
            "The console is for people who have logged in.",
        )),
        _ => Ok(who),
    }
}

fn needs_administrator(part: &Part<'_>) -> bool {
    match part {
        Part::Page(page) => *page != Page::Own,
        Part::Management(_) => true,
        Part::Keys | Part::Series(_) | Part::Live => false,
    }
}
