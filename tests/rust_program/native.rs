//! Rust and native code in one process: the spans of each below those of the other.

use ddtrace_test_support::programs::compile_strictly;
use ddtrace_test_support::services::service;
use ddtrace_test_support::{Agent, Sandbox, Span, http, repository};
use std::collections::BTreeMap;

pub(super) const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
pub(super) const SENDER: &str = "00f067aa0ba902b7";

/// A request that brings all that a trace can carry.
const REQUEST: [(&str, &str); 8] = [
    ("x-datadog-trace-id", "11803532876627986230"),
    ("x-datadog-parent-id", "67667974448284343"),
    ("x-datadog-sampling-priority", "2"),
    ("x-datadog-origin", "synthetics"),
    ("x-datadog-tags", "_dd.p.dm=-4,_dd.p.tid=4bf92f3577b34da6,_dd.p.usr.id=u1"),
    ("baggage", "user.id=7"),
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ("tracestate", "dd=s:2;p:00f067aa0ba902b7,foo=1"),
];

/// What went out: by who sent it, its headers.
pub(super) type Sent = BTreeMap<String, BTreeMap<String, String>>;

pub(super) struct Run {
    pub(super) sent: Sent,
    pub(super) spans: Vec<Span>,
}

impl Run {
    pub(super) fn of(how: &str, request: &[(&str, &str)], settings: &[(&str, &str)]) -> Run {
        Run::with(&Agent::start(), how, request, settings)
    }

    /// Against an agent that forgets what it has from before.
    pub(super) fn with(agent: &Agent, how: &str, request: &[(&str, &str)], settings: &[(&str, &str)]) -> Run {
        http::get(agent.port, "/test/session/clear").expect("the agent answers");
        let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
        sandbox
            .set("DD_TRACE_AGENT_URL", agent.url())
            .unset("DD_TRACE_EXPORTER")
            .set("DD_TRACE_PROCESS_SPANS", "false");
        for (name, value) in settings {
            sandbox.set(name, *value);
        }
        let library = repository().join("tests/apps/hand_over.c");
        let library = compile_strictly(&sandbox, &library, "cc", &["-shared", "-fPIC"]);
        let program = service("hand_over");
        let mut argv = vec![program.as_str(), &library, how];
        argv.extend(request.iter().flat_map(|(name, value)| [*name, *value]));
        let outcome = sandbox.run_traced(argv);
        assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "{outcome:?}");
        sandbox.settle();
        agent.assert_no_failed_check();
        let mut sent = Sent::new();
        for line in outcome.out().lines() {
            let (who, header) = line.split_once(' ').expect("who and what");
            let (name, value) = header.split_once(": ").expect("name and value");
            sent.entry(who.to_owned()).or_default().insert(name.to_owned(), value.to_owned());
        }
        Run { sent, spans: agent.datadog_spans() }
    }

    #[track_caller]
    pub(super) fn span(&self, name: &str) -> &Span {
        let found: Vec<_> = self.spans.iter().filter(|span| span.name == name).collect();
        assert_eq!(found.len(), 1, "one {name}: {:#?}", self.spans);
        found[0]
    }

    /// Asserts that a span calls others with all that the request has brought, and with its own id.
    #[track_caller]
    fn assert_carries_all(&self, who: &str) {
        let headers = &self.sent[who];
        let id = u64::from_str_radix(&self.span(who).span_id, 16).expect("an id").to_string();
        for (name, value) in [
            ("x-datadog-trace-id", "11803532876627986230"),
            ("x-datadog-parent-id", &id),
            ("x-datadog-sampling-priority", "2"),
            ("x-datadog-origin", "synthetics"),
            ("baggage", "user.id=7"),
        ] {
            assert_eq!(headers.get(name).map(String::as_str), Some(value), "{name} of {who}: {headers:#?}");
        }
        for tag in ["_dd.p.dm=-4", "_dd.p.tid=4bf92f3577b34da6", "_dd.p.usr.id=u1"] {
            assert!(headers["x-datadog-tags"].split(',').any(|found| found == tag), "{tag} of {who}: {headers:#?}");
        }
        assert!(headers["tracestate"].starts_with("dd=") && headers["tracestate"].ends_with(",foo=1"), "{headers:#?}");
    }
}

#[test]
fn rust_goes_on_below_the_native_span_with_all_that_its_trace_carries() {
    let run = Run::of("span", &REQUEST, &[]);
    let (native, rust, inner) = (run.span("native.request"), run.span("rust"), run.span("rust.inner"));
    assert_eq!(run.spans.len(), 3, "{:#?}", run.spans);
    assert_eq!((native.trace_id.as_str(), native.parent_id.as_deref()), (TRACE, Some(SENDER)));
    assert_eq!((rust.trace_id.as_str(), rust.parent_id.as_ref()), (TRACE, Some(&native.span_id)));
    assert_eq!((inner.trace_id.as_str(), inner.parent_id.as_ref()), (TRACE, Some(&rust.span_id)));
    // A wish of Rust's comes too late: the trace was handed over as decided.
    assert_eq!((native.number("_sampling_priority_v1"), native.text("_dd.p.dm")), (Some(2), Some("-4")));
    assert_eq!((native.text("_dd.origin"), native.text("baggage.user.id")), (Some("synthetics"), Some("7")));
    run.assert_carries_all("rust");
}

#[test]
fn rust_goes_on_below_what_native_code_was_handed() {
    let run = Run::of("context", &REQUEST, &[]);
    let rust = run.span("rust");
    assert_eq!(run.spans.len(), 2, "{:#?}", run.spans);
    assert_eq!((rust.trace_id.as_str(), rust.parent_id.as_deref()), (TRACE, Some(SENDER)));
    assert_eq!(rust.text("_dd.origin"), Some("synthetics"));
}

#[test]
fn the_decision_about_a_native_span_is_that_of_the_rust_spans_below_it() {
    let undecided = &REQUEST[..2];
    let rules = r#"[{"name":"native.request","sample_rate":0.0},{"sample_rate":1.0}]"#;
    let run = Run::of("span", undecided, &[("DD_TRACE_SAMPLING_RULES", rules)]);
    let headers = &run.sent["rust"];
    assert_eq!(headers["x-datadog-sampling-priority"], "-1", "{headers:#?}");
    assert!(headers["x-datadog-tags"].contains("_dd.p.dm=-3"), "{headers:#?}");
    let native = run.span("native.request");
    assert_eq!((native.number("_sampling_priority_v1"), native.text("_dd.p.dm")), (Some(-1), Some("-3")));
    assert_eq!((native.number("_dd.rule_psr"), run.span("rust").number("_dd.rule_psr")), (Some(0), None));
}

#[test]
fn native_code_is_below_a_rust_span_where_it_is_given_its_headers() {
    let run = Run::of("rust", &REQUEST, &[]);
    let (rust, alone, handed) = (run.span("rust"), run.span("native.alone"), run.span("native.handed"));
    assert_eq!((rust.trace_id.as_str(), rust.parent_id.as_deref()), (TRACE, Some(SENDER)));
    assert_eq!((handed.trace_id.as_str(), handed.parent_id.as_ref()), (TRACE, Some(&rust.span_id)));
    run.assert_carries_all("native.handed");
    // It does not see the active span of Rust.
    assert!(alone.trace_id != TRACE && alone.parent_id.is_none(), "{alone:#?}");
    assert!(!run.sent["native.alone"].contains_key("x-datadog-origin"), "{:#?}", run.sent);
}
