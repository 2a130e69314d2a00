//! Spans of requests for whoever collects them, and the trace context (W3C) that goes on to upstreams.
//!
//! Nothing here knows how spans are sent. Without a [`Tracer`] nothing of this happens, and the fields of a trace pass as
//! they came.

mod context;
mod of_request;
mod sampler;

use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;
use tollgate::Micros;

use context::Context;
pub(crate) use of_request::Leg;
pub use sampler::{Sampler, SamplerError};

pub use crate::request_durations::known_method;

/// What a trace is known by.
pub type TraceId = [u8; 16];
/// What a span is known by within its trace.
pub type SpanId = [u8; 8];

/// A span that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The trace that it belongs to.
    pub trace: TraceId,
    /// Its own id.
    pub id: SpanId,
    /// The span that it is a part of.
    pub parent: Option<SpanId>,
    /// What the caller's tracers keep about the trace.
    pub state: Option<String>,
    /// A word for all spans of its sort: no path, no key.
    pub name: Cow<'static, str>,
    /// Which side of a call it is.
    pub kind: SpanKind,
    /// When it began.
    pub started: Micros,
    /// How long it took.
    pub took: Duration,
    /// What is known of it, by the names of OpenTelemetry's conventions where they have one.
    pub attributes: Vec<(&'static str, Value)>,
    /// Whether it ended in an error.
    pub failed: bool,
}

/// Which side of a call a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// Of whoever is asked.
    Server,
    /// Of whoever asks.
    Client,
}

/// A value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text.
    Text(Cow<'static, str>),
    /// Several texts.
    Texts(Vec<String>),
    /// A number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
}

/// Begins spans, and hands those that have ended on.
pub struct Tracer {
    sampler: Sampler,
    /// Ids and dice: a keyed hash of a number that is never used twice, so that nobody can tell the next one.
    random: RandomState,
    drawn: AtomicU64,
    sink: Box<dyn Fn(Span) + Send + Sync>,
}

/// A request that is being answered.
#[derive(Debug)]
pub struct OpenSpan {
    trace: TraceId,
    id: SpanId,
    parent: Option<SpanId>,
    state: Option<String>,
    sampled: bool,
    now: Micros,
    began: Instant,
}

/// A part of a request that has begun.
#[derive(Debug, Clone, Copy)]
pub struct Child {
    id: SpanId,
    after: Duration,
}

impl Tracer {
    /// Spans of those requests that `sampler` takes go to `sink`, which must not wait.
    pub fn new(sampler: Sampler, sink: impl Fn(Span) + Send + Sync + 'static) -> Self {
        Tracer {
            sampler,
            random: RandomState::new(),
            drawn: AtomicU64::new(0),
            sink: Box::new(sink),
        }
    }

    /// Begins the span of a request. A caller's trace goes on here; whether it is recorded is for the caller to say only
    /// if it is `trusted`: others could fill the collector.
    pub fn begin(&self, headers: &HeaderMap, trusted: bool, now: Micros) -> OpenSpan {
        let caller = Context::of(headers);
        let trace = match &caller {
            Some(caller) => caller.trace,
            None => self.trace_id(),
        };
        let told = caller.as_ref().filter(|_| trusted);
        let dice = match told {
            Some(caller) => caller.dice(),
            // Whoever may choose the id of a trace must not choose by it what is recorded.
            None => self.draw(),
        };
        let sampled = self.sampler.takes(told.map(|told| told.sampled), dice);
        OpenSpan {
            trace,
            id: self.span_id(),
            parent: caller.as_ref().map(|caller| caller.span),
            state: match (sampled, caller) {
                (true, Some(_)) => context::state(headers),
                _ => None,
            },
            sampled,
            now,
            began: Instant::now(),
        }
    }

    /// Begins a part of a request.
    pub fn child(&self, of: &OpenSpan) -> Child {
        Child {
            // What is not recorded has no parts.
            id: match of.sampled {
                true => self.span_id(),
                false => of.id,
            },
            after: of.began.elapsed(),
        }
    }

    /// Ends a part of a request.
    pub fn end_child(&self, of: &OpenSpan, child: Child, name: &'static str, about: About) {
        if !of.sampled {
            return;
        }
        (self.sink)(Span {
            trace: of.trace,
            id: child.id,
            parent: Some(of.id),
            state: of.state.clone(),
            name: name.into(),
            kind: SpanKind::Client,
            started: later(of.now, child.after),
            took: of.began.elapsed().saturating_sub(child.after),
            attributes: about.attributes,
            failed: about.failed,
        });
    }

    /// Ends a request.
    pub fn end(&self, open: &OpenSpan, name: Cow<'static, str>, about: About) {
        if !open.sampled {
            return;
        }
        (self.sink)(Span {
            trace: open.trace,
            id: open.id,
            parent: open.parent,
            state: open.state.clone(),
            name,
            kind: SpanKind::Server,
            started: open.now,
            took: open.began.elapsed(),
            attributes: about.attributes,
            failed: about.failed,
        });
    }

    fn trace_id(&self) -> TraceId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.span_id());
        id[8..].copy_from_slice(&self.span_id());
        id
    }

    /// Never all zeros, which stand for no id.
    fn span_id(&self) -> SpanId {
        self.draw().max(1).to_be_bytes()
    }

    fn draw(&self) -> u64 {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed);
        self.random.hash_one(number)
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracer")
            .field("sampler", &self.sampler)
            .finish_non_exhaustive()
    }
}

/// What is known of a span at its end.
#[derive(Debug, Default)]
pub struct About {
    /// By name.
    pub attributes: Vec<(&'static str, Value)>,
    /// Whether it ended in an error.
    pub failed: bool,
}

impl OpenSpan {
    /// Whether it is recorded.
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// The id of its trace, as text.
    pub fn trace_text(&self) -> String {
        context::hex(&self.trace)
    }

    /// `traceparent` for whoever is asked within this part of the request.
    fn parent_field(&self, child: Child) -> String {
        Context {
            trace: self.trace,
            span: child.id,
            sampled: self.sampled,
        }
        .to_string()
    }
}

fn later(now: Micros, by: Duration) -> Micros {
    let micros = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
    Micros(now.0.saturating_add(micros))
}

#[cfg(test)]
mod tests;
