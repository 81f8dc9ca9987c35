//! Programs that record spans of their own through `include/ddtrace_run.h`: what arrives.

#[path = "c_interface/page.rs"]
mod page;
#[path = "c_interface/parents.rs"]
mod parents;

use ddtrace_test_support::programs::{compile_strictly, has_program, spans_program};
use ddtrace_test_support::{Agent, Sandbox, http, repository, wait_for};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

/// Process spans are off: what arrives is the programs' own.
fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.set("DD_TRACE_PROCESS_SPANS", "false").set("DD_SERVICE", "shop").set("DD_ENV", "test");
    sandbox
}

/// The spans that an agent has, as it got them.
fn spans_of(agent: &Agent) -> Vec<Value> {
    let answer = http::get(agent.port, "/test/session/traces").expect("the agent answers");
    let traces: Value = serde_json::from_slice(&answer.body).expect("it answers with JSON");
    traces.as_array().into_iter().flatten().flat_map(|trace| trace.as_array().cloned().unwrap_or_default()).collect()
}

#[track_caller]
fn only<'a>(spans: &'a [Value], name: &str, resource: &str) -> &'a Value {
    let found: Vec<_> = spans.iter().filter(|span| span["name"] == name && span["resource"] == resource).collect();
    assert_eq!(found.len(), 1, "wanted one {name} {resource}: {spans:#?}");
    found[0]
}

/// Runs the test program under the launcher with an agent, and gives its output and what the agent got.
#[track_caller]
fn run(sandbox: &mut Sandbox, agent: &Agent, arguments: &[&str]) -> (String, Vec<Value>) {
    let program = spans_program(sandbox);
    run_program(sandbox, agent, &program, arguments)
}

#[track_caller]
fn run_program(sandbox: &mut Sandbox, agent: &Agent, program: &str, arguments: &[&str]) -> (String, Vec<Value>) {
    sandbox.set("DD_TRACE_AGENT_URL", agent.url()).unset("DD_TRACE_EXPORTER");
    let outcome = sandbox.run_traced([&[program], arguments].concat());
    assert_eq!((outcome.code, outcome.stderr.as_slice()), (Some(0), &b""[..]), "{outcome:?}");
    sandbox.settle();
    (outcome.out(), spans_of(agent))
}

#[test]
fn all_that_can_be_said_of_a_span_arrives() {
    let (agent, mut sandbox) = (Agent::start(), sandbox());
    let (_, spans) = run(&mut sandbox, &agent, &["all"]);
    agent.assert_no_failed_check();
    assert_eq!(spans.len(), 1, "{spans:#?}");
    let span = only(&spans, "receive.batch", "orders");
    assert_eq!((&span["service"], &span["type"]), (&"other".into(), &"queue".into()));
    assert_eq!(
        (span["start"].as_u64(), span["duration"].as_u64()),
        (Some(1_700_000_000 * 1_000_000_000), Some(1_000_000_000))
    );
    assert_eq!(span["error"], 1);
    let (meta, metrics) = (&span["meta"], &span["metrics"]);
    assert_eq!((&meta["text"], &meta["span.kind"]), (&"größe".into(), &"consumer".into()));
    assert_eq!((metrics["integer"].as_f64(), metrics["double"].as_f64()), (Some(-42.0), Some(0.25)));
    assert!(meta["yes"] == "true" || metrics["yes"] == 1.0, "{span:#?}");
    assert!(meta.get("gone").is_none(), "{span:#?}");
    assert_eq!(meta["long"].as_str(), Some("x".repeat(20_000).as_str()), "a text that takes two records");
    assert_eq!(
        (&meta["error.type"], &meta["error.message"], &meta["error.stack"]),
        (&"Timeout".into(), &"it took too long".into(), &"here\nthere".into())
    );
    let events =
        span["span_events"].as_array().cloned().or_else(|| serde_json::from_str(meta["events"].as_str()?).ok());
    let events = events.unwrap_or_else(|| panic!("no events: {span:#?}"));
    let names: BTreeSet<_> = events.iter().filter_map(|event| event["name"].as_str()).collect();
    assert_eq!(names, BTreeSet::from(["exception", "moment"]), "{events:#?}");
    let moment = events.iter().find(|event| event["name"] == "moment").expect("it is there");
    assert_eq!(moment["time_unix_nano"].as_u64(), Some(1_700_000_000_500_000_000));
}

