//! Whether the service serves, as `grpc.health.v1` asks it.

use futures_util::FutureExt;
use tokio::sync::OnceCell;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

/// The services that are asked for by name, and all of them together.
const SERVICES: [&str; 2] = ["", "envoy.service.ratelimit.v3.RateLimitService"];

/// Whether the service serves.
pub(super) struct Health {
    reporter: HealthReporter,
    stopped: OnceCell<()>,
}

impl Health {
    /// Serving.
    pub(super) fn new() -> Self {
        let health = Health {
            reporter: HealthReporter::new(),
            stopped: OnceCell::new(),
        };
        // Nobody else knows it yet, so there is nothing to wait for.
        let _ = health.say(ServingStatus::Serving).now_or_never();
        health
    }

    /// From now on it takes no new requests. Comes when that has been said.
    pub(super) async fn stop(&self) {
        // Each time it is said whoever watches hears of it.
        let said = || self.say(ServingStatus::NotServing);
        self.stopped.get_or_init(said).await;
    }

    async fn say(&self, status: ServingStatus) {
        for service in SERVICES {
            self.reporter.set_service_status(service, status).await;
        }
    }

    pub(super) fn server(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }
}

#[cfg(test)]
mod tests {
    use tonic::Request;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_check_response::ServingStatus as Told;
    use tonic_health::pb::health_server::Health as _;

    use super::*;

    #[tokio::test]
    async fn the_end_is_said_also_by_a_task_that_has_had_its_turn() {
        let health = Health::new();
        while tokio::task::consume_budget().now_or_never().is_some() {}
        health.stop().await;
        for service in SERVICES {
            let asked = Request::new(HealthCheckRequest {
                service: service.to_owned(),
            });
            let service = HealthService::from_health_reporter(health.reporter.clone());
            let told = service.check(asked).await.unwrap().into_inner();
            assert_eq!(told.status(), Told::NotServing);
        }
    }
}
