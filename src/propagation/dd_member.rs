//! Datadog's member of the `tracestate`: `dd=p:…;s:…;o:…;t.…`.

use super::text::{Class, split_once};
use super::{Outgoing, datadog};
use crate::context::{Bounded, DoesNotFit, Priority, TAG_PREFIX, TraceContext};
use crate::decimal::{Decimal, parse_i32};
use crate::ids::SpanId;

/// The longest value of the member, in bytes.
pub(super) const MAX_VALUE: usize = 256;
/// `p:`, 16 digits and a semicolon. Tracers on the way may add it, so room is left for it.
const PARENT_LENGTH: usize = 19;

/// Writes the value of the member; nothing where there is nothing to say. `with_tid`: the high half of the trace id is
/// among the tags, as it is when `x-datadog-tags` is written first.
pub(super) fn write(outgoing: &Outgoing<'_>, with_tid: bool) -> Bounded<MAX_VALUE> {
    let mut member = Bounded::new();
    let (span, trace) = (outgoing.span, outgoing.trace);
    let parent = if outgoing.is_local { span.span_id } else { trace.last_parent };
    let limit = if parent.is_valid() {
        let _ = part(&mut member, MAX_VALUE, b"p", b"", &parent.to_hex());
        MAX_VALUE
    } else {
        MAX_VALUE.saturating_sub(PARENT_LENGTH)
    };
    if let Some(Priority(priority)) = span.priority {
        let _ = part(&mut member, limit, b"s", b"", Decimal::of_signed(priority.into()).as_bytes());
    }
    if !trace.origin.is_empty() {
        let _ = part(&mut member, limit, b"o", b"", trace.origin.as_bytes());
    }
    let mut tag = |name: &[u8], value: &[u8]| {
        if let Some(name) = name.strip_prefix(TAG_PREFIX) {
            // One that does not fit is left out, a later one may fit.
            let _ = part(&mut member, limit, b"t.", name, value);
        }
    };
    let first: [&[u8]; 2] = [b"_dd.p.dm", b"_dd.p.usr.id"];
    for name in first {
        if let Some(value) = trace.tags.get(name) {
            tag(name, value);
        }
    }
    for (name, value) in trace.tags.iter().filter(|(name, _)| !first.contains(name)) {
        tag(name, value);
    }
    if with_tid && span.trace_id.high() != 0 {
        tag(b"_dd.p.tid", &SpanId(span.trace_id.high()).to_hex());
    }
    // A blank at the end of a member would be taken for one around it.
    if member.as_bytes().last() == Some(&b' ') {
        member.truncate(member.len().saturating_sub(1));
        let _ = member.push(b"_");
    }
    member
}

/// Adds `prefix`, `key`, a colon and the value, if all of it fits.
fn part(
    member: &mut Bounded<MAX_VALUE>,
    limit: usize,
    prefix: &[u8],
    key: &[u8],
    value: &[u8],
) -> Result<(), DoesNotFit> {
    let before = member.len();
    let semicolon: &[u8] = if member.is_empty() { b"" } else { b";" };
    let written = [semicolon, prefix]
        .into_iter()
        .try_for_each(|text| member.push(text))
        .and_then(|()| push_mapped(member, key, in_key))
        .and_then(|()| member.push(b":"))
        .and_then(|()| push_mapped(member, value, in_value));
    if written.is_err() || member.len() > limit {
        member.truncate(before);
        return Err(DoesNotFit);
    }
    Ok(())
}

fn push_mapped(member: &mut Bounded<MAX_VALUE>, text: &[u8], map: fn(u8) -> u8) -> Result<(), DoesNotFit> {
    if text.iter().all(|byte| map(*byte) == *byte) {
        return member.push(text);
    }
    // Of a character of several bytes only the first counts.
    for byte in text.iter().filter(|byte| !matches!(byte, 0x80..=0xbf)) {
        member.push(&[map(*byte)])?;
    }
    Ok(())
}

/// Besides what the reference replaces (`,`, `=`, blank, non-ASCII), what would end the key.
fn in_key(byte: u8) -> u8 {
    if !Class::PRINTABLE.has(byte) || b",= ;:".contains(&byte) { b'_' } else { byte }
}

fn in_value(byte: u8) -> u8 {
    match byte {
        b'=' => b'~',
        b',' | b';' | b'~' => b'_',
        byte if Class::PRINTABLE.has(byte) => byte,
        _ => b'_',
    }
}

fn from_value(text: &[u8]) -> Bounded<MAX_VALUE> {
    let mut value = Bounded::new();
    for byte in text {
        let _ = value.push(&[if *byte == b'~' { b'=' } else { *byte }]);
    }
    value
}

/// Reads a member into a fresh context; gives the priority in it. A malformed one says nothing.
pub(super) fn read(text: &[u8], context: &mut TraceContext) -> Option<Priority> {
    let parts = || text.split(|byte| *byte == b';').filter(|part| !part.is_empty());
    let mut priority = None;
    for part in parts() {
        let (key, value) = split_once(part, b':')?;
        if key == b"s" {
            priority = Some(Priority(parse_i32(value)?));
        }
    }
    for (key, value) in parts().filter_map(|part| split_once(part, b':')) {
        match key {
            b"p" => context.last_parent = SpanId::from_hex(value).unwrap_or_default(),
            b"o" => {
                let _ = context.origin.set(from_value(value).as_bytes());
            }
            [b't', b'.', name @ ..] if !name.is_empty() && !name.contains(&b' ') && !value.is_empty() => {
                let mut whole = Bounded::<MAX_VALUE>::new();
                if whole.push(TAG_PREFIX).and_then(|()| whole.push(name)).is_ok() {
                    datadog::add(&mut context.tags, whole.as_bytes(), from_value(value).as_bytes());
                }
            }
            _ => {}
        }
    }
    priority
}
