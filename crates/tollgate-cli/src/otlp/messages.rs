//! What goes over the wire: as much of `opentelemetry.proto.collector.trace.v1` as spans of ours need.

use prost::{Enumeration, Message, Oneof};
use tollgate_gateway::spans::{self, Value};

#[derive(Clone, PartialEq, Message)]
pub(super) struct ExportTraceServiceRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    pub(super) resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub(super) scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Resource {
    #[prost(message, repeated, tag = "1")]
    pub(super) attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    pub(super) scope: Option<InstrumentationScope>,
    #[prost(message, repeated, tag = "2")]
    pub(super) spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct InstrumentationScope {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) version: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Span {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    pub(super) trace_state: String,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    pub(super) name: String,
    #[prost(enumeration = "SpanKind", tag = "6")]
    pub(super) kind: i32,
    #[prost(fixed64, tag = "7")]
    pub(super) start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    pub(super) end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    pub(super) attributes: Vec<KeyValue>,
    #[prost(message, optional, tag = "15")]
    pub(super) status: Option<Status>,
    /// The flags of the trace.
    #[prost(fixed32, tag = "16")]
    pub(super) flags: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
pub(super) enum SpanKind {
    Unspecified = 0,
    Internal = 1,
    Server = 2,
    Client = 3,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Status {
    /// 0 unset, 1 fine, 2 an error.
    #[prost(int32, tag = "3")]
    pub(super) code: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct KeyValue {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(message, optional, tag = "2")]
    pub(super) value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AnyValue {
    #[prost(oneof = "OneValue", tags = "1, 2, 3, 5")]
    pub(super) value: Option<OneValue>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum OneValue {
    #[prost(string, tag = "1")]
    String(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(message, tag = "5")]
    Array(ArrayValue),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ArrayValue {
    #[prost(message, repeated, tag = "1")]
    pub(super) values: Vec<AnyValue>,
}

/// It is recorded.
const SAMPLED: u32 = 1;
const ERROR: i32 = 2;

impl From<spans::Span> for Span {
    fn from(span: spans::Span) -> Self {
        let started = span.started.0.saturating_mul(1_000);
        let took = u64::try_from(span.took.as_nanos()).unwrap_or(u64::MAX);
        Span {
            trace_id: span.trace.to_vec(),
            span_id: span.id.to_vec(),
            trace_state: span.state.unwrap_or_default(),
            parent_span_id: span.parent.map(Vec::from).unwrap_or_default(),
            name: span.name.into_owned(),
            kind: match span.kind {
                spans::SpanKind::Server => SpanKind::Server.into(),
                spans::SpanKind::Client => SpanKind::Client.into(),
            },
            start_time_unix_nano: started,
            end_time_unix_nano: started.saturating_add(took),
            attributes: span.attributes.into_iter().map(KeyValue::from).collect(),
            status: span.failed.then_some(Status { code: ERROR }),
            flags: SAMPLED,
        }
    }
}

impl From<(&'static str, Value)> for KeyValue {
    fn from((key, value): (&'static str, Value)) -> Self {
        KeyValue {
            key: key.to_owned(),
            value: Some(value.into()),
        }
    }
}

impl KeyValue {
    pub(super) fn text(key: &str, text: &str) -> Self {
        KeyValue {
            key: key.to_owned(),
            value: Some(text.to_owned().into()),
        }
    }
}

impl From<String> for AnyValue {
    fn from(text: String) -> Self {
        AnyValue {
            value: Some(OneValue::String(text)),
        }
    }
}

impl From<Value> for AnyValue {
    fn from(value: Value) -> Self {
        let value = match value {
            Value::Text(text) => OneValue::String(text.into_owned()),
            Value::Number(number) => OneValue::Int(number),
            Value::Flag(flag) => OneValue::Bool(flag),
            Value::Texts(texts) => {
                let values = texts.into_iter().map(AnyValue::from).collect();
                OneValue::Array(ArrayValue { values })
            }
        };
        AnyValue { value: Some(value) }
    }
}
