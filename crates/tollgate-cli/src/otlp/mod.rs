//! Spans on their way to a collector, by OTLP over HTTP with protobuf, as OpenTelemetry's own variables say.
//!
//! A request never waits: what finds no room in the queue is counted and dropped. A collector that is away is tried again
//! now and then, and said once.

mod client;
mod environment;
mod export;
mod messages;
mod metrics;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tollgate_gateway::spans::Tracer;

use crate::failure::Failure;
use crate::serve::traces::MetricsText;
use client::Client;
use environment::Environment;
use export::Exporter;
use metrics::Metrics;

/// For so long the end of the gateway waits for the last spans.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// What exports spans, where a collector is named.
pub(crate) struct Traces(Option<Running>);

struct Running {
    metrics: Arc<Metrics>,
    stop: oneshot::Sender<()>,
    exporter: JoinHandle<()>,
}

impl Traces {
    /// Starts exporting, if the environment names a collector; the tracer is for the gateway.
    ///
    /// # Errors
    /// A variable that means nothing.
    pub(crate) fn start() -> Result<(Self, Option<Arc<Tracer>>), Failure> {
        let read = Environment::read(&|name| std::env::var(name).ok());
        let Some(settings) = read.map_err(Failure::Usage)? else {
            return Ok((Traces(None), None));
        };
        let client = Client::new(&settings).map_err(Failure::Usage)?;
        tracing::info!(
            collector = client.shown(),
            sampled = %settings.sampler,
            "requests are traced"
        );
        let metrics = Arc::new(Metrics::new());
        let (queue, waiting) = mpsc::channel(settings.queue_max);
        let exporter = Exporter::new(&settings, client, Arc::clone(&metrics));
        let (stop, stopping) = oneshot::channel();
        let exporter = tokio::spawn(exporter.run(waiting, stopping));
        let counted = Arc::clone(&metrics);
        let tracer = Tracer::new(settings.sampler, move |span| {
            if queue.try_send(span).is_err() {
                counted.dropped.inc();
            }
        });
        let running = Running {
            metrics,
            stop,
            exporter,
        };
        Ok((Traces(Some(running)), Some(Arc::new(tracer))))
    }

    /// What is measured of it.
    pub(crate) fn metrics(&self) -> MetricsText {
        match &self.0 {
            None => Arc::new(String::new),
            Some(running) => {
                let metrics = Arc::clone(&running.metrics);
                Arc::new(move || metrics.encode())
            }
        }
    }

    /// Sends what still waits; later spans are dropped.
    pub(crate) async fn close(self) {
        let Some(Running { stop, exporter, .. }) = self.0 else {
            return;
        };
        let _ = stop.send(());
        if tokio::time::timeout(FLUSH_MAX, exporter).await.is_err() {
            tracing::warn!("the last spans could not be sent");
        }
    }
}
