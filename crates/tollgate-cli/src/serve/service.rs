//! The decision service beside the gateway, or alone: its sockets and its certificates.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;
use tollgate_gateway::admission::Admission;
use tollgate_gateway::tls::TlsFiles;
use tollgate_gateway::{Counters, Listeners};
use tollgate_rules::{RuleSet, Tls};
use tollgate_service::grpc::GrpcMetrics;
use tollgate_service::listen::Bounds;
use tollgate_service::{Service, http, resp};

use super::certificates;
use super::envoy::Envoy;
use super::version::RulesVersion;
use crate::args::ServiceArgs;
use crate::failure::Failure;

/// The sockets of every protocol that is on.
pub(super) struct Sockets {
    resp: Option<Listeners>,
    envoy: Option<Envoy>,
    http: Option<Listeners>,
    tls: Option<Encryption>,
}

/// What is encrypted, and by which certificates.
struct Encryption {
    files: Arc<TlsFiles>,
    of: Tls,
}

impl Sockets {
    /// Listens where the rules say. Files of domains have a part in the rules' version.
    ///
    /// # Errors
    /// An address that is in use, a file that is wrong.
    pub(super) fn bind(
        rules: &RuleSet,
        args: &ServiceArgs,
        counters: &Counters,
        version: &Arc<RulesVersion>,
    ) -> Result<Self, Failure> {
        let bind = |address: Option<SocketAddr>| {
            let bound = address.map(|address| Listeners::bind(address, rules.server.workers));
            let bound = bound.transpose();
            bound.map_err(|error| Failure::Failed(error.to_string()))
        };
        Ok(Sockets {
            resp: bind(rules.service.resp)?,
            envoy: Envoy::open(rules, args, counters, version)?,
            http: bind(rules.service.http)?,
            tls: encryption(rules)?,
        })
    }

    /// Says to people where each protocol is spoken; `with_token`, if one is needed.
    pub(super) fn greet(&self, with_token: bool) {
        if let Some(resp) = &self.resp {
            let (host, port) = (resp.address().ip(), resp.address().port());
            let tls = match self.files(|tls| tls.resp) {
                Some(_) => " --tls",
                None => "",
            };
            let token = match with_token {
                true => " -a \"$TOLLGATE_SERVICE_TOKEN\"",
                false => "",
            };
            println!("Decisions over RESP on {host}:{port}. Type:");
            println!("  redis-cli{tls} -h {host} -p {port}{token} CL.THROTTLE ann 15 30 60");
        }
        if let Some(envoy) = &self.envoy {
            envoy.greet(self.files(|tls| tls.grpc).is_some());
        }
        if let Some(http) = &self.http {
            let address = http.address();
            let scheme = match self.files(|tls| tls.http) {
                Some(_) => "https",
                None => "http",
            };
            let token = match with_token {
                true => " -H \"Authorization: Bearer $TOLLGATE_SERVICE_TOKEN\"",
                false => "",
            };
            println!("Decisions over HTTP on {scheme}://{address}. Type:");
            println!("  curl {scheme}://{address}/v1/limits{token}");
        }
    }

    /// The certificates, where they are for this protocol.
    fn files(&self, is_for: impl Fn(&Tls) -> bool) -> Option<Arc<TlsFiles>> {
        let tls = self.tls.as_ref().filter(|tls| is_for(&tls.of));
        tls.map(|tls| Arc::clone(&tls.files))
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
                Vec::new(),
            ),
            greeting_timeout: rules.server.header_timeout,
            drain_timeout: rules.server.drain_timeout,
        };
        if let Some(tls) = &self.tls {
            certificates::follow(&tls.files);
        }
        let mut threads = Vec::new();
        let [of_resp, of_http, of_grpc] = [
            self.files(|tls| tls.resp),
            self.files(|tls| tls.http),
            self.files(|tls| tls.grpc),
        ];
        if let Some(listeners) = self.resp {
            threads.extend(resp::serve(service, listeners, of_resp, &bounds, stop)?);
        }
        let mut envoy = None;
        if let Some(of_envoy) = self.envoy {
            let (grpc, its_threads) = of_envoy.serve(service, of_grpc, &bounds, stop)?;
            envoy = Some(grpc);
            threads.extend(its_threads);
        }
        if let Some(listeners) = self.http {
            threads.extend(http::serve(
                service,
                envoy.as_ref(),
                listeners,
                of_http,
                &bounds,
                stop,
            )?);
        }
        Ok(threads)
    }
}

fn encryption(rules: &RuleSet) -> Result<Option<Encryption>, Failure> {
    let Some(of) = rules.service.tls.clone().filter(|_| rules.service.is_on()) else {
        return Ok(None);
    };
    Ok(Some(Encryption {
        files: certificates::open(&of.certificates, "service")?,
        of,
    }))
}
