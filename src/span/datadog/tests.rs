use super::*;
use crate::ids::TraceId;
use crate::span::{Attribute, Event};
use std::sync::Arc;
use std::vec;

pub(in crate::span) fn span() -> Span {
    Span {
        trace_id: TraceId(0x640cfd8d_00000000_abcdefab_12345678),
        span_id: SpanId(0x00f067aa0ba902b7),
        flags: 1,
        name: Cow::Borrowed("work"),
        start_unix_nano: 1_700_000_000_000_000_000,
        end_unix_nano: 1_700_000_000_000_000_250,
        ..Span::default()
    }
}

pub(in crate::span) fn attribute(key: &'static str, value: impl Into<Value>) -> Attribute {
    (Cow::Borrowed(key), value.into())
}

pub(in crate::span) fn chunk(spans: Vec<Span>) -> TraceChunk {
    let attributes = vec![
        attribute("service.name", "Shop"),
        attribute("deployment.environment.name", "prod"),
        attribute("service.version", "1.2"),
        attribute("service.instance.id", "6dbe11aa-0000-4000-8000-0123456789AB"),
        attribute("process.pid", 42),
        attribute("host.name", "h"),
        attribute("os.type", "linux"),
        attribute("telemetry.sdk.language", "rust"),
        attribute("_dd.hostname", "box"),
        attribute("team", "checkout"),
        attribute("shard", 7),
    ];
    TraceChunk::new(Arc::new(Resource { attributes }), spans)
}

impl DatadogSpan<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        self.meta.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_ref())
    }

    fn number(&self, key: &str) -> Option<f64> {
        self.metrics.iter().find(|(k, _)| k == key).map(|(_, v)| *v)
    }
}

fn child() -> Span {
    Span { span_id: SpanId(2), parent_id: SpanId(0x00f067aa0ba902b7), ..span() }
}

#[test]
fn the_first_span_of_a_chunk_carries_what_belongs_to_the_chunk() {
    let chunk = chunk(vec![span(), child()]);
    let mapped = map_chunk(&chunk, 0.5);
    let [first, second] = &mapped[..] else { panic!("two spans") };
    assert_eq!(first.trace_id, 0xabcdefab12345678);
    assert_eq!(first.number("_sampling_priority_v1"), Some(1.0));
    assert_eq!(first.number("_dd.tracer_kr"), Some(0.5));
    assert_eq!(first.number("process_id"), Some(42.0));
    assert_eq!(first.text("_dd.p.dm"), Some("-0"));
    assert_eq!(first.text("_dd.p.tid"), Some("640cfd8d00000000"));
    assert_eq!(first.text("runtime-id"), Some("6dbe11aa0000400080000123456789ab"));
    assert_eq!(first.text("language"), Some("rust"));
    assert_eq!(first.text("_dd.hostname"), Some("box"));
    for key in ["_dd.p.dm", "_dd.p.tid", "runtime-id", "language", "_dd.hostname"] {
        assert_eq!(second.text(key), None, "{key}");
    }
    for key in ["_sampling_priority_v1", "_dd.tracer_kr", "process_id"] {
        assert_eq!(second.number(key), None, "{key}");
    }
}

#[test]
fn a_64_bit_trace_id_has_no_upper_half() {
    let mut only = span();
    only.trace_id = TraceId(7);
    let chunk = chunk(vec![only]);
    assert_eq!(map_chunk(&chunk, 1.0)[0].text("_dd.p.tid"), None);
}

#[test]
fn every_span_has_the_environment_and_the_users_tags() {
    let chunk = chunk(vec![span(), child()]);
    for mapped in map_chunk(&chunk, 1.0) {
        assert_eq!(mapped.service, "Shop");
        assert_eq!(mapped.text("env"), Some("prod"));
        assert_eq!(mapped.text("version"), Some("1.2"));
        assert_eq!(mapped.text("team"), Some("checkout"));
        assert_eq!(mapped.text("shard"), Some("7"));
        assert_eq!(mapped.text("span.kind"), Some("internal"));
        assert_eq!(mapped.text("otel.trace_id"), Some("640cfd8d00000000abcdefab12345678"));
        assert_eq!(mapped.text("otel.status_code"), Some("Unset"));
        for key in ["service.name", "host.name", "os.type", "telemetry.sdk.language", "deployment.environment.name"] {
            assert_eq!(mapped.text(key), None, "{key}");
        }
    }
}

#[test]
fn a_spans_own_attribute_wins_over_the_resources() {
    let mut only = span();
    only.attributes = vec![attribute("team", "mine"), attribute("datadog.env", "staging")];
    let chunk = chunk(vec![only]);
    let mapped = &map_chunk(&chunk, 1.0)[0];
    assert_eq!(mapped.text("team"), Some("mine"));
    assert_eq!(mapped.text("env"), Some("staging"));
    assert_eq!(mapped.text("datadog.env"), None);
}