/// A child process that is told to end with the value.
struct Server {
    child: Child,
    port: String,
}

impl Server {
    /// Starts the example under the launcher, to answer one request.
    fn start(sandbox: &Sandbox, program: &str) -> Server {
        let mut child = sandbox.traced([program, "serve", "0", "1"]).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut port = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut port).expect("it says its port");
        Server { child, port: port.trim().to_owned() }
    }

    fn finish(mut self) {
        assert!(self.child.wait().expect("a child can be waited for").success());
    }
}

/// A client asks a service, which asks another one: three processes and runs, one trace.
fn through_services(styles: &str, compiler: &str) {
    let (agent, mut sandbox) = (Agent::start(), sandbox());
    sandbox.set("DD_TRACE_AGENT_URL", agent.url()).unset("DD_TRACE_EXPORTER");
    sandbox.set("DD_TRACE_PROPAGATION_STYLE", styles);
    let program = compile_strictly(&sandbox, &repository().join("examples/c-service.c"), compiler, &[]);
    let (front, back) = (Server::start(&sandbox, &program), Server::start(&sandbox, &program));
    let path = format!("/via/{}/users/7", back.port);
    let outcome = sandbox.run_traced([program.as_str(), "get", &front.port, &path]);
    assert_eq!((outcome.code, outcome.out().as_str()), (Some(0), "200 user 7\n"), "{outcome:?}");
    front.finish();
    back.finish();
    sandbox.settle();
    agent.assert_no_failed_check();
    let spans = spans_of(&agent);
    assert_eq!(spans.len(), 5, "{spans:#?}");
    let trace_ids: BTreeSet<_> = spans.iter().map(|span| span["trace_id"].as_u64()).collect();
    assert_eq!(trace_ids.len(), 1, "{styles}: one trace: {spans:#?}");
    // From the last one up: each is the child of the one before.
    let mut below = only(&spans, "users.find", "users.find");
    let mut chain = vec![below["resource"].as_str().unwrap_or_default().to_owned()];
    while let Some(parent) = spans.iter().find(|span| span["span_id"] == below["parent_id"]) {
        chain.push(parent["resource"].as_str().unwrap_or_default().to_owned());
        below = parent;
    }
    assert_eq!(chain, ["users.find", "GET /users/{id}", "GET", "GET /via/{port}/{path}", "GET"], "{styles}");
    assert_eq!(below["parent_id"].as_u64().unwrap_or(0), 0);
    for span in &spans {
        assert_eq!(span["meta"]["env"], "test", "{span:#?}");
    }
    let user = only(&spans, "http.request", "GET /users/{id}");
    assert_eq!((&user["meta"]["usr.id"], &user["meta"]["span.kind"]), (&"7".into(), &"server".into()));
}

#[test]
fn a_trace_goes_through_services_in_datadogs_headers() {
    through_services("datadog", "cc");
}

#[test]
fn a_trace_goes_through_services_in_w3c_headers() {
    let compiler = if has_program("musl-gcc") { "musl-gcc" } else { "cc" };
    through_services("tracecontext,baggage", compiler);
}

/// Headers that the test program writes, by name; those that only pass a context on have a prefix.
fn headers(out: &str) -> BTreeMap<&str, &str> {
    out.lines().filter_map(|line| line.split_once(": ")).collect()
}

const INCOMING: [&str; 6] = [
    "traceparent",
    "00-640cfd8d00000000abcdefab12345678-00f067aa0ba902b7-01",
    "tracestate",
    "dd=s:2;o:rum~x;p:0000000000000007;t.dm:-4,foo=1",
    "baggage",
    "user.id=7,b=c%20d",
];

