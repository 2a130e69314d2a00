//! What every page is made of: links from the rules, standings, and the fields that keep a page to itself.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use tollgate::{Decision, Mode, Policy};
use tollgate_rules::{Action, Auth, Builtin, Route, RuleSet};

/// What a page knows about the site around it.
#[derive(Debug, Clone)]
pub struct Site<'a> {
    /// The name of who is logged in.
    pub user: Option<String>,
    /// Where things are.
    pub links: &'a Links,
}

/// Where the rules put the parts of the gateway; what has no route has no link.
#[derive(Debug, Clone, Default)]
pub struct Links {
    /// The first page.
    pub home: Option<String>,
    /// The page to sign up.
    pub signup: Option<String>,
    /// The page to log in.
    pub login: Option<String>,
    /// The page to change one's own password.
    pub password: Option<String>,
    /// Where log-out is posted to.
    pub logout: Option<String>,
    /// The page that shows an upstream's answer.
    pub number: Option<String>,
    /// The user's API keys.
    pub keys: Option<String>,
    /// The console, without a slash at the end.
    pub console: Option<String>,
    /// The documentation.
    pub docs: Option<String>,
    /// What is left, as JSON.
    pub remaining: Option<String>,
    /// What an API key opens: the path of the first route that takes keys, is no part of the gateway, and has no parameter
    /// that must stand for something.
    pub call: Option<String>,
    /// Style sheets and scripts, without a slash at the end.
    pub assets: Option<String>,
}

impl Links {
    /// The links of a rule set: for each part the first route that ends in it.
    pub fn of(rules: &RuleSet) -> Self {
        let first = |wanted: &dyn Fn(&str, &Route) -> bool, method: &Method| {
            let mut endpoints = rules.routes.endpoints();
            let found = endpoints.find(|(pattern, known, route)| {
                known.is_none_or(|known| known == method) && wanted(pattern, route)
            });
            found.map(|(pattern, ..)| pattern.to_owned())
        };
        let builtin = |wanted: Builtin, method: &Method| {
            first(
                &|_, route| matches!(&route.action, Action::Builtin { builtin, .. } if *builtin == wanted),
                method,
            )
        };
        Links {
            home: builtin(Builtin::Home, &Method::GET),
            signup: builtin(Builtin::Signup, &Method::GET),
            login: builtin(Builtin::Login, &Method::GET),
            password: builtin(Builtin::Password, &Method::GET),
            logout: builtin(Builtin::Logout, &Method::POST),
            number: first(&|_, route| route.page, &Method::GET),
            keys: builtin(Builtin::Keys, &Method::GET),
            console: builtin(Builtin::Console, &Method::GET).map(|pattern| literal(&pattern)),
            docs: builtin(Builtin::Docs, &Method::GET).map(|pattern| literal(&pattern)),
            remaining: builtin(Builtin::Remaining, &Method::GET),
            call: first(&is_call, &Method::GET).map(|pattern| before_parameters(&pattern)),
            assets: builtin(Builtin::Assets, &Method::GET).map(|pattern| literal(&pattern)),
        }
    }
}

/// Whether a request with an API key and nothing else is answered by what stands behind the gateway.
fn takes_keys(route: &Route) -> bool {
    let is_served = matches!(route.action, Action::Upstream { .. } | Action::Respond(_));
    is_served && route.auth.contains(&Auth::ApiKey) && route.scopes.is_empty()
}

/// Whether a path can be called as the part before a parameter: the rest of a path may be empty, no other parameter may.
fn is_call(pattern: &str, route: &Route) -> bool {
    let parameters = pattern.split_once('{').map(|(_, parameters)| parameters);
    parameters.is_none_or(|parameters| parameters.starts_with('*')) && takes_keys(route)
}

/// The part of a pattern before its first parameter.
fn before_parameters(pattern: &str) -> String {
    pattern.split('{').next().unwrap_or_default().to_owned()
}

/// The part of a pattern before its first parameter, without a slash at the end.
fn literal(pattern: &str) -> String {
    before_parameters(pattern).trim_end_matches('/').to_owned()
}

/// One window of a limit, as pages and the JSON of `remaining` show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The window's name: `minute`.
    pub name: String,
    /// The policy's name, which no other has: `per-user.minute`.
    pub policy: String,
    /// How long it is; of slots, how long one is held at most.
    pub period: Duration,
    /// The most units it holds.
    pub limit: u64,
    /// Units in use.
    pub used: u64,
    /// Units that would pass now.
    pub remaining: u64,
    /// Whole seconds, rounded up, until more remains; `None` when nothing is used.
    pub resets_in: Option<u64>,
    /// Whole seconds, rounded up, until nothing is used any more; 0 when nothing is.
    pub whole_in: u64,
    /// Whether a penalty holds the key off; `None` where the limit has none.
    pub blocked: Option<bool>,
}

