//! The span model: one record that carries what both OTLP and Datadog need.
//!
//! Only the parts that assemble and export spans use it (feature `std`); traced processes write
//! [`crate::record`]s instead. The two mappings, each in one place: [`otlp`](self) types are made by the
//! launcher's exporter, Datadog's fields by [`datadog`].

pub mod datadog;
pub mod msgpack;

use crate::ids::{SpanId, TraceId};
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
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Nanoseconds since the Unix epoch.
    pub time_unix_nano: u64,
    /// The name, not empty.
    pub name: Cow<'static, str>,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
}

/// A reference to another span.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// The trace linked to.
    pub trace_id: TraceId,
    /// The span linked to.
    pub span_id: SpanId,
    /// W3C `tracestate` of the linked span, or empty.
    pub trace_state: String,
    /// W3C trace flags of the linked span.
    pub flags: u8,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
}

/// A finished span.
#[derive(Clone, Debug, PartialEq)]
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
}

impl Span {
    /// The value of an attribute.
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        self.attributes.iter().find(|(k, _)| k == key).map(|(_, v)| v)
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

/// Spans of one trace from one resource that are exported together; the local root, if it is among them, comes first.
#[derive(Clone, Debug)]
pub struct TraceChunk {
    /// Who made them.
    pub resource: Arc<Resource>,
    /// The spans, at least one, all of one trace.
    pub spans: Vec<Span>,
    /// Datadog's sampling priority: above zero is kept.
    pub sampling_priority: i32,
    /// Datadog's decision maker, such as `-0`; empty when it was inherited without one.
    pub decision_maker: Cow<'static, str>,
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
