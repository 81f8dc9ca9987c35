//! Several requests of one trace at once: whatever the order of what happens, the receiver gets each span with the priority
//! that was told to whoever comes after it, by the C interface and both APIs of Python.

use super::{json, sandbox};
use ddtrace_test_support::programs::compile_strictly;
use ddtrace_test_support::python::{program, python};
use ddtrace_test_support::{Agent, http, repository};
use std::collections::BTreeMap;

/// Drops the trace of a request `a`.
const RULES: &str = r#"[{"name":"a","sample_rate":0},{"resource":"a","sample_rate":0}]"#;

/// The steps, and what is said in C; Python's words are compared with what is received alone.
const CASES: &[(&str, &str)] = &[
    ("+a +b keep=b tell=a tell=b -a -b", "keep=b done, told a 2, told b 2"),
    ("+a +b tell=a keep=b tell=b -b -a", "told a -1, keep=b too late, told b -1"),
    ("+a=1 +b=1 drop=b tell=b -b -a", "drop=b done, told b -1"),
    ("+a=1 +b=1 drop=b tell=b -a -b", "drop=b done, told b -1"),
    ("+a +b=1 keep=b tell=a tell=b -a -b", "keep=b done, told a 2, told b 2"),
    ("+a tell=a -a +b drop=b +c=0 -c tell=b -b", "told a -1, drop=b too late, told b -1"),
    ("+a a.k -a drop=k tell=k -k", "drop=k too late, told k -1"),
    ("+b b.k -b drop=k tell=k -k", "drop=k done, told k -1"),
    ("+b b.k -b keep=k -k +a tell=a -a", "keep=k done, told a 2"),
    ("+a drop=a -a +b -b +c keep=c tell=c -c", "drop=a done, keep=c done, told c 2"),
    ("+b +a -a tell=b keep=b -b", "told b -1, keep=b too late"),
    ("+a +b -a +c=2 tell=b tell=c -b -c", "told b -1, told c 2"),
];

#[test]
fn each_span_is_received_with_the_priority_that_was_told() {
    let agent = Agent::start();
    let sandbox = sandbox(&agent, &[("DD_TRACE_SAMPLING_RULES", RULES)]);
    let c = compile_strictly(&sandbox, &repository().join("tests/apps/same_trace.c"), "cc", &[]);
    for (steps, in_c) in CASES {
        for how in ["c", "datadog", "otel"] {
            let command = match how {
                "c" => vec![c.clone()],
                api => vec![python("otel-venv"), program("same_trace.py"), api.into()],
            };
            // A sidecar that looks between the end of a request and the word of a span below it has sent the request.
            let mut tries = if steps.contains("b.k") { 5 } else { 1 };
            let wrong = loop {
                http::get(agent.port, "/test/session/clear").expect("the agent answers");
                let outcome = sandbox.run_traced(command.iter().map(String::as_str).chain(steps.split(' ')));
                outcome.assert_success();
                if how == "c" {
                    assert_eq!(outcome.out().trim_end().replace('\n', ", "), *in_c, "{steps}");
                }
                sandbox.settle();
                let received = received(&agent);
                assert_eq!(received.len(), steps.matches(['+', '.']).count(), "{how}: {steps}: {received:?}");
                let out = outcome.out();
                let told = out.lines().filter_map(|line| line.strip_prefix("told ")?.split_once(' '));
                let wrong: Vec<_> = told
                    .filter(|(name, priority)| received[*name].to_string() != *priority)
                    .map(|told| format!("{told:?}"))
                    .collect();
                tries -= 1;
                if wrong.is_empty() || tries == 0 {
                    break wrong;
                }
            };
            assert!(wrong.is_empty(), "{how}: {steps}: told {wrong:?}");
        }
    }
}

/// The priority of each span: its chunk's, which the first span of it has.
fn received(agent: &Agent) -> BTreeMap<String, i64> {
    let mut priorities = BTreeMap::new();
    for chunk in json(agent, "/test/session/traces").as_array().into_iter().flatten() {
        let spans = chunk.as_array().expect("a chunk is a list");
        let of = |span: &serde_json::Value| span["metrics"]["_sampling_priority_v1"].as_f64();
        for span in spans {
            // The test agent puts the chunks of a trace together; those that lead one have its priority.
            let leader = std::iter::successors(Some(span), |span| {
                spans.iter().find(|above| above["span_id"] == span["parent_id"])
            });
            let priority = leader.filter_map(of).next().or_else(|| spans.iter().find_map(of));
            let name = span["resource"].as_str().expect("a name").to_owned();
            priorities.insert(name, priority.expect("a chunk has a priority") as i64);
        }
    }
    priorities
}

/// Also where it is over before the sidecar has heard of it, as those that `system` starts as the last thing are; and where a
/// program sets the context of a request for it.
#[test]
fn a_process_goes_with_the_trace_that_it_was_started_in() {
    let agent = Agent::start();
    let settings = [("DD_TRACE_SAMPLE_RATE", "0"), ("DD_TRACE_PROCESS_SPANS", "true")];
    let sandbox = sandbox(&agent, &settings);
    let system = "import os; os.system('exit 3')";
    let environment = r#"
import os, subprocess
from opentelemetry import propagate, trace
incoming = {"x-datadog-trace-id": "42", "x-datadog-parent-id": "7", "x-datadog-sampling-priority": "2"}
incoming.update({"x-datadog-origin": "rum", "x-datadog-tags": "_dd.p.dm=-4,_dd.p.foo=bar"})
with trace.get_tracer("x").start_as_current_span("request", propagate.extract(incoming), trace.SpanKind.SERVER):
    told = {}
    propagate.inject(told)
    told = {name.upper(): value for name, value in told.items() if name.startswith("trace")}
    subprocess.run(["sh", "-c", "exit 3"], env={**os.environ, **told})
"#;
    for (program, said) in [(system, (-1.0, "-3", None, None)), (environment, (2.0, "-4", Some("rum"), Some("bar")))] {
        http::get(agent.port, "/test/session/clear").expect("the agent answers");
        sandbox.run_traced([&*python("otel-venv"), "-c", program]).assert_success();
        sandbox.settle();
        let traces = json(&agent, "/test/session/traces");
        let of_trace = |trace: &&serde_json::Value| {
            trace.as_array().is_some_and(|spans| {
                spans.iter().any(|span| span["meta"]["exit_code"] == "3" || span["metrics"]["process.exit.code"] == 3.0)
            })
        };
        let trace = traces.as_array().into_iter().flatten().find(of_trace).expect("the trace of the child");
        let leaders: Vec<_> = trace
            .as_array()
            .into_iter()
            .flatten()
            .filter(|span| span["metrics"].get("_sampling_priority_v1").is_some())
            .collect();
        assert!(!leaders.is_empty(), "{trace:#}");
        for span in leaders {
            let text = |name: &str| span["meta"][name].as_str();
            let found = (span["metrics"]["_sampling_priority_v1"].as_f64(), text("_dd.p.dm"));
            assert_eq!(found, (Some(said.0), Some(said.1)), "{span:#}");
            assert_eq!((text("_dd.origin"), text("_dd.p.foo")), (said.2, said.3), "{span:#}");
        }
    }
}
