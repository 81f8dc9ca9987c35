//! One configuration, one decision: the same request is kept or dropped, for the same reason, whoever decides: the tracer
//! behind the C interface, the engine of Rust programs, or the sidecar, where a program died before it could.

#[path = "decisions/described.rs"]
mod described;
#[path = "decisions/same_trace.rs"]
mod same_trace;

use ddtrace_test_support::programs::compile_strictly;
use ddtrace_test_support::python::python;
use ddtrace_test_support::services::Running;
use ddtrace_test_support::{Agent, Outcome, Sandbox, http, repository, wait_for};
use serde_json::Value;
use std::sync::OnceLock;

fn sandbox(agent: &Agent, settings: &[(&str, &str)]) -> Sandbox {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.set("DD_TRACE_AGENT_URL", agent.url()).unset("DD_TRACE_EXPORTER").set("DD_TRACE_PROCESS_SPANS", "false");
    for (name, value) in [("DD_SERVICE", "shop"), ("DD_ENV", "test"), ("DD_VERSION", "7")].iter().chain(settings) {
        sandbox.set(name, *value);
    }
    sandbox
}

/// The test program, compiled once.
fn program() -> &'static str {
    static PROGRAM: OnceLock<(Sandbox, String)> = OnceLock::new();
    let compile = || {
        let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
        let program = compile_strictly(&sandbox, &repository().join("tests/apps/decisions.c"), "cc", &[]);
        (sandbox, program)
    };
    &PROGRAM.get_or_init(compile).1
}

fn run(sandbox: &Sandbox, how: &str) -> Outcome {
    sandbox.run_traced([program()].into_iter().chain(how.split('/')))
}

