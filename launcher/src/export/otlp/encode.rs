//! The mapping from the span model to OTLP's messages.

use crate::export::Batch;
use ddtrace::span::{Attribute, Event, Link, Resource, Span, Status, TraceChunk, Value};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span as ProtoSpan, Status as ProtoStatus, span, status,
};
use std::collections::HashMap;
use std::sync::Arc;

/// Flags above the eight of W3C: whether the two bits are known, and whether the parent is remote.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// One request for a batch, its spans grouped by resource; `None` where nothing is to be sent.
///
/// Traces that were decided against are left out: OTLP has no field for the decision, so whoever is sent a span keeps
/// it.
pub fn trace_request(batch: &Batch) -> Option<ExportTraceServiceRequest> {
    let mut resource_spans: Vec<ResourceSpans> = Vec::new();
    let mut places: HashMap<*const Resource, usize> = HashMap::new();
    for chunk in batch.chunks.iter().filter(|chunk| is_kept(chunk)) {
        let place = *places.entry(Arc::as_ptr(&chunk.resource)).or_insert_with(|| {
            resource_spans.push(empty_resource_spans(&chunk.resource));
            resource_spans.len() - 1
        });
        let service = chunk.resource.text("service.name").unwrap_or_default();
        let scope = resource_spans.get_mut(place).and_then(|resource| resource.scope_spans.first_mut());
        if let Some(scope) = scope {
            scope.spans.extend(chunk.spans.iter().map(|span| proto_span(span, service)));
        }
    }
    (!resource_spans.is_empty()).then_some(ExportTraceServiceRequest { resource_spans })
}

fn is_kept(chunk: &TraceChunk) -> bool {
    chunk.sampling_priority > 0 && !chunk.spans.is_empty()
}

fn empty_resource_spans(resource: &Resource) -> ResourceSpans {
    // `_dd.*` is for Datadog's own intake.
    let attributes =
        resource.attributes.iter().filter(|(key, _)| !key.starts_with("_dd.")).map(proto_attribute).collect();
    let scope = InstrumentationScope {
        name: String::from("ddtrace-run"),
        version: String::from(env!("CARGO_PKG_VERSION")),
        ..Default::default()
    };
    ResourceSpans {
        resource: Some(ProtoResource { attributes, ..Default::default() }),
        scope_spans: vec![ScopeSpans { scope: Some(scope), ..Default::default() }],
        schema_url: String::new(),
    }
}

fn proto_span(span: &Span, resources_service: &str) -> ProtoSpan {
    let mut attributes: Vec<KeyValue> = span.attributes.iter().map(proto_attribute).collect();
    // What only Datadog has a field for travels under the names that Datadog's own OTLP export gives it.
    let datadogs = [
        ("service.name", span.service.as_deref().filter(|service| *service != resources_service)),
        ("operation.name", span.operation_name.as_deref()),
        ("span.type", span.span_type.as_deref()),
    ];
    for (key, text) in datadogs {
        if let Some(text) = text.filter(|text| !text.is_empty() && span.attribute(key).is_none()) {
            attributes.push(key_value(key, any_value::Value::StringValue(text.to_owned())));
        }
    }
    ProtoSpan {
        trace_id: span.trace_id.0.to_be_bytes().to_vec(),
        span_id: span.span_id.0.to_be_bytes().to_vec(),
        trace_state: span.trace_state.clone(),
        parent_span_id: match span.parent_id.is_valid() {
            true => span.parent_id.0.to_be_bytes().to_vec(),
            false => Vec::new(),
        },
        flags: u32::from(span.flags) | HAS_IS_REMOTE | if span.parent_is_remote { IS_REMOTE } else { 0 },
        // Receivers may refuse a span without a name.
        name: if span.name.is_empty() { String::from("unnamed") } else { span.name.to_string() },
        // The kinds are numbered alike.
        kind: span.kind as i32,
        start_time_unix_nano: span.start_unix_nano,
        end_time_unix_nano: span.end_unix_nano,
        attributes,
        events: span.events.iter().map(proto_event).collect(),
        links: span.links.iter().map(proto_link).collect(),
        status: proto_status(&span.status),
        ..Default::default()
    }
}

fn proto_status(status: &Status) -> Option<ProtoStatus> {
    let (code, message) = match status {
        Status::Unset => return None,
        Status::Ok => (status::StatusCode::Ok, String::new()),
        Status::Error(message) => (status::StatusCode::Error, message.to_string()),
    };
    Some(ProtoStatus { message, code: code as i32 })
}

fn proto_event(event: &Event) -> span::Event {
    span::Event {
        time_unix_nano: event.time_unix_nano,
        name: event.name.to_string(),
        attributes: event.attributes.iter().map(proto_attribute).collect(),
        dropped_attributes_count: 0,
    }
}

fn proto_link(link: &Link) -> span::Link {
    span::Link {
        trace_id: link.trace_id.0.to_be_bytes().to_vec(),
        span_id: link.span_id.0.to_be_bytes().to_vec(),
        trace_state: link.trace_state.clone(),
        attributes: link.attributes.iter().map(proto_attribute).collect(),
        dropped_attributes_count: 0,
        // Whether the linked context is remote is not known, and the bit that would say so stays clear.
        flags: u32::from(link.flags),
    }
}

fn proto_attribute((key, value): &Attribute) -> KeyValue {
    key_value(key, proto_value(value))
}

