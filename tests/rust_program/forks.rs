//! Rust programs that fork while a span is active: each process has spans, ids and a resource of its own, all are in one
//! trace, nothing is told twice and nothing is lost. Both as the launcher's and by themselves.

use ddtrace_test_support::services::service;
use ddtrace_test_support::{Agent, Sandbox, Span, wait_for};
use std::collections::{BTreeMap, BTreeSet};

/// Whether the launcher is there.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Way {
    Launched,
    Direct,
}

const WAYS: [Way; 2] = [Way::Launched, Way::Direct];

/// Runs the program and gives what it printed, and the spans when there are as many as `wanted` says.
fn run(way: Way, arguments: &[&str], settings: &[(&str, &str)], wanted: impl Fn(&str) -> usize) -> (String, Vec<Span>) {
    let agent = Agent::start();
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.unset("DD_TRACE_EXPORTER").set("DD_TRACE_PROCESS_SPANS", "false").set("DD_SERVICE", "family");
    sandbox.set("OTEL_TRACES_EXPORTER", "otlp").set("OTEL_EXPORTER_OTLP_ENDPOINT", agent.otlp_http_url());
    for (name, value) in settings {
        sandbox.set(name, *value);
    }
    let program = service("forks");
    let argv = [&[program.as_str()], arguments].concat();
    let outcome = if way == Way::Launched { sandbox.run_traced(argv) } else { sandbox.run_bare(argv) };
    assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "{way:?}: {outcome:?}");
    sandbox.settle();
    let wanted = wanted(&outcome.out());
    let spans = wait_for("the spans", || Some(agent.otlp_spans()).filter(|spans| spans.len() >= wanted));
    assert_eq!(spans.len(), wanted, "{way:?}: {spans:#?}");
    (outcome.out(), spans)
}

/// The spans by their names, which are all different.
fn by_name(spans: &[Span]) -> BTreeMap<&str, &Span> {
    let named: BTreeMap<_, _> = spans.iter().map(|span| (span.name.as_str(), span)).collect();
    assert_eq!(named.len(), spans.len(), "nothing is told twice: {spans:#?}");
    named
}

#[test]
fn each_generation_tells_of_its_own_spans_below_those_of_its_parent() {
    for way in WAYS {
        let (out, spans) = run(way, &["family"], &[], |_| 9);
        let named = by_name(&spans);
        let pids: BTreeMap<&str, i64> =
            out.lines().filter_map(|line| line.split_once(' ')).map(|(who, pid)| (who, pid.parse().unwrap())).collect();
        assert_eq!(pids.values().collect::<BTreeSet<_>>().len(), 3, "{out}");
        let traces: BTreeSet<_> = spans.iter().map(|span| &span.trace_id).collect();
        let ids: BTreeSet<_> = spans.iter().map(|span| &span.span_id).collect();
        assert_eq!((traces.len(), ids.len()), (1, 9), "{way:?}: {spans:#?}");
        assert_eq!(named["parent"].parent_id, None);
        for (own, older) in [("parent", ""), ("child", "parent"), ("grandchild", "child")] {
            let span = named[own];
            assert_eq!(span.text("written.by"), Some(own), "{way:?}: only its own process can: {span:#?}");
            if let Some(older) = named.get(older) {
                assert_eq!(span.parent_id.as_ref(), Some(&older.span_id), "{way:?}: {span:#?}");
            }
            for part in ["before", "after"] {
                let below = named[format!("{own} {part}").as_str()];
                assert_eq!(below.parent_id.as_ref(), Some(&span.span_id), "{way:?}: {below:#?}");
                assert_eq!(below.resource["process.pid"], pids[own], "{way:?}: {below:#?}");
            }
            assert_eq!(span.resource["process.pid"], pids[own], "{way:?}: {span:#?}");
            assert_eq!(span.resource["service.name"], "family");
        }
        let instances: BTreeSet<_> =
            spans.iter().filter_map(|span| Some(span.resource.get("service.instance.id")?.to_string())).collect();
        assert!([0, 3].contains(&instances.len()), "{way:?}: {instances:?}");
    }
}

#[test]
fn a_child_keeps_to_the_decision_of_its_parent() {
    // Rules that would take the spans of the child for something else.
    let rules = r#"[{"resource":"parent","sample_rate":1},{"sample_rate":0}]"#;
    for way in WAYS {
        let (_, spans) = run(way, &["family"], &[("DD_TRACE_SAMPLING_RULES", rules)], |_| 9);
        // What is dropped is not sent by OTLP.
        by_name(&spans);
    }
}

#[test]
fn children_that_are_forked_in_the_midst_of_a_busy_thread_lose_nothing() {
    const CHILDREN: usize = 20;
    for way in WAYS {
        let busy = |out: &str| out.trim().strip_prefix("busy ").expect("their number").parse::<usize>().unwrap();
        let (out, spans) = run(way, &["many", &CHILDREN.to_string()], &[], |out| busy(out) + CHILDREN + 1);
        let ids: BTreeSet<_> = spans.iter().map(|span| &span.span_id).collect();
        assert_eq!(ids.len(), spans.len(), "{way:?}: ids are unique");
        let parent = spans.iter().find(|span| span.name == "parent").expect("it is there");
        for number in 0..CHILDREN {
            let name = format!("child {number}");
            let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
            assert_eq!(found.len(), 1, "{way:?}: {found:#?}");
            assert_eq!(found[0].parent_id.as_ref(), Some(&parent.span_id), "{way:?}");
            assert_ne!(found[0].resource["process.pid"], parent.resource["process.pid"], "{way:?}");
        }
        assert_eq!(spans.iter().filter(|span| span.name == "busy").count(), busy(&out), "{way:?}");
    }
}
