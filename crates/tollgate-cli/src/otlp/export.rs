//! From a queue of spans to a collector, batch by batch.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use prost::Message;
use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tollgate_gateway::spans::Span;

use super::client::Client;
use super::environment::Environment;
use super::messages::{
    ExportTraceServiceRequest, InstrumentationScope, KeyValue, Resource, ResourceSpans, ScopeSpans,
};
use super::metrics::Metrics;

/// A collector that is away is asked again after so long, twice as long each time.
const AGAIN_FIRST: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(30);

pub(super) struct Exporter {
    client: Client,
    metrics: Arc<Metrics>,
    resource: Resource,
    batch_max: usize,
    delay: Duration,
    timeout: Duration,
    /// While the collector is away: when it is asked again, and how long was waited for that.
    away: Option<(Instant, Duration)>,
}

impl Exporter {
    pub(super) fn new(environment: &Environment, client: Client, metrics: Arc<Metrics>) -> Self {
        let attributes = environment.resource.iter();
        let attributes = attributes.map(|(key, text)| KeyValue::text(key, text));
        Exporter {
            client,
            metrics,
            resource: Resource {
                attributes: attributes.collect(),
            },
            batch_max: environment.batch_max,
            delay: environment.delay,
            timeout: environment.timeout,
            away: None,
        }
    }

    /// Sends spans until it is to stop, and then what is left.
    pub(super) async fn run(mut self, mut waiting: Receiver<Span>, stop: oneshot::Receiver<()>) {
        let mut stop = stop.fuse();
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                // Whoever is gone without a word has stopped, too.
                _ = &mut stop => waiting.close(),
                taken = waiting.recv_many(&mut batch, self.batch_max) => {
                    if taken == 0 {
                        return;
                    }
                    tokio::select! {
                        _ = &mut stop => waiting.close(),
                        _ = tokio::time::timeout(self.delay, self.fill(&mut batch, &mut waiting)) => {}
                    }
                    let spans = std::mem::take(&mut batch);
                    self.send(spans).await;
                }
            }
        }
    }

    /// Takes spans until the batch is full, or there will be none.
    async fn fill(&self, batch: &mut Vec<Span>, waiting: &mut Receiver<Span>) {
        while batch.len() < self.batch_max {
            let room = self.batch_max - batch.len();
            if waiting.recv_many(batch, room).await == 0 {
                return;
            }
        }
    }

    /// Sends a batch, once. While the collector is away, batches in between are dropped unsent.
    async fn send(&mut self, spans: Vec<Span>) {
        let count = spans.len() as u64;
        let now = Instant::now();
        if self.away.is_some_and(|(again, _)| now < again) {
            self.metrics.dropped.inc_by(count);
            return;
        }
        let message = self.message(spans);
        let posted = tokio::time::timeout(self.timeout, self.client.post(message)).await;
        let why = match posted {
            Ok(Ok(status)) if status.is_success() => {
                self.metrics.exported.inc_by(count);
                if self.away.take().is_some() {
                    tracing::info!("the collector of traces takes spans again");
                }
                return;
            }
            Ok(Ok(status)) => format!("it answered {status}"),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it did not answer in time".to_owned(),
        };
        self.metrics.dropped.inc_by(count);
        let wait = match self.away {
            None => {
                tracing::warn!(
                    collector = self.client.shown(),
                    why,
                    "the collector of traces takes no spans; they are dropped until it does"
                );
                AGAIN_FIRST
            }
            Some((_, waited)) => (2 * waited).min(AGAIN_MAX),
        };
        self.away = Some((Instant::now() + wait, wait));
    }

    fn message(&self, spans: Vec<Span>) -> Bytes {
        let scope = InstrumentationScope {
            name: "tollgate".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let scope_spans = ScopeSpans {
            scope: Some(scope),
            spans: spans.into_iter().map(Into::into).collect(),
        };
        let resource_spans = ResourceSpans {
            resource: Some(self.resource.clone()),
            scope_spans: vec![scope_spans],
        };
        let request = ExportTraceServiceRequest {
            resource_spans: vec![resource_spans],
        };
        request.encode_to_vec().into()
    }
}