fn key_value(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

fn proto_value(value: &Value) -> any_value::Value {
    match value {
        Value::String(text) => any_value::Value::StringValue(text.to_string()),
        Value::Bool(truth) => any_value::Value::BoolValue(*truth),
        Value::I64(number) => any_value::Value::IntValue(*number),
        Value::F64(number) => any_value::Value::DoubleValue(*number),
        Value::Array(items) => any_value::Value::ArrayValue(ArrayValue {
            values: items.iter().map(|item| AnyValue { value: Some(proto_value(item)) }).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::testing::{chunk, resource, rich_span, span};
    use ddtrace::ids::SpanId;

    fn attribute<'a>(span: &'a ProtoSpan, key: &str) -> Option<&'a any_value::Value> {
        span.attributes.iter().find(|kv| kv.key == key)?.value.as_ref()?.value.as_ref()
    }

    #[test]
    fn spans_are_grouped_by_resource_and_rejected_traces_are_left_out() {
        let (shop, cart) = (resource("shop"), resource("cart"));
        let rejected = TraceChunk { sampling_priority: 0, ..chunk(resource("none"), vec![span(9)]) };
        let batch = Batch {
            chunks: vec![
                chunk(shop.clone(), vec![span(1)]),
                chunk(cart, vec![span(2)]),
                rejected.clone(),
                chunk(shop, vec![span(3), span(4)]),
            ],
        };
        let request = trace_request(&batch).unwrap();
        let ids: Vec<Vec<u8>> = request
            .resource_spans
            .iter()
            .map(|r| r.scope_spans[0].spans.iter().map(|s| s.span_id[7]).collect())
            .collect();
        assert_eq!(ids, [vec![1, 3, 4], vec![2]]);
        let scope = request.resource_spans[0].scope_spans[0].scope.as_ref().unwrap();
        assert_eq!((scope.name.as_str(), scope.version.as_str()), ("ddtrace-run", env!("CARGO_PKG_VERSION")));
        let keys = &request.resource_spans[0].resource.as_ref().unwrap().attributes;
        assert!(keys.iter().any(|kv| kv.key == "team") && !keys.iter().any(|kv| kv.key.starts_with("_dd.")));
        assert_eq!(trace_request(&Batch { chunks: vec![rejected] }), None);
    }

    #[test]
    fn every_field_is_where_otlp_has_it() {
        let batch = Batch { chunks: vec![chunk(resource("shop"), vec![rich_span(2, 1)])] };
        let request = trace_request(&batch).unwrap();
        let span = &request.resource_spans[0].scope_spans[0].spans[0];
        assert_eq!(span.trace_id, 0x640cfd8d_00000000_abcdefab_12345678_u128.to_be_bytes());
        assert_eq!((&span.span_id[..], &span.parent_span_id[..]), (&2u64.to_be_bytes()[..], &1u64.to_be_bytes()[..]));
        assert_eq!(span.flags, 0x301);
        assert_eq!(span.kind, span::SpanKind::Client as i32);
        assert_eq!(span.trace_state, "dd=s:1,vendor=x");
        assert_eq!(span.end_time_unix_nano - span.start_time_unix_nano, 500_000_000);
        assert_eq!(attribute(span, "process.exit.code"), Some(&any_value::Value::IntValue(1)));
        assert_eq!(attribute(span, "process.interactive"), Some(&any_value::Value::BoolValue(false)));
        assert_eq!(attribute(span, "load"), Some(&any_value::Value::DoubleValue(0.5)));
        let Some(any_value::Value::ArrayValue(args)) = attribute(span, "process.command_args") else {
            panic!("a list")
        };
        assert_eq!(args.values.len(), 2);
        for (key, text) in
            [("service.name", "compiler"), ("operation.name", "command_execution"), ("span.type", "system")]
        {
            assert_eq!(attribute(span, key), Some(&any_value::Value::StringValue(text.into())), "{key}");
        }
        assert_eq!(span.status, Some(ProtoStatus { code: 2, message: "exit code 1".into() }));
        assert_eq!(span.events[0].name, "exception");
        assert_eq!(span.links[0].flags, 1);
        assert_eq!(span.links[0].trace_id, 0x11u128.to_be_bytes());
    }

    #[test]
    fn a_root_has_no_parent_and_knows_that_it_is_not_remote() {
        let unnamed = Span { name: "".into(), service: Some("shop".into()), ..span(1) };
        let batch = Batch { chunks: vec![chunk(resource("shop"), vec![unnamed])] };
        let request = trace_request(&batch).unwrap();
        let span = &request.resource_spans[0].scope_spans[0].spans[0];
        assert!(span.parent_span_id.is_empty());
        assert_eq!(span.flags, 0x101);
        assert_eq!(span.name, "unnamed");
        assert_eq!(span.status, None);
        assert_eq!(attribute(span, "service.name"), None, "the resource says it already");
    }

    #[test]
    fn an_attribute_of_the_applications_is_not_doubled() {
        let mut span = rich_span(2, 1);
        span.attributes.push(crate::export::testing::attribute("operation.name", "mine"));
        span.parent_id = SpanId(0);
        let batch = Batch { chunks: vec![chunk(resource("shop"), vec![span])] };
        let request = trace_request(&batch).unwrap();
        let span = &request.resource_spans[0].scope_spans[0].spans[0];
        assert_eq!(span.attributes.iter().filter(|kv| kv.key == "operation.name").count(), 1);
    }
}
