//! Programs in Rust that trace themselves through the OpenTelemetry API: what they record arrives, whichever way it takes.

#[path = "rust_program/forks.rs"]
mod forks;
#[path = "rust_program/native.rs"]
mod native;
#[path = "rust_program/styles.rs"]
mod styles;

use ddtrace_test_support::services::{Running, run_traced, service};
use ddtrace_test_support::{Agent, Sandbox, Span, http, programs, wait_for};
use std::collections::BTreeSet;

/// What a Datadog tracer sends along with a request.
const DATADOG: [(&str, &str); 6] = [
    ("x-datadog-trace-id", "11803532876627986230"),
    ("x-datadog-parent-id", "67667974448284343"),
    ("x-datadog-sampling-priority", "2"),
    ("x-datadog-origin", "synthetics"),
    ("x-datadog-tags", "_dd.p.dm=-4,_dd.p.tid=4bf92f3577b34da6"),
    ("baggage", "user.id=7"),
];
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.unset("DD_TRACE_EXPORTER").set("DD_ENV", "test");
    sandbox
}

fn to_datadog(agent: &Agent) -> Vec<(&'static str, String)> {
    vec![("DD_TRACE_AGENT_URL", agent.url())]
}

fn to_otlp(agent: &Agent) -> Vec<(&'static str, String)> {
    vec![("OTEL_TRACES_EXPORTER", "otlp".to_owned()), ("OTEL_EXPORTER_OTLP_ENDPOINT", agent.otlp_http_url())]
}

