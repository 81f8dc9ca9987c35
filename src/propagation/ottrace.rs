//! OpenTracing's basic headers, `ot-tracer-*` and `ot-baggage-*`. The trace id loses its high half.

use super::baggage_header::Room;
use super::carrier::first;
use super::jaeger;
use super::text::{Class, span_id, trim};
use super::{BaggageSink, BaggageSource, Carrier, CarrierMut, Outgoing};
use crate::context::{FLAG_SAMPLED, Priority, TraceContext};
use crate::ids::{SpanId, TraceId, parse_hex_any_case};

pub(super) const TRACE_ID: &str = "ot-tracer-traceid";
const SPAN_ID: &str = "ot-tracer-spanid";
const SAMPLED: &str = "ot-tracer-sampled";
const BAGGAGE_PREFIX: &str = "ot-baggage-";

/// The headers that may be written, besides those of the baggage.
pub(super) const FIELDS: [&str; 3] = [TRACE_ID, SPAN_ID, SAMPLED];

pub(super) fn write(outgoing: &Outgoing<'_>, room: Room, carrier: &mut dyn CarrierMut) {
    let span = outgoing.span;
    // Zero would be no trace at all.
    if span.trace_id.low() == 0 {
        return;
    }
    carrier.set(TRACE_ID, &SpanId(span.trace_id.low()).to_hex());
    carrier.set(SPAN_ID, &span.span_id.to_hex());
    let sampled: &[u8] = if span.trace_flags() & FLAG_SAMPLED != 0 { b"true" } else { b"false" };
    carrier.set(SAMPLED, sampled);
    write_baggage(outgoing.baggage, room, carrier);
}

/// Writes baggage as `ot-baggage-*`, which Datadog's older tracers know as well. Nobody decodes the values, so only what
/// can stand in a header as it is can be sent.
pub(super) fn write_baggage(source: &dyn BaggageSource, room: Room, carrier: &mut dyn CarrierMut) {
    jaeger::write_baggage(source, BAGGAGE_PREFIX, room, carrier, |value, out| {
        value == trim(value) && Class::PRINTABLE.has_all(value) && out.push(value).is_ok()
    });
}

/// Reads the headers into a fresh context. `false` if they bring none.
pub(super) fn read(carrier: &dyn Carrier, context: &mut TraceContext) -> bool {
    let Some(trace) = first(carrier, TRACE_ID, parse_hex_any_case).flatten() else { return false };
    let span = first(carrier, SPAN_ID, span_id).flatten();
    let priority = first(carrier, SAMPLED, |sampled| match sampled {
        b"true" | b"True" | b"1" => Some(Priority::AUTO_KEEP),
        b"false" | b"False" | b"0" => Some(Priority::AUTO_REJECT),
        _ => None,
    });
    context.span.trace_id = TraceId(trace);
    context.span.span_id = span.unwrap_or_default();
    context.span.priority = priority.flatten();
    trace != 0 && context.span.span_id.is_valid()
}

/// Reads the baggage, which counts only beside a trace's header. Whether there was any.
pub(super) fn read_baggage(carrier: &dyn Carrier, beside: &str, room: Room, sink: &mut dyn BaggageSink) -> bool {
    jaeger::read_prefixed(carrier, BAGGAGE_PREFIX, beside, room, sink)
}
