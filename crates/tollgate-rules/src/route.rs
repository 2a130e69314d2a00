//! A route: what it asks of a request, and the one thing that it ends in.

use std::net::SocketAddr;
use std::sync::Arc;

use http::StatusCode;
use tollgate::Policy;

use crate::limit::Limit;

/// One route of the file.
#[derive(Debug)]
pub struct Route {
    /// Its place among all routes.
    pub index: usize,
    /// The first of its patterns, as the file writes it; names the route in metrics and usage.
    pub name: Arc<str>,
    /// Ways to authenticate, any of which will do; empty when the route is open.
    pub auth: Vec<Auth>,
    /// What an API key, or another issuer's token, must be allowed to do: all of these.
    pub scopes: Vec<String>,
    /// The limits that it charges.
    pub limits: Vec<Arc<Limit>>,
    /// What it ends in.
    pub action: Action,
    /// The status of each kind of refusal.
    pub status: StatusMap,
    /// The whole body of a denial, as plain text, with `{retry_after}` for the seconds; `None` for the usual ones.
    pub limited_text: Option<String>,
    /// What a HEAD request does.
    pub head: Head,
    /// Whether a browser's speculative requests are refused instead of charged.
    pub refuse_prefetch: bool,
    /// Whether a browser gets the upstream's answer within a page.
    pub page: bool,
}

impl Route {
    /// The policies of its limits, in the order in which they are checked.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        let limits = self.limits.iter();
        limits.flat_map(|limit| limit.policies.iter().map(|policy| &**policy))
    }

    /// Whether it charges the limit of this name.
    pub fn charges(&self, limit: &str) -> bool {
        self.limits.iter().any(|charged| charged.name == limit)
    }
}

/// A way to authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// The cookie of a log-in.
    Session,
    /// A token in `Authorization: Bearer`.
    Bearer,
    /// An API key, in `X-API-Key` or as a bearer token.
    ApiKey,
}

/// What a route ends in.
#[derive(Debug)]
pub enum Action {
    /// The request goes to an upstream.
    Upstream {
        /// Index in [`RuleSet::upstreams`](crate::RuleSet::upstreams).
        upstream: usize,
    },
    /// A fixed answer.
    Respond(Respond),
    /// A part of the gateway answers.
    Builtin {
        /// Which.
        builtin: Builtin,
        /// The limits that `remaining` and `monitor` show.
        of: Vec<Arc<Limit>>,
    },
    /// Proxies ask here whether requests of their own clients may pass.
    ForwardAuth,
    /// Somebody else answers, behind a proxy that asks here before: nothing is there for those who come themselves.
    Elsewhere,
}

/// A fixed answer.
#[derive(Debug)]
pub struct Respond {
    /// Its status.
    pub status: StatusCode,
    /// Its media type.
    pub content_type: String,
    /// Its body.
    pub body: String,
}

/// Parts of the gateway that a route can end in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Builtin {
    /// Making an account: a page and its form.
    Signup,
    /// Opening a session: a page and its form.
    Login,
    /// Ending a session.
    Logout,
    /// Changing one's own password: a page and its form.
    Password,
    /// A token for whoever asks.
    Token,
    /// The public keys of the gateway's tokens.
    Jwks,
    /// What is left, as JSON.
    Remaining,
    /// The first page.
    Home,
    /// The user's API keys.
    Keys,
    /// Style sheets and scripts of the pages.
    Assets,
    /// The documentation of the routes.
    Docs,
    /// Rates per API key, as JSON.
    Monitor,
    /// What is one's own, and for administrators everything: pages and their JSON.
    Console,
}

impl Builtin {
    /// Every built-in with its name.
    pub const NAMES: [(&'static str, Builtin); 13] = [
        ("signup", Builtin::Signup),
        ("login", Builtin::Login),
        ("logout", Builtin::Logout),
        ("password", Builtin::Password),
        ("token", Builtin::Token),
        ("jwks", Builtin::Jwks),
        ("remaining", Builtin::Remaining),
        ("home", Builtin::Home),
        ("keys", Builtin::Keys),
        ("assets", Builtin::Assets),
        ("docs", Builtin::Docs),
        ("monitor", Builtin::Monitor),
        ("console", Builtin::Console),
    ];
}

/// The status of each kind of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusMap {
    /// Credentials are missing or unknown.
    pub unauthenticated: StatusCode,
    /// A limit denies.
    pub limited: StatusCode,
}

impl Default for StatusMap {
    fn default() -> Self {
        StatusMap {
            unauthenticated: StatusCode::UNAUTHORIZED,
            limited: StatusCode::TOO_MANY_REQUESTS,
        }
    }
}

/// What a HEAD request on a GET route does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Head {
    /// It is charged and forwarded like the GET.
    #[default]
    Forward,
    /// It is answered with header fields alone, charges nothing and reaches nothing.
    Local,
}

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstream {
    /// A server by URL.
    Server {
        /// Host and port to connect to, and the `Host` that it is asked for.
        authority: String,
        /// What stands in place of the pattern's literal path; `None` forwards the path that was matched.
        path: Option<String>,
    },
    /// The number API of this program, on a free loopback port or, as a process of its own, on this address.
    Demo {
        /// Where its process listens; `None` for a thread of this one.
        process: Option<SocketAddr>,
    },
}

impl Upstream {
    /// The path that the number API answers.
    pub const DEMO_PATH: &'static str = "/random";

    /// What metrics and traces call it: host and port, or `demo`.
    pub fn label(&self) -> &str {
        match self {
            Upstream::Server { authority, .. } => authority,
            Upstream::Demo { .. } => "demo",
        }
    }

    /// Reads `http://host[:port][/path]`, `demo:random` or `demo:random@ADDRESS`.
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(demo) = text.strip_prefix("demo:") {
            let (name, process) = match demo.split_once('@') {
                Some((name, address)) => (
                    name,
                    Some(address.parse().map_err(|_| {
                        format!("`{address}` is no address, like `127.0.0.1:8000`")
                    })?),
                ),
                None => (demo, None),
            };
            return match name {
                "random" => Ok(Upstream::Demo { process }),
                _ => Err(format!(
                    "there is no demo API `{name}`: the one there is is `demo:random`"
                )),
            };
        }
        let uri: http::Uri = text
            .parse()
            .map_err(|_| format!("`{text}` is no URL, like `http://127.0.0.1:9000`"))?;
        match (uri.scheme_str(), uri.authority()) {
            (Some("http"), Some(authority)) if authority.as_str().contains('@') => {
                Err("credentials do not belong into a URL".to_owned())
            }
            // A port beyond 65535 is one that the type does not read.
            (Some("http"), Some(authority))
                if authority.port_u16().is_none() && authority.as_str() != authority.host() =>
            {
                Err(format!("`{text}` is no URL, like `http://127.0.0.1:9000`"))
            }
            (Some("http"), Some(authority)) if uri.query().is_none() => Ok(Upstream::Server {
                authority: authority.to_string(),
                path: Some(uri.path())
                    .filter(|path| *path != "/")
                    .map(|path| path.trim_end_matches('/').to_owned()),
            }),
            (Some("http"), Some(_)) => Err("an upstream's URL has no query".to_owned()),
            (Some("https"), _) => Err(
                "upstreams are called over plain http; put the TLS end in front of them".to_owned(),
            ),
            _ => Err(format!("`{text}` is no URL, like `http://127.0.0.1:9000`")),
        }
    }
}
