//! Traces in OTLP's JSON encoding, read leniently.
//!
//! The types are our own: those generated from the protocol refuse a whole request over one absent field or one
//! number in another spelling, and a viewer should show what it can. Unknown fields are ignored, as OTLP demands;
//! 64-bit integers may be strings or numbers, ids upper or lower case, and `null` stands for the default.

use ddtrace::ids::{SpanId, TraceId, parse_hex_u64};
use ddtrace::span::{Attribute, Resource, Span, SpanKind, Status, Value};
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

/// Reads one line: an `ExportTraceServiceRequest` or, which is the same, a `TracesData`.
///
/// # Errors
/// What is wrong with the JSON, and at which column.
pub fn read_line(line: &[u8]) -> Result<Vec<(Resource, Vec<Span>)>, serde_json::Error> {
    let request: Request = serde_json::from_slice(line)?;
    Ok(request
        .resource_spans
        .into_iter()
        .map(|from| {
            let resource = Resource { attributes: attributes(from.resource.attributes) };
            let spans = from.scope_spans.into_iter().flat_map(|scope| scope.spans).map(span).collect();
            (resource, spans)
        })
        .collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object with resourceSpans")]
struct Request {
    #[serde(default, deserialize_with = "or_default")]
    resource_spans: Vec<JsonResourceSpans>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonResourceSpans {
    #[serde(default, deserialize_with = "or_default")]
    resource: JsonResource,
    #[serde(default, deserialize_with = "or_default")]
    scope_spans: Vec<JsonScopeSpans>,
}

#[derive(Deserialize, Default)]
struct JsonResource {
    #[serde(default, deserialize_with = "or_default")]
    attributes: Vec<JsonKeyValue>,
}

#[derive(Deserialize)]
struct JsonScopeSpans {
    #[serde(default, deserialize_with = "or_default")]
    spans: Vec<JsonSpan>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct JsonSpan {
    #[serde(deserialize_with = "or_default")]
    trace_id: Scalar,
    #[serde(deserialize_with = "or_default")]
    span_id: Scalar,
    #[serde(deserialize_with = "or_default")]
    parent_span_id: Scalar,
    #[serde(deserialize_with = "or_default")]
    name: Scalar,
    #[serde(deserialize_with = "or_default")]
    start_time_unix_nano: Scalar,
    #[serde(deserialize_with = "or_default")]
    end_time_unix_nano: Scalar,
    #[serde(deserialize_with = "or_default")]
    attributes: Vec<JsonKeyValue>,
    #[serde(deserialize_with = "or_default")]
    status: JsonStatus,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct JsonStatus {
    #[serde(deserialize_with = "or_default")]
    code: Scalar,
    #[serde(deserialize_with = "or_default")]
    message: Scalar,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct JsonKeyValue {
    #[serde(deserialize_with = "or_default")]
    key: Scalar,
    #[serde(deserialize_with = "or_default")]
    value: JsonAnyValue,
}

/// Bytes and maps are left out: nothing of what is shown has them.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct JsonAnyValue {
    string_value: Option<Scalar>,
    bool_value: Option<bool>,
    int_value: Option<Scalar>,
    double_value: Option<Scalar>,
    array_value: Option<JsonArray>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct JsonArray {
    #[serde(deserialize_with = "or_default")]
    values: Vec<JsonAnyValue>,
}

fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// A text or a number, whichever the writer chose.
#[derive(Default)]
enum Scalar {
    #[default]
    Absent,
    Text(String),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Scalar;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string or a number")
            }
            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(text.to_owned()))
            }
            fn visit_string<E>(self, text: String) -> Result<Scalar, E> {
                Ok(Scalar::Text(text))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
                Ok(Scalar::Unsigned(number))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar::Signed(number))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
                Ok(Scalar::Float(number))
            }
        }
        from.deserialize_any(Any)
    }
}

impl Scalar {
    fn text(self) -> String {
        match self {
            Scalar::Absent => String::new(),
            Scalar::Text(text) => text,
            Scalar::Unsigned(number) => number.to_string(),
            Scalar::Signed(number) => number.to_string(),
            Scalar::Float(number) => number.to_string(),
        }
    }

    fn nanoseconds(&self) -> u64 {
        match self {
            Scalar::Absent => 0,
            Scalar::Text(text) => text.trim().parse().unwrap_or(0),
            Scalar::Unsigned(number) => *number,
            Scalar::Signed(number) => u64::try_from(*number).unwrap_or(0),
            Scalar::Float(number) => *number as u64,
        }
    }

    fn integer(&self) -> Option<i64> {
        match self {
            Scalar::Absent => None,
            Scalar::Text(text) => text.trim().parse().ok(),
            Scalar::Unsigned(number) => i64::try_from(*number).ok(),
            Scalar::Signed(number) => Some(*number),
            Scalar::Float(number) => Some(*number as i64),
        }
    }

    fn float(&self) -> Option<f64> {
        match self {
            Scalar::Absent => None,
            Scalar::Text(text) => text.trim().parse().ok(),
            Scalar::Unsigned(number) => Some(*number as f64),
            Scalar::Signed(number) => Some(*number as f64),
            Scalar::Float(number) => Some(*number),
        }
    }

