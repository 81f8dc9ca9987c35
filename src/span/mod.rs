//! The span model: one record that carries what both OTLP and Datadog need.
//!
//! Only the parts that assemble and export spans use it (feature `std`); traced processes write
//! [`crate::record`]s instead. The two mappings, each in one place: [`otlp`](self) types are made by the
//! launcher's exporter, Datadog's fields by [`datadog`].

pub mod datadog;
mod limits;
pub mod msgpack;
pub mod scrub;

pub use limits::SpanLimits;

use crate::ids::{SpanId, TraceId};
use crate::semconv;
use std::borrow::Cow;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text, always valid UTF-8.
    String(Cow<'static, str>),
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    I64(i64),
    /// A floating-point number.
    F64(f64),
    /// A list; OTLP wants its items to be of one type.
    Array(Vec<Value>),
}

/// A key and its value. Keys are unique within one list.
pub type Attribute = (Cow<'static, str>, Value);

/// What role a span plays (OTel trace API, "SpanKind").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum SpanKind {
    /// Work inside one process.
    #[default]
    Internal = 1,
    /// The receiving side of a request.
    Server = 2,
    /// The sending side of a request.
    Client = 3,
    /// The sending side of a message.
    Producer = 4,
    /// The receiving side of a message.
    Consumer = 5,
}

impl SpanKind {
    /// The role with this number in OTLP; what is unknown is `Internal`.
    #[must_use]
    pub fn from_number(number: u8) -> SpanKind {
        match number {
            2 => SpanKind::Server,
            3 => SpanKind::Client,
            4 => SpanKind::Producer,
            5 => SpanKind::Consumer,
            _ => SpanKind::Internal,
        }
    }
}

/// How a span ended (OTel trace API, "Set Status").
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Status {
    /// Nobody said anything: success unless an attribute tells otherwise.
    #[default]
    Unset,
    /// Declared a success by the application.
    Ok,
    /// Failed; the message may be empty.
    Error(Cow<'static, str>),
}

/// Something that happened at one instant of a span.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Event {
    /// Nanoseconds since the Unix epoch.
    pub time_unix_nano: u64,
    /// The name, not empty.
    pub name: Cow<'static, str>,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
    /// How many attributes a limit kept out.
    pub dropped_attributes: u32,
}

/// A reference to another span.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Link {
    /// The trace linked to.
    pub trace_id: TraceId,
    /// The span linked to.
    pub span_id: SpanId,
    /// W3C `tracestate` of the linked span, or empty.
    pub trace_state: String,
    /// W3C trace flags of the linked span, and whether its context came from elsewhere, as OTLP has it.
    pub flags: u16,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
    /// How many attributes a limit kept out.
    pub dropped_attributes: u32,
}

/// The library or the part of a program that made a span (OTel "instrumentation scope").
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Scope {
    /// Its name, such as `opentelemetry.instrumentation.flask`.
    pub name: String,
    /// Its version, or empty.
    pub version: String,
    /// Its attributes, keys unique.
    pub attributes: Vec<Attribute>,
}

/// Why a single span is kept although its trace is not (`DD_SPAN_SAMPLING_RULES`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpanSampling {
    /// The rate of the rule that kept it, 0 to 1.
    pub rule_rate: f64,
    /// The rule's limit in spans a second, if it has one.
    pub max_per_second: Option<f64>,
}

/// A finished span.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Span {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its own id.
    pub span_id: SpanId,
    /// The parent's id; zero for the root of a trace.
    pub parent_id: SpanId,
    /// Whether the parent was handed in from outside of the traced process tree.
    pub parent_is_remote: bool,
    /// W3C `tracestate` in header form, or empty.
    pub trace_state: String,
    /// W3C trace flags of the span itself; bit 0 is "sampled".
    pub flags: u8,
    /// The OTel span name, which is Datadog's resource. Not empty.
    pub name: Cow<'static, str>,
    /// Datadog's operation name where a convention of Datadog's own gives one; else the mapping computes it.
    pub operation_name: Option<Cow<'static, str>>,
    /// Datadog's span type where a convention gives one; else the mapping computes it.
    pub span_type: Option<Cow<'static, str>>,
    /// The service where it differs from the resource's `service.name`.
    pub service: Option<String>,
    /// Whether an API of Datadog's has made it: its attributes are tags of Datadog's already, of which none sets a field, and
    /// its name is its resource.
    pub has_datadog_tags: bool,
    /// Its role.
    pub kind: SpanKind,
    /// Nanoseconds since the Unix epoch.
    pub start_unix_nano: u64,
    /// Nanoseconds since the Unix epoch; never before the start.
    pub end_unix_nano: u64,
    /// Its attributes, keys unique.
    pub attributes: Vec<Attribute>,
    /// Its events in order of time.
    pub events: Vec<Event>,
    /// Its links.
    pub links: Vec<Link>,
    /// How it ended.
    pub status: Status,
    /// Whether Datadog computes statistics of its own for it (`_dd.measured`), said by whoever knows; `None`: the
    /// mapping decides by the kind.
    pub measured: Option<bool>,
    /// Whether its service was entered here (`_dd.top_level`); `None`: the mapping works it out.
    pub top_level: Option<bool>,
    /// What made it; `None` for ddtrace-run itself.
    pub scope: Option<Arc<Scope>>,
    /// How many attributes a limit kept out.
    pub dropped_attributes: u32,
    /// How many events a limit kept out.
    pub dropped_events: u32,
    /// How many links a limit kept out.
    pub dropped_links: u32,
    /// Set where the span is kept on its own, whatever becomes of its trace.
    pub span_sampling: Option<SpanSampling>,
}

