//! Which span is the parent of which, and what they share: active spans, contexts, threads, forks, spans that have ended.

use super::{only, run_program, sandbox};
use ddtrace_test_support::programs::compile_strictly;
use ddtrace_test_support::{Agent, Sandbox, repository};
use serde_json::Value;
use std::collections::BTreeSet;

#[track_caller]
fn run(sandbox: &mut Sandbox, agent: &Agent, arguments: &[&str]) -> (String, Vec<Value>) {
    let program = compile_strictly(sandbox, &repository().join("tests/apps/parents.c"), "cc", &[]);
    run_program(sandbox, agent, &program, arguments)
}

fn traces(spans: &[Value]) -> BTreeSet<u64> {
    spans.iter().filter_map(|span| span["trace_id"].as_u64()).collect()
}

#[test]
fn what_was_active_before_is_so_again() {
    let (agent, mut sandbox) = (Agent::start(), sandbox());
    let (out, spans) = run(&mut sandbox, &agent, &["active"]);
    let expected = [
        "outer ended after the inner was left: none",
        "suspended: none",
        "resumed and ended: g",
        "left, entered again and ended: g",
        "activated by another thread as well: none",
        "ended out of order: g",
        "ended out of order: g",
        "ended by another thread: g",
        "all ended: none",
        "given back after its end: g",
        "at the end: none",
    ];
    assert_eq!(out.lines().collect::<Vec<_>>(), expected);
    let next = only(&spans, "next", "next");
    let parent = spans.iter().find(|span| span["span_id"] == next["parent_id"]);
    assert_eq!(parent.map(|span| &span["name"]), Some(&Value::from("g")), "{next:#?}");
}

#[test]
fn all_spans_below_a_context_share_a_decision() {
    let (agent, mut sandbox) = (Agent::start(), sandbox());
    let rules = r#"[{"name":"first","sample_rate":0},{"sample_rate":1}]"#;
    sandbox.set("DD_TRACE_SAMPLING_RULES", rules);
    let headers = ["x-datadog-trace-id", "1234", "x-datadog-parent-id", "56"];
    let (out, spans) = run(&mut sandbox, &agent, &[&["share"][..], &headers].concat());
    assert_eq!(out, "second -1\nfirst -1\nthird -1\n");
    assert_eq!(spans.len(), 3, "{spans:#?}");
    for span in &spans {
        assert_eq!((span["trace_id"].as_u64(), span["parent_id"].as_u64()), (Some(1234), Some(56)), "{span:#?}");
        let priority = span["metrics"]["_sampling_priority_v1"].as_f64();
        assert!(priority.is_none_or(|priority| priority == -1.0), "{span:#?}");
    }
    let said = spans.iter().filter(|span| span["metrics"]["_sampling_priority_v1"] == -1.0).count();
    assert!(said >= 1, "{spans:#?}");
}

#[test]
fn what_nobody_asked_for_and_no_rule_decides_stays_open_at_the_end_of_the_first_span() {
    let headers = ["x-datadog-trace-id", "1234", "x-datadog-parent-id", "56"];
    for (rules, out) in [
        ("[]", "undecided, drop 0\nsecond -1\n"),
        (r#"[{"name":"other","sample_rate":1}]"#, "undecided, drop 0\nsecond -1\n"),
        (r#"[{"name":"first","sample_rate":1}]"#, "decided, drop -1\nsecond 2\n"),
    ] {
        let (agent, mut sandbox) = (Agent::start(), sandbox());
        sandbox.set("DD_TRACE_SAMPLING_RULES", rules);
        let (told, spans) = run(&mut sandbox, &agent, &[&["open"][..], &headers].concat());
        assert_eq!(told, out, "{rules}");
        let second = only(&spans, "second", "second");
        let priority = if out.ends_with("-1\n") { -1.0 } else { 2.0 };
        assert_eq!(second["metrics"]["_sampling_priority_v1"], priority, "{rules}: {second:#?}");
    }
}

#[test]
fn a_trace_goes_through_every_fork() {
    let (agent, mut sandbox) = (Agent::start(), sandbox());
    let (out, spans) = run(&mut sandbox, &agent, &["forks"]);
    assert_eq!(out, "child 0 1\n".repeat(3));
    let (outer, work) = (only(&spans, "outer", "outer"), only(&spans, "work", "work"));
    assert_eq!((&work["parent_id"], &work["trace_id"]), (&outer["span_id"], &outer["trace_id"]));
}

#[test]
fn an_active_context_goes_through_every_fork() {
    let (agent, mut sandbox) = (Agent::start(), sandbox());
    // Undecided: parent and child must come to the same.
    let headers = ["x-datadog-trace-id", "1234", "x-datadog-parent-id", "56"];
    sandbox.set("DD_TRACE_SAMPLING_RULES", r#"[{"name":"work","sample_rate":0},{"sample_rate":1}]"#);
    let (out, spans) = run(&mut sandbox, &agent, &[&["forks"][..], &headers].concat());
    assert_eq!(out, format!("parent 0 1\n{}", "child 0 1\n".repeat(2)));
    for name in ["work", "own"] {
        let span = only(&spans, name, name);
        assert_eq!((span["trace_id"].as_u64(), span["parent_id"].as_u64()), (Some(1234), Some(56)), "{span:#?}");
        assert_eq!(span["metrics"]["_sampling_priority_v1"], 2.0, "{span:#?}");
    }
}

#[test]
fn work_may_begin_after_its_parent_has_ended() {
    let (agent, mut sandbox) = (Agent::start(), sandbox());
    sandbox.set("DD_TRACE_SAMPLING_RULES", r#"[{"name":"unrelated","sample_rate":0},{"sample_rate":1}]"#);
    let (out, spans) = run(&mut sandbox, &agent, &["outlive"]);
    assert_eq!(out, "step 2\nlater 2\n");
    let (request, step) = (only(&spans, "request", "request"), only(&spans, "step", "step"));
    let later = only(&spans, "later", "later");
    assert_eq!((&later["parent_id"], &later["trace_id"]), (&step["span_id"], &request["trace_id"]));
    // So long after it nobody knows of the trace any more: better a trace of its own than another one's.
    let too_late = only(&spans, "too.late", "too.late");
    assert_eq!(too_late["parent_id"].as_u64().unwrap_or(0), 0, "{too_late:#?}");
    let of_unrelated: Vec<_> = spans.iter().filter(|span| span["name"] == "unrelated").cloned().collect();
    assert!(!traces(&of_unrelated).contains(&too_late["trace_id"].as_u64().unwrap_or(0)));
}
