//! Envoy's rate-limit service, version 3, over gRPC.
//!
//! The way of a request: `listen` -> `connection` (HTTP/2, with or without TLS) -> `call` (which method, and who asks) ->
//! `asked` (domain, descriptors, keys) -> `decide` -> `answer`. Domains are the rules' and those of files of Envoy's own
//! service, which are read again when they change.

mod answer;
mod asked;
mod call;
mod connection;
mod deadline;
mod decide;
mod domains;
mod health;
mod json;
mod key;
mod messages;
mod metrics;
mod overrides;
mod tls;
mod watched;

use std::sync::Arc;

use tollgate::Clock;
use tollgate_gateway::Counters;

pub use asked::DESCRIPTORS_MAX;
pub use connection::{MESSAGE_BYTES_MAX, STREAMS_MAX, serve};
pub use deadline::WAIT_MAX;
pub use domains::{Domains, FILES_MAX, LOOKED_AT_EVERY};
pub use json::JsonAnswer;
pub use metrics::{GrpcMetrics, VALUES_MAX};
pub use overrides::OVERRIDES_MAX;
pub use tls::TlsFiles;

use crate::metrics::Metrics;
use crate::tokens::Tokens;
use answer::Fields;
use asked::Asked;
use deadline::{Deadline, Meanwhile};
use health::Health;
use messages::{RateLimitRequest, RateLimitResponse};

/// The rate-limit service, shared by the threads that serve it.
pub struct Grpc {
    domains: Arc<Domains>,
    counters: Counters,
    clock: Arc<dyn Clock>,
    tokens: Tokens,
    metrics: Arc<GrpcMetrics>,
    service_metrics: Arc<Metrics>,
    meanwhile: Option<Meanwhile>,
    fields: Fields,
    health: Health,
}

/// What a rate-limit service needs.
pub struct Settings {
    /// What it limits by.
    pub domains: Arc<Domains>,
    /// Where it counts.
    pub counters: Counters,
    /// How many share the counters, if others do.
    pub nodes: u64,
    /// Where "now" comes from.
    pub clock: Arc<dyn Clock>,
    /// What callers show.
    pub tokens: Tokens,
    /// What is measured of descriptors.
    pub metrics: Arc<GrpcMetrics>,
    /// What is measured of all protocols.
    pub service_metrics: Arc<Metrics>,
    /// Whether answers carry fields for the response to the client.
    pub fields: bool,
}

/// A request that is answered with an error, and why: Envoy then does what it is told to do without its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Refused(&'static str);

impl Refused {
    const TOO_MANY: Refused = Refused("the descriptors have more limits than one decision can have");
}

impl Grpc {
    /// A service that answers with these.
    pub fn new(settings: Settings) -> Arc<Self> {
        let meanwhile = (!settings.counters.is_memory()).then(|| Meanwhile::new(settings.nodes));
        Arc::new(Grpc {
            domains: settings.domains,
            counters: settings.counters,
            clock: settings.clock,
            tokens: settings.tokens,
            metrics: settings.metrics,
            service_metrics: settings.service_metrics,
            meanwhile,
            fields: match settings.fields {
                true => Fields::Written,
                false => Fields::None,
            },
            health: Health::new(),
        })
    }

    /// Decides on a request.
    async fn should_rate_limit(
        &self,
        request: &RateLimitRequest,
        deadline: Deadline,
    ) -> Result<RateLimitResponse, Refused> {
        let known = self.domains.known();
        let asked = Asked::of(request, &known)?;
        let now = self.clock.now();
        let decided = self.decide(&asked, deadline, now).await?;
        self.count(request, &asked, &decided);
        Ok(answer::of(&asked, &decided, self.fields))
    }
}
