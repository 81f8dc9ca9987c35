//! `--info` tells what is configured, by whom, and what is wrong with it.

use ddtrace_test_support::{Agent, Nobody, Outcome, Sandbox};
use serde_json::Value;

fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    // With an address given nothing on the machine of the test is asked. Nobody listens on that port.
    sandbox.unset("DD_TRACE_EXPORTER").set("DD_TRACE_AGENT_URL", "http://127.0.0.1:1");
    sandbox
}

fn info(sandbox: &Sandbox) -> Outcome {
    let outcome = sandbox.run_traced(["--info"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    outcome
}

fn info_json(sandbox: &Sandbox) -> Value {
    let outcome = sandbox.run_traced(["--info", "--json"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    serde_json::from_slice(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}"))
}

/// The line of the text that has all these words.
#[track_caller]
fn line_with(outcome: &Outcome, words: &[&str]) -> String {
    let text = outcome.out();
    let found = text.lines().find(|line| words.iter().all(|word| line.contains(word)));
    found.unwrap_or_else(|| panic!("no line has {words:?}:\n{text}")).to_owned()
}

/// Whether some object of the document has all these texts among its keys and values.
fn some_object_has(document: &Value, texts: &[&str]) -> bool {
    match document {
        Value::Object(fields) => {
            let here = |text: &str| {
                fields
                    .iter()
                    .any(|(key, value)| key == text || value.as_str().is_some_and(|value| value.contains(text)))
            };
            texts.iter().all(|text| here(text)) || fields.values().any(|value| some_object_has(value, texts))
        }
        Value::Array(items) => items.iter().any(|item| some_object_has(item, texts)),
        _ => false,
    }
}

/// What the document says of the Datadog Agent.
#[track_caller]
fn agent_in(document: &Value) -> &Value {
    let destinations = document["destinations"].as_array().expect("a list of destinations");
    let found = destinations.iter().find(|destination| destination["exporter"] == "datadog");
    found.unwrap_or_else(|| panic!("the agent is not mentioned: {document:#}"))
}

#[test]
fn values_and_where_they_came_from() {
    let mut sandbox = sandbox();
    let file = sandbox.write("settings.toml", "version = \"from-file\"\n");
    sandbox.set("DD_SERVICE", "from-variable").set("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=from-otel");
    sandbox.set("DD_TRACE_CONFIG_FILE", &file);
    let outcome = info(&sandbox);
    line_with(&outcome, &["from-variable", "DD_SERVICE"]);
    line_with(&outcome, &["from-otel", "OTEL_RESOURCE_ATTRIBUTES"]);
    line_with(&outcome, &["from-file", "settings.toml"]);
    let document = info_json(&sandbox);
    assert!(some_object_has(&document, &["from-variable", "DD_SERVICE"]), "{document:#}");
    assert!(some_object_has(&document, &["from-otel", "OTEL_RESOURCE_ATTRIBUTES"]), "{document:#}");
    assert!(some_object_has(&document, &["from-file", "settings.toml"]), "{document:#}");
}

#[test]
fn the_command_line_wins_over_both_dialects_and_datadogs_over_the_other() {
    let mut sandbox = sandbox();
    sandbox.set("DD_SERVICE", "from-datadog").set("OTEL_SERVICE_NAME", "from-otel");
    line_with(&info(&sandbox), &["from-datadog", "DD_SERVICE"]);
    let flagged = sandbox.run_traced(["--service", "from-flag", "--info"]);
    line_with(&flagged, &["from-flag", "command line"]);
}

#[test]
fn secrets_are_masked() {
    let mut sandbox = sandbox();
    sandbox.set("DD_API_KEY", "sesame-key").set("OTEL_EXPORTER_OTLP_HEADERS", "authorization=sesame-header");
    sandbox.set("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:sesame-password@127.0.0.1:1");
    let everything = [info(&sandbox), sandbox.run_traced(["--info", "--json"])];
    for outcome in everything {
        let text = outcome.out() + &outcome.err();
        assert!(!text.contains("sesame"), "a secret got out:\n{text}");
    }
}

#[test]
fn what_is_reachable_and_what_is_not() {
    let agent = Agent::start();
    let mut sandbox = sandbox();
    let nowhere = Nobody::listens();
    sandbox.set("DD_TRACE_AGENT_URL", nowhere.url());
    assert!(info(&sandbox).out().contains(&nowhere.url()));
    assert_eq!(agent_in(&info_json(&sandbox))["reachable"], false);
    sandbox.set("DD_TRACE_AGENT_URL", agent.url());
    assert!(info(&sandbox).out().contains(&agent.url()));
    assert_eq!(agent_in(&info_json(&sandbox))["reachable"], true);
    // Asking is not sending.
    assert!(agent.datadog_spans().is_empty());
}

#[test]
fn what_is_wrong_and_where_the_sidecar_logs() {
    let mut sandbox = sandbox();
    sandbox.set("DD_TRACE_AGENT_TIMEOUT_SECONDS", "soon");
    let outcome = info(&sandbox);
    assert!(outcome.out().contains("DD_TRACE_AGENT_TIMEOUT_SECONDS") && outcome.out().contains("soon"), "{outcome:?}");
    let state = sandbox.path().join("home/.local/state/ddtrace");
    assert!(outcome.out().contains(state.to_str().expect("UTF-8")), "{outcome:?}");
}

#[test]
fn a_program_after_it_is_not_started() {
    let sandbox = sandbox();
    let outcome = sandbox.run_traced(["--info", "sh", "-c", "echo started > started"]);
    assert_eq!(outcome.code, Some(0));
    assert!(!sandbox.work().join("started").exists());
    sandbox.settle();
}
