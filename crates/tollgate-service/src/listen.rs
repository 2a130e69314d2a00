//! A listener for each protocol: one thread and one runtime for each socket, as the gateway has it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tollgate_gateway::Listeners;
use tollgate_gateway::accept::{self, Terms};
use tollgate_gateway::admission::Admission;
use tollgate_gateway::stream::Stream;
use tollgate_gateway::tls::TlsFiles;

use crate::metrics::{Metrics, Protocol};

/// What all listeners of the service keep to.
#[derive(Clone)]
pub struct Bounds {
    /// Which connections are served.
    pub admission: Arc<Admission>,
    /// How long a client may take to greet, where connections are encrypted.
    pub greeting_timeout: Duration,
    /// How long connections may take to end when the service stops.
    pub drain_timeout: Duration,
}

/// Serves connections until `stop` turns true and those that are open have ended, or their time to do so is up.
///
/// `thread` is called once on each thread, and what it returns once for each connection (see [`accept::serve`]).
///
/// # Errors
/// A thread or its runtime that cannot be started.
pub(crate) fn serve<T, C, F>(
    listeners: Listeners,
    protocol: Protocol,
    metrics: &Metrics,
    tls: Option<Arc<TlsFiles>>,
    bounds: &Bounds,
    stop: &watch::Receiver<bool>,
    thread: T,
) -> std::io::Result<Vec<JoinHandle<()>>>
where
    T: Fn() -> C + Clone + Send + 'static,
    C: Fn(Stream, watch::Receiver<bool>) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    let terms = Terms {
        admission: Arc::clone(&bounds.admission),
        tls,
        spoken: protocol.spoken(),
        greeting_timeout: bounds.greeting_timeout,
        greetings_failed: metrics.tls_handshakes_failed(protocol).clone(),
        drain_timeout: bounds.drain_timeout,
    };
    accept::serve(listeners, protocol.name(), &terms, stop, move || {
        let connection = thread();
        move |stream, _, stop| connection(stream, stop)
    })
}
