//! The pages of the console: a frame, and in it what can be shown without a script.

use askama::Template;
use bytes::Bytes;
use http::{Response, StatusCode};
use tollgate_gateway::builtin::BuiltinCall;
use tollgate_gateway::page::{Site, Window};
use tollgate_gateway::refusal::Refusal;

use super::super::example::YOUR_KEY;
use super::super::keys::as_row;
use super::super::monitor::sees_everything;
use super::super::pages::KeyRow;
use super::super::{Builtins, account, answer, unreachable};

/// A page of the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    Own,
    Live,
    Callers,
    Limits,
    Users,
    Plans,
    Audit,
    Health,
}

/// Every page, its path, and what it is called.
const PAGES: [(Page, &str, &str); 8] = [
    (Page::Own, "", "Overview"),
    (Page::Live, "live", "Live"),
    (Page::Callers, "callers", "Callers"),
    (Page::Limits, "limits", "Limits"),
    (Page::Users, "users", "Users"),
    (Page::Plans, "plans", "Plans"),
    (Page::Audit, "audit", "Log"),
    (Page::Health, "health", "Health"),
];

impl Page {
    pub(super) fn named(path: &str) -> Option<Self> {
        let named = PAGES.iter().find(|(_, known, _)| *known == path);
        named.map(|(page, ..)| *page)
    }
}

/// A page as `web/templates/console.html` knows it.
#[derive(Template)]
#[template(path = "console.html")]
struct ConsolePage<'a> {
    site: Site<'a>,
    /// Where the console is, without a slash at the end.
    base: &'a str,
    /// Where style sheets and scripts are.
    assets: &'a str,
    page: Page,
    title: &'static str,
    script: &'static str,
    administrates: bool,
    windows: Vec<Left>,
    keys: Vec<KeyRow>,
    /// A call with a key, for a shell.
    example: Option<String>,
}

/// What is left of one window.
struct Left {
    limit: String,
    window: Window,
    per: String,
}

impl ConsolePage<'_> {
    fn pages(&self) -> impl Iterator<Item = &'static (Page, &'static str, &'static str)> {
        let administrates = self.administrates;
        PAGES
            .iter()
            .filter(move |(page, ..)| administrates || *page == Page::Own)
    }
}

impl Builtins {
    pub(super) async fn console_page(
        &self,
        call: &BuiltinCall,
        page: Page,
    ) -> Result<Response<Bytes>, Refusal> {
        let who = account(call)?;
        let (windows, keys) = match page {
            Page::Own => (
                self.own_windows(call).await?,
                self.accounts
                    .list_keys(&who.user)
                    .await
                    .map_err(|error| unreachable(&error))?,
            ),
            _ => (Vec::new(), Vec::new()),
        };
        let named = PAGES.iter().find(|(known, ..)| *known == page);
        let (path, title) = named.map_or(("", ""), |(_, path, title)| (*path, *title));
        let now = self.now();
        let shown = ConsolePage {
            site: self.site(call),
            base: self.links.console.as_deref().unwrap_or_default(),
            assets: self.links.assets.as_deref().unwrap_or_default(),
            page,
            title,
            script: if path.is_empty() { "own" } else { path },
            administrates: sees_everything(who),
            windows: windows.into_iter().map(Left::of).collect(),
            keys: keys.iter().map(|key| as_row(key, now)).collect(),
            example: self.example(call, YOUR_KEY),
        };
        answer::page(StatusCode::OK, &shown)
    }
}

impl Left {
    fn of(window: Window) -> Self {
        let (limit, per) = match window.policy.rsplit_once('.') {
            Some((limit, per)) => (limit.to_owned(), per.to_owned()),
            None => (window.policy.clone(), String::new()),
        };
        Left { limit, window, per }
    }
}
