//! Plain HTTP with JSON: `POST /v1/check` and its like, on limits of the rules.
//!
//! The way of a request: `answer` (route, token, body) -> `question` (which limits, whose units) -> one decision ->
//! `told` (its reasons) with the fields that every HTTP client of Tollgate reads, or `problem`.

mod answer;
mod decide;
mod form;
mod handlers;
mod key;
mod members;
mod openapi;
mod problem;
mod question;
mod told;

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;
use tokio_io_timeout::TimeoutStream;
use tollgate_gateway::Listeners;

use crate::grpc::Grpc;
use crate::listen::{self, Bounds};
use crate::metrics::Protocol;
use crate::stream::Stream;
use crate::{Service, TlsFiles};

/// An answer whose body is whole.
type Response = http::Response<bytes::Bytes>;

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
    listen::serve(listeners, Protocol::Http, tls, bounds, stop, move || {
        let (service, envoy) = asked.clone();
        move |stream, stop| connection(Arc::clone(&service), envoy.clone(), stream, stop)
    })
}

async fn connection(
    service: Arc<Service>,
    envoy: Option<Arc<Grpc>>,
    stream: Stream,
    stop: watch::Receiver<bool>,
) {
    let _open = service.metrics.open(Protocol::Http);
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(service.question_timeout())
        .max_buf_size(service.rules.server.header_bytes_max);
    // Who reads nothing does not hold its connection for ever.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(service.write_timeout()));
    let answer = service_fn(|request| {
        let (service, envoy) = (&service, envoy.as_deref());
        async move { Ok::<_, Infallible>(answer::answer(service, envoy, request)
                .await
                .map(http_body_util::Full::new)) }
    });
    let stream = pin!(stream);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), answer));
    let mut signal = stop.clone();
    let mut stopped = pin!(signal.wait_for(|stop| *stop));
    let (mut listens, mut stopping) = (false, false);
    let ended = poll_fn(|context| {
        // The waker of a task never changes: once it is left with the signal, a look at the version is enough.
        let heard = !listens || !stop.has_changed().is_ok_and(|changed| !changed);
        listens = true;
        if heard && !stopping && stopped.as_mut().poll(context).is_ready() {
            stopping = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(context)
    });
    if let Err(error) = ended.await {
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests;
