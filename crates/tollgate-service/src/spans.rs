//! Spans of questions, for whoever traces: by which method, and how it ended. Never whose units, nor of which limit.
//!
//! RESP has no place for a trace, and no spans.

use http::{HeaderMap, Method, StatusCode};
use tollgate_gateway::spans::{About, OpenSpan, Value, known_method};

use crate::Service;

/// How a span of gRPC is called.
const CALL: &str = "envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";

impl Service {
    /// Begins the span of a question, where questions are traced. Who may ask is believed about what is recorded.
    pub(crate) fn begin_span(&self, headers: &HeaderMap, is_admitted: bool) -> Option<OpenSpan> {
        let tracer = self.tracer.as_ref()?;
        Some(tracer.begin(headers, is_admitted, self.clock.now()))
    }

    /// Ends the span of a question over HTTP; `path` is one that the service has.
    pub(crate) fn end_http(
        &self,
        open: &OpenSpan,
        method: &Method,
        path: Option<&'static str>,
        status: StatusCode,
    ) {
        let Some(tracer) = &self.tracer else { return };
        let method = known_method(method);
        let mut attributes = vec![
            ("http.request.method", Value::Text(method.into())),
            (
                "http.response.status_code",
                Value::Number(status.as_u16().into()),
            ),
        ];
        let mut name = method.into();
        if let Some(path) = path {
            name = format!("{method} {path}").into();
            attributes.push(("http.route", Value::Text(path.into())));
        }
        let failed = status.is_server_error();
        if failed {
            let code = status.as_str().to_owned();
            attributes.push(("error.type", Value::Text(code.into())));
        }
        tracer.end(open, name, About { attributes, failed });
    }

    /// Ends the span of a call over gRPC: what was decided, or the status of an error.
    pub(crate) fn end_grpc(&self, open: &OpenSpan, ended: Result<&'static str, i32>) {
        let Some(tracer) = &self.tracer else { return };
        let mut attributes = vec![
            ("rpc.system", Value::Text("grpc".into())),
            (
                "rpc.grpc.status_code",
                Value::Number(ended.err().unwrap_or(0).into()),
            ),
        ];
        if let Ok(decision) = ended {
            attributes.push(("tollgate.decision", Value::Text(decision.into())));
        }
        // What is wrong with a question is its caller's error, and not one of the server.
        let failed = false;
        tracer.end(open, CALL.into(), About { attributes, failed });
    }
}
