//! What Datadog's API of Python's programs is told is what is decided by, and what is sent.

use ddtrace_test_support::python::{program, python};
use ddtrace_test_support::{Agent, Sandbox};

fn sandbox(agent: &Agent) -> Sandbox {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.set("DD_TRACE_PROCESS_SPANS", "false");
    sandbox.unset("DD_TRACE_EXPORTER").set("DD_TRACE_AGENT_URL", agent.url());
    sandbox
}

/// In the process, and where traces are put together.
#[test]
fn rules_see_what_the_api_was_told_and_not_its_tags() {
    let agent = Agent::start();
    for (rule, priority) in [
        (r#"[{"resource":"mine","name":"job","service":"worker","sample_rate":0},{"sample_rate":1}]"#, -1),
        (r#"[{"resource":"tag","sample_rate":0},{"sample_rate":1}]"#, 2),
    ] {
        agent.clear();
        let mut sandbox = sandbox(&agent);
        sandbox.set("DD_TRACE_SAMPLING_RULES", rule);
        let outcome = sandbox.run_traced([python("otel-venv"), program("rules.py")]);
        outcome.assert_success();
        assert_eq!(outcome.out(), format!("{priority}\n"), "{rule}");
        sandbox.settle();
        let spans = agent.datadog_spans();
        let decided: Vec<_> = spans.iter().map(|span| span.number("_sampling_priority_v1")).collect();
        assert_eq!(decided, [Some(priority), Some(priority)], "{rule}");
    }
}
