//! The W3C trace-context rules, case by case, through a real HTTP service whose every request is a span and whose every
//! call carries the context: the cases are those of the W3C's own test suite (Level 2, strict), the harness is ours.

#[path = "w3c_trace_context/cases.rs"]
mod cases;
#[path = "w3c_trace_context/harness.rs"]
mod harness;

use cases::CASES;
use ddtrace_test_support::Sandbox;
use ddtrace_test_support::services::{Running, service};
use harness::Harness;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The service under the launcher, which has its spans, or by itself.
fn start(sandbox: &Sandbox, under_launcher: bool) -> Running {
    if under_launcher {
        Running::traced(sandbox, "callback", &[])
    } else {
        Running::start(sandbox.bare([service("callback")]))
    }
}

/// Runs every case, and asserts that exactly those of `exceptions` fail.
#[track_caller]
fn assert_cases(settings: &[(&str, &str)], under_launcher: bool, exceptions: &[&str]) {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    for (name, value) in settings {
        sandbox.set(name, value);
    }
    if !under_launcher {
        // Nobody listens there: what becomes of the spans is of no interest.
        sandbox.set("DD_TRACE_EXPORTER", "otlp").set("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
    }
    let service = start(&sandbox, under_launcher);
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
    assert_cases(&[("OTEL_PROPAGATORS", "tracecontext,baggage")], true, &[]);
}

#[test]
fn opentelemetrys_dialect_without_the_launcher() {
    assert_cases(&[("OTEL_PROPAGATORS", "tracecontext,baggage")], false, &[]);
}

/// Datadog's own member is never left out, not even where 32 others leave no room: the last of those then is.
const DATADOGS: &[&str] = &["tracestate_member_count_limit"];

#[test]
fn datadogs_dialect_under_the_launcher() {
    assert_cases(&[], true, DATADOGS);
}

#[test]
fn datadogs_dialect_without_the_launcher() {
    assert_cases(&[], false, DATADOGS);
}
