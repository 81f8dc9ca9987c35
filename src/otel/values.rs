//! Between the API's types and the engine's.

use crate::context::SpanContext as CoreContext;
use crate::ids;
use crate::span;
use crate::tracer::AttributeValue;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{Array, KeyValue, Value};

/// The value as the engine takes it; `None` for what a later release of the API may add.
pub(super) fn attribute(value: &Value) -> Option<AttributeValue<'_>> {
    Some(match value {
        Value::Bool(truth) => AttributeValue::Bool(*truth),
        Value::I64(number) => AttributeValue::Integer(*number),
        Value::F64(number) => AttributeValue::Float(*number),
        Value::String(text) => AttributeValue::Text(text.as_str()),
        Value::Array(Array::Bool(list)) => AttributeValue::Bools(list),
        Value::Array(Array::I64(list)) => AttributeValue::Integers(list),
        Value::Array(Array::F64(list)) => AttributeValue::Floats(list),
        Value::Array(Array::String(list)) => AttributeValue::Texts(list.iter().map(|text| text.as_str()).collect()),
        _ => return None,
    })
}

/// The attributes of an event or a link. What the engine does not know is shown as text would show nothing: empty.
pub(super) fn pairs(attributes: &[KeyValue]) -> impl ExactSizeIterator<Item = (&str, AttributeValue<'_>)> {
    attributes.iter().map(|pair| {
        let value = attribute(&pair.value).unwrap_or(AttributeValue::Text(""));
        (pair.key.as_str(), value)
    })
}

pub(super) fn kind(kind: &SpanKind) -> span::SpanKind {
    match kind {
        SpanKind::Client => span::SpanKind::Client,
        SpanKind::Server => span::SpanKind::Server,
        SpanKind::Producer => span::SpanKind::Producer,
        SpanKind::Consumer => span::SpanKind::Consumer,
        SpanKind::Internal => span::SpanKind::Internal,
    }
}

pub(super) fn status(status: Status) -> span::Status {
    match status {
        Status::Unset => span::Status::Unset,
        Status::Ok => span::Status::Ok,
        Status::Error { description } => span::Status::Error(description),
    }
}

pub(super) fn trace_id(id: TraceId) -> ids::TraceId {
    ids::TraceId(u128::from_be_bytes(id.to_bytes()))
}

pub(super) fn span_id(id: SpanId) -> ids::SpanId {
    ids::SpanId(u64::from_be_bytes(id.to_bytes()))
}

/// The API's form of a span's context.
pub(super) fn span_context(span: &CoreContext, is_remote: bool, state: TraceState) -> SpanContext {
    SpanContext::new(
        TraceId::from(span.trace_id.0),
        SpanId::from(span.span_id.0),
        TraceFlags::new(span.trace_flags()),
        is_remote,
        state,
    )
}
