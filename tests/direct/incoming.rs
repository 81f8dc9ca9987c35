//! What comes in with requests and is not decided, or decides without a trace to continue.

use super::{injected, started};
use ddtrace::otel::Tracing;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use std::collections::HashMap;

const NOWHERE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");

/// Serves a request with these headers by a span, and gives the headers that it would call others with.
fn serve(
    tracing: &Tracing,
    headers: &[(&str, &str)],
    name: &'static str,
    attributes: Vec<KeyValue>,
) -> HashMap<String, String> {
    let headers: HashMap<_, _> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let context = tracing.propagator().extract_with_context(&Context::new(), &headers);
    let tracer = tracing.provider().expect("it is enabled").tracer("test");
    let span = tracer.span_builder(name).with_attributes(attributes).start_with_context(&tracer, &context);
    injected(tracing, &context.with_span(span))
}

fn undecided(trace_id: &str) -> [(&str, &str); 2] {
    [("x-datadog-trace-id", trace_id), ("x-datadog-parent-id", "56")]
}

#[test]
fn a_trace_that_comes_in_undecided_is_decided_once() {
    let rules = r#"[{"resource":"first","sample_rate":1},{"sample_rate":0}]"#;
    let tracing = started(&[NOWHERE, ("DD_TRACE_SAMPLING_RULES", rules)]);
    let first = serve(&tracing, &undecided("1234"), "first", vec![]);
    assert_eq!(first["x-datadog-sampling-priority"], "2");
    // The first request is over, and rules would drop this one.
    let second = serve(&tracing, &undecided("1234"), "second", vec![]);
    assert_eq!(second["x-datadog-tags"], first["x-datadog-tags"]);
    let third = serve(&tracing, &undecided("1234"), "third", vec![KeyValue::new("manual.drop", true)]);
    for headers in [second, third] {
        assert_eq!(headers["x-datadog-sampling-priority"], "2", "others were told so: {headers:?}");
    }
    let other = serve(&tracing, &undecided("1235"), "second", vec![]);
    assert_eq!(other["x-datadog-sampling-priority"], "-1", "which is another trace");
}

#[test]
fn threads_that_serve_one_undecided_trace_come_to_one_decision() {
    // Only one of many passes the limit, so that two decisions would differ.
    let tracing = started(&[NOWHERE, ("DD_TRACE_SAMPLE_RATE", "1"), ("DD_TRACE_RATE_LIMIT", "1")]);
    for trace_id in 1000..1050 {
        let trace_id = trace_id.to_string();
        let seen: Vec<_> = std::thread::scope(|scope| {
            let serve = || serve(&tracing, &undecided(&trace_id), "s", vec![])["x-datadog-sampling-priority"].clone();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(serve)).collect();
            threads.into_iter().map(|thread| thread.join().expect("it serves")).collect()
        });
        assert!(seen.iter().all(|priority| *priority == seen[0]), "{trace_id}: {seen:?}");
    }
}

#[test]
fn a_trace_that_comes_in_decided_is_decided_where_it_comes_in_undecided() {
    let tracing = started(&[NOWHERE, ("DD_TRACE_SAMPLING_RULES", r#"[{"sample_rate":1}]"#)]);
    let [trace, parent] = undecided("1236");
    let first = serve(&tracing, &[trace, parent, ("x-datadog-sampling-priority", "0")], "first", vec![]);
    assert_eq!(first["x-datadog-sampling-priority"], "0");
    assert_eq!(serve(&tracing, &[trace, parent], "second", vec![])["x-datadog-sampling-priority"], "0");
}

#[test]
fn a_trace_that_comes_in_without_a_span_goes_on() {
    let tracing = started(&[NOWHERE, ("DD_TRACE_SAMPLING_RULES", r#"[{"resource":"first","sample_rate":0}]"#)]);
    let trace = ("x-datadog-trace-id", "1237");
    let decided = [trace, ("x-datadog-sampling-priority", "1"), ("x-datadog-origin", "rum")];
    let headers = serve(&tracing, &decided, "first", vec![]);
    assert_eq!((&*headers["x-datadog-trace-id"], &*headers["x-datadog-sampling-priority"]), ("1237", "1"));
    assert_eq!(headers["x-datadog-origin"], "rum");
    // Undecided, the trace is decided once.
    let trace = ("x-datadog-trace-id", "1238");
    for name in ["first", "second"] {
        let headers = serve(&tracing, &[trace], name, vec![]);
        assert_eq!(
            (&*headers["x-datadog-trace-id"], &*headers["x-datadog-sampling-priority"]),
            ("1238", "-1"),
            "{name}"
        );
    }
    assert_ne!(serve(&tracing, &[], "second", vec![])["x-datadog-trace-id"], "1238");
}

#[test]
fn a_decision_without_a_trace_is_about_the_one_that_begins() {
    let tracing = started(&[NOWHERE, ("DD_TRACE_PROPAGATION_STYLE", "b3,datadog"), ("DD_TRACE_SAMPLE_RATE", "1")]);
    assert_eq!(serve(&tracing, &[("b3", "0")], "s", vec![])["x-datadog-sampling-priority"], "0");
    assert_eq!(serve(&tracing, &[], "s", vec![])["x-datadog-sampling-priority"], "2");
}
