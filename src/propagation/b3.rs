//! B3: the single header `b3`, and the headers `x-b3-*`.
//!
//! A context without ids (`b3: 0`) only says how to sample.

use super::carrier::first;
use super::text::span_id;
use super::{Carrier, CarrierMut, Dialect, Outgoing, Style};
use crate::context::{Bounded, Priority, SpanContext, TraceContext};
use crate::ids::{SpanId, TraceId, parse_hex_any_case};

const SINGLE: &str = "b3";
const TRACE_ID: &str = "x-b3-traceid";
const SPAN_ID: &str = "x-b3-spanid";
const SAMPLED: &str = "x-b3-sampled";
const FLAGS: &str = "x-b3-flags";

/// The header of the single form.
pub(super) const SINGLE_FIELDS: [&str; 1] = [SINGLE];
/// The headers of the form with several that may be written.
pub(super) const MULTI_FIELDS: [&str; 4] = [TRACE_ID, SPAN_ID, SAMPLED, FLAGS];

/// 32 digits, or 16 where those suffice.
fn trace_digits(trace_id: TraceId) -> Bounded<32> {
    let mut digits = Bounded::new();
    // Both fit.
    let _ = if trace_id.high() != 0 {
        digits.push(&trace_id.to_hex())
    } else {
        digits.push(&SpanId(trace_id.low()).to_hex())
    };
    digits
}

pub(super) fn write_single(outgoing: &Outgoing<'_>, dialect: Dialect, carrier: &mut dyn CarrierMut) {
    let span = outgoing.span;
    let state: &[u8] = match span.priority {
        None => b"",
        Some(Priority(..=0)) => b"-0",
        Some(_) if outgoing.is_debug(dialect) => b"-d",
        Some(_) => b"-1",
    };
    let mut header = Bounded::<51>::new();
    for part in [trace_digits(span.trace_id).as_bytes(), b"-", &span.span_id.to_hex(), state] {
        // 32 + 1 + 16 + 2 bytes at most.
        let _ = header.push(part);
    }
    carrier.set(SINGLE, header.as_bytes());
}

pub(super) fn write_multi(outgoing: &Outgoing<'_>, dialect: Dialect, carrier: &mut dyn CarrierMut) {
    let span = outgoing.span;
    carrier.set(TRACE_ID, trace_digits(span.trace_id).as_bytes());
    carrier.set(SPAN_ID, &span.span_id.to_hex());
    match span.priority {
        None => {}
        Some(Priority(..=0)) => carrier.set(SAMPLED, b"0"),
        // It implies that the trace is kept.
        Some(_) if outgoing.is_debug(dialect) => carrier.set(FLAGS, b"1"),
        Some(_) => carrier.set(SAMPLED, b"1"),
    }
}

/// Reads the single header. `false` if it brings no context.
pub(super) fn read_single(carrier: &dyn Carrier, dialect: Dialect, context: &mut TraceContext) -> bool {
    first(carrier, SINGLE, |header| parse_single(header, dialect, &mut context.span)).flatten().is_some()
}

/// A single part is a sampling state without ids, not a trace id without its span. What follows the third dash, the
/// parent of the span, is not looked at.
fn parse_single(header: &[u8], dialect: Dialect, span: &mut SpanContext) -> Option<()> {
    let mut parts = header.split(|byte| *byte == b'-');
    (span.trace_id, span.span_id) = ids(parts.next()?, parts.next()?, dialect)?;
    span.priority = parts.next().and_then(|state| priority_of(state, dialect));
    Some(())
}

/// Reads the several headers. `false` if they bring no context.
pub(super) fn read_multi(carrier: &dyn Carrier, dialect: Dialect, context: &mut TraceContext) -> bool {
    let (mut trace, mut span) = (Bounded::<32>::new(), Bounded::<16>::new());
    if first(carrier, TRACE_ID, |value| trace.set(value)) != Some(Ok(())) {
        return false;
    }
    // One that is too long is malformed, not missing.
    if first(carrier, SPAN_ID, |value| span.set(value)).is_some_and(|kept| kept.is_err()) {
        return false;
    }
    let is_debug = first(carrier, FLAGS, |flags| flags == b"1") == Some(true);
    let priority = first(carrier, SAMPLED, |state| sampled(state, dialect)).flatten();
    let Some(ids) = ids(trace.as_bytes(), span.as_bytes(), dialect) else { return false };
    (context.span.trace_id, context.span.span_id) = ids;
    context.span.priority = if is_debug { Some(Priority::USER_KEEP) } else { priority };
    true
}

/// What a sender without a trace of its own wants to become of the next one: `b3: 0`, or the several headers without ids.
pub(super) fn state_alone(carrier: &dyn Carrier, style: Style) -> Option<Priority> {
    if style == Style::B3 {
        return first(carrier, SINGLE, |state| priority_of(state, Dialect::Datadog)).flatten();
    }
    if first(carrier, TRACE_ID, |_| ()).is_some() || first(carrier, SPAN_ID, |_| ()).is_some() {
        return None;
    }
    if first(carrier, FLAGS, |flags| flags == b"1") == Some(true) {
        return Some(Priority::USER_KEEP);
    }
    first(carrier, SAMPLED, |state| sampled(state, Dialect::Datadog)).flatten()
}

/// Datadog's tracers also take ids of fewer digits, and continue a trace without a span id if that is missing or zero;
/// OpenTelemetry needs both, of 16 or 32 and 16 digits.
fn ids(trace: &[u8], span: &[u8], dialect: Dialect) -> Option<(TraceId, SpanId)> {
    if dialect == Dialect::OpenTelemetry && !(matches!(trace.len(), 16 | 32) && span.len() == 16) {
        return None;
    }
    let trace = TraceId(parse_hex_any_case(trace)?);
    let span = if span.is_empty() { SpanId(0) } else { span_id(span)? };
    let suffices = span.is_valid() || dialect == Dialect::Datadog;
    (trace.is_valid() && suffices).then_some((trace, span))
}

/// What `x-b3-sampled` says. Datadog's tracers know `d` in the single header only.
fn sampled(state: &[u8], dialect: Dialect) -> Option<Priority> {
    match (state, dialect) {
        (b"d", Dialect::Datadog) => None,
        _ => priority_of(state, dialect),
    }
}

/// `None` where the decision is left to the receiver.
fn priority_of(state: &[u8], dialect: Dialect) -> Option<Priority> {
    match (state, dialect) {
        (b"0", _) | (b"false" | b"False", Dialect::OpenTelemetry) => Some(Priority::AUTO_REJECT),
        (b"1", _) | (b"true" | b"True", Dialect::OpenTelemetry) => Some(Priority::AUTO_KEEP),
        (b"d", _) => Some(Priority::USER_KEEP),
        _ => None,
    }
}
