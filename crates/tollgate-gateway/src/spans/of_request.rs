//! What spans say of a request through the gateway: never a path, a query, a key or who asked.

use std::borrow::Cow;

use http::{Method, Response, StatusCode};
use tollgate::Decision;

use super::{About, Child, OpenSpan, Tracer, Value, known_method};
use crate::body::Body;
use crate::ending::Ending;
use crate::gateway::{Gateway, Server};
use crate::metrics::template;
use crate::refusal::Refusal;
use crate::trace::Trace;
use crate::upstream::Fault;

impl Trace<'_> {
    /// Ends the span of a request that is answered.
    pub(crate) fn end_span(
        &self,
        gateway: &Gateway,
        response: &Response<Body>,
        refusal: Option<&Refusal>,
        ending: Ending,
    ) {
        let (Some(tracer), Some(open)) = (&gateway.tracer, &self.span) else {
            return;
        };
        if !open.is_sampled() {
            return;
        }
        let (method, status) = (known_method(&self.method), response.status());
        let mut about = About {
            failed: status.is_server_error(),
            attributes: vec![
                ("http.request.method", text(method)),
                ("http.response.status_code", code(status)),
                ("tollgate.decision", text(ending.name())),
            ],
        };
        let mut name = Cow::Borrowed(method);
        if let Some(route) = self.route {
            let template = template(&route.name);
            name = format!("{method} {template}").into();
            let template = Value::Text(template.to_owned().into());
            about.attributes.push(("http.route", template));
        }
        if status.is_server_error() {
            let code = Value::Text(status.as_str().to_owned().into());
            about.attributes.push(("error.type", code));
        }
        let denied_by = refusal.map(Refusal::violated).unwrap_or_default();
        if !denied_by.is_empty() {
            let names = denied_by.iter().map(ToString::to_string).collect();
            let names = Value::Texts(names);
            about.attributes.push(("tollgate.denied_by", names));
        }
        let denied = refusal.and_then(Refusal::decision);
        let decision = match (denied, &self.decided) {
            (Some(denied), _) => Some(&denied.decision),
            (None, Some(decided)) => Some(&decided.decision),
            (None, None) => None,
        };
        if let Some(decision) = decision {
            about.attributes.push(degraded(decision));
        }
        if let Ok(id) = self.request_id.to_str() {
            let id = Value::Text(id.to_owned().into());
            about.attributes.push(("tollgate.request_id", id));
        }
        tracer.end(open, name, about);
    }

    /// Begins the call to a store that is a round trip away.
    pub(crate) fn begin_store_call(&self, gateway: &Gateway) -> Option<Child> {
        let open = self.span.as_ref().filter(|open| open.is_sampled())?;
        Some(gateway.tracer.as_ref()?.child(open))
    }

    /// Ends it.
    pub(crate) fn end_store_call(
        &self,
        gateway: &Gateway,
        child: Option<Child>,
        decision: &Decision,
    ) {
        let (Some(tracer), Some(open), Some(child)) = (&gateway.tracer, &self.span, child) else {
            return;
        };
        let about = About {
            attributes: vec![("db.system.name", text("redis")), degraded(decision)],
            failed: decision.is_degraded(),
        };
        tracer.end_child(open, child, "decide", about);
    }
}

/// The upstream's part of a request.
#[derive(Debug)]
pub(crate) struct Leg<'t> {
    tracer: &'t Tracer,
    open: &'t OpenSpan,
    child: Child,
    /// What the upstream is told.
    pub(crate) traceparent: String,
    /// Whether what the caller's tracers keep goes on; without a trace of theirs it means nothing.
    pub(crate) keeps_state: bool,
}

impl<'t> Leg<'t> {
    pub(crate) fn begin(gateway: &'t Gateway, open: Option<&'t OpenSpan>) -> Option<Self> {
        let (tracer, open) = (gateway.tracer.as_ref()?, open?);
        let child = tracer.child(open);
        Some(Leg {
            tracer,
            open,
            child,
            traceparent: open.parent_field(child),
            keeps_state: open.parent.is_some(),
        })
    }

    /// The upstream has answered.
    pub(crate) fn answered(&self, server: &Server, method: &Method, status: StatusCode) {
        let failed = status.is_client_error() || status.is_server_error();
        let error = failed.then(|| Cow::Owned(status.as_str().to_owned()));
        self.end(server, method, Some(status), error);
    }

    /// It has not.
    pub(crate) fn failed(&self, server: &Server, method: &Method, fault: Fault) {
        self.end(server, method, None, Some(fault.name().into()));
    }

    /// The client has not sent its request whole.
    pub(crate) fn given_up(&self, server: &Server, method: &Method) {
        self.end(server, method, None, Some("client".into()));
    }

    fn end(
        &self,
        server: &Server,
        method: &Method,
        status: Option<StatusCode>,
        error: Option<Cow<'static, str>>,
    ) {
        if !self.open.is_sampled() {
            return;
        }
        let method = known_method(method);
        let host = server.authority.host().to_owned();
        let port = server.authority.port_u16().unwrap_or(80);
        let mut about = About {
            failed: error.is_some(),
            attributes: vec![
                ("http.request.method", text(method)),
                ("server.address", Value::Text(host.into())),
                ("server.port", Value::Number(port.into())),
            ],
        };
        if let Some(status) = status {
            about
                .attributes
                .push(("http.response.status_code", code(status)));
        }
        if let Some(error) = error {
            about.attributes.push(("error.type", Value::Text(error)));
        }
        self.tracer.end_child(self.open, self.child, method, about);
    }
}

fn degraded(decision: &Decision) -> (&'static str, Value) {
    ("tollgate.degraded", Value::Flag(decision.is_degraded()))
}

fn text(text: &'static str) -> Value {
    Value::Text(text.into())
}

fn code(status: StatusCode) -> Value {
    Value::Number(status.as_u16().into())
}
