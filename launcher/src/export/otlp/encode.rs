//! The mapping from the span model to OTLP's messages.

use super::trace_state::ChunkState;
use crate::export::Batch;
use ddtrace::context::{FLAG_SAMPLED, HAS_IS_REMOTE, IS_REMOTE};
use ddtrace::span::{Attribute, Event, Link, Resource, Scope, Span, Status, TraceChunk, Value};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span as ProtoSpan, Status as ProtoStatus, span, status,
};
use std::collections::HashMap;
use std::sync::Arc;

/// Whether a span is sent at all. Of traces that were decided against only spans are that are kept by themselves: OTLP has
/// no field for the decision, so whoever is sent a span keeps it.
pub fn is_sent(chunk: &TraceChunk, span: &Span) -> bool {
    chunk.sampling_priority > 0 || span.span_sampling.is_some()
}

/// One request for a batch, its spans grouped by resource and by what made them; `None` where nothing is to be sent.
pub fn trace_request(batch: &Batch) -> Option<ExportTraceServiceRequest> {
    let mut groups: Vec<Group> = Vec::new();
    let mut places: HashMap<*const Resource, usize> = HashMap::new();
    for chunk in &batch.chunks {
        let is_kept = chunk.sampling_priority > 0;
        let mut spans = chunk.spans.iter().filter(|span| is_sent(chunk, span)).peekable();
        if spans.peek().is_none() {
            continue;
        }
        let place = *places.entry(Arc::as_ptr(&chunk.resource)).or_insert_with(|| {
            groups.push(Group::new(&chunk.resource));
            groups.len() - 1
        });
        let service = chunk.resource.text("service.name").unwrap_or_default();
        let Some(group) = groups.get_mut(place) else { continue };
        let state = ChunkState::of(chunk);
        for span in spans {
            group.spans_of(span.scope.as_ref()).push(proto_span(span, service, &state, is_kept));
        }
    }
    let resource_spans: Vec<ResourceSpans> = groups.into_iter().map(Group::finish).collect();
    (!resource_spans.is_empty()).then_some(ExportTraceServiceRequest { resource_spans })
}

/// The spans of one resource.
struct Group {
    resource: ProtoResource,
    /// By what made them; `None` is ddtrace-run itself.
    scopes: Vec<(Option<Arc<Scope>>, Vec<ProtoSpan>)>,
}

impl Group {
    fn new(resource: &Resource) -> Self {
        let resource = ProtoResource { attributes: proto_attributes(&resource.attributes), ..Default::default() };
        Group { resource, scopes: Vec::new() }
    }

    fn spans_of(&mut self, scope: Option<&Arc<Scope>>) -> &mut Vec<ProtoSpan> {
        let is_same = |other: &Option<Arc<Scope>>| match (other, scope) {
            (Some(other), Some(scope)) => Arc::ptr_eq(other, scope) || other == scope,
            (None, None) => true,
            _ => false,
        };
        let place = self.scopes.iter().position(|(other, _)| is_same(other)).unwrap_or_else(|| {
            self.scopes.push((scope.cloned(), Vec::new()));
            self.scopes.len() - 1
        });
        &mut self.scopes[place].1
    }

    fn finish(self) -> ResourceSpans {
        let scope_spans = |(scope, spans): (Option<Arc<Scope>>, Vec<ProtoSpan>)| ScopeSpans {
            scope: Some(proto_scope(scope.as_deref())),
            spans,
            ..Default::default()
        };
        ResourceSpans {
            resource: Some(self.resource),
            scope_spans: self.scopes.into_iter().map(scope_spans).collect(),
            ..Default::default()
        }
    }
}

fn proto_scope(scope: Option<&Scope>) -> InstrumentationScope {
    match scope {
        Some(scope) => InstrumentationScope {
            name: scope.name.clone(),
            version: scope.version.clone(),
            attributes: proto_attributes(&scope.attributes),
            ..Default::default()
        },
        None => InstrumentationScope {
            name: String::from("ddtrace-run"),
            version: String::from(env!("CARGO_PKG_VERSION")),
            ..Default::default()
        },
    }
}

/// The attributes that fields of Datadog's travel as.
const DATADOG_FIELDS: [&str; 4] = ["service.name", "operation.name", "span.type", "resource.name"];

fn proto_span(span: &Span, resources_service: &str, state: &ChunkState<'_>, is_kept: bool) -> ProtoSpan {
    let mut attributes = proto_attributes(&span.attributes);
    if span.has_datadog_tags {
        // A tag of that name is none of these fields.
        attributes.retain(|attribute| !DATADOG_FIELDS.contains(&attribute.key.as_str()));
    }
    // What only Datadog has a field for travels under the names that Datadog's own OTLP export gives it: the Agent's
    // receiver makes fields of them again, for others they are attributes like any.
    let datadogs = [
        ("service.name", span.service.as_deref().filter(|service| *service != resources_service)),
        ("operation.name", span.operation_name.as_deref()),
        ("span.type", span.span_type.as_deref()),
        ("resource.name", span.has_datadog_tags.then_some(span.name.as_ref())),
    ];
    for (key, text) in datadogs {
        let is_free = span.has_datadog_tags || span.attribute(key).is_none();
        if let Some(text) = text.filter(|text| !text.is_empty() && is_free) {
            attributes.push(key_value(key, any_value::Value::StringValue(text.to_owned())));
        }
    }
    ProtoSpan {
        trace_id: span.trace_id.0.to_be_bytes().to_vec(),
        span_id: span.span_id.0.to_be_bytes().to_vec(),
        trace_state: state.for_span(span),
        parent_span_id: match span.parent_id.is_valid() {
            true => span.parent_id.0.to_be_bytes().to_vec(),
            false => Vec::new(),
        },
        flags: flags(span, is_kept),
        // Receivers may refuse a span without a name.
        name: if span.name.is_empty() { String::from(ddtrace::naming::UNNAMED) } else { span.name.to_string() },
        // The kinds are numbered alike.
        kind: span.kind as i32,
        start_time_unix_nano: span.start_unix_nano,
        end_time_unix_nano: span.end_unix_nano,
        attributes,
        dropped_attributes_count: span.dropped_attributes,
        events: span.events.iter().map(proto_event).collect(),
        dropped_events_count: span.dropped_events,
        links: span.links.iter().map(proto_link).collect(),
        dropped_links_count: span.dropped_links,
        status: proto_status(&span.status),
    }
}