#[test]
fn a_context_goes_on_with_all_it_carries() {
    let (agent, mut sandbox) = (Agent::start(), sandbox());
    sandbox.set("DD_TRACE_BAGGAGE_TAG_KEYS", "user.id");
    let (out, spans) = run(&mut sandbox, &agent, &[&["propagate"][..], &INCOMING].concat());
    let headers = headers(&out);
    assert_eq!(headers["passed on traceparent"], INCOMING[1]);
    assert_eq!(headers["passed on baggage"], INCOMING[5]);
    assert!(out.contains("used up -1\n"), "a context is used once: {out}");
    assert_eq!(headers["x-datadog-trace-id"], "12379814468735227512");
    assert_eq!(headers["x-datadog-sampling-priority"], "2");
    assert_eq!(headers["x-datadog-origin"], "rum=x");
    assert_eq!(headers["x-datadog-tags"], "_dd.p.dm=-4,_dd.p.tid=640cfd8d00000000");
    assert_eq!(headers["baggage"], INCOMING[5]);
    let child = only(&spans, "child", "child");
    assert_eq!(headers["x-datadog-parent-id"], child["span_id"].as_u64().unwrap_or(0).to_string());
    let root = only(&spans, "work", "work");
    assert_eq!(root["parent_id"].as_u64(), Some(0x00f0_67aa_0ba9_02b7));
    assert_eq!(root["metrics"]["_sampling_priority_v1"], 2.0);
    let meta = &root["meta"];
    assert_eq!((&meta["_dd.origin"], &meta["_dd.p.dm"]), (&"rum=x".into(), &"-4".into()));
    assert_eq!((&meta["_dd.parent_id"], &meta["baggage.user.id"]), (&"0000000000000007".into(), &"7".into()));
    assert!(meta.get("baggage.b").is_none(), "{root:#?}");
}

#[test]
fn a_conflicting_context_becomes_a_link() {
    let (agent, mut sandbox) = (Agent::start(), sandbox());
    let more = ["x-datadog-trace-id", "1234", "x-datadog-parent-id", "56"];
    let (out, spans) = run(&mut sandbox, &agent, &[&["propagate"][..], &more, &INCOMING].concat());
    assert_eq!(headers(&out)["x-datadog-trace-id"], "1234");
    let root = only(&spans, "work", "work");
    assert_eq!(root["parent_id"].as_u64(), Some(56));
    let links = root["span_links"]
        .as_array()
        .cloned()
        .or_else(|| serde_json::from_str(root["meta"]["_dd.span_links"].as_str()?).ok());
    let links = links.unwrap_or_else(|| panic!("no links: {root:#?}"));
    assert_eq!(links.len(), 1);
    assert_eq!(links[0]["attributes"]["reason"], "terminated_context");
    assert_eq!(links[0]["attributes"]["context_headers"], "tracecontext");
}

#[test]
fn rules_see_the_resource_and_the_tags() {
    let (agent, mut sandbox) = (Agent::start(), sandbox());
    let rule = |resource: &str, tier: &str, shard: &str| {
        format!(
            r#"[{{"resource":"{resource}","tags":{{"tier":"{tier}","shard":"{shard}"}},"sample_rate":0}},{{"sample_rate":1}}]"#
        )
    };
    for (rules, priority) in [
        (rule("GET /h*", "go?d", "7"), "-1"),
        (rule("GET /other", "gold", "7"), "2"),
        (rule("*", "silver", "7"), "2"),
        (rule("*", "gold", "8"), "2"),
    ] {
        sandbox.set("DD_TRACE_SAMPLING_RULES", &rules);
        let (out, _) = run(&mut sandbox, &agent, &["sample"]);
        assert_eq!(out, format!("before undecided\n{priority}\ntoo late -1\n{priority}\n"), "{rules}");
    }
    // By the names that the span has at Datadog, too.
    for rule in [
        r#"{"tags":{"http.status_code":"5??"},"sample_rate":0}"#,
        r#"{"tags":{"http.request.headers.x-kind":"probe"},"sample_rate":0}"#,
        r#"{"name":"health.check","sample_rate":0}"#,
    ] {
        sandbox.set("DD_TRACE_SAMPLING_RULES", format!("[{rule}]"));
        let (out, _) = run(&mut sandbox, &agent, &["sample"]);
        assert_eq!(out, "before undecided\n-1\ntoo late -1\n-1\n", "{rule}");
    }
    let spans = spans_of(&agent);
    let rates: BTreeSet<_> = spans.iter().map(|span| span["metrics"]["_dd.rule_psr"].to_string()).collect();
    assert_eq!(rates.len(), 2, "{spans:#?}");
}