/// A sandbox in which a service of that name runs.
fn world(name: &str, settings: &[(&'static str, String)]) -> Sandbox {
    let mut sandbox = sandbox();
    sandbox.set("DD_SERVICE", name);
    for (name, value) in settings {
        sandbox.set(name, value);
    }
    sandbox
}

/// Ends a service that runs in a sandbox, and waits until what it has recorded is delivered.
fn end(sandbox: &Sandbox, mut service: Running) {
    let answer = http::get(service.port, "/end").expect("the service answers");
    assert_eq!(answer.status, 200);
    service.wait();
    sandbox.settle();
}

/// Sends a request through two services; each runs as `start` says. Gives the spans, those of the end left out.
fn through_two(
    settings: &[(&'static str, String)],
    headers: &[(&str, &str)],
    start: impl Fn(&Sandbox, &[&str]) -> Running,
    spans: impl Fn() -> Vec<Span>,
) -> Vec<Span> {
    let (shop, prices) = (world("shop", settings), world("prices", settings));
    let second = start(&prices, &["0"]);
    let first = start(&shop, &["0", &second.url()]);
    let answer = http::get_with(first.port, "/orders/7", headers).expect("the service answers");
    assert_eq!((answer.status, answer.body), (200, b"order 7 costs 42\n".to_vec()));
    end(&shop, first);
    end(&prices, second);
    let of_requests = |span: &Span| span.number("process.pid").is_none() && !span.name.ends_with("/end");
    wait_for("the spans of both", || {
        let spans: Vec<Span> = spans().into_iter().filter(of_requests).collect();
        (spans.len() >= 4).then_some(spans)
    })
}

#[track_caller]
fn only<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(found.len(), 1, "{name} in {spans:#?}");
    found[0]
}

/// Asserts that both services have their place in one trace.
#[track_caller]
fn assert_chain(spans: &[Span], trace: Option<(&str, &str)>) {
    let [server, lookup, client, second] =
        ["GET /orders/{id}", "look up", "GET", "GET /prices"].map(|name| only(spans, name));
    let traces: BTreeSet<_> = spans.iter().map(|span| span.trace_id.as_str()).collect();
    assert_eq!(traces.len(), 1, "{spans:#?}");
    assert_eq!(server.parent_id.as_deref(), trace.map(|(_, parent)| parent));
    if let Some((trace, _)) = trace {
        assert_eq!(server.trace_id, trace);
    }
    for (span, parent, service) in
        [(lookup, server, "shop"), (client, server, "shop"), (second, client, "prices"), (server, server, "shop")]
    {
        if !std::ptr::eq(span, parent) {
            assert_eq!(span.parent_id.as_ref(), Some(&parent.span_id), "{span:#?}");
        }
        assert_eq!(span.resource["service.name"], service);
        assert!(span.start >= server.start && span.end <= server.end && !span.failed, "{span:#?}");
    }
    assert_eq!((server.number("order.id"), lookup.events.as_slice()), (Some(7), &["cache miss".to_owned()][..]));
}

#[test]
fn a_request_that_a_datadog_tracer_sends_goes_through_two_services() {
    let agent = Agent::start();
    let start = |sandbox: &Sandbox, arguments: &[&str]| Running::traced(sandbox, "web", arguments);
    let spans = through_two(&to_datadog(&agent), &DATADOG, start, || agent.datadog_spans());
    assert_chain(&spans, Some((TRACE, PARENT)));
    agent.assert_no_failed_check();
    for name in ["GET /orders/{id}", "GET /prices"] {
        let root = only(&spans, name);
        assert_eq!(root.number("_sampling_priority_v1"), Some(2), "{root:#?}");
        for (tag, value) in [
            ("_dd.p.dm", "-4"),
            ("_dd.p.tid", "4bf92f3577b34da6"),
            ("_dd.origin", "synthetics"),
            ("baggage.user.id", "7"),
            ("span.kind", "server"),
            ("http.method", "GET"),
            ("http.status_code", "200"),
            ("env", "test"),
            ("otel.scope.name", "services"),
        ] {
            assert_eq!(root.text(tag), Some(value), "{tag} of {root:#?}");
        }
    }
}

#[test]
fn a_request_without_a_trace_begins_one_that_two_services_share() {
    let agent = Agent::start();
    let start = |sandbox: &Sandbox, arguments: &[&str]| Running::traced(sandbox, "web", arguments);
    let mut settings = to_otlp(&agent);
    settings.push(("DD_TRACE_PROCESS_SPANS", "auto".to_owned()));
    let spans = through_two(&settings, &[], start, || agent.otlp_spans());
    assert_chain(&spans, None);
    let resource = |key: &str| spans[0].resource.get(key).and_then(|value| value.as_str());
    assert_eq!(resource("deployment.environment.name"), Some("test"));
    assert_eq!(resource("telemetry.sdk.language"), Some("rust"));
}

#[test]
fn without_the_launcher_the_same_program_sends_by_itself() {
    let agent = Agent::start();
    let start = |sandbox: &Sandbox, arguments: &[&str]| {
        let program = service("web");
        Running::start(sandbox.bare([program.as_str()].into_iter().chain(arguments.iter().copied())))
    };
    let spans = through_two(&to_otlp(&agent), &DATADOG, start, || {
        let of_sdk = |span: &Span| span.resource.get("telemetry.sdk.name").is_some_and(|name| name == "opentelemetry");
        agent.otlp_spans().into_iter().filter(of_sdk).collect()
    });
    assert_chain(&spans, Some((TRACE, PARENT)));
}

#[test]
fn a_program_without_the_preload_library_makes_its_own_ring() {
    let agent = Agent::start();
    let start = |sandbox: &Sandbox, arguments: &[&str]| {
        let without = programs::compile_with(sandbox, "without_preload", "cc", &["-static"]);
        let program = service("web");
        let argv = [without.as_str(), &program].into_iter().chain(arguments.iter().copied());
        Running::start(sandbox.traced(argv))
    };
    let spans = through_two(&to_datadog(&agent), &DATADOG, start, || agent.datadog_spans());
    assert_chain(&spans, Some((TRACE, PARENT)));
}

#[test]
fn rules_of_the_launcher_hold_in_the_program() {
    let rules =
        r#"[{"service":"shop","resource":"GET /orders/*","tags":{"http.route":"/orders/?id?"},"sample_rate":0}]"#;
    let agent = Agent::start();
    let mut settings = to_datadog(&agent);
    settings.push(("DD_TRACE_SAMPLING_RULES", rules.to_owned()));
    // A service is traced whatever becomes of the spans of processes.
    settings.push(("DD_TRACE_PROCESS_SPANS", "false".to_owned()));
    let start = |sandbox: &Sandbox, arguments: &[&str]| Running::traced(sandbox, "web", arguments);
    let spans = through_two(&settings, &[], start, || agent.datadog_spans());
    assert_chain(&spans, None);
    for name in ["GET /orders/{id}", "GET /prices"] {
        let root = only(&spans, name);
        assert_eq!((root.number("_sampling_priority_v1"), root.text("_dd.p.dm")), (Some(-1), Some("-3")), "{root:#?}");
    }
    assert_eq!(only(&spans, "GET /orders/{id}").number("_dd.rule_psr"), Some(0));
}

#[test]
fn a_restarted_trace_is_linked_and_a_failure_is_one() {
    let agent = Agent::start();
    let mut settings = to_datadog(&agent);
    settings.push(("DD_TRACE_PROPAGATION_BEHAVIOR_EXTRACT", "restart".to_owned()));
    let sandbox = world("shop", &settings);
    let service = Running::traced(&sandbox, "web", &["0"]);
    let answer = http::get_with(service.port, "/broken", &DATADOG).expect("the service answers");
    assert_eq!(answer.status, 500);
    end(&sandbox, service);
    let spans = agent.datadog_spans();
    let broken = only(&spans, "GET /broken");
    assert!(broken.failed && broken.trace_id != TRACE && broken.parent_id.is_none(), "{broken:#?}");
    assert_eq!((broken.text("http.status_code"), broken.text("baggage.user.id")), (Some("500"), Some("7")));
    assert_eq!(broken.events, ["exception"]);
    assert_eq!(broken.text("error.message"), Some("out of order"));
    let [(trace, span, attributes)] = &broken.links[..] else { panic!("one link: {broken:#?}") };
    assert_eq!((trace.as_str(), span.as_str()), (TRACE, PARENT));
    assert_eq!(attributes["reason"], "propagation_behavior_extract");
    agent.assert_no_failed_check();
}

#[test]
fn a_killed_service_leaves_what_it_had_finished_and_the_request_it_was_serving() {
    let agent = Agent::start();
    let sandbox = world("shop", &to_datadog(&agent));
    let mut service = Running::traced(&sandbox, "web", &["0"]);
    let port = service.port;
    let request = std::thread::spawn(move || http::get_with(port, "/stuck", &DATADOG));
    assert_eq!(service.line(), "stuck\n");
    service.kill();
    request.join().expect("the request has ended").expect_err("and got no answer");
    sandbox.settle();
    let spans = agent.datadog_spans();
    let (stuck, before) = (only(&spans, "GET /stuck"), only(&spans, "done before"));
    assert_eq!((stuck.trace_id.as_str(), stuck.parent_id.as_deref()), (TRACE, Some(PARENT)));
    assert_eq!(before.parent_id.as_ref(), Some(&stuck.span_id));
    assert!(stuck.failed && !before.failed, "{spans:#?}");
    assert_eq!((stuck.error_type(), stuck.number("_sampling_priority_v1")), (Some("SIGKILL"), Some(2)));
}

#[test]
fn spans_of_the_tracing_crate_are_below_the_process() {
    let agent = Agent::start();
    let sandbox = world("bakery", &to_otlp(&agent));
    let outcome = run_traced(&sandbox, "tracing");
    assert_eq!((outcome.code, outcome.out().as_str(), outcome.err().as_str()), (Some(0), "", ""));
    sandbox.settle();
    let spans = agent.otlp_spans();
    let (process, bake) = (only(&spans, "tracing"), only(&spans, "bake"));
    assert_eq!((bake.parent_id.as_ref(), &bake.trace_id), (Some(&process.span_id), &process.trace_id));
    assert_eq!(bake.number("baked"), Some(2));
    for number in 1..=3 {
        let knead = only(&spans, &format!("knead {number}"));
        assert_eq!((knead.parent_id.as_ref(), knead.failed), (Some(&bake.span_id), number == 2));
        assert!(knead.events.contains(&"it rises".to_owned()), "{knead:#?}");
    }
}
