//! RESP2 and RESP3, Redis's protocol: `CL.THROTTLE` as redis-cell has it, and `TOLLGATE.CHECK` on limits of the rules.
//!
//! The way of a pipeline: `connection` reads what has come -> `parse` finds the commands -> `answer` knows them and
//! collects those that decide into a `batch` -> one decision for all -> `reply` -> one write.

mod answer;
mod batch;
mod connection;
mod parse;
mod reply;
mod session;
mod table;
mod throttle;
mod told;

use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;
use tollgate_gateway::Listeners;
use tollgate_gateway::tls::TlsFiles;

use crate::Service;
use crate::listen::{self, Bounds};
use crate::metrics::Protocol;
use connection::Worker;

/// Serves RESP until `stop` turns true, encrypted if there is `tls`.
///
/// # Errors
/// A thread or its runtime that cannot be started.
pub fn serve(
    service: &Arc<Service>,
    listeners: Listeners,
    tls: Option<Arc<TlsFiles>>,
    bounds: &Bounds,
    stop: &watch::Receiver<bool>,
) -> std::io::Result<Vec<JoinHandle<()>>> {
    let (service, metrics) = (Arc::clone(service), &service.metrics);
    let protocol = Protocol::Resp;
    listen::serve(listeners, protocol, metrics, tls, bounds, stop, move || {
        let worker = Rc::new(Worker::new(Arc::clone(&service)));
        move |stream, stop| connection::serve(Rc::clone(&worker), stream, stop)
    })
}
