//! Datadog's own headers, `x-datadog-*`.

use super::carrier::first;
use super::text::{Class, split_once};
use super::{Carrier, CarrierMut, Outgoing};
use crate::context::{Bounded, MAX_MALFORMED_TID, MAX_TAGS, Priority, PropagationError, TAG_PREFIX, TraceContext, TraceTags};
use crate::decimal::{Decimal, parse_i32, parse_u64};
use crate::ids::{SpanId, TraceId, parse_hex_u64};

pub(super) const TRACE_ID: &str = "x-datadog-trace-id";
const PARENT_ID: &str = "x-datadog-parent-id";
const PRIORITY: &str = "x-datadog-sampling-priority";
const ORIGIN: &str = "x-datadog-origin";
const TAGS: &str = "x-datadog-tags";

/// The headers that may be written.
pub(super) const FIELDS: [&str; 5] = [TRACE_ID, PARENT_ID, PRIORITY, ORIGIN, TAGS];

/// The tag that carries the high half of a trace id.
const TID: &[u8] = b"_dd.p.tid";
/// The tag that carries the decision maker.
const DECISION_MAKER: &[u8] = b"_dd.p.dm";
/// A tag of old tracers that must not be passed on.
const UPSTREAM_SERVICES: &[u8] = b"_dd.p.upstream_services";

pub(super) fn write(
    outgoing: &Outgoing<'_>,
    tags_max_length: u16,
    carrier: &mut dyn CarrierMut,
) -> Option<PropagationError> {
    let span = outgoing.span;
    // A trace id whose low half is zero, which others may make, is none to receivers.
    if span.trace_id.low() == 0 {
        return None;
    }
    carrier.set(TRACE_ID, Decimal::of(span.trace_id.low()).as_bytes());
    carrier.set(PARENT_ID, Decimal::of(span.span_id.0).as_bytes());
    if let Some(Priority(priority)) = span.priority {
        carrier.set(PRIORITY, Decimal::of_signed(priority.into()).as_bytes());
    }
    let origin = outgoing.trace.origin.as_bytes();
    if !origin.is_empty() && Class::PRINTABLE.has_all(origin) {
        carrier.set(ORIGIN, origin);
    }
    write_tags(&outgoing.trace.tags, span.trace_id.high(), usize::from(tags_max_length).min(MAX_TAGS), carrier)
}

/// All tags or none.
fn write_tags(
    tags: &TraceTags,
    high: u64,
    max_length: usize,
    carrier: &mut dyn CarrierMut,
) -> Option<PropagationError> {
    let tags = tags.as_bytes();
    if tags.is_empty() && high == 0 {
        return None;
    }
    if max_length == 0 {
        return Some(PropagationError::Disabled);
    }
    if !tags.is_empty() && !tags.split(|byte| *byte == b',').all(is_sound) {
        return Some(PropagationError::Encoding);
    }
    let mut header = Bounded::<MAX_TAGS>::new();
    let digits = SpanId(high).to_hex();
    let comma: &[u8] = if tags.is_empty() { b"" } else { b"," };
    let tid: [&[u8]; 4] = if high == 0 { [b""; 4] } else { [comma, TID, b"=", &digits] };
    let fits = core::iter::once(tags).chain(tid).all(|part| header.push(part).is_ok());
    if !fits || header.len() > max_length {
        return Some(PropagationError::InjectMaxSize);
    }
    carrier.set(TAGS, header.as_bytes());
    None
}

/// Whether a tag may stand in the header. Receivers take one without a value for malformed, and drop all.
fn is_sound(tag: &[u8]) -> bool {
    split_once(tag, b'=').is_some_and(|(name, value)| {
        !name.is_empty()
            && !value.is_empty()
            && Class::PRINTABLE.has_all(name)
            && !name.contains(&b' ')
            && Class::PRINTABLE.has_all(value)
    })
}

/// Reads the headers into a fresh context. `false` if they bring none.
pub(super) fn read(carrier: &dyn Carrier, context: &mut TraceContext) -> bool {
    let Some(low) = first(carrier, TRACE_ID, parse_u64).flatten().filter(|low| *low != 0) else { return false };
    // Without its parent the trace goes on, with a new root; a parent or a priority that is no number voids everything.
    let parent = match first(carrier, PARENT_ID, parse_u64) {
        None => 0,
        Some(Some(parent)) => parent,
        Some(None) => return false,
    };
    let priority = match first(carrier, PRIORITY, parse_i32) {
        None => None,
        Some(Some(priority)) => Some(Priority(priority)),
        Some(None) => return false,
    };
    first(carrier, ORIGIN, |origin| context.origin.set(origin));
    let high = first(carrier, TAGS, |tags| read_tags(tags, context)).unwrap_or(0);
    context.span.trace_id = TraceId((u128::from(high) << 64) | u128::from(low));
    context.span.span_id = SpanId(parent);
    context.span.priority = priority;
    true
}

/// Takes in the tags; gives the high half of the trace id. The configured limit is one for sending: what comes in may
/// have [`MAX_TAGS`] bytes whatever it says.
fn read_tags(text: &[u8], context: &mut TraceContext) -> u64 {
    if text.is_empty() {
        return 0;
    }
    context.error = match () {
        () if text.len() > MAX_TAGS => Some(PropagationError::ExtractMaxSize),
        () if !text.split(|byte| *byte == b',').all(is_sound) => Some(PropagationError::Decoding),
        () => None,
    };
    if context.error.is_some() {
        return 0;
    }
    let mut high = 0;
    for (name, value) in text.split(|byte| *byte == b',').filter_map(|tag| split_once(tag, b'=')) {
        if name == TID {
            match parse_tid(value) {
                Some(tid) => high = tid,
                None => context.error = Some(PropagationError::MalformedTid(start_of(value))),
            }
        } else if !add(&mut context.tags, name, value) {
            context.error = context.error.or(Some(PropagationError::Decoding));
        }
    }
    high
}

/// Keeps a tag that is to be passed on. `false` for a malformed decision maker.
pub(super) fn add(tags: &mut TraceTags, name: &[u8], value: &[u8]) -> bool {
    if name == DECISION_MAKER && !is_decision_maker(value) {
        return false;
    }
    if name.starts_with(TAG_PREFIX) && name != UPSTREAM_SERVICES && name != TID {
        // What came in within the limits of a header fits.
        let _ = tags.set(name, value);
    }
    true
}

/// A dash, which is no sign, and the number of the mechanism.
fn is_decision_maker(value: &[u8]) -> bool {
    matches!(value, [b'-', number @ ..] if !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}

fn parse_tid(value: &[u8]) -> Option<u64> {
    if value.len() == 16 { parse_hex_u64(value).filter(|tid| *tid != 0) } else { None }
}

/// What [`PropagationError::MalformedTid`] keeps of a value: all of up to [`MAX_MALFORMED_TID`] bytes, with zeros behind;
/// of a longer one as much as there is room for before `...`.
fn start_of(value: &[u8]) -> [u8; MAX_MALFORMED_TID] {
    const CUT: &[u8; 3] = b"...";
    let mut start = [0; MAX_MALFORMED_TID];
    for (to, from) in start.iter_mut().zip(value) {
        *to = *from;
    }
    if value.len() > start.len() {
        for (to, from) in start.iter_mut().rev().zip(CUT) {
            *to = *from;
        }
    }
    start
}
