//! OTLP's JSON, which is not protobuf's: ids are hexadecimal, enumerations are numbers, 64-bit integers are text.
//!
//! The serde support of the protobuf types writes every empty field and turns `NaN` into `null`, which receivers refuse,
//! and reads no `rejectedSpans` that is text, which is the form the specification asks for. So what is sent is written
//! here, field by field; the tests read it back with those types.

use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceRequest};
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::fmt;

/// The request as JSON, on one line.
pub fn to_json(request: &ExportTraceServiceRequest) -> Vec<u8> {
    // All keys are text and no value can fail, so there is no error to speak of.
    serde_json::to_vec(&Json(request)).unwrap_or_default()
}

/// What the response to a request says, where it says anything that can be read.
pub fn partial_success(body: &[u8]) -> Option<ExportTracePartialSuccess> {
    let response: serde_json::Value = serde_json::from_slice(body).ok()?;
    let partial = response.get("partialSuccess")?.as_object()?;
    let rejected_spans = match partial.get("rejectedSpans") {
        Some(serde_json::Value::String(digits)) => digits.parse().ok()?,
        Some(number) => number.as_i64()?,
        None => 0,
    };
    let error_message = partial.get("errorMessage").and_then(|text| text.as_str()).unwrap_or_default().to_owned();
    Some(ExportTracePartialSuccess { rejected_spans, error_message })
}

/// A message as OTLP's JSON has it.
struct Json<'a, T>(&'a T);

/// A list of messages.
struct List<'a, T>(&'a [T]);

impl<'a, T> Serialize for List<'a, T>
where
    Json<'a, T>: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Json))
    }
}

/// Bytes as lower-case hexadecimal digits.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Something that is written as text.
struct Text<T>(T);

impl<T: fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A number that JSON may have no form for; protobuf's JSON names those.
struct Double(f64);

impl Serialize for Double {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            number if number.is_finite() => serializer.serialize_f64(number),
            number if number.is_nan() => serializer.serialize_str("NaN"),
            number if number > 0.0 => serializer.serialize_str("Infinity"),
            _ => serializer.serialize_str("-Infinity"),
        }
    }
}

/// Writes an object, leaving out what is empty: a receiver takes it for the default.
struct Object<M>(M);

impl<M: SerializeMap> Object<M> {
    fn put(&mut self, key: &'static str, value: &impl Serialize) -> Result<(), M::Error> {
        self.0.serialize_entry(key, value)
    }

    fn text(&mut self, key: &'static str, text: &str) -> Result<(), M::Error> {
        if text.is_empty() { Ok(()) } else { self.put(key, &text) }
    }

    fn count(&mut self, key: &'static str, count: u32) -> Result<(), M::Error> {
        if count == 0 { Ok(()) } else { self.put(key, &count) }
    }

    fn hex(&mut self, key: &'static str, bytes: &[u8]) -> Result<(), M::Error> {
        if bytes.is_empty() { Ok(()) } else { self.put(key, &Text(Hex(bytes))) }
    }

    fn list<'a, T>(&mut self, key: &'static str, items: &'a [T]) -> Result<(), M::Error>
    where
        Json<'a, T>: Serialize,
    {
        if items.is_empty() { Ok(()) } else { self.put(key, &List(items)) }
    }
}

macro_rules! json_object {
    ($message:ty, |$object:ident, $it:ident| $fields:block) => {
        impl Serialize for Json<'_, $message> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let $it = self.0;
                let mut $object = Object(serializer.serialize_map(None)?);
                $fields
                $object.0.end()
            }
        }
    };
}

json_object!(ExportTraceServiceRequest, |object, it| { object.put("resourceSpans", &List(&it.resource_spans))? });

json_object!(ResourceSpans, |object, it| {
    if let Some(resource) = &it.resource {
        object.put("resource", &Json(resource))?;
    }
    object.put("scopeSpans", &List(&it.scope_spans))?;
    object.text("schemaUrl", &it.schema_url)?;
});

json_object!(Resource, |object, it| {
    object.list("attributes", &it.attributes)?;
    object.count("droppedAttributesCount", it.dropped_attributes_count)?;
});

json_object!(ScopeSpans, |object, it| {
    if let Some(scope) = &it.scope {
        object.put("scope", &Json(scope))?;
    }
    object.put("spans", &List(&it.spans))?;
    object.text("schemaUrl", &it.schema_url)?;
});

