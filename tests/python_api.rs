//! The APIs of Python's programs: what the pages show runs as it stands, and its trace is the one that Datadog's own tracer
//! sends; the provider of OpenTelemetry's API answers as the SDK does; nothing is lost.

use ddtrace_test_support::{Agent, Outcome, Sandbox, Span, repository, target_dir};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Snippets whose trace is compared with that of Datadog's tracer.
const SNIPPETS: [&str; 10] = [
    "wrap",
    "nested",
    "tags",
    "errors",
    "baggage",
    "links",
    "propagate",
    "stable_api",
    "stable_api_as_named",
    "opentelemetry_api",
];

fn python(venv: &str) -> String {
    let python = target_dir().join(venv).join("bin/python");
    assert!(python.exists(), "{} is not there: run `cargo xtask setup`", python.display());
    python.to_str().expect("the path is UTF-8").to_owned()
}

fn program(name: &str) -> String {
    let path: PathBuf = repository().join("tests/python_api").join(name);
    path.to_str().expect("the path is UTF-8").to_owned()
}

fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.set("DD_TRACE_PROCESS_SPANS", "false");
    sandbox
}

fn to_datadog(agent: &Agent) -> Sandbox {
    let mut sandbox = sandbox();
    sandbox.unset("DD_TRACE_EXPORTER").set("DD_TRACE_AGENT_URL", agent.url());
    sandbox.set("DD_SERVICE", "shop").set("DD_ENV", "prod").set("DD_VERSION", "1");
    sandbox
}

#[track_caller]
fn succeeded(outcome: &Outcome) {
    assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "{outcome:?}");
}

/// A span in Datadog's form, without what is of the moment.
type Shown = BTreeMap<String, String>;