impl Span {
    /// The value of an attribute.
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        self.attributes.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// Takes the role over that Datadog's tag says, for which its APIs have no other word.
    pub fn take_kind(&mut self) {
        let place = self.attributes.iter().position(|(name, _)| name == semconv::SPAN_KIND);
        if let (SpanKind::Internal, Some(place)) = (self.kind, place)
            && let Some((_, Value::String(kind))) = self.attributes.get(place)
            && let Some(number) = semconv::kind_number(kind.as_bytes())
        {
            self.kind = SpanKind::from_number(number);
            self.attributes.remove(place);
        }
    }

    /// The value of an attribute that sets something of the span by a convention; tags of Datadog's set nothing.
    pub(crate) fn convention(&self, key: &str) -> Option<&Value> {
        if self.has_datadog_tags { None } else { self.attribute(key) }
    }
}

/// What made the spans: attributes by the resource conventions (`service.name`, `host.name`, …).
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Resource {
    /// The attributes, keys unique; `service.name` is always there.
    pub attributes: Vec<Attribute>,
}

impl Resource {
    /// The value of a text attribute.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(k, _)| k == key).and_then(|(_, v)| match v {
            Value::String(text) => Some(text.as_ref()),
            _ => None,
        })
    }
}

/// Spans of one trace from one resource that are exported together, and what they say about the trace.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceChunk {
    /// Who made them.
    pub resource: Arc<Resource>,
    /// The spans, at least one, all of one trace; the local root, if it is among them, comes first.
    pub spans: Vec<Span>,
    /// Datadog's sampling priority: above zero is kept.
    pub sampling_priority: i32,
    /// Datadog's decision maker, such as `-0`; empty when it was inherited without one.
    pub decision_maker: Cow<'static, str>,
    /// The rate of the sampling rule that decided, 0 to 1 (`_dd.rule_psr`).
    pub rule_rate: Option<f64>,
    /// The effective rate of the limiter that was asked after the rule, 0 to 1 (`_dd.limit_psr`).
    pub limit_rate: Option<f64>,
    /// The Agent's rate that decided, 0 to 1 (`_dd.agent_psr`).
    pub agent_rate: Option<f64>,
    /// Further propagated tags, keys whole (`_dd.p.ksr`, `_dd.p.usr.id`, `_dd.p.ts`, …), without `_dd.p.tid` and
    /// `_dd.p.dm`.
    pub propagated_tags: Vec<(String, String)>,
    /// Where the trace began, such as `synthetics` (`_dd.origin`, on every span); empty for nowhere special.
    pub origin: String,
    /// What of the incoming context could not be read (`_dd.propagation_error`).
    pub propagation_error: Option<String>,
    /// The last span of a Datadog tracer before the sender (`_dd.parent_id`, on the local root).
    pub last_parent: Option<SpanId>,
    /// Baggage to be shown on the local root, keys whole (`baggage.user.id`).
    pub baggage_tags: Vec<(String, String)>,
    /// Whether the first span is the local root; a part of a trace sent ahead or behind has none.
    pub has_local_root: bool,
}

impl Default for TraceChunk {
    /// No spans yet, kept because nothing was known (priority 1, mechanism 0), beginning with the local root.
    fn default() -> Self {
        TraceChunk {
            resource: Arc::default(),
            spans: Vec::new(),
            sampling_priority: 1,
            decision_maker: Cow::Borrowed("-0"),
            rule_rate: None,
            limit_rate: None,
            agent_rate: None,
            propagated_tags: Vec::new(),
            origin: String::new(),
            propagation_error: None,
            last_parent: None,
            baggage_tags: Vec::new(),
            has_local_root: true,
        }
    }
}

impl TraceChunk {
    /// The spans of a whole trace, the local root first, kept because nothing was known.
    #[must_use]
    pub fn new(resource: Arc<Resource>, spans: Vec<Span>) -> Self {
        TraceChunk { resource, spans, ..TraceChunk::default() }
    }

    /// Splits off the spans from `at` on, as a chunk of the same trace that is without the local root.
    ///
    /// Which spans are at the top of their service is settled before: afterwards a parent may be in the other half.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> TraceChunk {
        datadog::settle_top_level(self);
        let spans = self.spans.split_off(at.min(self.spans.len()));
        TraceChunk {
            spans,
            has_local_root: self.has_local_root && self.spans.is_empty(),
            resource: Arc::clone(&self.resource),
            decision_maker: self.decision_maker.clone(),
            propagated_tags: self.propagated_tags.clone(),
            origin: self.origin.clone(),
            propagation_error: self.propagation_error.clone(),
            baggage_tags: self.baggage_tags.clone(),
            ..*self
        }
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Value::String(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::String(Cow::Owned(text))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::I64(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Value::F64(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Value::Bool(truth)
    }
}