    fn trace_id(self) -> TraceId {
        TraceId::from_hex(self.text().to_ascii_lowercase().as_bytes()).unwrap_or_default()
    }

    fn span_id(self) -> SpanId {
        SpanId(parse_hex_u64(self.text().to_ascii_lowercase().as_bytes()).unwrap_or(0))
    }
}

fn span(from: JsonSpan) -> Span {
    // STATUS_CODE_ERROR is 2; the name is not allowed by OTLP, but written by plain protobuf-to-JSON converters.
    let failed = match &from.status.code {
        Scalar::Text(name) if name == "STATUS_CODE_ERROR" => true,
        code => code.integer() == Some(2),
    };
    Span {
        trace_id: from.trace_id.trace_id(),
        span_id: from.span_id.span_id(),
        parent_id: from.parent_span_id.span_id(),
        parent_is_remote: false,
        trace_state: String::new(),
        flags: 0,
        name: from.name.text().into(),
        operation_name: None,
        span_type: None,
        service: None,
        kind: SpanKind::default(),
        start_unix_nano: from.start_time_unix_nano.nanoseconds(),
        end_unix_nano: from.end_time_unix_nano.nanoseconds(),
        attributes: attributes(from.attributes),
        events: Vec::new(),
        links: Vec::new(),
        status: if failed { Status::Error(from.status.message.text().into()) } else { Status::Unset },
    }
}

fn attributes(from: Vec<JsonKeyValue>) -> Vec<Attribute> {
    from.into_iter().filter_map(|pair| Some((pair.key.text().into(), value(pair.value)?))).collect()
}

fn value(from: JsonAnyValue) -> Option<Value> {
    if let Some(text) = from.string_value {
        return Some(Value::String(text.text().into()));
    }
    if let Some(list) = from.array_value {
        return Some(Value::Array(list.values.into_iter().filter_map(value).collect()));
    }
    from.bool_value
        .map(Value::Bool)
        .or_else(|| from.int_value.and_then(|number| number.integer()).map(Value::I64))
        .or_else(|| from.double_value.and_then(|number| number.float()).map(Value::F64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value};
    use opentelemetry_proto::tonic::{resource, trace};
    use proptest::prelude::*;

    fn pair(key: &str, value: any_value::Value) -> KeyValue {
        KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
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
                    any_value::Value::ArrayValue(ArrayValue {
                        values: vec![AnyValue { value: Some(text("make")) }, AnyValue { value: Some(text("-j2")) }],
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
        let (resource, spans) = read_line(&line).expect("valid").remove(0);
        assert_eq!(resource.text("service.name"), Some("zlib"));
        let span = &spans[0];
        assert_eq!((span.trace_id, span.span_id, span.parent_id), (TraceId(7), SpanId(0xab), SpanId(0xcd)));
        assert_eq!(span.start_unix_nano, 1_795_500_000_000_000_001);
        assert_eq!(span.end_unix_nano, 1_795_500_000_000_000_009);
        assert_eq!(span.status, Status::Error("broken".into()));
        assert_eq!(span.attribute("process.exit.code"), Some(&Value::I64(-2)));
        assert_eq!(span.attribute("ratio"), Some(&Value::F64(1.5)));
        assert_eq!(span.attribute("interactive"), Some(&Value::Bool(true)));
        assert_eq!(span.attribute("process.command_args"), Some(&Value::Array(vec!["make".into(), "-j2".into()])));
    }

    #[test]
    fn other_spellings_are_read_too() {
        let line = br#"{"extra":{},"resourceSpans":[{"resource":null,"scopeSpans":[{"scope":{"name":"x"},"spans":[
            {"traceId":"4BF92F3577B34DA6A3CE929D0E0E4736","spanId":"00F067AA0BA902B7","parentSpanId":null,"name":"a",
             "startTimeUnixNano":5,"endTimeUnixNano":"9","kind":"SPAN_KIND_SERVER","attributes":null,
             "status":{"code":"STATUS_CODE_ERROR"},"events":[{"name":"e"}]},
            {"spanId":"zz","startTimeUnixNano":-1,"endTimeUnixNano":1e3,
             "attributes":[{"key":"n","value":{"intValue":7}},{"key":"none","value":null},{"key":"d","value":{"doubleValue":"2"}}]}
            ]}]}]}"#;
        let (_, spans) = read_line(line).expect("valid").remove(0);
        assert_eq!(spans[0].trace_id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(spans[0].span_id.to_string(), "00f067aa0ba902b7");
        assert_eq!((spans[0].start_unix_nano, spans[0].end_unix_nano), (5, 9));
        assert_eq!(spans[0].status, Status::Error("".into()));
        assert_eq!((spans[1].span_id, spans[1].start_unix_nano, spans[1].end_unix_nano), (SpanId(0), 0, 1000));
        assert_eq!(spans[1].attributes, [("n".into(), Value::I64(7)), ("d".into(), Value::F64(2.0))]);
    }

    #[test]
    fn lines_of_other_signals_have_no_spans_and_others_are_errors() {
        assert!(read_line(br#"{"resourceLogs":[]}"#).expect("valid").is_empty());
        assert!(read_line(b"hello").is_err());
        assert!(read_line(b"[1,2]").is_err());
        assert!(read_line(br#"{"resourceSpans":[{"scopeSpans":"#).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_spans_or_an_error(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_line(&line);
        }
    }
}
