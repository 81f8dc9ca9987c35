//! Jaeger's own headers, `uber-trace-id` and `uberctx-*`.

use super::baggage_header::Room;
use super::carrier::first;
use super::text::{Class, decode, encode, span_id, trim};
use super::{BaggageSink, BaggageSource, Carrier, CarrierMut, Dialect, Outgoing};
use crate::context::{Bounded, FLAG_SAMPLED, Priority, SpanContext, TraceContext};
use crate::ids::{TraceId, parse_hex_any_case};

const TRACE: &str = "uber-trace-id";
const BAGGAGE_PREFIX: &str = "uberctx-";

/// The header that may be written, besides those of the baggage.
pub(super) const FIELDS: [&str; 1] = [TRACE];

/// Bit of the flags: the trace is kept, come what may.
const FLAG_DEBUG: u8 = 0x02;
/// The longest of its fields are 32, 16, 16 and 2 digits; three colons may take three bytes each.
const MAX_HEADER: usize = 75;
/// The longest name of a header with baggage, and its longest value, in bytes.
const MAX_NAME: usize = 256;
const MAX_VALUE: usize = 4096;

pub(super) fn write(outgoing: &Outgoing<'_>, dialect: Dialect, room: Room, carrier: &mut dyn CarrierMut) {
    let span = outgoing.span;
    let flags = match (span.trace_flags() & FLAG_SAMPLED != 0, outgoing.is_debug(dialect)) {
        (_, true) => b"03",
        (true, false) => b"01",
        (false, false) => b"00",
    };
    let mut header = Bounded::<MAX_HEADER>::new();
    // The parent's field is deprecated, and zero by now.
    for part in [&span.trace_id.to_hex()[..], b":", &span.span_id.to_hex(), b":0:", flags] {
        let _ = header.push(part);
    }
    carrier.set(TRACE, header.as_bytes());
    write_baggage(outgoing.baggage, BAGGAGE_PREFIX, room, carrier, |value, out| encode(out, value, Class::UNRESERVED).is_ok());
}

/// Writes each member as a header of its own, if its key can be the end of a header's name and `push` accepts the value.
pub(super) fn write_baggage(
    source: &dyn BaggageSource,
    prefix: &str,
    mut room: Room,
    carrier: &mut dyn CarrierMut,
    push: fn(&[u8], &mut Bounded<MAX_VALUE>) -> bool,
) {
    source.members(&mut |key, value, _| {
        if key.is_empty() || !Class::TOKEN.has_all(key) {
            return;
        }
        let (mut name, mut text) = (Bounded::<MAX_NAME>::new(), Bounded::new());
        let named = name.push(prefix.as_bytes()).and_then(|()| name.push(key));
        if named.is_ok() && push(value, &mut text) && room.take(key.len().saturating_add(text.len())) {
            carrier.set(name.as_str(), text.as_bytes());
        }
    });
}

/// Reads the header into a fresh context. `false` if it brings none.
pub(super) fn read(carrier: &dyn Carrier, context: &mut TraceContext) -> bool {
    first(carrier, TRACE, |header| parse(header, &mut context.span)).flatten().is_some()
}

fn parse(header: &[u8], context: &mut SpanContext) -> Option<()> {
    if header.len() > MAX_HEADER {
        return None;
    }
    // Old clients encode the colons.
    decode(header, |header| parse_decoded(header, context)).flatten()
}

fn parse_decoded(header: &[u8], context: &mut SpanContext) -> Option<()> {
    let mut fields = header.split(|byte| *byte == b':');
    let [trace, span, parent, flags] = [fields.next()?, fields.next()?, fields.next()?, fields.next()?];
    if fields.next().is_some() || flags.len() > 2 {
        return None;
    }
    context.trace_id = TraceId(parse_hex_any_case(trace)?);
    (context.span_id, _) = (span_id(span)?, span_id(parent)?);
    let flags = parse_hex_any_case(flags)? as u8;
    context.priority = Some(match (flags & FLAG_SAMPLED != 0, flags & FLAG_DEBUG != 0) {
        (true, true) => Priority::USER_KEEP,
        (true, false) => Priority::AUTO_KEEP,
        (false, _) => Priority::AUTO_REJECT,
    });
    (context.trace_id.is_valid() && context.span_id.is_valid()).then_some(())
}

/// Reads the baggage, which counts only beside the trace's header. Whether there was any.
pub(super) fn read_baggage(carrier: &dyn Carrier, room: Room, sink: &mut dyn BaggageSink) -> bool {
    read_prefixed(carrier, BAGGAGE_PREFIX, TRACE, room, sink)
}

/// Reads headers of which each is a member, if the header `beside` is there. Whether there was any.
pub(super) fn read_prefixed(
    carrier: &dyn Carrier,
    prefix: &str,
    beside: &str,
    mut room: Room,
    sink: &mut dyn BaggageSink,
) -> bool {
    let mut any = false;
    let mut is_beside = None;
    carrier.with_prefix(prefix, &mut |key, value| {
        if !*is_beside.get_or_insert_with(|| first(carrier, beside, |_| ()).is_some()) {
            return;
        }
        let value = trim(value);
        if key.is_empty() || !Class::PRINTABLE.has_all(key) || !room.take(key.len().saturating_add(value.len())) {
            return;
        }
        let mut give = |value: &[u8]| sink.member(key, value, b"");
        if prefix == BAGGAGE_PREFIX {
            any |= decode(value, give).is_some();
        } else {
            give(value);
            any = true;
        }
    });
    any
}
