//! What encoding a payload costs the sidecar: Datadog's msgpack, next to a general encoder and to OTLP.

mod side_by_side;

use criterion::{Criterion, criterion_group, criterion_main};
use ddtrace::ids::{SpanId, TraceId};
use ddtrace::span::datadog::{AgentOptions, DatadogSpan, map_chunk};
use ddtrace::span::msgpack::encode_payload;
use ddtrace::span::{Attribute, Resource, Span, SpanKind, Status, TraceChunk, Value};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use prost::Message;
use serde::Serialize;
use side_by_side::SideBySide;
use std::borrow::Cow;
use std::sync::Arc;

const SPANS: u32 = 1000;

/// Processes of a build, as the sidecar has them.
fn chunk() -> TraceChunk {
    let attribute = |key: &'static str, value: Value| -> Attribute { (Cow::Borrowed(key), value) };
    let span = |number: u64| Span {
        trace_id: TraceId(0x640c_fd8d_0000_0000_abcd_efab_1234_5678),
        span_id: SpanId(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(number + 1)),
        parent_id: SpanId(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(number / 2)),
        parent_is_remote: false,
        trace_state: String::new(),
        flags: 1,
        name: Cow::Borrowed("cc1"),
        operation_name: Some(Cow::Borrowed("command_execution")),
        span_type: Some(Cow::Borrowed("system")),
        service: None,
        kind: SpanKind::Internal,
        start_unix_nano: 1_700_000_000_000_000_000 + number * 1_000_000,
        end_unix_nano: 1_700_000_000_250_000_000 + number * 1_000_000,
        attributes: vec![
            attribute("process.executable.name", "cc1".into()),
            attribute("process.executable.path", "/usr/lib/gcc/x86_64-linux-gnu/12/cc1".into()),
            attribute(
                "process.command_args",
                Value::Array(vec!["cc1".into(), "-quiet".into(), format!("file{number}.c").into(), "-O2".into()]),
            ),
            attribute("process.working_directory", "/home/somebody/project".into()),
            attribute("process.pid", Value::I64(number as i64 + 1000)),
            attribute("process.parent_pid", Value::I64(number as i64 / 2 + 1000)),
            attribute("process.exit.code", Value::I64(0)),
            attribute("process.cpu.time.user", Value::F64(0.2)),
        ],
        events: Vec::new(),
        links: Vec::new(),
        status: Status::Unset,
        ..Span::default()
    };
    let attributes = vec![
        attribute("service.name", "make".into()),
        attribute("deployment.environment.name", "prod".into()),
        attribute("host.name", "box".into()),
        attribute("os.type", "linux".into()),
    ];
    TraceChunk::new(Arc::new(Resource { attributes }), (0..u64::from(SPANS)).map(span).collect())
}

/// Datadog's span as somebody would write it down for a general encoder.
#[derive(Serialize)]
struct General<'a> {
    service: &'a str,
    name: &'a str,
    resource: &'a str,
    trace_id: u64,
    span_id: u64,
    parent_id: u64,
    start: i64,
    duration: i64,
    error: i32,
    #[serde(serialize_with = "as_map")]
    meta: &'a [(Cow<'a, str>, Cow<'a, str>)],
    #[serde(serialize_with = "as_map")]
    metrics: &'a [(Cow<'a, str>, f64)],
    r#type: &'a str,
}

fn as_map<S: serde::Serializer, K: Serialize, V: Serialize>(pairs: &[(K, V)], out: S) -> Result<S::Ok, S::Error> {
    out.collect_map(pairs.iter().map(|(key, value)| (key, value)))
}

fn general<'a>(span: &'a DatadogSpan<'_>) -> General<'a> {
    General {
        service: &span.service,
        name: &span.name,
        resource: &span.resource,
        trace_id: span.trace_id,
        span_id: span.span_id,
        parent_id: span.parent_id,
        start: span.start,
        duration: span.duration,
        error: i32::from(span.error),
        meta: &span.meta,
        metrics: &span.metrics,
        r#type: &span.span_type,
    }
}

/// The same spans in OTLP's types.
fn otlp(chunk: &TraceChunk) -> ExportTraceServiceRequest {
    let span = |span: &Span| opentelemetry_proto::tonic::trace::v1::Span {
        trace_id: span.trace_id.0.to_be_bytes().to_vec(),
        span_id: span.span_id.0.to_be_bytes().to_vec(),
        parent_span_id: span.parent_id.0.to_be_bytes().to_vec(),
        name: span.name.to_string(),
        kind: span.kind as i32,
        start_time_unix_nano: span.start_unix_nano,
        end_time_unix_nano: span.end_unix_nano,
        attributes: span.attributes.iter().map(key_value).collect(),
        flags: 0x101,
        ..Default::default()
    };
    let resource = opentelemetry_proto::tonic::resource::v1::Resource {
        attributes: chunk.resource.attributes.iter().map(key_value).collect(),
        ..Default::default()
    };
    let spans = ScopeSpans { spans: chunk.spans.iter().map(span).collect(), ..Default::default() };
    let group = ResourceSpans { resource: Some(resource), scope_spans: vec![spans], ..Default::default() };
    ExportTraceServiceRequest { resource_spans: vec![group] }
}

fn key_value((key, value): &Attribute) -> KeyValue {
    KeyValue { key: key.to_string(), value: Some(any_value(value)), ..Default::default() }
}

fn any_value(value: &Value) -> AnyValue {
    let value = match value {
        Value::String(text) => any_value::Value::StringValue(text.to_string()),
        Value::Bool(truth) => any_value::Value::BoolValue(*truth),
        Value::I64(number) => any_value::Value::IntValue(*number),
        Value::F64(number) => any_value::Value::DoubleValue(*number),
        Value::Array(items) => any_value::Value::ArrayValue(opentelemetry_proto::tonic::common::v1::ArrayValue {
            values: items.iter().map(any_value).collect(),
        }),
    };
    AnyValue { value: Some(value) }
}

fn encode(criterion: &mut Criterion) {
    let chunks = [chunk()];
    let mut table = SideBySide::new(criterion, "1,000 process spans are mapped and encoded", SPANS, "span");
    table.measure("encode_payload", || encode_payload(&chunks, AgentOptions::default()).body);
    table.measure("the same mapping, then rmp-serde", || {
        let mapped = map_chunk(&chunks[0], AgentOptions::default());
        let spans: Vec<General<'_>> = mapped.iter().map(general).collect();
        rmp_serde::to_vec_named(&[spans]).expect("it can be written")
    });
    table.measure("the mapping alone", || map_chunk(&chunks[0], AgentOptions::default()).len());
    table.measure("OTLP: opentelemetry-proto's types, then prost", || otlp(&chunks[0]).encode_to_vec());
    let ready = otlp(&chunks[0]);
    table.measure("prost alone", || ready.encode_to_vec());
    table.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
