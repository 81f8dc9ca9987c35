//! AWS X-Ray: the header `x-amzn-trace-id`.

use super::carrier::first;
use super::text::{span_id, split_once, trim};
use super::{Carrier, CarrierMut, Outgoing};
use crate::context::{Bounded, FLAG_SAMPLED, Priority, SpanContext, TraceContext};
use crate::ids::{SpanId, TraceId, parse_hex_any_case};

const NAME: &str = "x-amzn-trace-id";

/// The header that may be written.
pub(super) const FIELDS: [&str; 1] = [NAME];

/// `Root=1-`, 8 and 24 digits with a dash between.
const ROOT_LENGTH: usize = 35;
/// The three parts and what separates them.
const MAX_HEADER: usize = "Root=".len() + ROOT_LENGTH + ";Parent=".len() + 16 + ";Sampled=1".len();

pub(super) fn write(outgoing: &Outgoing<'_>, carrier: &mut dyn CarrierMut) {
    let span = outgoing.span;
    let trace = span.trace_id.to_hex();
    let Some((time, rest)) = trace.split_at_checked(8) else { return };
    let sampled: &[u8] = if span.trace_flags() & FLAG_SAMPLED != 0 { b";Sampled=1" } else { b";Sampled=0" };
    let mut header = Bounded::<MAX_HEADER>::new();
    for part in [&b"Root=1-"[..], time, b"-", rest, b";Parent=", &span.span_id.to_hex(), sampled] {
        let _ = header.push(part);
    }
    carrier.set(NAME, header.as_bytes());
}

/// Reads the header into a fresh context. `false` if it brings none.
pub(super) fn read(carrier: &dyn Carrier, context: &mut TraceContext) -> bool {
    first(carrier, NAME, |header| parse(header, &mut context.span)).flatten().is_some()
}

/// Parts in any order; `Self=`, `Lineage=` and others are not looked at, but each must be a part.
fn parse(header: &[u8], span: &mut SpanContext) -> Option<()> {
    for part in header.split(|byte| *byte == b';').map(trim).filter(|part| !part.is_empty()) {
        let (key, value) = split_once(part, b'=')?;
        match (trim(key), trim(value)) {
            (b"Root", root) => span.trace_id = parse_root(root)?,
            (b"Parent", parent) => span.span_id = parse_parent(parent)?,
            (b"Sampled", b"1") => span.priority = Some(Priority::AUTO_KEEP),
            (b"Sampled", b"0") => span.priority = Some(Priority::AUTO_REJECT),
            // The sender asks to be told.
            (b"Sampled", b"?") => span.priority = None,
            (b"Sampled", _) => return None,
            _ => {}
        }
    }
    (span.trace_id.is_valid() && span.span_id.is_valid()).then_some(())
}

fn parse_root(root: &[u8]) -> Option<TraceId> {
    let (time, rest) = root.strip_prefix(b"1-").filter(|_| root.len() == ROOT_LENGTH)?.split_at_checked(8)?;
    let (high, low) = (parse_hex_any_case(time)?, parse_hex_any_case(rest.strip_prefix(b"-")?)?);
    Some(TraceId((high << 96) | low))
}

fn parse_parent(parent: &[u8]) -> Option<SpanId> {
    if parent.len() == 16 { span_id(parent) } else { None }
}
