//! The decision service beside the gateway, or alone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;
use tollgate_gateway::Listeners;
use tollgate_gateway::admission::Admission;
use tollgate_rules::RuleSet;
use tollgate_service::grpc::GrpcMetrics;
use tollgate_service::listen::Bounds;
use tollgate_service::{Service, http, resp};

use super::envoy::Envoy;
use super::version::RulesVersion;
use crate::args::ServiceArgs;
use crate::failure::Failure;

/// The sockets of every protocol that is on.
pub(super) struct Sockets {
    resp: Option<Listeners>,
    envoy: Option<Envoy>,
    http: Option<Listeners>,
}

impl Sockets {
    /// Listens where the rules say. Files of domains have a part in the rules' version.
    ///
    /// # Errors
    /// An address that is in use, a file that is wrong.
    pub(super) fn bind(
        rules: &RuleSet,
        args: &ServiceArgs,
        version: &Arc<RulesVersion>,
    ) -> Result<Self, Failure> {
        let bind = |address: Option<SocketAddr>| {
            let bound = address.map(|address| Listeners::bind(address, rules.server.workers));
            let bound = bound.transpose();
            bound.map_err(|error| Failure::Failed(error.to_string()))
        };
        Ok(Sockets {
            resp: bind(rules.service.resp)?,
            envoy: Envoy::open(rules, args, version)?,
            http: bind(rules.service.http)?,
        })
    }

    /// Says to people where each protocol is spoken.
    pub(super) fn greet(&self) {
        if let Some(resp) = &self.resp {
            let (host, port) = (resp.address().ip(), resp.address().port());
            println!("Decisions over RESP on {host}:{port}. Type:");
            println!("  redis-cli -h {host} -p {port} CL.THROTTLE ann 15 30 60");
        }
        if let Some(envoy) = &self.envoy {
            envoy.greet();
        }
        if let Some(http) = &self.http {
            let address = http.address();
            println!("Decisions over HTTP on http://{address}. Type:");
            println!("  curl http://{address}/v1/limits");
        }
    }

    /// What is measured of domains.
    pub(super) fn envoy_metrics(&self) -> Option<Arc<GrpcMetrics>> {
        self.envoy.as_ref().map(|envoy| Arc::clone(envoy.metrics()))
    }

    /// Serves all of them until `stop` turns true.
    ///
    /// # Errors
    /// A thread that cannot be started.
    pub(super) fn serve(
        self,
        service: &Arc<Service>,
        rules: &RuleSet,
        stop: &watch::Receiver<bool>,
    ) -> std::io::Result<Vec<JoinHandle<()>>> {
        let bounds = Bounds {
            admission: Admission::new(
                rules.server.connections_max,
                rules.server.connections_per_address_max,
            ),
            drain_timeout: rules.server.drain_timeout,
        };
        let mut threads = Vec::new();
        if let Some(listeners) = self.resp {
            threads.extend(resp::serve(service, listeners, &bounds, stop)?);
        }
        let mut envoy = None;
        if let Some(of_envoy) = self.envoy {
            let (grpc, of_grpc) = of_envoy.serve(service, &bounds, stop)?;
            envoy = Some(grpc);
            threads.extend(of_grpc);
        }
        if let Some(listeners) = self.http {
            threads.extend(http::serve(
                service,
                envoy.as_ref(),
                listeners,
                &bounds,
                stop,
            )?);
        }
        Ok(threads)
    }
}