/// What an agent has got, in the order in which the spans started; parents and traces are numbered.
fn received(agent: &Agent) -> Vec<Shown> {
    let chunks = agent.datadog_traces();
    let mut spans: Vec<&Value> =
        chunks.as_array().into_iter().flatten().flat_map(|chunk| chunk.as_array().unwrap()).collect();
    spans.sort_by_key(|span| span["start"].as_u64());
    let place = |id: &Value| spans.iter().position(|span| &span["span_id"] == id);
    let mut traces: Vec<&Value> = Vec::new();
    let mut shown = Vec::new();
    for span in &spans {
        if !traces.contains(&&span["trace_id"]) {
            traces.push(&span["trace_id"]);
        }
        let trace = traces.iter().position(|trace| *trace == &span["trace_id"]);
        let mut fields = Shown::new();
        fields.insert("trace".into(), format!("{trace:?}"));
        fields.insert(
            "parent".into(),
            match &span["parent_id"] {
                Value::Null => "none".into(),
                id if id == &Value::from(0) => "none".into(),
                id => place(id).map_or_else(|| id.to_string(), |place| format!("span {place}")),
            },
        );
        for key in ["name", "service", "resource", "type"] {
            fields.insert(key.into(), span[key].as_str().unwrap_or_default().into());
        }
        fields.insert("error".into(), span["error"].as_i64().unwrap_or(0).to_string());
        for part in ["meta", "metrics"] {
            for (key, value) in span[part].as_object().into_iter().flatten() {
                fields.insert(format!("{part}.{key}"), value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            }
        }
        for (index, link) in span["span_links"].as_array().into_iter().flatten().enumerate() {
            fields.insert(
                format!("link.{index}.span"),
                place(&link["span_id"]).map_or_else(|| link["span_id"].to_string(), |place| format!("span {place}")),
            );
            fields.insert(format!("link.{index}.attributes"), link["attributes"].to_string());
            fields.insert(format!("link.{index}.flags"), (link["flags"].as_u64().unwrap_or(0) & 1).to_string());
        }
        read_links_of_v05(&mut fields, &place);
        shown.push(fields);
    }
    shown
}

/// Datadog's tracer sends links in an older form.
fn read_links_of_v05(fields: &mut Shown, place: &dyn Fn(&Value) -> Option<usize>) {
    let Some(links) = fields.remove("meta._dd.span_links") else { return };
    let links: Value = serde_json::from_str(&links).expect("links are JSON");
    for (index, link) in links.as_array().into_iter().flatten().enumerate() {
        let id = u64::from_str_radix(link["span_id"].as_str().unwrap(), 16).unwrap();
        let span = place(&Value::from(id)).map_or_else(|| id.to_string(), |place| format!("span {place}"));
        fields.insert(format!("link.{index}.span"), span);
        fields.insert(format!("link.{index}.attributes"), link["attributes"].to_string());
        fields.insert(format!("link.{index}.flags"), link["flags"].to_string());
    }
}

/// Fields that are of the moment, or that only one of the two has, for the reason that `docs/python.md` gives.
fn is_of_the_moment(field: &str) -> bool {
    let moment = ["meta.runtime-id", "meta._dd.p.tid", "metrics.process_id", "meta.otel.trace_id"];
    let ours = ["meta.otel.status_code", "meta.otel.scope.name", "meta._dd.span_events.has_exception"];
    let theirs = ["meta._dd.p.usr.id"];
    let described = ["meta._dd.tags.process", "metrics._dd.tracer_kr", "metrics._dd.top_level"];
    moment.contains(&field)
        || ours.contains(&field)
        || theirs.contains(&field)
        || described.contains(&field)
        || field.starts_with("meta._dd.code_origin.")
        || field.starts_with("meta._dd.p.")
}

/// Texts that name files of one of the two, or times, in a form that both have.
fn settled(field: &str, value: &str) -> String {
    if field == "meta.events" {
        let events: Value = serde_json::from_str(value).expect("events are JSON");
        let names: Vec<String> = events
            .as_array()
            .into_iter()
            .flatten()
            .map(|event| {
                let mut attributes: Vec<String> = event["attributes"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .filter(|(key, _)| {
                        !["exception.stacktrace", "exception.escaped", "exception.type"].contains(&key.as_str())
                    })
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect();
                attributes.sort();
                format!("{} {}", event["name"], attributes.join(" "))
            })
            .collect();
        return names.join("; ");
    }
    value.to_owned()
}

/// The differences between two traces: span, field, theirs, ours.
fn differences(theirs: &[Shown], ours: &[Shown]) -> Vec<String> {
    let mut found = Vec::new();
    if theirs.len() != ours.len() {
        found.push(format!("{} spans instead of {}: {ours:#?}", ours.len(), theirs.len()));
    }
    for (index, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
        let fields: std::collections::BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
        for field in fields.into_iter().filter(|field| !is_of_the_moment(field)) {
            let of = |side: &Shown| side.get(field).map_or_else(|| "-".to_owned(), |value| settled(field, value));
            let (theirs, ours) = (of(theirs), of(ours));
            if theirs != ours {
                found.push(format!("{index} {field}: {theirs} -> {ours}"));
            }
        }
    }
    found
}

/// What is different on purpose, in every span: see `docs/python.md`.
fn is_listed(difference: &str) -> bool {
    let (_, difference) = difference.split_once(' ').expect("a number stands in front");
    ["type:  -> custom", "meta.span.kind: - -> internal"].contains(&difference)
}

/// The snippet's own differences on purpose.
fn listed(snippet: &str) -> &'static [&'static str] {
    match snippet {
        "tags" => &[
            "0 metrics._dd.measured: - -> 1.0",
            "1 meta.version: 1 -> 7",
            "2 meta.version: 1 -> 7",
            "3 meta.version: 1 -> 7",
            "4 meta._dd.svc_src: - -> m",
            "4 meta.service.name: named -> -",
            "4 meta.version: 1 -> 7",
        ],
        "opentelemetry_api" => &[
            "0 meta.error.message: Error Message -> -",
            "0 meta.error.stack: Exception: Error Message\n -> -",
            "0 meta.error.type: builtins.Exception -> -",
            "1 meta.b: - -> true",
            "1 metrics.b: 1.0 -> -",
            "1 meta.error.message: KeyError: 'k' -> 'k'",
            "1 meta.error.type: builtins.KeyError -> KeyError",
            "1 meta.http.method: - -> GET",
            "1 meta.http.request.method: GET -> -",
            "1 meta.l: - -> [1,2]",
            "1 metrics.l.0: 1.0 -> -",
            "1 metrics.l.1: 2.0 -> -",
            "1 metrics._dd.measured: - -> 1.0",
            "1 name: client -> http.client.request",
            "1 resource: failing -> GET",
            "1 type:  -> http",
        ],
        _ => &[],
    }
}

/// Each snippet as it stands gives the trace that it gives with Datadog's tracer, field by field, but for what is listed.
#[test]
fn snippets_give_the_trace_that_datadogs_tracer_gives() {
    let (ours, theirs) = (Agent::start(), Agent::start());
    let mut unexpected = Vec::new();
    for name in SNIPPETS {
        let snippet = program(&format!("snippets/{name}.py"));
        for agent in [&ours, &theirs] {
            agent.clear();
        }
        let mut sandbox = to_datadog(&ours);
        let mut bare = to_datadog(&theirs);
        bare.set("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false");
        for sandbox in [&mut sandbox, &mut bare] {
            if name == "opentelemetry_api" {
                sandbox.set("DD_TRACE_OTEL_ENABLED", "true");
            }
        }
        let outcome = sandbox.run_traced([python("otel-venv"), snippet.clone()]);
        succeeded(&outcome);
        let launcher = target_dir().join("ddtrace-venv/bin/ddtrace-run");
        let mut theirs_runs = snippet;
        if name == "stable_api_as_named" {
            // The pages import it by a name that no package installs: with us alone it is there by that name.
            let text = std::fs::read_to_string(&theirs_runs).expect("the snippet can be read");
            let renamed = bare.write("renamed.py", text.replace("dd_trace_api", "ddtrace_api"));
            theirs_runs = renamed.to_str().expect("the path is UTF-8").to_owned();
        }
        let peer = bare.run_bare([launcher.to_str().unwrap().to_owned(), python("ddtrace-venv"), theirs_runs]);
        assert_eq!((peer.code, peer.out()), (Some(0), outcome.out()), "{name}: {peer:?}");
        sandbox.settle();
        let (theirs, ours) = (received(&theirs), received(&ours));
        assert!(!ours.is_empty(), "{name}");
        let listed = listed(name);
        let differences = differences(&theirs, &ours);
        let is_expected = |difference: &String| {
            is_listed(difference)
                || listed.contains(&difference.as_str())
                || difference.contains("meta.error.stack: Traceback")
        };
        unexpected
            .extend(differences.iter().filter(|difference| !is_expected(difference)).map(|d| format!("{name}: {d}")));
    }
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    ours.assert_no_failed_check();
}

/// The same snippets, read from an OTLP receiver.
#[test]
fn snippets_arrive_by_otlp() {
    let agent = Agent::start();
    let run = |name: &str| -> Vec<Span> {
        agent.clear();
        let mut sandbox = sandbox();
        sandbox.unset("DD_TRACE_EXPORTER").set("OTEL_TRACES_EXPORTER", "otlp");
        sandbox.set("OTEL_EXPORTER_OTLP_ENDPOINT", agent.otlp_http_url()).set("DD_SERVICE", "shop");
        succeeded(&sandbox.run_traced([python("otel-venv"), program(&format!("snippets/{name}.py"))]));
        sandbox.settle();
        let mut spans = agent.otlp_spans();
        spans.sort_by_key(|span| span.start);
        spans
    };

    let spans = run("wrap");
    let names: Vec<_> = spans.iter().map(|span| (span.name.as_str(), span.text("operation.name"))).collect();
    assert_eq!(
        names,
        [("resource_name", Some("__main__.get_ingredients")), ("resource_name", Some("assemble_sandwich"))]
    );
    assert!(spans.iter().all(|span| span.text("service.name") == Some("my-sandwich-making-svc")), "{spans:#?}");

    let spans = run("errors");
    assert_eq!(spans.iter().map(|span| span.failed).collect::<Vec<_>>(), [true, true, true, false, false]);
    assert_eq!(spans[0].error_type(), Some("builtins.Exception"));
    assert_eq!(spans[0].text("error.message"), Some("Oops!"));
    assert_eq!(spans[2].error_type(), Some("builtins.TypeError"));
    assert_eq!(spans[3].events, ["exception"]);

    let spans = run("links");
    assert_eq!(spans[1].links[0].1, spans[0].span_id);

    let spans = run("opentelemetry_api");
    let [first, second] = &spans[..] else { panic!("{spans:#?}") };
    assert_eq!((first.name.as_str(), first.number("attribute_key1"), first.failed), ("operation_name", Some(1), false));
    let events = ["Event With No Attributes", "Event With Some Attributes", "exception", "exception"];
    assert_eq!(first.events, events);
    assert_eq!(
        (second.name.as_str(), second.failed, &second.events[..]),
        ("failing", true, &["exception".to_owned()][..])
    );
    assert_eq!(second.attributes["l"], serde_json::json!([1, 2]));
}

/// The answers of a provider to the questions of the contract.
fn answers(outcome: &Outcome) -> BTreeMap<String, Value> {
    succeeded(outcome);
    serde_json::from_str(&outcome.out()).expect("the answers are JSON")
}

/// Our provider answers as the SDK does, but for what `docs/python.md` lists, and the same with an older API.
#[test]
fn the_provider_keeps_the_contract() {
    let sandbox = sandbox();
    let contract = program("contract.py");
    let sdk = answers(&sandbox.run_bare([python("otel-venv"), contract.clone(), "sdk".into()]));
    let ours = answers(&sandbox.run_traced([python("otel-venv"), contract.clone()]));
    let older = answers(&sandbox.run_traced([python("otel-older-venv"), contract]));
    assert_eq!(older, ours, "left is with an older API");
    assert_eq!(sdk.keys().collect::<Vec<_>>(), ours.keys().collect::<Vec<_>>());
    let different: Vec<&str> = sdk
        .iter()
        .filter(|(question, answer)| ours[*question] != **answer)
        .map(|(question, _)| question.as_str())
        .collect();
    assert_eq!(different, ["a parent that is not sampled", "attributes", "processors"], "{ours:#?}");
    // A trace that is not kept is recorded all the same, for the Agent's statistics.
    assert_eq!(ours["a parent that is not sampled"][3], true);
    // There is no value None in what is recorded.
    assert_eq!(ours["attributes"]["attributes"].get("none"), None);
    // A span that is about to end is one that can still be changed.
    assert_eq!(ours["processors"][0][1][2], true);
}

/// What is active, and when, whatever the program does.
#[test]
fn what_is_active_under_fire() {
    let sandbox = sandbox();
    for venv in ["otel-venv", "otel-older-venv"] {
        let outcome = sandbox.run_traced([python(venv), "-W".into(), "error".into(), program("semantics.py")]);
        succeeded(&outcome);
        assert_eq!(outcome.out(), "all is as it should be\n");
    }
    let spans = sandbox.spans();
    let named = |name: &str| spans.iter().filter(|span| span.text("operation.name") == Some(name)).count();
    assert_eq!(named("outer"), 2);
    assert_eq!(named("part"), 2 * 8 * 200);
    assert_eq!((named("in.child"), named("in.process"), named("child.of.threads")), (2, 2, 2));
    assert_eq!((named("filtered.root"), named("drop")), (2, 0));
    assert!(spans.iter().filter(|span| span.name == "filtered.child").all(|span| span.text("filtered") == Some("yes")));
    assert!(
        spans.iter().all(|span| !span.attributes.contains_key("not.ours")),
        "a child changes nothing of its parent's"
    );
    // The finalizers of a program run when they want to.
    assert!(named("finalizer") > 0 && named("handler") >= 100);
}

/// Both APIs and the stable one see the same span, and end in one trace.
#[test]
fn all_apis_meet_in_one_trace() {
    let sandbox = sandbox();
    succeeded(&sandbox.run_traced([python("otel-venv"), program("together.py")]));
    let spans = sandbox.spans();
    let traces: std::collections::BTreeSet<_> = spans.iter().map(|span| &span.trace_id).collect();
    assert_eq!(traces.len(), 1, "{spans:#?}");
    let by_name: BTreeMap<_, _> = spans.iter().map(|span| (span.name.as_str(), span)).collect();
    for (child, parent) in [("otel", "datadog"), ("stable", "otel"), ("inner", "stable"), ("innermost", "inner")] {
        assert_eq!(by_name[child].parent_id.as_ref(), Some(&by_name[parent].span_id), "{child}");
    }
    assert_eq!(by_name["otel"].text("by.datadog"), Some("yes"));
    assert_eq!(by_name["datadog"].text("by.otel"), Some("yes"));
}

/// What the package tells type checkers is what is there at run time; a program that uses the whole API is right by it, and
/// runs.
#[test]
fn the_types_are_those_of_what_is_there() {
    let mut sandbox = sandbox();
    let (python, typed) = (python("otel-venv"), program("typed.py"));
    let outcome = sandbox.run_traced([&python, &typed]);
    succeeded(&outcome);
    assert_eq!(outcome.out(), "the types are right\n");

    let package = PathBuf::from(env!("CARGO_BIN_EXE_ddtrace-run")).with_file_name("python");
    let path = format!("{0}:{0}/ddtrace_run/compat", package.display());
    sandbox.set("PYTHONPATH", &path).set("MYPYPATH", &path);
    let mypy = |arguments: &[&str]| {
        let outcome = sandbox.run_bare([python.as_str(), "-B", "-m"].iter().chain(arguments));
        assert_eq!(outcome.code, Some(0), "{}{}", outcome.out(), outcome.err());
    };
    mypy(&["mypy", "--strict", "--cache-dir=/dev/null", &typed]);
    let allowed = program("stubtest.allowed");
    let ours = ["_native", "tracer", "otel", "_ddtrace_api", "_readable"].map(|name| format!("ddtrace_run.{name}"));
    let lent = ["ddtrace", "ddtrace_api", "dd_trace_api"];
    let modules = ours.iter().map(String::as_str).chain(lent);
    mypy(&["mypy.stubtest", "--allowlist", &allowed].into_iter().chain(modules).collect::<Vec<_>>());
}

/// An SDK that a program sets up itself does all by itself.
#[test]
fn an_sdk_of_the_programs_own_is_left_alone() {
    let sandbox = sandbox();
    let program = program("own_sdk.py");
    let bare = sandbox.run_bare([python("otel-venv"), program.clone()]);
    let traced = sandbox.run_traced([python("otel-venv"), program]);
    succeeded(&bare);
    assert_eq!(traced, bare, "left is under the launcher");
    let spans = sandbox.spans();
    assert_eq!(spans.len(), 0, "{spans:#?}");
}

/// However a program ends, what it has finished is there, and what is left open says so.
#[test]
fn nothing_is_lost() {
    for (way, open, code) in [
        ("exit", 0, Some(0)),
        ("open", 1, Some(0)),
        ("_exit", 1, Some(3)),
        ("SIGKILL", 1, None),
        ("SIGSEGV", 1, None),
        ("SIGTERM", 1, None),
        ("multiprocessing", 0, Some(0)),
        ("fork", 1, Some(0)),
        ("abort", 1, None),
    ] {
        let sandbox = sandbox();
        let outcome = sandbox.run_traced([python("otel-venv"), program("loss.py"), way.into(), "1000".into()]);
        assert_eq!(outcome.code, code, "{way}: {outcome:?}");
        let spans = sandbox.spans();
        let count = |name: &str| spans.iter().filter(|span| span.name == name).count();
        assert_eq!((count("work"), count("open")), (1000, open), "{way}");
    }
}

/// More than any queue of the usual tracers holds, as fast as it goes; the benchmark makes four times as many.
#[test]
fn a_tight_loop_loses_nothing() {
    let sandbox = sandbox();
    let outcome = sandbox.run_traced([python("otel-venv"), program("loss.py"), "exit".into(), "50000".into()]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    sandbox.settle();
    let store = std::fs::read(sandbox.local_store()).expect("there is a store");
    let needle = b"\"name\":\"work\"";
    let delivered = store.windows(needle.len()).filter(|window| window == needle).count();
    // What a slow machine has not delivered by the end waits on disk for a next run.
    let log = std::fs::read_to_string(sandbox.local_store().with_file_name("sidecar.log")).unwrap_or_default();
    let waiting = log.lines().filter_map(|line| {
        let (number, _) = line.split_once(" WARN ")?.1.split_once(" spans wait in ")?;
        number.trim().parse::<usize>().ok()
    });
    assert_eq!(delivered + waiting.sum::<usize>(), 50_000, "{log}");
}

/// The process that is traced has what it had: threads, descriptors, and a little more memory.
#[test]
fn the_process_stays_small() {
    let sandbox = sandbox();
    let script = program("footprint.py");
    let bare: Value = serde_json::from_str(&sandbox.run_bare([python("otel-venv"), script.clone()]).out()).unwrap();
    let traced: Value = serde_json::from_str(&sandbox.run_traced([python("otel-venv"), script]).out()).unwrap();
    assert_eq!((&traced["threads"], &traced["descriptors"]), (&bare["threads"], &bare["descriptors"]));
}
