//! Whether the service serves, as `grpc.health.v1` asks it.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

/// The services that are asked for by name, and all of them together.
const SERVICES: [&str; 2] = ["", "envoy.service.ratelimit.v3.RateLimitService"];

/// Whether the service serves.
pub(super) struct Health {
    reporter: HealthReporter,
    has_stopped: AtomicBool,
}

impl Health {
    /// Serving.
    pub(super) fn new() -> Self {
        let health = Health {
            reporter: HealthReporter::new(),
            has_stopped: AtomicBool::new(false),
        };
        health.say(ServingStatus::Serving);
        health
    }

    /// From now on it takes no new requests.
    pub(super) fn stop(&self) {
        // Each time it is said whoever watches hears of it.
        if !self.has_stopped.swap(true, Ordering::Relaxed) {
            self.say(ServingStatus::NotServing);
        }
    }

    fn say(&self, status: ServingStatus) {
        for service in SERVICES {
            // It waits only while somebody else says something.
            let said = self.reporter.set_service_status(service, status);
            let _ = said.now_or_never();
        }
    }

    pub(super) fn server(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }
}
