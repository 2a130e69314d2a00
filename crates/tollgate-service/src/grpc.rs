//! Envoy's rate-limit service, version 3, over gRPC.
//!
//! The way of a request: `listen` -> `connection` (HTTP/2, with or without TLS) -> `call` (which method, and who asks) ->
//! `frames` and `messages` (from bytes to a request; `peer` has what calls hold meanwhile) -> `asked` (domain,
//! descriptors, keys) -> `decide` -> `answer`. Domains are the rules' and those of files of Envoy's own service, which
//! are read again when they change.

mod answer;
mod asked;
mod call;
mod connection;
mod deadline;
mod decide;
mod domains;
mod frames;
mod health;
mod heartbeat;
mod json;
mod key;
mod messages;
mod metrics;
mod others;
mod overrides;
mod peer;
mod refusal;
mod streams;

use std::sync::Arc;

pub use connection::serve;
pub use domains::{Domains, OnLoaded};
pub use json::JsonAnswer;
pub use metrics::GrpcMetrics;

use crate::service::Service;
use answer::Fields;
use asked::Asked;
use deadline::Deadline;
use health::Health;
use messages::{RateLimitRequest, RateLimitResponse};

/// The rate-limit service, shared by the threads that serve it.
pub struct Grpc {
    service: Arc<Service>,
    domains: Arc<Domains>,
    metrics: Arc<GrpcMetrics>,
    fields: Fields,
    health: Health,
}

/// A request that is answered with an error, and why: Envoy then does what it is told to do without its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Refused(&'static str);

impl Refused {
    const TOO_MANY: Refused =
        Refused("the descriptors have more limits than one decision can have");
}

impl Grpc {
    /// A service that limits by these domains, on the counters of `service`. What is measured of descriptors is measured
    /// by `metrics`, which the domains were opened with.
    pub fn new(
        service: Arc<Service>,
        domains: Arc<Domains>,
        metrics: Arc<GrpcMetrics>,
    ) -> Arc<Self> {
        Arc::new(Grpc {
            domains,
            metrics,
            fields: match service.rules.service.no_fields {
                true => Fields::None,
                false => Fields::Written,
            },
            health: Health::new(),
            service,
        })
    }

    /// Decides on a request.
    async fn should_rate_limit(
        &self,
        request: &RateLimitRequest<'_>,
        deadline: Deadline,
    ) -> Result<RateLimitResponse, Refused> {
        let known = self.domains.known();
        let now = self.service.clock.now();
        let asked = Asked::of(request, &known, now)?;
        let decided = self.decide(&asked, deadline, now).await?;
        self.count(request, &asked, &decided);
        Ok(answer::of(&asked, &decided, self.fields))
    }
}

#[cfg(test)]
mod tests;