/// The span's own W3C flags, of which the first is the trace's decision, and what is known of its parent.
fn flags(span: &Span, is_kept: bool) -> u32 {
    let sampled = if is_kept { FLAG_SAMPLED } else { 0 };
    let parent = if span.parent_is_remote { HAS_IS_REMOTE | IS_REMOTE } else { HAS_IS_REMOTE };
    u32::from(u16::from(span.flags & !FLAG_SAMPLED | sampled) | parent)
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
        attributes: proto_attributes(&event.attributes),
        dropped_attributes_count: event.dropped_attributes,
    }
}

fn proto_link(link: &Link) -> span::Link {
    span::Link {
        trace_id: link.trace_id.0.to_be_bytes().to_vec(),
        span_id: link.span_id.0.to_be_bytes().to_vec(),
        trace_state: link.trace_state.clone(),
        attributes: proto_attributes(&link.attributes),
        dropped_attributes_count: link.dropped_attributes,
        flags: u32::from(link.flags),
    }
}

/// All but what is for Datadog's own intake.
fn proto_attributes(attributes: &[Attribute]) -> Vec<KeyValue> {
    let is_datadogs = |key: &str| key.starts_with("_dd.") || key.starts_with("_dd1.") || key == "_sampling_priority_v1";
    let shown = attributes.iter().filter(|(key, _)| !is_datadogs(key));
    shown.map(|(key, value)| key_value(key, proto_value(value))).collect()
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
    use ddtrace::span::{SpanSampling, TraceChunk};

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
        assert_eq!((span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count), (3, 4, 5));
        assert_eq!(span.events[0].name, "exception");
        assert_eq!((span.events[0].dropped_attributes_count, span.links[0].dropped_attributes_count), (1, 2));
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

    #[test]
    fn spans_are_grouped_by_what_made_them() {
        let scope = |name: &str, version: &str| {
            let attributes = vec![crate::export::testing::attribute("a", 1)];
            Some(Arc::new(Scope { name: name.into(), version: version.into(), attributes }))
        };
        let shared = scope("flask", "1");
        let scopes =
            [shared.clone(), None, scope("redis", "1"), shared, scope("flask", "1"), scope("flask", "2"), None];
        let spans = (1..).zip(scopes).map(|(id, scope)| Span { scope, ..span(id) }).collect();
        let batch = Batch { chunks: vec![chunk(resource("shop"), spans)] };
        let request = trace_request(&batch).unwrap();
        let groups: Vec<(&str, &str, usize, Vec<u8>)> = request.resource_spans[0]
            .scope_spans
            .iter()
            .map(|group| {
                let scope = group.scope.as_ref().unwrap();
                let ids = group.spans.iter().map(|span| span.span_id[7]).collect();
                (scope.name.as_str(), scope.version.as_str(), scope.attributes.len(), ids)
            })
            .collect();
        assert_eq!(
            groups,
            [
                ("flask", "1", 1, vec![1, 4, 5]),
                ("ddtrace-run", env!("CARGO_PKG_VERSION"), 0, vec![2, 7]),
                ("redis", "1", 1, vec![3]),
                ("flask", "2", 1, vec![6]),
            ]
        );
    }

    #[test]
    fn of_a_rejected_trace_only_spans_that_are_kept_by_themselves_are_sent_and_are_not_sampled() {
        let kept = Span { span_sampling: Some(SpanSampling { rule_rate: 1.0, max_per_second: None }), ..span(2) };
        let rejected = TraceChunk { sampling_priority: -1, ..chunk(resource("shop"), vec![span(1), kept]) };
        let request = trace_request(&Batch { chunks: vec![rejected] }).unwrap();
        let spans = &request.resource_spans[0].scope_spans[0].spans;
        assert_eq!(spans.len(), 1);
        assert_eq!((spans[0].span_id[7], spans[0].flags), (2, 0x100));
        let unsampled = Span { flags: 2, ..span(3) };
        let request = trace_request(&Batch { chunks: vec![chunk(resource("shop"), vec![unsampled])] }).unwrap();
        assert_eq!(request.resource_spans[0].scope_spans[0].spans[0].flags, 0x103, "the decision is the trace's");
    }

    #[test]
    fn datadogs_own_tags_stay_with_datadog() {
        let mut span = rich_span(2, 1);
        let own = ["_dd.measured", "_dd1.sr.eausr", "_dd.p.dm"].map(|key| crate::export::testing::attribute(key, 1));
        for attributes in [&mut span.attributes, &mut span.events[0].attributes, &mut span.links[0].attributes] {
            attributes.extend(own.clone());
        }
        let chunk = TraceChunk { origin: "rum".into(), rule_rate: Some(1.0), ..chunk(resource("shop"), vec![span]) };
        let request = trace_request(&Batch { chunks: vec![chunk] }).unwrap();
        let text = String::from_utf8(crate::export::otlp::json::to_json(&request)).unwrap();
        assert!(!text.contains("_dd") && !text.contains("rum"), "{text}");
    }
}
