//! Datadog's trace payload, version `v0.4`: an array of chunks, a chunk an array of spans, a span a map.

use super::datadog::{AgentOptions, DatadogLink, DatadogSpan, Mapping, text_of};
use super::{Event, TraceChunk, Value};
use rmp::encode::{self, ByteBuf, ValueWriteError};
use std::borrow::Cow;
use std::convert::Infallible;
use std::vec::Vec;

/// The body of one request to `/v0.4/traces`.
#[derive(Debug)]
pub struct Payload {
    /// The msgpack bytes.
    pub body: Vec<u8>,
    /// How many chunks are in it, which the header `X-Datadog-Trace-Count` must repeat.
    pub traces: usize,
}

/// Encodes chunks into one payload; a chunk without spans is left out.
#[must_use]
pub fn encode_payload(chunks: &[TraceChunk], options: AgentOptions) -> Payload {
    let traces = chunks.iter().filter(|chunk| !chunk.spans.is_empty()).count();
    let mut out = ByteBuf::new();
    let mut mapping = Mapping::new(options);
    written(encode::write_array_len(&mut out, length(traces)));
    for chunk in chunks.iter().filter(|chunk| !chunk.spans.is_empty()) {
        mapping.begin(chunk);
        written(encode::write_array_len(&mut out, length(chunk.spans.len())));
        for span in 0..chunk.spans.len() {
            if let Some(span) = mapping.span(span) {
                write_span(&mut out, &span);
                mapping.recycle(span);
            }
        }
    }
    Payload { body: out.into_vec(), traces }
}

