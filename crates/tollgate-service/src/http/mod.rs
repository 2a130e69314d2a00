//! Plain HTTP with JSON: `POST /v1/check` and its like, on limits of the rules.
//!
//! The way of a request: `connection` (`head`, and the body behind it) -> `answer` (route, token) -> `question` (which
//! limits, whose units) -> `decide` -> `told` (the reasons, in `members`) with the fields that every HTTP client of
//! Tollgate reads, or `problem` -> `wire`.

mod answer;
mod body;
mod connection;
mod cost;
mod decide;
mod form;
mod handlers;
mod head;
mod key;
mod members;
mod openapi;
mod problem;
mod question;
mod told;
mod wire;

use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;
use tollgate_gateway::Listeners;
use tollgate_gateway::tls::TlsFiles;

use crate::Service;
use crate::grpc::Grpc;
use crate::listen::{self, Bounds};
use crate::metrics::Protocol;

/// Serves HTTP until `stop` turns true. `envoy` answers `POST /json`, where there are domains. All is encrypted if there is `tls`.
///
/// # Errors
/// A thread or its runtime that cannot be started.
pub fn serve(
    service: &Arc<Service>,
    envoy: Option<&Arc<Grpc>>,
    listeners: Listeners,
    tls: Option<Arc<TlsFiles>>,
    bounds: &Bounds,
    stop: &watch::Receiver<bool>,
) -> std::io::Result<Vec<JoinHandle<()>>> {
    let asked = (Arc::clone(service), envoy.cloned());
    let (protocol, metrics) = (Protocol::Http, &service.metrics);
    listen::serve(listeners, protocol, metrics, tls, bounds, stop, move || {
        let (service, envoy) = asked.clone();
        let dates = wire::Dates::new();
        let worker = Rc::new(answer::Worker {
            service,
            envoy,
            dates,
        });
        move |stream, stop| connection::serve(Rc::clone(&worker), stream, stop)
    })
}

#[cfg(test)]
mod tests;