/// Members of the JSON of `remaining` that no window may take the name of.
const RESERVED: [&str; 3] = ["user", "as_of", "available_now"];
/// Policies of an API key's own quota are called `own.WINDOW`.
const OWN: &str = "own.";

impl Window {
    /// The windows of a decision, without those that only watch or have no numbers, or of which nothing is known.
    pub fn of(policies: &[Arc<Policy>], decision: &Decision) -> Vec<Window> {
        Window::among(policies, decision, policies)
    }

    /// As [`of`](Window::of), where the windows are named among those of more policies.
    pub fn among(
        policies: &[Arc<Policy>],
        decision: &Decision,
        all: &[Arc<Policy>],
    ) -> Vec<Window> {
        let pairs = policies.iter().zip(decision.standings());
        let shown = pairs.filter(|(policy, standing)| is_shown(policy) && standing.is_known());
        let window = |(policy, standing): (&Arc<Policy>, &tollgate::Standing)| Window {
            name: name_among(policy, all).to_owned(),
            policy: policy.name().to_owned(),
            period: policy.window().unwrap_or_default(),
            limit: standing.limit(),
            used: standing.used(),
            remaining: standing.remaining(),
            resets_in: standing.resets_in(),
            whole_in: standing.full_after().as_micros().div_ceil(1_000_000) as u64,
            blocked: policy.penalty().map(|_| standing.is_blocked()),
        };
        shown.map(window).collect()
    }
}

/// Policies that only watch, and those without numbers, are nobody's business.
fn is_shown(policy: &Policy) -> bool {
    policy.mode() == Mode::Enforce && policy.capacity().is_some()
}

/// The window's name; the policy's, where the window's is not its alone.
fn name_among<'p>(policy: &'p Policy, all: &[Arc<Policy>]) -> &'p str {
    let name = policy.name();
    let window = window_of(name);
    let mut others = all
        .iter()
        .filter(|other| is_shown(other) && !other.name().starts_with(OWN));
    let shared = others.any(|other| other.name() != name && window_of(other.name()) == window);
    if shared || name.starts_with(OWN) || RESERVED.contains(&window) {
        name
    } else {
        window
    }
}

fn window_of(policy: &str) -> &str {
    policy.rsplit('.').next().unwrap_or(policy)
}

/// A page loads nothing from elsewhere, is framed by nobody, and is kept by no cache.
pub fn protect(headers: &mut HeaderMap) {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
        form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    protect_with(headers, HeaderValue::from_static(POLICY));
}

/// As [`protect`], for the page of the interactive documentation, whose library writes styles of its own.
pub fn protect_docs(headers: &mut HeaderMap) {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
        connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    protect_with(headers, HeaderValue::from_static(POLICY));
}

fn protect_with(headers: &mut HeaderMap, content_security_policy: HeaderValue) {
    headers.insert(header::CONTENT_SECURITY_POLICY, content_security_policy);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("same-origin"),
    );
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use tollgate_rules::Overrides;

    use super::*;

    fn call(routes: &str) -> Option<String> {
        let text = format!("[accounts]\nurl = \"sqlite:a.db\"\n{routes}");
        let rules = RuleSet::parse("rules", &text, &Overrides::default()).unwrap();
        Links::of(&rules).call
    }

    #[test]
    fn the_call_for_a_new_key_is_one_that_the_key_opens_alone() {
        let own = "[[routes]]\nmatch = \"GET /keys\"\nauth = [\"session\"]\nbuiltin = \"keys\"\n";
        assert_eq!(call(own), None);
        let open =
            format!("{own}[[routes]]\nmatch = \"GET /open\"\nrespond = {{ text = \"a\" }}\n");
        assert_eq!(call(&open), None);
        let with = |matched: &str, more: &str| {
            call(&format!(
                "{open}[[routes]]\nmatch = \"{matched}\"\nauth = [\"api-key\"]\nrespond = {{ text = \"a\" }}\n{more}"
            ))
        };
        assert_eq!(with("GET /a", "").as_deref(), Some("/a"));
        assert_eq!(with("/api/{*rest}", "").as_deref(), Some("/api/"));
        assert_eq!(with("GET /users/{id}", ""), None);
        assert_eq!(with("GET /users/{id}/{*rest}", ""), None);
        let more =
            "[[routes]]\nmatch = \"GET /a\"\nauth = [\"api-key\"]\nrespond = { text = \"a\" }\n";
        assert_eq!(with("GET /users/{id}", more).as_deref(), Some("/a"));
        assert_eq!(with("POST /a", ""), None);
        assert_eq!(with("GET /a", "scopes = [\"a:read\"]\n"), None);
    }
}
