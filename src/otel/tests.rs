//! The API's side: contexts in and out, and spans by the API's rules.

use super::*;
use crate::context::FLAG_RANDOM;
use crate::propagation::environment::EnvironmentCarrier;
use crate::propagation::{Dialect, ExtractBehaviour, Propagation, Style, Styles};
use crate::record::{FieldValue, Record, RecordBody, records};
use crate::recorder::memory::Memory;
use crate::semconv::Key;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{
    Span as _, SpanContext, SpanKind, Status, TraceContextExt, TraceState, Tracer as _, TracerProvider,
};
use opentelemetry::{Array, InstrumentationScope, KeyValue, StringValue, Value};
use std::collections::HashMap;
use std::string::ToString;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{format, vec};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

struct Bench {
    memory: Memory,
    provider: RecordingProvider,
    propagator: Propagator,
}

fn bench() -> Bench {
    bench_of(Propagation::default())
}

fn bench_of(propagation: Propagation) -> Bench {
    let sources = Sources { root: "/nonexistent".into(), ..Sources::default() };
    let settings = Settings { propagation, ..Settings::of(&config::resolve(&sources).config, LANGUAGE) };
    let memory = Memory::default();
    let tracer = Tracer::new(memory.recorder(false), settings, None);
    Bench {
        memory,
        propagator: Propagator::new(propagation, Some(tracer.clone())),
        provider: RecordingProvider::new(tracer),
    }
}

impl Bench {
    fn tracer(&self) -> RecordingTracer {
        self.provider.tracer("test")
    }

    fn extract(&self, headers: &[(&str, &str)]) -> Context {
        let headers: HashMap<String, String> =
            headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        self.propagator.extract_with_context(&Context::new(), &headers)
    }

    fn inject(&self, context: &Context) -> HashMap<String, String> {
        let mut headers = HashMap::new();
        self.propagator.inject_context(context, &mut headers);
        headers
    }