json_object!(InstrumentationScope, |object, it| {
    object.text("name", &it.name)?;
    object.text("version", &it.version)?;
    object.list("attributes", &it.attributes)?;
    object.count("droppedAttributesCount", it.dropped_attributes_count)?;
});

json_object!(Span, |object, it| {
    object.hex("traceId", &it.trace_id)?;
    object.hex("spanId", &it.span_id)?;
    object.text("traceState", &it.trace_state)?;
    object.hex("parentSpanId", &it.parent_span_id)?;
    object.count("flags", it.flags)?;
    object.put("name", &it.name)?;
    object.put("kind", &it.kind)?;
    object.put("startTimeUnixNano", &Text(it.start_time_unix_nano))?;
    object.put("endTimeUnixNano", &Text(it.end_time_unix_nano))?;
    object.list("attributes", &it.attributes)?;
    object.count("droppedAttributesCount", it.dropped_attributes_count)?;
    object.list("events", &it.events)?;
    object.count("droppedEventsCount", it.dropped_events_count)?;
    object.list("links", &it.links)?;
    object.count("droppedLinksCount", it.dropped_links_count)?;
    if let Some(status) = &it.status {
        object.put("status", &Json(status))?;
    }
});

json_object!(Status, |object, it| {
    object.text("message", &it.message)?;
    object.put("code", &it.code)?;
});

json_object!(span::Event, |object, it| {
    object.put("timeUnixNano", &Text(it.time_unix_nano))?;
    object.put("name", &it.name)?;
    object.list("attributes", &it.attributes)?;
    object.count("droppedAttributesCount", it.dropped_attributes_count)?;
});

json_object!(span::Link, |object, it| {
    object.hex("traceId", &it.trace_id)?;
    object.hex("spanId", &it.span_id)?;
    object.text("traceState", &it.trace_state)?;
    object.list("attributes", &it.attributes)?;
    object.count("droppedAttributesCount", it.dropped_attributes_count)?;
    object.count("flags", it.flags)?;
});

json_object!(KeyValue, |object, it| {
    object.put("key", &it.key)?;
    if let Some(value) = &it.value {
        object.put("value", &Json(value))?;
    }
});

json_object!(AnyValue, |object, it| {
    match &it.value {
        None | Some(any_value::Value::StringValueStrindex(_)) => {}
        Some(any_value::Value::StringValue(text)) => object.put("stringValue", text)?,
        Some(any_value::Value::BoolValue(truth)) => object.put("boolValue", truth)?,
        Some(any_value::Value::IntValue(number)) => object.put("intValue", &Text(number))?,
        Some(any_value::Value::DoubleValue(number)) => object.put("doubleValue", &Double(*number))?,
        Some(any_value::Value::ArrayValue(array)) => object.put("arrayValue", &Values(&array.values))?,
        Some(any_value::Value::KvlistValue(list)) => object.put("kvlistValue", &Values(&list.values))?,
        Some(any_value::Value::BytesValue(bytes)) => object.put("bytesValue", &Text(Base64(bytes)))?,
    }
});

/// The message around the items of a list.
struct Values<'a, T>(&'a [T]);

impl<'a, T> Serialize for Values<'a, T>
where
    Json<'a, T>: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("values", &List(self.0))?;
        map.end()
    }
}

/// Bytes that are no ids.
struct Base64<'a>(&'a [u8]);

