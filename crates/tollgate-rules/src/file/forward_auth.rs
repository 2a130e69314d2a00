//! Routes where proxies ask, and those that end elsewhere, behind such a proxy.

use std::ops::Range;
use std::sync::Arc;

use http::Method;
use ipnet::IpNet;

use super::pattern::pattern;
use crate::limit::Limit;
use crate::read::{At, Source, Table};
use crate::route::{Action, Builtin, Head, Route, StatusMap};
use crate::route_table::RouteTable;

/// How the file calls the place where proxies ask.
pub(super) const NAME: &str = "forward-auth";
pub(super) const ONE_END: &str = "a route has exactly one of `upstream`, `respond` and `builtin`";

/// Every name that `builtin` may have; `None` is the place where proxies ask, which is read apart.
pub(super) fn builtins() -> Vec<(&'static str, Option<Builtin>)> {
    let parts = Builtin::NAMES.map(|(name, builtin)| (name, Some(builtin)));
    parts.into_iter().chain([(NAME, None)]).collect()
}

/// Which routes end here and which elsewhere.
#[derive(Default)]
pub(super) struct Ends {
    /// Where the first of those stands at which proxies ask.
    pub(super) asked_here: Option<Range<usize>>,
    /// Whether a route ends in a part of the gateway that there is not: it may have been meant.
    pub(super) is_unknown: bool,
    /// The routes that say nothing of where they end.
    pub(super) elsewhere: Vec<Range<usize>>,
}

impl Ends {
    /// A route may end elsewhere only where somebody can ask about it: else it was forgotten to say where it ends.
    pub(super) fn check(&self, source: &Source<'_>, trusted_proxies: &[IpNet]) {
        if let Some(span) = self
            .asked_here
            .clone()
            .filter(|_| trusted_proxies.is_empty())
        {
            let message = format!("nobody may ask `{NAME}`: no proxy is believed");
            let help = "list those that ask in [server]: `trusted_proxies = [\"127.0.0.1/32\"]`";
            source.complain_with(span, message, Some(help.to_owned()));
        }
        if self.asked_here.is_some() || self.is_unknown {
            return;
        }
        for span in &self.elsewhere {
            let help = format!(
                "it may have none of them where another route has `builtin = \"{NAME}\"` and a proxy asks there"
            );
            source.complain_with(span.clone(), ONE_END, Some(help));
        }
    }
}

/// A route where proxies ask: a path, and nothing else. What holds for a request is said by the route that it takes.
pub(super) fn route(mut table: Table<'_, '_>, routes: &mut RouteTable) {
    let source = table.source();
    let matches = table.value("match").and_then(|value| value.strings());
    let _ = table.value("builtin");
    let span = table.span();
    table.finish();
    let matches = matches.unwrap_or_default();
    if matches.is_empty() {
        let message = format!("`{NAME}` needs a `match`, like `match = \"/v1/auth\"`");
        return source.complain(span, message);
    }
    let mut patterns = Vec::new();
    for text in &matches {
        if text.value.contains('{') {
            let message = "proxies ask under one path, without parameters";
            return source.complain(text.span.clone(), message);
        }
        let Some(pattern) = pattern(source, text) else {
            return;
        };
        patterns.push(pattern);
    }
    // A proxy may ask with the method of its client. OPTIONS without a route of its own would be answered 204, and a
    // proxy takes that for yes.
    for path in paths(&patterns) {
        let options = (Some(Method::OPTIONS), path);
        if !patterns.contains(&options) {
            patterns.push(options);
        }
    }
    let route = Route {
        index: 0,
        name: Arc::from(matches[0].value.as_str()),
        auth: Vec::new(),
        scopes: Vec::new(),
        limits: Vec::new(),
        action: Action::ForwardAuth,
        status: StatusMap::default(),
        limited_text: None,
        head: Head::Forward,
        refuse_prefetch: false,
        page: false,
    };
    if let Err((place, why)) = routes.insert(route, &patterns) {
        let text = &matches[place.min(matches.len() - 1)];
        let message = format!("`{}` cannot be a route: {why}", text.value);
        source.complain(text.span.clone(), message);
    }
}

fn paths(patterns: &[(Option<Method>, String)]) -> Vec<String> {
    patterns.iter().map(|(_, path)| path.clone()).collect()
}

/// Nobody says when a request that was only asked about has ended, so it can hold no slot.
pub(super) fn holds_no_slots(source: &Source<'_>, limits: &[(Arc<Limit>, At<String>)]) {
    for (limit, at) in limits {
        let policies = limit.policies.iter();
        if !policies.clone().any(|policy| policy.holds_slots()) {
            continue;
        }
        let message = format!(
            "`{}` counts requests that are under way, but nobody says when one has ended that is only asked about",
            limit.name
        );
        let help = "give the route an `upstream`, or the limit no `concurrent` quota".to_owned();
        source.complain_with(at.span.clone(), message, Some(help));
    }
}
