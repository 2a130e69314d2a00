//! What becomes known of a request on its way.

use std::net::IpAddr;
use std::sync::Arc;

use http::Method;
use http::header::HeaderValue;
use tokio::time::Instant;
use tollgate::Micros;
use tollgate_accounts::Identity;
use tollgate_rules::Route;

use crate::accepts::Accepts;
use crate::checks::Decided;
use crate::forward_auth::Asked;
use crate::gateway::Gateway;
use crate::metered::BytesIn;
use crate::page::{Site, Window};
use crate::spans::OpenSpan;

/// What becomes known of a request on its way, for its answer, its log line and its place in the metrics.
pub(crate) struct Trace<'g> {
    pub(crate) request_id: HeaderValue,
    pub(crate) started: Instant,
    pub(crate) now: Micros,
    pub(crate) accepts: Accepts,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) cors_origin: Option<HeaderValue>,
    pub(crate) client: IpAddr,
    /// Whether the client came by https.
    pub(crate) secure: bool,
    pub(crate) route: Option<&'g Route>,
    pub(crate) identity: Option<Arc<Identity>>,
    pub(crate) decided: Option<Decided>,
    /// A browser's speculation was answered with nothing.
    pub(crate) refused_prefetch: bool,
    /// What of its body has gone on, if it has one that goes on.
    pub(crate) bytes_in: Option<BytesIn>,
    /// A proxy asks about a request of its own client.
    pub(crate) asked: Option<Asked>,
    /// Its part in a trace, where requests are traced.
    pub(crate) span: Option<Box<OpenSpan>>,
}

impl Trace<'_> {
    /// What a page knows about the site around it.
    pub(crate) fn site<'l>(&self, gateway: &'l Gateway) -> Site<'l> {
        let name = self
            .identity
            .as_ref()
            .and_then(|identity| identity.name.as_deref());
        Site {
            user: name.map(str::to_owned),
            links: &gateway.links,
        }
    }

    /// The windows that were charged, as a page shows them.
    pub(crate) fn windows(&self) -> Vec<Window> {
        self.decided
            .as_ref()
            .map(|decided| Window::of(&decided.policies, &decided.decision))
            .unwrap_or_default()
    }
}