#[test]
fn a_span_of_another_service_names_its_base_and_has_no_version() {
    let mut other = child();
    other.service = Some(String::from("postgres"));
    let chunk = chunk(vec![span(), other]);
    let mapped = map_chunk(&chunk, 1.0);
    assert_eq!(mapped[1].service, "postgres");
    assert_eq!(mapped[1].text("_dd.base_service"), Some("shop"));
    assert_eq!(mapped[1].text("version"), None);
    assert_eq!(mapped[1].number("_dd.top_level"), Some(1.0));
    assert_eq!(mapped[0].text("_dd.base_service"), None);
}

#[test]
fn top_level_is_where_a_service_was_entered() {
    let unfinished_parent = Span { span_id: SpanId(3), parent_id: SpanId(99), ..span() };
    let remote_parent = Span { span_id: SpanId(4), parent_id: SpanId(98), parent_is_remote: true, ..span() };
    let request = Span { span_id: SpanId(5), parent_id: SpanId(97), kind: SpanKind::Server, ..span() };
    let chunk = chunk(vec![span(), child(), unfinished_parent, remote_parent, request]);
    let top: Vec<bool> = map_chunk(&chunk, 1.0).iter().map(|s| s.number("_dd.top_level").is_some()).collect();
    assert_eq!(top, [true, false, false, true, true]);
}

#[test]
fn spans_that_leave_the_service_are_measured() {
    let chunk = chunk(vec![Span { kind: SpanKind::Client, ..span() }, child()]);
    let mapped = map_chunk(&chunk, 1.0);
    assert_eq!(mapped[0].number("_dd.measured"), Some(1.0));
    assert_eq!(mapped[1].number("_dd.measured"), None);
}

#[test]
fn links_are_flat_text_and_their_flags_have_bit_31() {
    let list = Value::Array(vec![Value::I64(1), Value::Bool(true)]);
    let link = Link {
        trace_id: TraceId(0x1_0000_0000_0000_0002),
        span_id: SpanId(3),
        trace_state: String::from("a=b"),
        flags: 1,
        attributes: vec![(Cow::Borrowed("a"), list), attribute("why", "fork")],
        ..Link::default()
    };
    let chunk = chunk(vec![Span { links: vec![link.clone(), Link { flags: 0, ..link }], ..span() }]);
    let mapped = map_chunk(&chunk, 1.0);
    let [sampled, unsampled] = &mapped[0].links[..] else { panic!("two links") };
    assert_eq!((sampled.trace_id, sampled.trace_id_high, sampled.span_id), (2, 1, 3));
    assert_eq!(sampled.tracestate, "a=b");
    assert_eq!((sampled.flags, unsampled.flags), (2_147_483_649, 2_147_483_648));
    let text: Vec<(&str, &str)> = sampled.attributes.iter().map(|(k, v)| (k.as_ref(), v.as_ref())).collect();
    assert_eq!(text, [("a.0", "1"), ("a.1", "true"), ("why", "fork")]);
}

#[test]
fn events_and_tracestate_become_tags() {
    let event = Event { time_unix_nano: 5, name: Cow::Borrowed("Exception"), ..Event::default() };
    let chunk = chunk(vec![Span { events: vec![event], trace_state: String::from("dd=s:1"), ..span() }]);
    let mapped = &map_chunk(&chunk, 1.0)[0];
    assert_eq!(mapped.text("events"), Some(r#"[{"name":"Exception","time_unix_nano":5}]"#));
    assert_eq!(mapped.text("_dd.span_events.has_exception"), Some("true"));
    assert_eq!(mapped.text("w3c.tracestate"), Some("dd=s:1"));
}

#[test]
fn times_beyond_what_the_wire_can_say_are_bounded() {
    let backwards = Span { start_unix_nano: 10, end_unix_nano: 5, ..span() };
    let endless = Span { start_unix_nano: 0, end_unix_nano: u64::MAX, ..child() };
    let chunk = chunk(vec![backwards, endless]);
    let mapped = map_chunk(&chunk, f64::NAN);
    assert_eq!(mapped[0].duration, 0);
    assert_eq!(mapped[0].number("_dd.tracer_kr"), Some(1.0));
    assert_eq!(mapped[1].duration, i64::MAX);
}

#[test]
fn only_uuids_lose_their_hyphens() {
    assert_eq!(runtime_id("web-1"), "web-1");
    assert_eq!(runtime_id("6dbe11aa-0000-4000-8000-0123456789ab"), "6dbe11aa0000400080000123456789ab");
    assert_eq!(runtime_id("6dbe11aa-0000-4000-8000-0123456789xy"), "6dbe11aa-0000-4000-8000-0123456789xy");
}
