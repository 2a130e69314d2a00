//! Envoy's rate-limit service: its domains and its sockets.

use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;
use tollgate_gateway::tls::TlsFiles;
use tollgate_gateway::{Counters, Listeners};
use tollgate_rules::{RuleSet, Standing};
use tollgate_service::Service;
use tollgate_service::grpc::{self, Domains, Grpc, GrpcMetrics};
use tollgate_service::listen::Bounds;

use super::version::RulesVersion;
use crate::args::ServiceArgs;
use crate::failure::Failure;

/// Everything that is there before it serves.
pub(super) struct Envoy {
    /// Where it is asked over gRPC; over HTTP it is asked where the service is.
    listeners: Option<Listeners>,
    domains: Arc<Domains>,
    metrics: Arc<GrpcMetrics>,
}

impl Envoy {
    /// Reads the files and listens where the rules say, if anybody can ask.
    ///
    /// # Errors
    /// A file that is wrong, and an address that is in use.
    pub(super) fn open(
        rules: &RuleSet,
        args: &ServiceArgs,
        counters: &Counters,
        version: &Arc<RulesVersion>,
    ) -> Result<Option<Self>, Failure> {
        let native = rules.domains.clone();
        let any_domain = !native.is_empty() || !args.envoy_config.is_empty();
        match (rules.service.grpc, rules.service.http) {
            (None, None) if !args.envoy_config.is_empty() => {
                let why = "--envoy-config or TOLLGATE_ENVOY_CONFIG: nobody asks for domains without --grpc, or `grpc` in [service]";
                return Err(Failure::Usage(why.to_owned()));
            }
            (None, None) => {
                if any_domain {
                    tracing::warn!("nobody asks for the domains: there is no `grpc` in [service]");
                }
                return Ok(None);
            }
            (None, Some(_)) if !any_domain => return Ok(None),
            (Some(_), _) if !any_domain => tracing::warn!(
                "gRPC has no domains, so it limits nothing: see [service.domains] and --envoy-config"
            ),
            _ => {}
        }
        let metrics = Arc::new(GrpcMetrics::new());
        let on_error = rules.counters.sharing.on_error;
        let files = &args.envoy_config;
        let (counters, version) = (counters.clone(), Arc::clone(version));
        let on_loaded = Box::new(move |standing: Option<Standing>| {
            match standing.and_then(|files| version.files_read(files)) {
                Some(store) => counters.through(Arc::new(store)),
                None => counters.clone(),
            }
        });
        let domains = Domains::open(native, files, on_error, Arc::clone(&metrics), on_loaded);
        let bind = |address| Listeners::bind(address, rules.server.workers);
        let listeners = rules.service.grpc.map(bind).transpose();
        Ok(Some(Envoy {
            domains: domains.map_err(Failure::Usage)?,
            listeners: listeners.map_err(|error| Failure::Failed(error.to_string()))?,
            metrics,
        }))
    }

    /// Says to people where it is.
    pub(super) fn greet(&self, is_encrypted: bool) {
        let encrypted = if is_encrypted { ", encrypted" } else { "" };
        if let Some(listeners) = &self.listeners {
            println!(
                "Decisions for Envoy over gRPC on {}{encrypted}: envoy.service.ratelimit.v3.RateLimitService",
                listeners.address()
            );
        }
    }

    /// What is measured of it.
    pub(super) fn metrics(&self) -> &Arc<GrpcMetrics> {
        &self.metrics
    }

    /// Serves until `stop` turns true, and reads files again that change. What is returned answers over HTTP, too.
    ///
    /// # Errors
    /// A thread that cannot be started.
    pub(super) fn serve(
        self,
        service: &Arc<Service>,
        tls: Option<Arc<TlsFiles>>,
        bounds: &Bounds,
        stop: &watch::Receiver<bool>,
    ) -> std::io::Result<(Arc<Grpc>, Vec<JoinHandle<()>>)> {
        tokio::spawn(Arc::clone(&self.domains).follow());
        let grpc = Grpc::new(Arc::clone(service), self.domains, self.metrics);
        let threads = match self.listeners {
            Some(listeners) => grpc::serve(&grpc, listeners, tls, bounds, stop)?,
            None => Vec::new(),
        };
        Ok((grpc, threads))
    }
}