    /// Calls `look` with every record of the span that is called so.
    fn look(&self, span: &SpanContext, mut look: impl FnMut(&Record<'_>)) {
        let bytes = self.memory.bytes.lock().unwrap();
        let id = values::span_id(span.span_id());
        records(&bytes).map(Result::unwrap).filter(|record| record.span_id == id).for_each(|record| look(&record));
    }

    /// The fields of a span, those of all its records.
    fn fields(&self, span: &SpanContext) -> HashMap<String, String> {
        let mut found = HashMap::new();
        self.look(span, |record| {
            for field in record.fields() {
                let name = if field.key == Key::Attribute { field.name } else { field.key.name().as_bytes() };
                let value = match field.value {
                    FieldValue::Text(text) => String::from_utf8_lossy(text).into_owned(),
                    other => format!("{other:?}"),
                };
                found.insert(String::from_utf8_lossy(name).into_owned(), value);
            }
        });
        found
    }
}

fn datadog_headers() -> Vec<(&'static str, &'static str)> {
    vec![
        ("x-datadog-trace-id", "11803532876627986230"),
        ("x-datadog-parent-id", "67667974448284343"),
        ("x-datadog-sampling-priority", "2"),
        ("x-datadog-origin", "synthetics"),
        ("x-datadog-tags", "_dd.p.dm=-4,_dd.p.tid=4bf92f3577b34da6"),
        ("baggage", "user.id=7;secret,cart=a%20b"),
    ]
}

#[test]
fn a_request_goes_on_with_everything_it_brought() {
    let bench = bench();
    let context = bench.extract(&datadog_headers());
    assert!(context.span().span_context().is_remote() && context.span().span_context().is_sampled());
    let span =
        bench.tracer().span_builder("GET").with_kind(SpanKind::Server).start_with_context(&bench.tracer(), &context);
    let server = context.with_span(span);
    let client = server.with_span(bench.tracer().start_with_context("call", &server));
    assert_eq!(client.span().span_context().trace_id().to_string(), TRACE);
    let out = bench.inject(&client);
    let id = client.span().span_context().span_id();
    assert_eq!(out["traceparent"], format!("00-{TRACE}-{id}-01"));
    assert_eq!(out["x-datadog-sampling-priority"], "2");
    assert_eq!(out["x-datadog-origin"], "synthetics");
    assert!(out["x-datadog-tags"].contains("_dd.p.dm=-4"), "{out:?}");
    assert!(out["baggage"].contains("user.id=7;secret") && out["baggage"].contains("cart=a%20b"), "{out:?}");
    let root = bench.fields(server.span().span_context());
    assert_eq!((root["_dd.origin"].as_str(), root["baggage.user.id"].as_str()), ("synthetics", "7"));
    bench.look(server.span().span_context(), |record| {
        if let RecordBody::SpanStart(body) = record.body {
            assert_eq!(body.parent_id.to_string(), PARENT);
        }
    });
}

#[test]
fn a_span_context_that_was_handed_on_alone_still_carries_the_decision() {
    let bench = bench();
    let context = bench.extract(&datadog_headers());
    let root = context.with_span(bench.tracer().start_with_context("root", &context));
    let handed_on = root.span().span_context().clone();
    assert!(handed_on.trace_state().get("dd").unwrap().contains("s:2"), "{handed_on:?}");
    root.span().end();
    drop((root, context));
    // The trace is gone, and the context it came in.
    let later = Context::new().with_remote_span_context(handed_on.clone());
    let span = later.with_span(bench.tracer().start_with_context("later", &later));
    let out = bench.inject(&span);
    assert_eq!((out["x-datadog-sampling-priority"].as_str(), out["x-datadog-origin"].as_str()), ("2", "synthetics"));
    bench.look(span.span().span_context(), |record| {
        if let RecordBody::SpanStart(body) = record.body {
            assert_eq!(body.parent_id, values::span_id(handed_on.span_id()));
        }
    });
}

#[test]
fn contexts_of_one_trace_with_different_decisions_do_not_mix() {
    let bench = bench();
    let entered = |flag: &str, state: &str| {
        let parent = format!("00-{TRACE}-{PARENT}-{flag}");
        let context = bench.extract(&[("traceparent", &parent), ("tracestate", state)]);
        context.with_span(bench.tracer().start_with_context("request", &context))
    };
    let kept = entered("01", "dd=s:2");
    let within = kept.with_span(bench.tracer().start_with_context("within", &kept));
    let dropped = entered("00", "dd=s:-1");
    for (context, priority) in [(&kept, "2"), (&within, "2"), (&dropped, "-1")] {
        let child = context.with_span(bench.tracer().start_with_context("child", context));
        assert_eq!(bench.inject(&child)["x-datadog-sampling-priority"], priority);
    }
}

#[test]
fn a_context_that_is_only_passed_on_stays_as_it_was() {
    let bench = bench();
    let parent = format!("00-{TRACE}-{PARENT}-00");
    let out = bench.inject(&bench.extract(&[("traceparent", &parent), ("tracestate", "foo=1,dd=s:-1;o:rum,bar=2")]));
    assert_eq!(out["traceparent"], parent);
    assert!(out["tracestate"].ends_with("foo=1,bar=2") && out["tracestate"].contains("o:rum"), "{out:?}");
    assert_eq!(out["x-datadog-sampling-priority"], "-1");
}

#[test]
fn nothing_that_is_valid_leaves_the_context_as_it_was() {
    let bench = bench();
    let earlier = bench.extract(&[("traceparent", &format!("00-{TRACE}-{PARENT}-01"))]);
    let none = HashMap::from([("traceparent".to_string(), "00-xyz".to_string())]);
    let after = bench.propagator.extract_with_context(&earlier, &none);
    assert_eq!(after.span().span_context(), earlier.span().span_context());
    assert!(!bench.extract(&[]).has_active_span());
    let out = bench.inject(&Context::new().with_baggage(vec![KeyValue::new("a", "b")]));
    assert_eq!(out, HashMap::from([("baggage".to_string(), "a=b".to_string())]));
}

#[test]
fn a_restarted_trace_links_to_the_one_that_came_in() {
    let bench = bench_of(Propagation { behaviour: ExtractBehaviour::Restart, ..Propagation::default() });
    let context = bench.extract(&[("traceparent", &format!("00-{TRACE}-{PARENT}-01")), ("tracestate", "a=1")]);
    assert!(!context.has_active_span());
    let root = context.with_span(bench.tracer().start_with_context("root", &context));
    assert_ne!(root.span().span_context().trace_id().to_string(), TRACE);
    let mut links = 0;
    bench.look(root.span().span_context(), |record| {
        for field in record.fields() {
            if let FieldValue::Link(link) = field.value {
                assert_eq!((link.trace_id.to_string(), link.span_id.to_string()), (TRACE.into(), PARENT.into()));
                assert_eq!(link.trace_state, b"a=1");
                links += 1;
            }
        }
    });
    assert_eq!(links, 1);
}

#[test]
fn the_random_flag_is_passed_on() {
    let styles: Styles = [Style::TraceContext].into_iter().collect();
    let w3c =
        Propagation { inject: styles, extract: styles, dialect: Dialect::OpenTelemetry, ..Propagation::default() };
    let bench = bench_of(w3c);
    let context = bench.extract(&[("traceparent", &format!("00-{TRACE}-{PARENT}-02"))]);
    let span = context.with_span(bench.tracer().start_with_context("s", &context));
    assert_eq!(span.span().span_context().trace_flags().to_u8(), FLAG_RANDOM);
    assert!(bench.inject(&span)["traceparent"].ends_with("-02"));
}

#[test]
fn spans_follow_the_rules_of_the_api() {
    let bench = bench();
    let scope = InstrumentationScope::builder("shop").with_version("1.2").build();
    let tracer = bench.provider.tracer_with_scope(scope);
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let linked = SpanContext::new(
        opentelemetry::TraceId::from(1),
        opentelemetry::SpanId::from(2),
        opentelemetry::TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    );
    let mut span = tracer
        .span_builder("work")
        .with_start_time(at(10))
        .with_attributes([KeyValue::new("early", true)])
        .with_links(vec![opentelemetry::trace::Link::with_context(linked.clone())])
        .start_with_context(&tracer, &Context::new());
    span.add_event_with_timestamp("happened", at(11), vec![KeyValue::new("n", 1)]);
    span.add_link(linked, vec![]);
    span.add_link(SpanContext::NONE, vec![]);
    span.set_attribute(KeyValue::new("list", Value::Array(Array::String(vec![StringValue::from("a"), "b".into()]))));
    span.update_name("other");
    span.set_status(Status::error("in vain"));
    span.set_status(Status::Unset);
    span.set_status(Status::Ok);
    span.set_status(Status::error("too late"));
    assert!(span.is_recording());
    span.end_with_timestamp(at(12));
    assert!(!span.is_recording());
    span.set_attribute(KeyValue::new("late", 1));
    let fields = bench.fields(span.span_context());
    for (name, value) in [("otel.scope.name", "shop"), ("otel.scope.version", "1.2"), ("name", "other")] {
        assert_eq!(fields.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(fields["list"].contains("TextList") && fields["early"] == "Bool(true)" && !fields.contains_key("late"));
    let (mut events, mut links, mut end) = (0, 0, None);
    bench.look(span.span_context(), |record| {
        if let RecordBody::SpanEnd(body) = record.body {
            end = Some((body.end_unix_ns, body.status));
        }
        for field in record.fields() {
            match field.value {
                FieldValue::Event(event) => {
                    assert_eq!((event.time_unix_ns, event.name), (11_000_000_000, &b"happened"[..]));
                    events += 1;
                }
                FieldValue::Link(_) => links += 1,
                _ => {}
            }
        }
    });
    assert_eq!((events, links, end), (1, 2, Some((12_000_000_000, 1))));
}

#[test]
fn a_span_that_is_dropped_has_ended_and_a_suppressed_one_was_never_there() {
    let bench = bench();
    let root = Context::new().with_span(bench.tracer().start_with_context("root", &Context::new()));
    let child = bench.tracer().start_with_context("child", &root);
    let context = child.span_context().clone();
    drop(child);
    assert_eq!(bench.fields(&context)["name"], "child");
    let quiet = Context::new().with_telemetry_suppressed();
    let span = bench.tracer().start_with_context("quiet", &quiet);
    assert!(!span.is_recording() && !span.span_context().is_valid());
}

#[test]
fn the_environment_is_a_carrier_too() {
    let bench = bench();
    let variables = [
        ("TRACEPARENT", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("TRACESTATE", "dd=s:2,a=b"),
        ("BAGGAGE", "user=7"),
    ];
    let carrier = EnvironmentCarrier(|name: &[u8]| {
        variables.iter().find(|(present, _)| present.as_bytes() == name).map(|(_, value)| value.as_bytes())
    });
    let context = bench.propagator.extract_from(&Context::new(), &carrier);
    let span = context.span().span_context().clone();
    assert_eq!((span.trace_id().to_string(), span.span_id().to_string()), (TRACE.into(), PARENT.into()));
    assert_eq!((span.is_remote(), span.trace_state().get("a")), (true, Some("b")));
    assert_eq!(context.baggage().get("user").map(|value| value.as_str()), Some("7"));
}

#[test]
fn what_the_provider_is_given_as_is_what_it_gives() {
    let bench = bench();
    let boxed = Provider::launched(bench.provider.clone());
    let mut span = boxed.tracer("any").start_with_context("boxed", &Context::new());
    span.end();
    assert!(bench.memory.bytes.lock().unwrap().windows(5).any(|bytes| bytes == b"boxed"));
    let _: Arc<dyn TextMapPropagator> = Arc::new(bench.propagator.clone());
    assert!(bench.propagator.fields().any(|name| name == "traceparent"));
}
