//! The W3C trace-context rules, case by case, through a real HTTP service whose every request is a span and whose every
//! call carries the context: the cases are those of the W3C's own test suite (Level 2, strict), the harness is ours.

#[path = "w3c_trace_context/cases.rs"]
mod cases;
#[path = "w3c_trace_context/harness.rs"]
mod harness;

use cases::CASES;
use ddtrace_test_support::programs::{compile_strictly, python};
use ddtrace_test_support::services::{Running, service};
use ddtrace_test_support::{Sandbox, repository};
use harness::Harness;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Who serves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Service {
    /// Rust, under the launcher.
    Rust,
    /// The same by itself.
    RustAlone,
    /// What includes `include/ddtrace_run.h`.
    C,
    /// What imports `ddtrace`.
    Python,
    /// Flask and requests, which are traced by integrations.
    Flask,
    /// FastAPI and httpx, which are so as well.
    FastApi,
}

fn start(sandbox: &Sandbox, kind: Service) -> Running {
    match kind {
        Service::Rust => Running::traced(sandbox, "callback", &[]),
        Service::RustAlone => Running::start(sandbox.bare([service("callback")])),
        Service::C => {
            let program = compile_strictly(sandbox, &repository().join("tests/apps/callback.c"), "cc", &[]);
            Running::start(sandbox.traced([program]))
        }
        Service::Python => {
            let script = repository().join("tests/w3c_trace_context/callback.py");
            Running::start(sandbox.traced([python().as_ref(), script.as_os_str()]))
        }
        Service::Flask | Service::FastApi => {
            let name = if kind == Service::Flask { "flask_callback.py" } else { "fastapi_callback.py" };
            let script = repository().join("tests/w3c_trace_context").join(name);
            let python = ddtrace_test_support::python::python("integrations-venv");
            let mut command = sandbox.traced([python.as_ref(), script.as_os_str()]);
            command.stderr(std::process::Stdio::null());
            Running::start(command)
        }
    }
}

/// Runs every case, and asserts that exactly those of `exceptions` fail.
#[track_caller]
fn assert_cases(settings: &[(&str, &str)], kind: Service, exceptions: &[&str]) {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    for (name, value) in settings {
        sandbox.set(name, value);
    }
    if kind == Service::RustAlone {
        // Nobody listens there: what becomes of the spans is of no interest.
        sandbox.set("DD_TRACE_EXPORTER", "otlp").set("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
    }
    let service = start(&sandbox, kind);
    let harness = Harness::new(service.port);
    let failed: Vec<&str> = CASES
        .iter()
        .filter(|(_, case)| catch_unwind(AssertUnwindSafe(|| case(&harness))).is_err())
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(failed, exceptions, "left are the cases that failed, right those that are to");
    drop(service);
    sandbox.settle();
}

#[test]
fn every_case_of_the_suite_is_there() {
    assert_eq!(CASES.len(), 41);
}

#[test]
fn opentelemetrys_dialect_under_the_launcher() {
    assert_cases(&[("OTEL_PROPAGATORS", "tracecontext,baggage")], Service::Rust, &[]);
}

#[test]
fn opentelemetrys_dialect_without_the_launcher() {
    assert_cases(&[("OTEL_PROPAGATORS", "tracecontext,baggage")], Service::RustAlone, &[]);
}

/// Datadog's own member is never left out, not even where 32 others leave no room: the last of those then is.
const DATADOGS: &[&str] = &["tracestate_member_count_limit"];

#[test]
fn datadogs_dialect_under_the_launcher() {
    assert_cases(&[], Service::Rust, DATADOGS);
}

#[test]
fn datadogs_dialect_without_the_launcher() {
    assert_cases(&[], Service::RustAlone, DATADOGS);
}

#[test]
fn both_dialects_through_the_c_interface() {
    assert_cases(&[("OTEL_PROPAGATORS", "tracecontext,baggage")], Service::C, &[]);
    assert_cases(&[], Service::C, DATADOGS);
}

#[test]
fn both_dialects_in_python() {
    assert_cases(&[("OTEL_PROPAGATORS", "tracecontext,baggage")], Service::Python, &[]);
    assert_cases(&[], Service::Python, DATADOGS);
}

#[test]
fn both_dialects_by_the_integrations_of_python() {
    for service in [Service::Flask, Service::FastApi] {
        assert_cases(&[("OTEL_PROPAGATORS", "tracecontext,baggage")], service, &[]);
        assert_cases(&[], service, DATADOGS);
    }
}

/// Baggage whose keys are in the names of headers is found by going through all of them.
#[test]
fn baggage_in_the_names_of_headers_goes_on() {
    let headers = |prefix: &str| [(format!("{prefix}user"), "7"), (format!("{prefix}plan"), "gold")];
    for (settings, trace, prefix) in [
        ([("OTEL_PROPAGATORS", "jaeger")], vec![("uber-trace-id", "7:8:0:1")], "uberctx-"),
        (
            [("OTEL_PROPAGATORS", "ottrace")],
            vec![("ot-tracer-traceid", "0000000000000007"), ("ot-tracer-spanid", "0000000000000008")],
            "ot-baggage-",
        ),
        (
            [("DD_TRACE_PROPAGATION_HTTP_BAGGAGE_ENABLED", "true")],
            vec![("x-datadog-trace-id", "7"), ("x-datadog-parent-id", "8")],
            "ot-baggage-",
        ),
    ] {
        for kind in [Service::C, Service::Rust, Service::Python, Service::Flask, Service::FastApi] {
            let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
            for (name, value) in settings {
                sandbox.set(name, value);
            }
            let service = start(&sandbox, kind);
            let baggage = headers(prefix);
            let sent: Vec<_> =
                trace.iter().copied().chain(baggage.iter().map(|(name, value)| (name.as_str(), *value))).collect();
            let call = Harness::new(service.port).once(&sent);
            for (name, value) in &baggage {
                assert_eq!(call.all(name), [*value], "{name} with {settings:?}: {call:?}");
            }
        }
    }
}
