use super::*;
use crate::ids::TraceId;
use crate::span::{Attribute, Event, Scope, SpanSampling};
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
        attribute("_dd.git.repository_url", "https://h/r"),
        attribute("_dd.git.commit.sha", "0123"),
        attribute("_dd.python_main_package", "shop"),
        attribute("_dd.tags.process", "entrypoint.name:shop"),
        attribute("team", "checkout"),
        attribute("shard", 7),
        attribute("service.tier", "gold"),
        attribute("os.flavor", "x"),
    ];
    TraceChunk::new(Arc::new(Resource { attributes }), spans)
}

/// What is sent where half of all traces were lost.
pub(in crate::span) fn mapped(chunk: &TraceChunk) -> Vec<DatadogSpan<'_>> {
    map_chunk(chunk, AgentOptions { keep_rate: 0.5, ..AgentOptions::default() })
}

impl DatadogSpan<'_> {
    pub(in crate::span) fn text(&self, key: &str) -> Option<&str> {
        self.meta.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_ref())
    }

    pub(in crate::span) fn number(&self, key: &str) -> Option<f64> {
        self.metrics.iter().find(|(k, _)| k == key).map(|(_, v)| *v)
    }
}

fn child() -> Span {
    Span { span_id: SpanId(2), parent_id: SpanId(0x00f067aa0ba902b7), ..span() }
}

