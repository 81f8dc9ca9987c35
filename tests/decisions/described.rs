//! What rules see of a span: the same in the tracer behind the C interface, in the engine of Python and Rust programs, and in
//! the sidecar, and no more than is sent. One span by all of them, under one rule that drops what it matches.

use super::{DROPPED, NOBODY, decision, json, sandbox};
use ddtrace_test_support::programs::compile_strictly;
use ddtrace_test_support::python::{program, python};
use ddtrace_test_support::{Agent, Sandbox, http, repository, wait_for};
use serde_json::Value;

/// Settings, the role, what is said of the span, the rule's conditions, and whether the rule is to match.
type Case = (&'static [(&'static str, &'static str)], &'static str, &'static [&'static str], &'static str, bool);

/// By the tags and the kind alone, as all APIs have them.
const COMMON: &[Case] = &[
    // Values of each type.
    (&[], "internal", &["integer=n=7"], r#""tags":{"n":"7"}"#, true),
    (&[], "internal", &["integer=n=-70"], r#""tags":{"n":"-7?"}"#, true),
    (&[], "internal", &["number=n=7"], r#""tags":{"n":"7"}"#, true),
    (&[], "internal", &["number=n=0.5"], r#""tags":{"n":"0.5"}"#, false),
    (&[], "internal", &["number=n=0.5"], r#""tags":{"n":"*"}"#, true),
    (&[], "internal", &["truth=n=true"], r#""tags":{"n":"true"}"#, true),
    (&[], "internal", &["text=n="], r#""tags":{"n":"*"}"#, true),
    (&[], "internal", &["text=n=a", "integer=n=1"], r#""tags":{"n":"a"}"#, false),
    (&[], "server", &["integer=http.response.status_code=503"], r#""tags":{"http.status_code":"5??"}"#, true),
    (&[], "server", &["text=http.request.method=GET"], r#""name":"http.server.request","resource":"GET""#, true),
    // What is the process's.
    (&[("DD_TAGS", "team:core")], "internal", &[], r#""tags":{"team":"core"}"#, true),
    (&[("DD_TAGS", "team:core")], "internal", &["text=team=web"], r#""tags":{"team":"core"}"#, false),
    (&[("DD_TAGS", "team:")], "internal", &[], r#""tags":{"team":"*"}"#, true),
    (&[("DD_TAGS", "host.name:db1")], "internal", &[], r#""tags":{"host.name":"db1"}"#, false),
    (&[("DD_TAGS", "_dd.own:1")], "internal", &[], r#""tags":{"_dd.own":"1"}"#, false),
    (&[("DD_TAGS", "os.type:bsd")], "internal", &["text=os.type=bsd"], r#""tags":{"os.type":"bsd"}"#, true),
    (&[], "internal", &[], r#""tags":{"env":"test","version":"7"}"#, true),
    (&[], "internal", &["text=env=e2"], r#""tags":{"env":"e2"}"#, true),
    (&[], "internal", &["text=env=e2", "text=datadog.env=e3"], r#""tags":{"env":"e3"}"#, true),
    // The version is that of the service that a span is sent with.
    (&[], "internal", &["text=service.name=db"], r#""service":"db","tags":{"version":"*"}"#, false),
    (&[], "internal", &["text=service.name=db", "text=version=9"], r#""tags":{"version":"9"}"#, true),
    (&[("DD_SERVICE_MAPPING", "shop:store")], "internal", &[], r#""service":"store","tags":{"version":"*"}"#, false),
    (&[("DD_SERVICE_MAPPING", "db:shop")], "internal", &["text=service.name=db"], r#""tags":{"version":"7"}"#, true),
    // The role.
    (&[], "client", &[], r#""name":"client.request","tags":{"span.kind":"client"}"#, true),
    (&[], "internal", &["text=span.kind=server"], r#""name":"server.request","tags":{"span.kind":"server"}"#, true),
    (&[], "server", &["text=span.kind=client"], r#""tags":{"span.kind":"server"}"#, true),
    (&[], "server", &["text=datadog.span.kind=odd"], r#""tags":{"span.kind":"odd"}"#, true),
    // What sets a field is no tag.
    (&[], "internal", &["text=resource.name=r"], r#""resource":"r""#, true),
    (&[], "internal", &["text=resource.name=r"], r#""tags":{"resource.name":"*"}"#, false),
    (&[], "internal", &["text=service.name=db"], r#""tags":{"service.name":"*"}"#, false),
    (&[], "internal", &["text=datadog.env=e"], r#""tags":{"datadog.env":"*"}"#, false),
    // What is no number is sent as a text.
    (&[], "internal", &["number=n=nan"], r#""tags":{"n":"nan"}"#, true),
    (&[], "internal", &["number=n=-inf"], r#""tags":{"n":"-i?f"}"#, true),
    // Baggage that is shown.
    (
        &[("DD_TRACE_BAGGAGE_TAG_KEYS", "shard")],
        "server",
        &["header=x-datadog-trace-id=5", "header=x-datadog-parent-id=6", "header=baggage=shard=7"],
        r#""tags":{"baggage.shard":"7"}"#,
        true,
    ),
];

/// What is recorded as it ends, which a kill in Python comes before.
const FAILED: &[Case] = &[
    (&[], "internal", &["error=Broken=boom"], r#""tags":{"error.type":"broken","error.message":"boom"}"#, true),
    (&[], "internal", &["error=Broken=boom"], r#""tags":{"error.stack":"*"}"#, true),
    (&[], "internal", &["error=A=1", "error=B=2"], r#""tags":{"error.type":"A"}"#, false),
    (&[], "internal", &["text=datadog.error.msg=mine", "error=A=1"], r#""tags":{"error.message":"mine"}"#, true),
    (&[], "internal", &["text=error.type=mine"], r#""tags":{"error.stack":"*"}"#, false),
];

/// What only the C interface has.
const OF_C: &[Case] = &[
    (&[], "internal", &["text=resource.name=a", "resource==b"], r#""resource":"b""#, true),
    (&[], "internal", &["resource==b", "text=resource.name=a"], r#""resource":"a""#, true),
    (&[], "internal", &["resource==b", "nothing=resource.name="], r#""resource":"b""#, true),
    (
        &[],
        "server",
        &["text=http.route=/", "text=http.method=GET", "resource==b", "nothing=resource.name="],
        r#""resource":"GET /""#,
        true,
    ),
    (&[], "internal", &["resource==b", "text=datadog.resource=a"], r#""resource":"a""#, true),
    (&[], "internal", &["service==db"], r#""service":"db","tags":{"version":"*"}"#, false),
    (&[("DD_SERVICE_MAPPING", "db:shop")], "internal", &["service==db"], r#""tags":{"version":"7"}"#, true),
    (&[], "internal", &["service==db", "service=="], r#""service":"shop","tags":{"version":"7"}"#, true),
    (&[], "internal", &["text=n=a", "nothing=n="], r#""tags":{"n":"*"}"#, false),
];

/// The only span that the agent gets of the program.
fn span(command: &[String], agent: &Agent, (settings, kind, said, conditions, _): Case, how: &str) -> Value {
    http::get(agent.port, "/test/session/clear").expect("the agent answers");
    let rule = format!(r#"[{{{conditions},"sample_rate":0}}]"#);
    let mut settings = settings.to_vec();
    settings.push(("DD_TRACE_SAMPLING_RULES", &rule));
    let sandbox = sandbox(agent, &settings);
    let words = command.iter().map(String::as_str).chain([how, kind]).chain(said.iter().copied());
    let outcome = sandbox.run_traced(words);
    assert!(how == "killed" || outcome.code == Some(0), "{how} {said:?}: {outcome:?}");
    sandbox.settle();
    // The agent may still be taking it in.
    wait_for("the span", || {
        let traces = json(agent, "/test/session/traces");
        let spans: Vec<_> = traces.as_array().into_iter().flatten().filter_map(Value::as_array).flatten().collect();
        assert!(spans.len() <= 1, "{how} {said:?}: {spans:#?}");
        spans.first().map(|span| Value::clone(span))
    })
}

fn assert_seen(command: &[String], how: &str, cases: &[Case]) {
    let agent = Agent::start();
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let expected = if case.4 { DROPPED } else { NOBODY };
            let span = span(command, &agent, *case, how);
            let decided = decision(&span);
            (decided != expected).then(|| format!("{how} {case:?}: {decided}\n{:#}", span["meta"]))
        })
        .collect();
    assert!(wrong.is_empty(), "{} {}", command.join(" "), wrong.join("\n"));
}

#[test]
fn rules_see_what_is_sent_whoever_decides() {
    let compiled = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    let in_c = vec![compile_strictly(&compiled, &repository().join("tests/apps/described.c"), "cc", &[])];
    let in_python = vec![python("otel-venv"), program("described.py")];
    std::thread::scope(|scope| {
        for how in ["injected", "ended", "killed"] {
            let in_c = &in_c;
            scope.spawn(move || assert_seen(in_c, how, &[COMMON, FAILED, OF_C].concat()));
        }
        let in_python = &in_python;
        scope.spawn(move || assert_seen(in_python, "injected", &[COMMON, FAILED].concat()));
        scope.spawn(move || assert_seen(in_python, "killed", COMMON));
    });
}

/// Of the version that a program says by Datadog's API, too.
#[test]
fn a_version_is_that_of_the_service_that_a_span_is_sent_with() {
    let agent = Agent::start();
    let makes_a_span =
        "from ddtrace import config, tracer\nconfig.version = '9'\ntracer.trace('job', service={}).finish()";
    let command =
        |service| vec![python("otel-venv"), "-c".to_owned(), makes_a_span.replace("{}", &format!("{service:?}"))];
    for (mapping, service, version) in
        [("", "shop", "9"), ("", "db", ""), ("shop:store", "shop", ""), ("db:shop", "db", "9")]
    {
        let settings = [("DD_SERVICE_MAPPING", mapping)];
        http::get(agent.port, "/test/session/clear").expect("the agent answers");
        let sandbox = sandbox(&agent, &settings);
        let outcome = sandbox.run_traced(command(service));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        sandbox.settle();
        let traces =
            wait_for("the span", || Some(json(&agent, "/test/session/traces")).filter(|it| it[0][0].is_object()));
        let sent = &traces[0][0]["meta"]["version"];
        assert_eq!(sent.as_str().unwrap_or_default(), version, "{mapping} {service}: {traces:#}");
    }
}
