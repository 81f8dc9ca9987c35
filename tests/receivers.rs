//! The same work arrives at each kind of receiver, complete and in its form.

use ddtrace_test_support::process::outline;
use ddtrace_test_support::{Agent, Nobody, Outcome, Sandbox, Span, spans};
use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream};
use std::path::Path;

/// A small tree with each kind of end in it.
const WORK: [&str; 3] =
    ["sh", "-c", "echo out; echo err >&2; /bin/true; (exit 3); sh -c '/bin/false; kill -9 $$'; exit 5"];

fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.unset("DD_TRACE_EXPORTER");
    sandbox.set("DD_SERVICE", "shop").set("DD_ENV", "test").set("DD_VERSION", "1.2");
    sandbox
}

/// Does the work and waits until all of it is delivered.
#[track_caller]
fn work(sandbox: &Sandbox) -> Outcome {
    let bare = sandbox.run_bare(WORK);
    let traced = sandbox.run_traced(WORK);
    assert_eq!(traced, bare, "left is under the launcher, right is bare");
    sandbox.settle();
    traced
}

#[track_caller]
fn assert_the_work(spans: &[Span]) {
    let shell = std::fs::canonicalize("/bin/sh").expect("there is a shell");
    let shell = shell.file_name().expect("it has a name").to_string_lossy().into_owned();
    let wanted =
        format!("{shell} (exit 5)\n  {shell} (SIGKILL)\n    false (exit 1)\n  {shell} (exit 3)\n  true (exit 0)\n");
    assert_eq!(outline(&spans::processes(spans)), wanted);
    let traces: BTreeSet<_> = spans.iter().map(|span| &span.trace_id).collect();
    assert_eq!(traces.len(), 1, "one run is one trace");
    for span in spans {
        assert_eq!(span.resource["service.name"], "shop");
        assert_eq!(span.failed, span.exit_code() != Some(0), "{span:#?}");
        assert!(!span.command_args().is_empty(), "{span:#?}");
    }
}

#[test]
fn the_datadog_agent_through_tcp() {
    let (agent, mut sandbox) = (Agent::start(), sandbox());
    sandbox.set("DD_TRACE_AGENT_URL", agent.url());
    work(&sandbox);
    agent.assert_no_failed_check();
    let spans = agent.datadog_spans();
    assert_the_work(&spans);
    for span in &spans {
        assert_eq!((span.text("env"), span.text("version")), (Some("test"), Some("1.2")), "{span:#?}");
    }
    assert!(!sandbox.local_store().exists(), "what an agent took needs no second place");
}

#[test]
fn the_datadog_agent_through_host_and_port() {
    let (agent, mut sandbox) = (Agent::start(), sandbox());
    sandbox.set("DD_AGENT_HOST", "127.0.0.1").set("DD_TRACE_AGENT_PORT", agent.port.to_string());
    work(&sandbox);
    agent.assert_no_failed_check();
    assert_the_work(&agent.datadog_spans());
}

#[test]
fn the_datadog_agent_through_a_unix_socket() {
    let (agent, mut sandbox) = (Agent::start(), sandbox());
    sandbox.set("DD_TRACE_AGENT_URL", format!("unix://{}", agent.socket().display()));
    work(&sandbox);
    agent.assert_no_failed_check();
    assert_the_work(&agent.datadog_spans());
}

#[test]
fn requests_to_the_agent_have_their_headers() {
    let (agent, mut sandbox) = (Agent::start(), sandbox());
    sandbox.set("DD_TRACE_AGENT_URL", agent.url());
    work(&sandbox);
    let requests = agent.requests();
    let traces: Vec<_> = requests
        .iter()
        .filter(|request| request["url"].as_str().is_some_and(|url| url.ends_with("/v0.4/traces")))
        .collect();
    assert!(!traces.is_empty(), "{requests:#?}");
    for request in traces {
        let headers = request["headers"].as_object().expect("headers by name");
        let header = |name: &str| {
            let found = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.and_then(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("no {name} in {headers:#?}"))
        };
        assert_eq!(header("Content-Type"), "application/msgpack");
        assert_eq!(header("Datadog-Meta-Tracer-Version"), env!("CARGO_PKG_VERSION"));
        header("Datadog-Meta-Lang");
        header("X-Datadog-Trace-Count");
    }
}