#[test]
fn every_span_has_the_environment_and_the_users_tags() {
    let chunk = chunk(vec![span(), child()]);
    for mapped in mapped(&chunk) {
        assert_eq!(mapped.service, "Shop");
        assert_eq!(mapped.text("env"), Some("prod"));
        assert_eq!(mapped.text("version"), Some("1.2"));
        assert_eq!(mapped.text("team"), Some("checkout"));
        assert_eq!(mapped.text("shard"), Some("7"));
        let named_like_ours = [mapped.text("service.tier"), mapped.text("os.flavor")];
        assert_eq!(named_like_ours, [Some("gold"), Some("x")], "who names a tag wants it");
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
    let mapped = &mapped(&chunk)[0];
    assert_eq!(mapped.text("team"), Some("mine"));
    assert_eq!(mapped.text("env"), Some("staging"));
    assert_eq!(mapped.text("datadog.env"), None);
}

#[test]
fn a_span_of_another_service_names_its_base_and_has_no_version() {
    let mut other = child();
    other.service = Some(String::from("postgres"));
    let chunk = chunk(vec![span(), other]);
    let mapped = mapped(&chunk);
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
    let asked_by_itself = Span { span_id: SpanId(6), parent_id: span().span_id, parent_is_remote: true, ..span() };
    let chunk = chunk(vec![span(), child(), unfinished_parent, remote_parent, request, asked_by_itself]);
    let top: Vec<bool> = mapped(&chunk).iter().map(|s| s.number("_dd.top_level").is_some()).collect();
    assert_eq!(top, [true, false, false, true, true, true]);
}

#[test]
fn spans_that_leave_the_service_are_measured() {
    let chunk = chunk(vec![Span { kind: SpanKind::Client, ..span() }, child()]);
    let mapped = mapped(&chunk);
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
    let mapped = mapped(&chunk);
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
    let mapped = &mapped(&chunk)[0];
    assert_eq!(mapped.text("events"), Some(r#"[{"name":"Exception","time_unix_nano":5}]"#));
    assert_eq!(mapped.text("_dd.span_events.has_exception"), Some("true"));
    assert_eq!(mapped.text("w3c.tracestate"), Some("dd=s:1"));
}

#[test]
fn times_beyond_what_the_wire_can_say_are_bounded() {
    let backwards = Span { start_unix_nano: 10, end_unix_nano: 5, ..span() };
    let endless = Span { start_unix_nano: 0, end_unix_nano: u64::MAX, ..child() };
    let chunk = chunk(vec![backwards, endless]);
    let mapped = map_chunk(&chunk, AgentOptions { keep_rate: f64::NAN, native_events: false });
    assert_eq!(mapped[0].duration, 0);
    assert_eq!(mapped[0].number("_dd.tracer_kr"), Some(1.0));
    assert_eq!(mapped[1].duration, i64::MAX);
}

#[test]
fn measured_and_top_level_are_what_was_said() {
    let client = Span { kind: SpanKind::Client, ..child() };
    for (measured, top_level, expected) in [
        (None, None, (true, false)),
        (Some(false), Some(true), (false, true)),
        (Some(true), Some(false), (true, false)),
    ] {
        let span = Span { measured, top_level, ..client.clone() };
        let chunk = TraceChunk { has_local_root: false, ..chunk(vec![span]) };
        let mapped = &mapped(&chunk)[0];
        let has = |key| mapped.number(key).is_some();
        assert_eq!((has("_dd.measured"), has("_dd.top_level")), expected, "{measured:?} {top_level:?}");
    }
}

#[test]
fn a_chunk_that_is_split_maps_as_it_did_whole() {
    let other = Span { span_id: SpanId(3), parent_id: SpanId(2), service: Some(String::from("db")), ..span() };
    let inner = Span { span_id: SpanId(4), parent_id: SpanId(3), service: Some(String::from("db")), ..span() };
    let mut first = chunk(vec![span(), child(), other, inner]);
    let top = |chunk: &TraceChunk| -> Vec<bool> {
        mapped(chunk).iter().map(|span| span.number("_dd.top_level").is_some()).collect()
    };
    assert_eq!(top(&first), [true, false, true, false]);
    let second = first.split_off(3);
    assert_eq!((top(&first), top(&second)), (vec![true, false, true], vec![false]));
    assert_eq!((first.has_local_root, second.has_local_root), (true, false));
    assert_eq!(TraceChunk { spans: first.spans.clone(), has_local_root: true, ..second }, first);
}

#[test]
fn a_span_that_is_kept_by_itself_says_why() {
    let of = |max_per_second| {
        let span_sampling = Some(SpanSampling { rule_rate: 0.5, max_per_second });
        let chunk = chunk(vec![Span { span_sampling, ..span() }, child()]);
        let spans = mapped(&chunk);
        let keys = ["mechanism", "rule_rate", "max_per_second"].map(|key| std::format!("_dd.span_sampling.{key}"));
        assert!(keys.iter().all(|key| spans[1].number(key).is_none()));
        keys.map(|key| spans[0].number(&key))
    };
    assert_eq!(of(Some(10.0)), [Some(8.0), Some(0.5), Some(10.0)]);
    assert_eq!(of(None), [Some(8.0), Some(0.5), None]);
}

#[test]
fn a_service_says_where_its_name_came_from() {
    let named = Span { service: Some(String::from("db")), ..child() };
    let by_integration = Span { attributes: vec![attribute("_dd.svc_src", "redis")], ..named.clone() };
    let mut chunk = chunk(vec![span(), named, by_integration]);
    let sources = |chunk: &TraceChunk| -> Vec<Option<String>> {
        mapped(chunk).iter().map(|span| span.text("_dd.svc_src").map(String::from)).collect()
    };
    let [m, redis, otel] = ["m", "redis", "otel"].map(|source| Some(String::from(source)));
    assert_eq!(sources(&chunk), [None, m.clone(), redis.clone()]);
    Arc::make_mut(&mut chunk.resource).attributes.push(attribute("_dd.svc_src", "otel"));
    assert_eq!(sources(&chunk), [otel, m, redis]);
}

#[test]
fn the_scope_is_a_pair_of_tags() {
    let scope = |name: &str, version: &str| {
        let scope = Scope { name: name.into(), version: version.into(), attributes: vec![] };
        let chunk = chunk(vec![Span { scope: Some(Arc::new(scope)), ..span() }]);
        let span = &mapped(&chunk)[0];
        ["otel.scope.name", "otel.scope.version"].map(|key| span.text(key).map(String::from))
    };
    assert_eq!(scope("flask", "1.0"), [Some("flask".into()), Some("1.0".into())]);
    assert_eq!(scope("flask", ""), [Some("flask".into()), None]);
}

#[test]
fn events_go_as_such_to_an_agent_that_knows_them() {
    let event = Event { time_unix_nano: 5, name: Cow::Borrowed("exception"), ..Event::default() };
    let chunk = chunk(vec![Span { events: vec![event.clone()], ..span() }]);
    let native = map_chunk(&chunk, AgentOptions { native_events: true, ..AgentOptions::default() });
    assert_eq!((native[0].events, native[0].text("events")), (&[event][..], None));
    assert_eq!(native[0].text("_dd.span_events.has_exception"), Some("true"));
    assert_eq!(mapped(&chunk)[0].events, []);
}