/// The format counts in 32 bits; what is counted here has been in memory, so that the bound is never met.
fn length(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Writing into a growing buffer cannot fail, as its error type proves.
fn written<T>(result: Result<T, ValueWriteError<Infallible>>) {
    match result {
        Ok(_) => {}
        Err(ValueWriteError::InvalidMarkerWrite(never) | ValueWriteError::InvalidDataWrite(never)) => match never {},
    }
}

fn write_span(out: &mut ByteBuf, span: &DatadogSpan<'_>) {
    const ALWAYS_THERE: u32 = 10;
    let optional = [span.parent_id != 0, !span.span_type.is_empty(), !span.links.is_empty(), !span.events.is_empty()];
    written(encode::write_map_len(out, ALWAYS_THERE + length(optional.iter().filter(|there| **there).count())));
    write_text_entry(out, "service", &span.service);
    write_text_entry(out, "name", &span.name);
    write_text_entry(out, "resource", &span.resource);
    write_uint_entry(out, "trace_id", span.trace_id);
    write_uint_entry(out, "span_id", span.span_id);
    if span.parent_id != 0 {
        write_uint_entry(out, "parent_id", span.parent_id);
    }
    write_text(out, "start");
    written(encode::write_sint(out, span.start));
    write_text(out, "duration");
    written(encode::write_sint(out, span.duration));
    write_uint_entry(out, "error", u64::from(span.error));
    write_text(out, "meta");
    write_text_map(out, &span.meta);
    write_text(out, "metrics");
    written(encode::write_map_len(out, length(span.metrics.len())));
    for (key, number) in &span.metrics {
        write_text(out, key);
        written(encode::write_f64(out, *number));
    }
    if !span.span_type.is_empty() {
        write_text_entry(out, "type", &span.span_type);
    }
    if !span.links.is_empty() {
        write_text(out, "span_links");
        written(encode::write_array_len(out, length(span.links.len())));
        for link in &span.links {
            write_link(out, link);
        }
    }
    if !span.events.is_empty() {
        write_text(out, "span_events");
        written(encode::write_array_len(out, length(span.events.len())));
        for event in span.events {
            write_event(out, event);
        }
    }
}

fn write_event(out: &mut ByteBuf, event: &Event) {
    written(encode::write_map_len(out, if event.attributes.is_empty() { 2 } else { 3 }));
    write_uint_entry(out, "time_unix_nano", event.time_unix_nano);
    write_text_entry(out, "name", &event.name);
    if !event.attributes.is_empty() {
        write_text(out, "attributes");
        written(encode::write_map_len(out, length(event.attributes.len())));
        for (key, value) in &event.attributes {
            write_text(out, key);
            write_event_value(out, value);
        }
    }
}

/// A value with the number of its type. Lists hold what is no list; one within another goes as text.
fn write_event_value(out: &mut ByteBuf, value: &Value) {
    let Value::Array(items) = value else { return write_event_scalar(out, value) };
    written(encode::write_map_len(out, 2));
    write_uint_entry(out, "type", 4);
    write_text(out, "array_value");
    written(encode::write_map_len(out, 1));
    write_text(out, "values");
    written(encode::write_array_len(out, length(items.len())));
    items.iter().for_each(|item| write_event_scalar(out, item));
}

fn write_event_scalar(out: &mut ByteBuf, value: &Value) {
    written(encode::write_map_len(out, 2));
    match value {
        Value::Bool(truth) => {
            write_uint_entry(out, "type", 1);
            write_text(out, "bool_value");
            written(encode::write_bool(out, *truth).map_err(ValueWriteError::InvalidMarkerWrite));
        }
        Value::I64(number) => {
            write_uint_entry(out, "type", 2);
            write_text(out, "int_value");
            written(encode::write_sint(out, *number));
        }
        Value::F64(number) => {
            write_uint_entry(out, "type", 3);
            write_text(out, "double_value");
            written(encode::write_f64(out, *number));
        }
        Value::String(_) | Value::Array(_) => {
            write_uint_entry(out, "type", 0);
            write_text_entry(out, "string_value", &text_of(value));
        }
    }
}

fn write_link(out: &mut ByteBuf, link: &DatadogLink<'_>) {
    const ALWAYS_THERE: u32 = 4;
    let optional = [!link.attributes.is_empty(), !link.tracestate.is_empty()];
    written(encode::write_map_len(out, ALWAYS_THERE + length(optional.iter().filter(|there| **there).count())));
    write_uint_entry(out, "trace_id", link.trace_id);
    write_uint_entry(out, "trace_id_high", link.trace_id_high);
    write_uint_entry(out, "span_id", link.span_id);
    if !link.attributes.is_empty() {
        write_text(out, "attributes");
        write_text_map(out, &link.attributes);
    }
    if !link.tracestate.is_empty() {
        write_text_entry(out, "tracestate", &link.tracestate);
    }
    write_uint_entry(out, "flags", u64::from(link.flags));
}

fn write_text_map(out: &mut ByteBuf, map: &[(Cow<'_, str>, Cow<'_, str>)]) {
    written(encode::write_map_len(out, length(map.len())));
    for (key, text) in map {
        write_text_entry(out, key, text);
    }
}

fn write_text_entry(out: &mut ByteBuf, key: &str, text: &str) {
    write_text(out, key);
    write_text(out, text);
}

fn write_uint_entry(out: &mut ByteBuf, key: &str, number: u64) {
    write_text(out, key);
    written(encode::write_uint(out, number));
}

fn write_text(out: &mut ByteBuf, text: &str) {
    written(encode::write_str(out, text));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::link_flags;
    use crate::ids::{SpanId, TraceId};
    use crate::span::datadog::tests::{attribute, chunk, span};
    use crate::span::{Event, Link, Span, SpanKind, Status, Value};
    use proptest::prelude::*;
    use rmpv::Value as Msgpack;
    use std::string::String;
    use std::vec;

    fn decoded(chunks: &[TraceChunk]) -> Vec<Vec<Msgpack>> {
        let payload = encode_payload(chunks, AgentOptions::default());
        let mut rest = &payload.body[..];
        let body = rmpv::decode::read_value(&mut rest).expect("valid msgpack");
        assert!(rest.is_empty(), "bytes after the payload");
        let traces = body.as_array().expect("an array of chunks");
        assert_eq!(traces.len(), payload.traces);
        traces.iter().map(|chunk| chunk.as_array().expect("an array of spans").clone()).collect()
    }

    fn field<'a>(map: &'a Msgpack, key: &str) -> Option<&'a Msgpack> {
        map.as_map()?.iter().find(|(k, _)| k.as_str() == Some(key)).map(|(_, v)| v)
    }

    #[test]
    fn an_independent_reader_reads_every_field() {
        let root = Span { kind: SpanKind::Server, status: Status::Error("boom".into()), ..span() };
        let link = Link {
            trace_id: TraceId(1 << 64 | 2),
            span_id: SpanId(3),
            trace_state: String::from("a=b"),
            flags: 1,
            attributes: vec![attribute("why", "fork")],
            ..Link::default()
        };
        let child = Span {
            span_id: SpanId(u64::MAX),
            parent_id: root.span_id,
            attributes: vec![attribute("n", 2)],
            links: vec![link],
            ..span()
        };
        let traces = decoded(&[chunk(vec![root, child]), chunk(vec![])]);
        assert_eq!(traces.len(), 1, "a chunk without spans is not sent");
        let [root, child] = &traces[0][..] else { panic!("two spans") };
        assert_eq!(field(root, "service").unwrap().as_str(), Some("Shop"));
        assert_eq!(field(root, "name").unwrap().as_str(), Some("server.request"));
        assert_eq!(field(root, "resource").unwrap().as_str(), Some("work"));
        assert_eq!(field(root, "type").unwrap().as_str(), Some("web"));
        assert_eq!(field(root, "trace_id").unwrap().as_u64(), Some(0xabcdefab12345678));
        assert_eq!(field(root, "span_id").unwrap().as_u64(), Some(0x00f067aa0ba902b7));
        assert_eq!(field(root, "parent_id"), None);
        assert_eq!(field(root, "start").unwrap().as_i64(), Some(1_700_000_000_000_000_000));
        assert_eq!(field(root, "duration").unwrap().as_i64(), Some(250));
        assert_eq!(field(root, "error").unwrap().as_i64(), Some(1));
        assert_eq!(field(root, "span_links"), None);
        assert_eq!(field(field(root, "meta").unwrap(), "error.message").unwrap().as_str(), Some("boom"));
        assert_eq!(field(field(root, "metrics").unwrap(), "process_id"), Some(&Msgpack::F64(42.0)));
        assert_eq!(field(child, "span_id").unwrap().as_u64(), Some(u64::MAX));
        assert_eq!(field(child, "parent_id").unwrap().as_u64(), Some(0x00f067aa0ba902b7));
        assert_eq!(field(child, "error").unwrap().as_i64(), Some(0));
        assert_eq!(field(field(child, "metrics").unwrap(), "n"), Some(&Msgpack::F64(2.0)));
        let link = &field(child, "span_links").unwrap().as_array().unwrap()[0];
        assert_eq!(field(link, "trace_id").unwrap().as_u64(), Some(2));
        assert_eq!(field(link, "trace_id_high").unwrap().as_u64(), Some(1));
        assert_eq!(field(link, "span_id").unwrap().as_u64(), Some(3));
        assert_eq!(field(link, "flags").unwrap().as_u64(), Some(1 | 1 << 31));
        assert_eq!(field(link, "tracestate").unwrap().as_str(), Some("a=b"));
        assert_eq!(field(field(link, "attributes").unwrap(), "why").unwrap().as_str(), Some("fork"));
    }

    #[test]
    fn events_carry_the_types_of_their_attributes() {
        let list = Value::Array(vec![Value::I64(1), Value::Array(vec![Value::Bool(true)])]);
        let attributes = vec![
            attribute("text", "a"),
            attribute("truth", true),
            attribute("integer", i64::MIN),
            attribute("float", 0.5),
            (Cow::Borrowed("list"), list),
        ];
        let event = Event { time_unix_nano: u64::MAX, name: "e".into(), attributes, ..Event::default() };
        let bare = Event { name: "bare".into(), ..Event::default() };
        let chunk = chunk(vec![Span { events: vec![event, bare], ..span() }]);
        let payload = encode_payload(&[chunk], AgentOptions { native_events: true, ..AgentOptions::default() });
        let body = rmpv::decode::read_value(&mut &payload.body[..]).unwrap();
        let events = field(&body[0][0], "span_events").unwrap();
        let typed =
            |kind: u8, key: &str, value: Msgpack| Msgpack::Map(vec![("type".into(), kind.into()), (key.into(), value)]);
        let items = vec![typed(2, "int_value", 1.into()), typed(0, "string_value", "[true]".into())];
        let expected = vec![
            ("text".into(), typed(0, "string_value", "a".into())),
            ("truth".into(), typed(1, "bool_value", true.into())),
            ("integer".into(), typed(2, "int_value", i64::MIN.into())),
            ("float".into(), typed(3, "double_value", 0.5.into())),
            ("list".into(), typed(4, "array_value", Msgpack::Map(vec![("values".into(), Msgpack::Array(items))]))),
        ];
        assert_eq!(field(&events[0], "time_unix_nano").unwrap().as_u64(), Some(u64::MAX));
        assert_eq!(field(&events[0], "attributes"), Some(&Msgpack::Map(expected)));
        assert_eq!(field(&events[1], "name").unwrap().as_str(), Some("bare"));
        assert_eq!(field(&events[1], "attributes"), None);
    }

    fn any_text() -> impl Strategy<Value = String> {
        // Names that the mapping treats specially are rare among random texts, yet are the interesting ones.
        prop_oneof![
            any::<String>(),
            prop::sample::select(vec![
                "http.response.status_code",
                "http.request.method",
                "analytics.event",
                "datadog.error",
                "db.system",
                "_dd.top_level",
                "env",
                "",
            ])
            .prop_map(String::from),
        ]
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            any_text().prop_map(Value::from),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::I64),
            any::<f64>().prop_map(Value::F64),
        ];
        scalar.prop_recursive(2, 8, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Value::Array))
    }

    fn any_attributes() -> impl Strategy<Value = Vec<(Cow<'static, str>, Value)>> {
        prop::collection::vec((any_text().prop_map(Cow::Owned), any_value()), 0..6)
    }

    prop_compose! {
        fn any_span()(
            ids in any::<(u128, u64, u64, u64, u64, bool, u8)>(),
            name in any_text(),
            service in prop::option::of(any_text()),
            kind in prop::sample::select(vec![SpanKind::Internal, SpanKind::Server, SpanKind::Client]),
            failed in prop::option::of(any_text()),
            attributes in any_attributes(),
            more in any_attributes(),
        ) -> Span {
            let (trace_id, span_id, parent_id, start, end, parent_is_remote, flags) = ids;
            let event = Event { time_unix_nano: start, name: Cow::Borrowed("exception"), attributes: more.clone(), ..Event::default() };
            let link = Link {
                trace_id: TraceId(trace_id),
                span_id: SpanId(parent_id),
                trace_state: name.clone(),
                flags: link_flags(flags, parent_is_remote),
                attributes: more,
                ..Link::default()
            };
            Span {
                trace_id: TraceId(trace_id),
                span_id: SpanId(span_id),
                parent_id: SpanId(parent_id),
                parent_is_remote,
                flags,
                name: Cow::Owned(name),
                service,
                kind,
                start_unix_nano: start,
                end_unix_nano: end,
                attributes,
                events: vec![event],
                links: vec![link],
                status: failed.map_or(Status::Ok, |text| Status::Error(Cow::Owned(text))),
                ..span()
            }
        }
    }

    proptest! {
        #[test]
        fn any_span_is_encoded_and_read_back(spans in prop::collection::vec(any_span(), 1..4), priority in any::<i32>()) {
            let expected: Vec<u64> = spans.iter().map(|s| s.span_id.0).collect();
            let chunk = TraceChunk { sampling_priority: priority, ..chunk(spans) };
            let traces = decoded(&[chunk]);
            let ids: Vec<u64> = traces[0].iter().map(|s| field(s, "span_id").unwrap().as_u64().unwrap()).collect();
            prop_assert_eq!(ids, expected);
            for span in &traces[0] {
                let meta = field(span, "meta").unwrap().as_map().unwrap();
                let metrics = field(span, "metrics").unwrap().as_map().unwrap();
                prop_assert!(meta.iter().all(|(_, v)| v.is_str()), "the Agent refuses tags that are not text");
                prop_assert!(metrics.iter().all(|(_, v)| v.as_f64().is_some_and(f64::is_finite)));
                let mut keys: Vec<_> = meta.iter().chain(metrics).map(|(k, _)| k.as_str().unwrap()).collect();
                keys.sort_unstable();
                let all = keys.len();
                keys.dedup();
                prop_assert_eq!(keys.len(), all, "keys are unique");
                let events = field(field(span, "meta").unwrap(), "events").unwrap().as_str().unwrap();
                prop_assert!(serde_json::from_str::<serde_json::Value>(events).is_ok_and(|v| v.is_array()));
            }
        }
    }
}
