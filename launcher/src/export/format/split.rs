//! Splits encoded payloads.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

/// A part of a payload.
#[derive(Debug, PartialEq)]
pub struct Half {
    /// Its bytes, a payload by itself.
    pub body: Vec<u8>,
    /// How many spans are in it.
    pub spans: u64,
}

/// Splits OTLP: between resources, else between scopes, else between spans.
pub fn otlp(payload: &[u8]) -> Option<(Half, Half)> {
    let mut first = ExportTraceServiceRequest::decode(payload).ok()?;
    let mut second = ExportTraceServiceRequest::default();
    if first.resource_spans.len() > 1 {
        second.resource_spans = first.resource_spans.split_off(first.resource_spans.len() / 2);
    } else {
        let whole = first.resource_spans.first_mut()?;
        let mut rest = whole.clone();
        if whole.scope_spans.len() > 1 {
            rest.scope_spans = whole.scope_spans.split_off(whole.scope_spans.len() / 2);
        } else {
            let (spans, rest) = (&mut whole.scope_spans.first_mut()?.spans, &mut rest.scope_spans.first_mut()?.spans);
            if spans.len() < 2 {
                return None;
            }
            *rest = spans.split_off(spans.len() / 2);
        }
        second.resource_spans.push(rest);
    }
    let half = |request: ExportTraceServiceRequest| {
        let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        Half { spans: scopes.map(|scope| scope.spans.len() as u64).sum(), body: request.encode_to_vec() }
    };
    Some((half(first), half(second)))
}

/// Splits Datadog's array of chunks, each an array of spans: between chunks, else between spans.
pub fn datadog(payload: &[u8]) -> Option<(Half, Half)> {
    let (chunks, items) = array(payload)?;
    if chunks == 1 {
        let (spans, items) = array(items)?;
        let (first, second) = (spans / 2, spans - spans / 2);
        let cut = items.len() - after_values(items, first.into())?.len();
        let half = |count: u32, items: &[u8]| {
            let body = [&array_head(1)[..], &array_head(count), items].concat();
            Half { body, spans: count.into() }
        };
        return (first > 0).then(|| (half(first, &items[..cut]), half(second, &items[cut..])));
    }
    let (first, second) = (chunks / 2, chunks - chunks / 2);
    let cut = items.len() - after_values(items, first.into())?.len();
    let half = |count: u32, items: &[u8]| {
        Some(Half { body: [&array_head(count)[..], items].concat(), spans: spans_in(count, items)? })
    };
    if first == 0 {
        return None;
    }
    Some((half(first, &items[..cut])?, half(second, &items[cut..])?))
}

/// What is left of OTLP without its first spans.
pub fn otlp_after(payload: &[u8], mut spans: u64) -> Option<Vec<u8>> {
    let mut request = ExportTraceServiceRequest::decode(payload).ok()?;
    for resource in &mut request.resource_spans {
        for scope in &mut resource.scope_spans {
            let gone = scope.spans.len().min(usize::try_from(spans).ok()?);
            scope.spans.drain(..gone);
            spans -= gone as u64;
        }
        resource.scope_spans.retain(|scope| !scope.spans.is_empty());
    }
    request.resource_spans.retain(|resource| !resource.scope_spans.is_empty());
    (spans == 0).then(|| request.encode_to_vec())
}

/// What is left of Datadog's array of chunks without its first spans.
pub fn datadog_after(payload: &[u8], mut spans: u64) -> Option<Vec<u8>> {
    let (mut chunks, mut items) = array(payload)?;
    while chunks > 0 {
        let (count, inside) = array(items)?;
        if spans < count.into() {
            if spans == 0 {
                return Some([&array_head(chunks)[..], items].concat());
            }
            let rest = after_values(inside, spans)?;
            let left = u32::try_from(u64::from(count) - spans).ok()?;
            return Some([&array_head(chunks)[..], &array_head(left), rest].concat());
        }
        items = after_values(inside, count.into())?;
        spans -= u64::from(count);
        chunks -= 1;
    }
    (spans == 0).then(|| [&array_head(0)[..], items].concat())
}

fn spans_in(chunks: u32, mut items: &[u8]) -> Option<u64> {
    let mut sum = 0;
    for _ in 0..chunks {
        let (spans, rest) = array(items)?;
        sum += u64::from(spans);
        items = after_values(rest, spans.into())?;
    }
    Some(sum)
}

/// The length of the array at the start, and its items with what follows.
fn array(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (marker, rest) = bytes.split_first()?;
    match marker {
        0x90..=0x9f => Some((u32::from(marker & 0x0f), rest)),
        0xdc => rest.split_first_chunk().map(|(length, rest)| (u16::from_be_bytes(*length).into(), rest)),
        0xdd => rest.split_first_chunk().map(|(length, rest)| (u32::from_be_bytes(*length), rest)),
        _ => None,
    }
}

fn array_head(length: u32) -> Vec<u8> {
    match u8::try_from(length) {
        Ok(length @ 0..16) => vec![0x90 | length],
        _ => [&[0xdd][..], &length.to_be_bytes()].concat(),
    }
}

/// What follows after so many values of msgpack. Values within values are counted, not followed: no input is too deep.
fn after_values(mut bytes: &[u8], mut count: u64) -> Option<&[u8]> {
    while count > 0 {
        count -= 1;
        let (marker, rest) = bytes.split_first()?;
        let wide = |size: usize| -> Option<(u64, &[u8])> {
            let number = rest.get(..size)?.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
            Some((number, &rest[size..]))
        };
        // How many bytes follow, and how many values.
        let (bytes_after, values, rest) = match marker {
            0x00..=0x7f | 0xe0..=0xff | 0xc0..=0xc3 => (0, 0, rest),
            0x80..=0x8f => (0, 2 * u64::from(marker & 0x0f), rest),
            0x90..=0x9f => (0, u64::from(marker & 0x0f), rest),
            0xa0..=0xbf => (u64::from(marker & 0x1f), 0, rest),
            0xc4 | 0xd9 => wide(1).map(|(length, rest)| (length, 0, rest))?,
            0xc5 | 0xda => wide(2).map(|(length, rest)| (length, 0, rest))?,
            0xc6 | 0xdb => wide(4).map(|(length, rest)| (length, 0, rest))?,
            0xc7 => wide(1).map(|(length, rest)| (length + 1, 0, rest))?,
            0xc8 => wide(2).map(|(length, rest)| (length + 1, 0, rest))?,
            0xc9 => wide(4).map(|(length, rest)| (length + 1, 0, rest))?,
            0xcc | 0xd0 => (1, 0, rest),
            0xcd | 0xd1 => (2, 0, rest),
            0xca | 0xce | 0xd2 => (4, 0, rest),
            0xcb | 0xcf | 0xd3 => (8, 0, rest),
            0xd4..=0xd8 => (1 + (1 << (marker - 0xd4)), 0, rest),
            0xdc => wide(2).map(|(length, rest)| (0, length, rest))?,
            0xdd => wide(4).map(|(length, rest)| (0, length, rest))?,
            0xde => wide(2).map(|(length, rest)| (0, 2 * length, rest))?,
            0xdf => wide(4).map(|(length, rest)| (0, 2 * length, rest))?,
        };
        bytes = rest.get(usize::try_from(bytes_after).ok()?..)?;
        count = count.checked_add(values)?;
    }
    Some(bytes)
}
