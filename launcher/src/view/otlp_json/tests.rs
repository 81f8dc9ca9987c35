//! Spellings that are read, and what is not.

use super::*;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{self, KeyValue, any_value};
use opentelemetry_proto::tonic::{resource, trace};
use proptest::prelude::*;

fn pair(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(v1::AnyValue { value: Some(value) }), ..KeyValue::default() }
}

#[test]
fn what_the_protocols_own_types_write_is_read() {
    let text = |text: &str| any_value::Value::StringValue(text.into());
    let written = trace::v1::Span {
        trace_id: 7u128.to_be_bytes().to_vec(),
        span_id: 0xabu64.to_be_bytes().to_vec(),
        parent_span_id: 0xcdu64.to_be_bytes().to_vec(),
        name: "make".into(),
        start_time_unix_nano: 1_795_500_000_000_000_001,
        end_time_unix_nano: 1_795_500_000_000_000_009,
        attributes: vec![
            pair("process.exit.code", any_value::Value::IntValue(-2)),
            pair("ratio", any_value::Value::DoubleValue(1.5)),
            pair("interactive", any_value::Value::BoolValue(true)),
            pair("raw", any_value::Value::BytesValue(vec![1, 2])),
            pair(
                "process.command_args",
                any_value::Value::ArrayValue(v1::ArrayValue {
                    values: vec![v1::AnyValue { value: Some(text("make")) }, v1::AnyValue { value: Some(text("-j2")) }],
                }),
            ),
        ],
        status: Some(trace::v1::Status { code: 2, message: "broken".into() }),
        ..trace::v1::Span::default()
    };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![trace::v1::ResourceSpans {
            resource: Some(resource::v1::Resource {
                attributes: vec![pair("service.name", text("zlib"))],
                ..resource::v1::Resource::default()
            }),
            scope_spans: vec![trace::v1::ScopeSpans { spans: vec![written], ..Default::default() }],
            ..Default::default()
        }],
    };
    let line = serde_json::to_vec(&request).expect("the request is serialisable");
    let read = read_line(&line).expect("valid").remove(0);
    assert_eq!(read.resource().text("service.name").as_deref(), Some("zlib"));
    let span = read.spans().next().expect("a span");
    assert_eq!((span.trace_id(), span.span_id(), span.parent_id()), (TraceId(7), SpanId(0xab), SpanId(0xcd)));
    assert_eq!(
        (span.start_ns(), span.end_ns()),
        (1_795_500_000_000_000_001, 1_795_500_000_000_000_009),
        "to the nanosecond"
    );
    assert_eq!(span.status_error().as_deref(), Some("broken"));
    assert_eq!(span.attributes.integer("process.exit.code"), Some(-2));
    assert_eq!(span.attributes.number("ratio"), Some(1.5));
    assert!(span.attributes.is_true("interactive"));
    assert!(span.attributes.has("raw") && span.attributes.text("raw").is_none());
    assert_eq!(span.attributes.texts("process.command_args"), ["make", "-j2"]);
}

#[test]
fn other_spellings_are_read_too() {
    let line = br#"{"extra":{},"resourceSpans":[{"resource":null,"scopeSpans":[{"scope":{"name":"x"},"spans":[
        {"traceId":"4BF92F3577B34DA6A3CE929D0E0E4736","spanId":"00F067AA0BA902B7","parentSpanId":null,"name":"a",
         "startTimeUnixNano":5,"endTimeUnixNano":"9","kind":"SPAN_KIND_SERVER","attributes":null,
         "status":{"code":"STATUS_CODE_ERROR"},"events":[{"name":"e"}]},
        {"spanId":"zz","startTimeUnixNano":-1,"endTimeUnixNano":1e3,
         "attributes":[{"key":"n","value":{"intValue":7}},{"key":"none","value":null},{"key":"d","value":{"doubleValue":"2"}},
            {"key":"t","value":{"boolValue":"true"}}]}
        ]}]}]}"#;
    let read = read_line(line).expect("valid").remove(0);
    let [first, second] = read.spans().collect::<Vec<_>>()[..] else { panic!("two spans") };
    assert_eq!(first.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(first.span_id().to_string(), "00f067aa0ba902b7");
    assert_eq!((first.start_ns(), first.end_ns()), (5, 9));
    assert_eq!(first.status_error().as_deref(), Some(""));
    assert_eq!((second.span_id(), second.start_ns(), second.end_ns()), (SpanId(0), 0, 1000));
    assert_eq!((second.attributes.integer("n"), second.attributes.number("d")), (Some(7), Some(2.0)));
    assert!(second.attributes.is_true("t") && second.attributes.text("none").is_none());
    assert_eq!(second.status_error(), None);
}

#[test]
fn what_is_no_finite_number_is_none() {
    for written in [r#""NaN""#, r#""Infinity""#, r#""-Infinity""#, "null", r#""""#] {
        let line = format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"attributes":[{{"key":"a","value":{{"doubleValue":{written}}}}}]}}]}}]}}]}}"#
        );
        let read = read_line(line.as_bytes()).expect("valid").remove(0);
        let span = read.spans().next().expect("a span");
        assert_eq!((span.attributes.number("a"), span.attributes.integer("a")), (None, None), "{written}");
    }
}

#[test]
fn lines_of_other_signals_have_no_spans_and_others_are_errors() {
    let error = |line: &[u8]| read_line(line).map(|read| read.len()).map_err(|error| error.to_string());
    assert_eq!(error(br#"{"resourceLogs":[]}"#), Ok(0));
    assert!(error(b"hello").is_err());
    assert!(error(b"[1,2]").is_err());
    assert!(error(br#"{"resourceSpans":[{"scopeSpans":"#).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_spans_or_an_error(line in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_line(&line);
    }
}