/// Sends by OTLP with these settings, and looks at what came.
#[track_caller]
fn assert_otlp(settings: impl Fn(&Agent) -> Vec<(&'static str, String)>) {
    let (agent, mut sandbox) = (Agent::start(), sandbox());
    for (name, value) in settings(&agent) {
        sandbox.set(name, value);
    }
    work(&sandbox);
    let spans = agent.otlp_spans();
    assert_the_work(&spans);
    for span in &spans {
        let resource = |key: &str| span.resource.get(key).and_then(|value| value.as_str());
        assert_eq!(resource("service.version"), Some("1.2"));
        assert_eq!(resource("deployment.environment.name").or(resource("deployment.environment")), Some("test"));
        assert!(resource("telemetry.sdk.name").is_some(), "{:#?}", span.resource);
    }
    assert!(agent.datadog_spans().is_empty() && !sandbox.local_store().exists(), "it goes to one place");
}

fn otlp(endpoint: String, protocol: &str) -> Vec<(&'static str, String)> {
    vec![
        ("OTEL_TRACES_EXPORTER", "otlp".to_owned()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()),
    ]
}

#[test]
fn otlp_over_http_in_protobuf() {
    assert_otlp(|agent| otlp(agent.otlp_http_url(), "http/protobuf"));
}

#[test]
fn otlp_over_http_in_json() {
    assert_otlp(|agent| otlp(agent.otlp_http_url(), "http/json"));
}

#[test]
fn otlp_over_grpc() {
    assert_otlp(|agent| otlp(agent.otlp_grpc_url(), "grpc"));
}

#[test]
fn otlp_over_http_compressed() {
    assert_otlp(|agent| {
        let mut settings = otlp(agent.otlp_http_url(), "http/protobuf");
        settings.push(("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip".to_owned()));
        settings
    });
}

#[test]
fn otlp_over_grpc_compressed() {
    assert_otlp(|agent| {
        let mut settings = otlp(agent.otlp_grpc_url(), "grpc");
        settings.push(("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip".to_owned()));
        settings
    });
}

#[test]
fn otlp_with_the_whole_address_of_the_signal() {
    assert_otlp(|agent| {
        vec![
            ("OTEL_TRACES_EXPORTER", "otlp".to_owned()),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("{}/v1/traces", agent.otlp_http_url())),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf".to_owned()),
        ]
    });
}

#[test]
fn nothing_configured_and_nobody_there_is_the_local_store() {
    let answers = |port| TcpStream::connect(("localhost", port)).is_ok();
    let mut sandbox = sandbox();
    if [8126, 4318, 4317].into_iter().any(answers) || Path::new("/var/run/datadog/apm.socket").exists() {
        // This machine has a receiver, which the launcher rightly finds.
        sandbox.set("DD_TRACE_EXPORTER", "local");
    }
    work(&sandbox);
    assert_the_work(&sandbox.spans());
}

#[test]
fn an_agent_that_is_not_there_changes_nothing_for_the_program() {
    let nobody = Nobody::listens();
    for url in [nobody.url(), "unix:///nonexistent/apm.socket".to_owned()] {
        let mut sandbox = sandbox();
        sandbox.set("DD_TRACE_AGENT_URL", url);
        work(&sandbox);
    }
    for protocol in ["http/protobuf", "http/json", "grpc"] {
        let mut sandbox = sandbox();
        for (name, value) in otlp(nobody.url(), protocol) {
            sandbox.set(name, value);
        }
        work(&sandbox);
    }
}

#[test]
fn a_receiver_that_never_answers_changes_nothing_for_the_program() {
    // It takes connections, since the kernel does, and says nothing.
    let mute = TcpListener::bind("127.0.0.1:0").expect("a port to listen on");
    let mut sandbox = sandbox();
    sandbox.set("DD_TRACE_AGENT_URL", format!("http://{}", mute.local_addr().expect("a listener has an address")));
    let bare = sandbox.run_bare(WORK);
    assert_eq!(sandbox.run_traced(WORK), bare);
    drop(mute);
    sandbox.settle();
}