impl fmt::Display for Base64<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        base64::display::Base64Display::new(self.0, &base64::engine::general_purpose::STANDARD).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::otlp::trace_request;
    use crate::export::testing::{attribute, chunk, resource, rich_span, span};
    use crate::export::{Batch, testing};
    use ddtrace::span::Value;
    use serde_json::{Value as Tree, json};

    fn request(spans: Vec<ddtrace::span::Span>) -> ExportTraceServiceRequest {
        trace_request(&Batch { chunks: vec![chunk(resource("shop"), spans)] }).unwrap()
    }

    fn tree(request: &ExportTraceServiceRequest) -> Tree {
        let text = to_json(request);
        assert!(!text.contains(&b'\n'), "one line");
        serde_json::from_slice(&text).unwrap()
    }

    #[test]
    fn every_field_has_the_form_that_otlp_asks_for() {
        let tree = tree(&request(vec![rich_span(2, 1)]));
        let span = &tree["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        assert_eq!(
            *span,
            json!({
                "traceId": "640cfd8d00000000abcdefab12345678",
                "spanId": "0000000000000002",
                "parentSpanId": "0000000000000001",
                "traceState": "dd=s:1,vendor=x",
                "flags": 0x301,
                "name": "work",
                "kind": 3,
                "startTimeUnixNano": "1700000000000000000",
                "endTimeUnixNano": "1700000000500000000",
                "attributes": [
                    {"key": "process.executable.name", "value": {"stringValue": "cc"}},
                    {"key": "process.exit.code", "value": {"intValue": "1"}},
                    {"key": "process.interactive", "value": {"boolValue": false}},
                    {"key": "load", "value": {"doubleValue": 0.5}},
                    {"key": "process.command_args", "value": {"arrayValue": {"values": [
                        {"stringValue": "cc"}, {"stringValue": "-O2"}
                    ]}}},
                    {"key": "service.name", "value": {"stringValue": "compiler"}},
                    {"key": "operation.name", "value": {"stringValue": "command_execution"}},
                    {"key": "span.type", "value": {"stringValue": "system"}},
                ],
                "droppedAttributesCount": 3,
                "droppedEventsCount": 4,
                "droppedLinksCount": 5,
                "events": [{
                    "timeUnixNano": "1700000000100000000",
                    "name": "exception",
                    "attributes": [
                        {"key": "exception.type", "value": {"stringValue": "SIGSEGV"}},
                        {"key": "exception.message", "value": {"stringValue": "\"quoted\" ü"}},
                    ],
                    "droppedAttributesCount": 1,
                }],
                "links": [{
                    "traceId": "00000000000000000000000000000011",
                    "spanId": "0000000000000022",
                    "traceState": "a=b",
                    "attributes": [{"key": "why", "value": {"stringValue": "fork"}}],
                    "droppedAttributesCount": 2,
                    "flags": 1,
                }],
                "status": {"message": "exit code 1", "code": 2},
            })
        );
        assert_eq!(tree["resourceSpans"][0]["resource"]["attributes"][0]["key"], "service.name");
    }

    #[test]
    fn the_protobuf_types_read_back_what_was_written() {
        let request = request(vec![rich_span(2, 1), span(3), testing::span(4)]);
        let back: ExportTraceServiceRequest = serde_json::from_slice(&to_json(&request)).unwrap();
        assert_eq!(back, request);
    }

    #[test]
    fn values_without_a_json_form_are_named_or_encoded() {
        let mut span = span(1);
        span.attributes =
            [f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(|number| attribute("n", Value::F64(number))).to_vec();
        let mut request = request(vec![span]);
        let attributes = &mut request.resource_spans[0].scope_spans[0].spans[0].attributes;
        for value in [Some(any_value::Value::BytesValue(vec![0xff, 0xfe])), None] {
            attributes.push(KeyValue { key: "v".into(), value: Some(AnyValue { value }), ..Default::default() });
        }
        let tree = tree(&request);
        let attributes = tree["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"].as_array().unwrap();
        let values: Vec<&Tree> = attributes.iter().map(|attribute| &attribute["value"]).collect();
        assert_eq!(
            values,
            [
                &json!({"doubleValue": "NaN"}),
                &json!({"doubleValue": "Infinity"}),
                &json!({"doubleValue": "-Infinity"}),
                &json!({"bytesValue": "//4="}),
                &json!({}),
            ]
        );
    }

    #[test]
    fn partial_success_is_read_as_text_and_as_number() {
        for body in [
            &br#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"no"}}"#[..],
            br#"{"partialSuccess":{"rejectedSpans":3,"errorMessage":"no","later":1}}"#,
        ] {
            let partial = partial_success(body).unwrap();
            assert_eq!((partial.rejected_spans, partial.error_message.as_str()), (3, "no"));
        }
        assert_eq!(partial_success(br#"{"partialSuccess":{}}"#), Some(ExportTracePartialSuccess::default()));
        for body in [&b"{}"[..], b"", b"<html>", br#"{"partialSuccess":{"rejectedSpans":"x"}}"#] {
            assert_eq!(partial_success(body), None);
        }
    }
}