fn json(agent: &Agent, path: &str) -> Value {
    let answer = http::get(agent.port, path).expect("the agent answers");
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

/// The spans of requests that the agent has.
fn requests(agent: &Agent) -> Vec<Value> {
    let traces = json(agent, "/test/session/traces");
    let spans = traces.as_array().into_iter().flatten().flat_map(|trace| trace.as_array().cloned().unwrap_or_default());
    spans.filter(|span| span["resource"] == "GET /orders/{id}").collect()
}

/// What a decision leaves: priority, decision maker, the rate of rule and Agent, and the rate that others are told.
fn decision(span: &Value) -> String {
    let (meta, metrics) = (&span["meta"], &span["metrics"]);
    let metric = |name: &str| metrics.get(name).map_or_else(String::new, |value| format!(" {name}={value}"));
    let ksr = meta["_dd.p.ksr"].as_str().map_or_else(String::new, |rate| format!(" ksr={rate}"));
    format!(
        "{} {}{}{}{ksr}",
        metrics["_sampling_priority_v1"],
        meta["_dd.p.dm"].as_str().unwrap_or("nobody"),
        metric("_dd.rule_psr"),
        metric("_dd.agent_psr")
    )
}

/// The decision about a request that is answered in that way.
fn decided(agent: &Agent, settings: &[(&str, &str)], way: &str) -> String {
    http::get(agent.port, "/test/session/clear").expect("the agent answers");
    let sandbox = sandbox(agent, settings);
    if way == "rust" {
        let mut service = Running::traced(&sandbox, "web", &["0"]);
        assert_eq!(http::get(service.port, "/orders/7").expect("the service answers").status, 200);
        http::get(service.port, "/end").expect("the service answers");
        service.wait();
    } else {
        run(&sandbox, way);
    }
    sandbox.settle();
    let spans = requests(agent);
    assert_eq!(spans.len(), 1, "{way} with {settings:?}: {spans:#?}");
    decision(&spans[0])
}

const DROPPED: &str = "-1.0 -3 _dd.rule_psr=0.0 ksr=0";
const KEPT: &str = "2.0 -3 _dd.rule_psr=1.0 ksr=1";
const NOBODY: &str = "1.0 -0";

/// Rules that are as long as they may be all together, with texts of 12 KiB; only the last one matches.
fn longest_rules() -> String {
    let stars = "*".repeat(12 << 10);
    let others = format!(r#"{{"resource":"{stars}!","sample_rate":1}},"#).repeat(4);
    let rules =
        |name: &str| format!(r#"[{others}{{"resource":"GET /orders/{stars}","name":"{name}*","sample_rate":0}}]"#);
    let room = (64 << 10) - rules("").len();
    rules(&"*".repeat(room))
}

#[test]
fn whoever_decides_decides_the_same() {
    let rule = |conditions: &str| format!(r#"[{{{conditions}"sample_rate":0}}]"#);
    let rules = "DD_TRACE_SAMPLING_RULES";
    let long = format!(
        "[{},{}]",
        (0..150).map(|number| format!(r#"{{"service":"{}-{number}"}}"#, "s".repeat(200))).collect::<Vec<_>>().join(","),
        r#"{"sample_rate":0}"#
    )
    .replace(r#""}"#, r#"","sample_rate":1}"#);
    let longest = longest_rules();
    let cases: Vec<(Vec<(&str, String)>, &str)> = vec![
        (vec![], NOBODY),
        (vec![("DD_TRACE_SAMPLE_RATE", "1".into())], KEPT),
        (vec![("DD_TRACE_SAMPLE_RATE", "0".into())], DROPPED),
        (vec![("OTEL_TRACES_SAMPLER", "always_off".into())], DROPPED),
        (vec![("OTEL_TRACES_SAMPLER", "parentbased_always_on".into())], KEPT),
        (vec![(rules, rule(r#""service":"shop","name":"http.server.*","resource":"get /orders/?id?","#))], DROPPED),
        (vec![(rules, rule(r#""service":"store","#)), ("DD_SERVICE_MAPPING", "shop:store".into())], DROPPED),
        (vec![(rules, rule(r#""service":"shop","#)), ("DD_SERVICE_MAPPING", "shop:store".into())], NOBODY),
        (
            vec![
                (rules, rule(r#""tags":{"team":"co*","env":"test","version":"7"},"#)),
                ("DD_TAGS", "team:core".into()),
            ],
            DROPPED,
        ),
        (vec![(rules, rule(r#""tags":{"env":"prod"},"#))], NOBODY),
        (vec![(rules, long)], DROPPED),
        (vec![(rules, longest)], DROPPED),
        (vec![(rules, rule(r#""tags":{"span.kind":"serv*"},"#))], DROPPED),
        (vec![(rules, rule(r#""tags":{"span.kind":"client"},"#))], NOBODY),
        // What says who made the span is no tag of it.
        (vec![(rules, rule(r#""tags":{"service.version":"7"},"#))], NOBODY),
        (vec![(rules, rule(r#""tags":{"process.pid":"*"},"#))], NOBODY),
        (vec![(rules, rule(r#""tags":{"telemetry.sdk.language":"*"},"#))], NOBODY),
    ];
    assert_decided(&["ended", "injected", "killed", "rust"], &cases);
}

#[test]
fn a_span_that_only_its_attributes_name_is_decided_about_by_those_names() {
    let rule = |conditions: &str| format!(r#"[{{{conditions}"sample_rate":0}}]"#);
    let rules = "DD_TRACE_SAMPLING_RULES";
    let cases = [
        (vec![(rules, rule(r#""name":"http.server.request","#))], DROPPED),
        (vec![(rules, rule(r#""resource":"GET /orders/{id}","#))], DROPPED),
        (vec![(rules, rule(r#""tags":{"http.response.headers.etag":"a"},"#))], DROPPED),
        (vec![(rules, rule(r#""tags":{"http.method":"GET"},"#))], DROPPED),
        (vec![(rules, rule(r#""name":"unnamed","#))], NOBODY),
    ];
    assert_decided(&["ended/unnamed", "injected/unnamed", "killed/unnamed"], &cases);
}

fn assert_decided(ways: &[&str], cases: &[(Vec<(&str, String)>, &str)]) {
    let decide_all = |way| {
        let agent = Agent::start();
        for (settings, expected) in cases {
            let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(decided(&agent, &settings, way), *expected, "{way} with {settings:?}");
        }
    };
    std::thread::scope(|scope| {
        for way in ways {
            scope.spawn(move || decide_all(way));
        }
    });
}

#[test]
fn what_came_in_undecided_is_decided_once_however_often_it_comes() {
    let agent = Agent::start();
    let rules = r#"[{"resource":"GET /a","sample_rate":1},{"resource":"GET /b","sample_rate":0}]"#;
    // Also where the program would have it otherwise when it has been told already.
    for way in ["twice", "twice/dropped later"] {
        let outcome = run(&sandbox(&agent, &[("DD_TRACE_SAMPLING_RULES", rules)]), way);
        assert_eq!(outcome.out(), "2\n2\n", "{outcome:?}");
    }
    // Nobody was told when the first request was over: the program may still say.
    let outcome = run(&sandbox(&agent, &[("DD_TRACE_SAMPLING_RULES", rules)]), "twice/told late");
    assert_eq!(outcome.out(), "dropped\n-1\n", "{outcome:?}");
}

#[test]
fn what_came_in_decided_is_decided_where_it_comes_in_undecided() {
    let agent = Agent::start();
    let rules = r#"[{"resource":"GET /a","sample_rate":1},{"resource":"GET /b","sample_rate":1}]"#;
    let orders =
        [("decided first", "0"), ("undecided first", "0"), ("over", "0"), ("overridden", "-1"), ("kept later", "0")];
    for (order, priority) in orders {
        let outcome = run(&sandbox(&agent, &[("DD_TRACE_SAMPLING_RULES", rules)]), &format!("both/{order}"));
        assert_eq!(outcome.out(), format!("{priority}\n{priority}\n"), "{order}: {outcome:?}");
    }
}

#[test]
fn the_rates_of_the_agent_reach_the_program() {
    let agent = Agent::start();
    // Under the name that it is sent with.
    for (env, how) in [("test", "until dropped"), ("elsewhere", "until dropped/elsewhere")] {
        let rates = format!(r#"{{"service:store,env:{env}":0,"service:shop,env:{env}":1,"service:,env:":1}}"#);
        http::get(
            agent.port,
            &format!("/test/session/start?agent_sample_rate_by_service={}", rates.replace('"', "%22")),
        )
        .expect("the agent answers");
        let sandbox = sandbox(&agent, &[("DD_SERVICE_MAPPING", "shop:store")]);
        let outcome = run(&sandbox, how);
        assert_eq!(outcome.code, Some(0), "the rate never came: {outcome:?}");
        sandbox.settle();
        let decisions: Vec<String> = requests(&agent).iter().map(decision).collect();
        assert!(
            decisions.iter().any(|decision| decision == NOBODY),
            "the first one was before any answer: {decisions:?}"
        );
        assert!(decisions.iter().any(|decision| decision == "0.0 -1 _dd.agent_psr=0.0 ksr=0"), "{decisions:?}");
    }
}

/// Whether there are rules or not, which is another way in the engine of Python and Rust programs.
#[test]
fn the_agents_rate_for_a_spans_own_environment_decides_in_python() {
    let rates = r#"{"service:shop,env:elsewhere":0,"service:,env:":1}"#.replace('"', "%22");
    for rules in ["[]", r#"[{"service":"nobody's","sample_rate":1}]"#] {
        let agent = Agent::start();
        http::get(agent.port, &format!("/test/session/start?agent_sample_rate_by_service={rates}"))
            .expect("the agent answers");
        let sandbox = sandbox(&agent, &[("DD_TRACE_SAMPLING_RULES", rules)]);
        let program = repository().join("tests/python_api/until_dropped.py");
        let outcome = sandbox.run_traced([python("otel-venv"), program.display().to_string(), "env".into()]);
        assert_eq!(outcome.code, Some(0), "with the rules {rules}: {outcome:?}");
    }
}

/// What a program keeps of a trace that is dropped hangs under its processes, and is not sent without them. What it drops
/// leaves nobody without a parent.
#[test]
fn what_a_program_keeps_is_sent_with_the_processes_above_it() {
    for (rate, how, expected) in
        [("0", "kept", &["cc-decisions", "dash", "job", "step"][..]), ("1", "dropped", &["cc-decisions", "dash"])]
    {
        let agent = Agent::start();
        let sandbox = sandbox(&agent, &[("DD_TRACE_PROCESS_SPANS", "true"), ("DD_TRACE_SAMPLE_RATE", rate)]);
        let outcome = sandbox.run_traced(["sh", "-c", &format!("{} {how}; true", program())]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        sandbox.settle();
        let traces = json(&agent, "/test/session/traces");
        let spans: Vec<&Value> =
            traces.as_array().into_iter().flatten().filter_map(Value::as_array).flatten().collect();
        // A chunk tells by its first span, the parent of the step of that job.
        let is_dropped = |span: &Value| span["metrics"]["_sampling_priority_v1"].as_f64().is_some_and(|it| it <= 0.0);
        let of_dropped = |span: &&&Value| {
            let parent = spans.iter().find(|other| other["span_id"] == span["parent_id"]);
            is_dropped(span) || span["resource"] == "step" && parent.is_some_and(|parent| is_dropped(parent))
        };
        let kept = spans.iter().filter(|span| !of_dropped(span));
        let mut names: Vec<&str> = kept.filter_map(|span| span["resource"].as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, expected, "{spans:#?}");
    }
}

#[test]
fn what_another_thread_said_of_a_span_before_its_end_arrives() {
    let agent = Agent::start();
    let sandbox = sandbox(&agent, &[]);
    let mut child = sandbox.traced([program(), "helped"]).spawn().expect("the launcher can be started");
    // The process lives on, so that nothing is known by its death.
    let spans = wait_for("all spans", || Some(requests(&agent)).filter(|spans| spans.len() == 20));
    child.kill().expect("it lives");
    child.wait().expect("it is a child");
    for span in spans {
        let meta = &span["meta"];
        assert_eq!(
            (&meta["who"], &meta["error.message"]),
            (&"helper".into(), &"seen by the helper".into()),
            "{span:#?}"
        );
        assert!(meta["events"].as_str().is_some_and(|events| events.contains("helped")), "{span:#?}");
        assert_eq!(decision(&span), "-1.0 -4");
    }
}