#[test]
fn the_application_decides_until_others_were_told() {
    let (agent, mut sandbox) = (Agent::start(), sandbox());
    sandbox.set("DD_TRACE_SAMPLING_RULES", r#"[{"sample_rate":0.0}]"#);
    for (mode, said, priority) in [("keep", "keep 0\n", 2), ("drop", "drop 0\n", -1), ("tag", "", 2)] {
        let (out, _) = run(&mut sandbox, &agent, &["sample", mode]);
        assert_eq!(out, format!("{said}before decided\n{priority}\ntoo late -1\n{priority}\n"), "{mode}");
    }
    let spans = spans_of(&agent);
    let mut priorities: Vec<_> =
        spans.iter().filter_map(|span| span["metrics"]["_sampling_priority_v1"].as_f64()).collect();
    priorities.sort_by(f64::total_cmp);
    assert_eq!(priorities, [-1.0, 2.0, 2.0], "{spans:#?}");
    for span in &spans {
        assert_eq!(span["meta"]["_dd.p.dm"], "-4");
        assert!(span["meta"].get("manual.keep").is_none());
    }
}

#[test]
fn threads_share_a_trace() {
    let (agent, mut sandbox) = (Agent::start(), sandbox());
    let (out, spans) = run(&mut sandbox, &agent, &["threads"]);
    assert_eq!(out, "done\n");
    assert_eq!(spans.len(), 1001);
    let root = only(&spans, "root", "root");
    let ids: BTreeSet<_> = spans.iter().map(|span| span["span_id"].as_u64()).collect();
    assert_eq!(ids.len(), 1001, "ids are unique");
    for span in spans.iter().filter(|span| span["name"] == "step") {
        assert_eq!((&span["parent_id"], &span["trace_id"]), (&root["span_id"], &root["trace_id"]));
        assert!(span["metrics"]["number"].is_number(), "{span:#?}");
    }
}

#[test]
fn whole_records_are_taken_and_malformed_ones_refused() {
    let (agent, mut sandbox) = (Agent::start(), sandbox());
    let (out, spans) = run(&mut sandbox, &agent, &["table"]);
    assert_eq!(out, "process 0 1\nsmall 0 1 1\ncurrent -1 0 1 -1\nrecord 0 0 -1\n");
    let manual = spans.iter().find(|span| span["resource"] == "manual").unwrap_or_else(|| panic!("{spans:#?}"));
    assert_eq!((manual["span_id"].as_u64(), manual["duration"].as_u64()), (Some(4242), Some(1_000_000_000)));
    assert_eq!(spans.len(), 2, "{spans:#?}");
}

#[test]
fn signal_handlers_make_spans_in_the_midst_of_others() {
    let (agent, mut sandbox) = (Agent::start(), sandbox());
    let (out, spans) = run(&mut sandbox, &agent, &["signals"]);
    assert_eq!(out, "done\n");
    let handled = spans.iter().filter(|span| span["name"] == "in.handler").count();
    assert!(handled >= 100, "{handled}");
    for span in &spans {
        let expected = match span["name"].as_str() {
            Some("in.handler") => span["metrics"]["signal"] == 14.0,
            Some("outside") => span["meta"]["a"] == "b",
            name => name == Some("root"),
        };
        assert!(expected, "{span:#?}");
    }
}

#[test]
fn too_many_spans_are_refused_and_counted() {
    let mut sandbox = sandbox();
    sandbox.set("DD_TRACE_LOG_LEVEL", "info");
    let outcome = sandbox.run_traced([&spans_program(&sandbox), "exhaust"]);
    assert_eq!(outcome.out(), "spans 16384\ntraces 4096\nagain 1\n");
    sandbox.settle();
    let log = std::fs::read_to_string(sandbox.path().join("home/.local/state/ddtrace/sidecar.log")).unwrap_or_default();
    assert!(log.contains("records lost in processes 2,"), "{log}");
}

#[test]
fn a_forked_child_takes_part_in_the_trace_with_spans_of_its_own() {
    let (agent, mut sandbox) = (Agent::start(), sandbox());
    let (out, spans) = run(&mut sandbox, &agent, &["forks"]);
    assert_eq!(out, "parent 1\nchild 1\nvfork 7\n");
    assert_eq!(spans.len(), 2, "{spans:#?}");
    let (parent, child) = (only(&spans, "parent", "parent"), only(&spans, "in.child", "in.child"));
    assert_eq!(parent["meta"]["written.by"], "parent", "the child cannot touch it");
    assert_eq!((&child["parent_id"], &child["trace_id"]), (&parent["span_id"], &parent["trace_id"]));
}

#[test]
fn a_kill_in_the_middle_loses_nothing_that_was_said() {
    let (agent, mut sandbox) = (Agent::start(), sandbox());
    let program = spans_program(&sandbox);
    sandbox.set("DD_TRACE_AGENT_URL", agent.url()).unset("DD_TRACE_EXPORTER");
    let mut child = sandbox.traced([program.as_str(), "hang"]).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    assert_eq!(lines.next().and_then(Result::ok).as_deref(), Some("1"));
    assert_eq!(lines.next().and_then(Result::ok).as_deref(), Some("ready"));
    child.kill().expect("it can be killed");
    child.wait().expect("it can be waited for");
    sandbox.settle();
    let spans = wait_for("the spans", || Some(spans_of(&agent)).filter(|spans| spans.len() == 2));
    let (root, inner) = (only(&spans, "unlucky", "unlucky"), only(&spans, "inner", "inner"));
    assert_eq!(inner["parent_id"], root["span_id"]);
    assert_eq!(root["meta"]["said"], "before the end");
    assert_eq!(root["metrics"]["_sampling_priority_v1"], 1.0, "what was told to others is known: {root:#?}");
}

#[test]
fn a_service_of_its_own_is_the_childs() {
    let (agent, mut sandbox) = (Agent::start(), sandbox());
    let program = spans_program(&sandbox);
    sandbox.set("DD_TRACE_AGENT_URL", agent.url()).unset("DD_TRACE_EXPORTER");
    let script =
        "\"$0\" sample; DD_SERVICE=worker DD_ENV=other DD_VERSION=3 \"$0\" sample; env -i \"$0\" sample; exit 0";
    let outcome = sandbox.run_traced(["sh", "-c", script, &program]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    sandbox.settle();
    let spans = spans_of(&agent);
    let of: BTreeSet<_> =
        spans.iter().map(|span| [&span["service"], &span["meta"]["env"]].map(ToString::to_string)).collect();
    let expected = [["\"shop\"", "\"test\""], ["\"worker\"", "\"other\""]].map(|pair| pair.map(str::to_owned));
    assert_eq!(of, BTreeSet::from(expected), "{spans:#?}");
    assert_eq!(spans.len(), 3, "an emptied environment gets the settings back");
}

#[test]
fn a_root_is_below_the_process_where_that_is_a_span() {
    let (agent, mut sandbox) = (Agent::start(), sandbox());
    // That is about contexts from outside.
    sandbox.set("DD_TRACE_PROCESS_SPANS", "true").set("DD_TRACE_PROPAGATION_BEHAVIOR_EXTRACT", "restart");
    let (_, spans) = run(&mut sandbox, &agent, &["threads"]);
    assert_eq!(spans.len(), 1002, "the process, its root and what is below that");
    let root = only(&spans, "root", "root");
    let process = spans.iter().find(|span| span["span_id"] == root["parent_id"]).expect("the process");
    assert_eq!(process["trace_id"], root["trace_id"]);
    assert!(process["metrics"]["process.pid"].is_number(), "{process:#?}");
}

/// What is open when another program takes the process over ends there, whatever that one is and does.
#[test]
fn a_span_ends_where_another_program_takes_over() {
    for process_spans in ["true", "false"] {
        for next in [
            &["library", "sleep", "0.7"][..],
            &["library", "sh", "-c", "sleep 0.7; true"],
            &["kernel", "/bin/sleep", "0.7"],
        ] {
            let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
            sandbox.set("DD_TRACE_PROCESS_SPANS", process_spans);
            let source = repository().join("tests/apps/goes_on.c");
            let program = compile_strictly(&sandbox, &source, "cc", &[]);
            assert_eq!(sandbox.run_traced([&[program.as_str()], next].concat()).code, Some(0));
            let spans = sandbox.spans();
            let left = spans.iter().find(|span| span.name == "left open").expect("it is there");
            assert!(left.end - left.start >= 300_000_000, "{process_spans} {next:?}: {left:?}");
            let work = spans.iter().find(|span| span.name == "work").expect("it is there");
            assert!(left.end >= work.end, "{process_spans} {next:?}: {left:?} {work:?}");
            let is_seen = next[0] == "library" || process_spans == "true";
            let expected = if is_seen { "process_exec" } else { "process_exit" };
            assert_eq!(left.error_type(), Some(expected), "{process_spans} {next:?}: {left:?}");
            if process_spans == "true" {
                let end = spans.iter().map(|span| span.end).max().expect("there are some");
                // Whatever comes after it sleeps for longer.
                assert!(left.end + 600_000_000 <= end, "{next:?}: {spans:?}");
            }
        }
    }
}
