//! Traces, where they are built in (feature `otlp`); elsewhere whoever asks for them is told so.

use std::sync::Arc;

#[cfg(feature = "otlp")]
pub(super) use crate::otlp::Traces;

#[cfg(not(feature = "otlp"))]
pub(super) use without::Traces;

/// Metrics as text, without the mark of the end.
pub(crate) type MetricsText = Arc<dyn Fn() -> String + Send + Sync>;

#[cfg(not(feature = "otlp"))]
mod without {
    use std::sync::Arc;

    use tollgate_gateway::spans::Tracer;

    use super::MetricsText;
    use crate::failure::Failure;

    const ENDPOINTS: [&str; 2] = [
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    ];

    pub(in crate::serve) struct Traces;

    #[expect(
        clippy::unnecessary_wraps,
        clippy::unused_async,
        reason = "as with traces"
    )]
    impl Traces {
        pub(in crate::serve) fn start() -> Result<(Self, Option<Arc<Tracer>>), Failure> {
            if ENDPOINTS
                .iter()
                .any(|name| std::env::var_os(name).is_some())
            {
                tracing::warn!(
                    "this build sends no traces: the environment names a collector, and the feature `otlp` is not built in"
                );
            }
            Ok((Traces, None))
        }

        pub(in crate::serve) fn metrics(&self) -> MetricsText {
            Arc::new(String::new)
        }

        pub(in crate::serve) async fn close(self) {}
    }
}
