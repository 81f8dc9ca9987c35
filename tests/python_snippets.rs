//! What the pages show of Python's APIs runs as it stands, and its trace is the one that Datadog's own tracer sends; an OTLP
//! receiver gets the same.

use ddtrace_test_support::python::{program, python};
use ddtrace_test_support::{Agent, Outcome, Sandbox, Span, target_dir};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Snippets whose trace is compared with that of Datadog's tracer.
const SNIPPETS: [&str; 17] = [
    "wrap",
    "nested",
    "manual",
    "tags",
    "reserved",
    "configured",
    "global_tags",
    "uncaught",
    "errors",
    "baggage",
    "links",
    "links_again",
    "propagate",
    "stable_api",
    "stable_api_as_named",
    "opentelemetry_api",
    "current_span",
];

/// Those that use the API of OpenTelemetry, which Datadog's tracer carries out when it is asked to.
const OF_OPENTELEMETRY: [&str; 2] = ["opentelemetry_api", "current_span"];

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

/// Ends well and says nothing, but for the one that ends by an exception.
#[track_caller]
fn ended_as_shown(snippet: &str, outcome: &Outcome) {
    if snippet == "uncaught" {
        let file = program("snippets/uncaught.py");
        let traceback = format!(
            "Traceback (most recent call last):\n  File \"{file}\", line 4, in <module>\n    raise Exception(\"Oops!\")\n\
             Exception: Oops!\n"
        );
        assert_eq!((outcome.code, outcome.err()), (Some(1), traceback), "{outcome:?}");
    } else {
        assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "{snippet}: {outcome:?}");
    }
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
    if field == "meta.error.type" {
        // Listed in `docs/python.md`.
        return value.trim_start_matches("builtins.").to_owned();
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
            "5 meta.service.name: None -> -",
            "5 meta.version: 1 -> 7",
            "5 service:  -> shop",
        ],
        "links_again" => &["0 link.1.flags: null -> 0"],
        "configured" => &["1 meta._dd.svc_src: - -> m", "2 meta._dd.svc_src: - -> m"],
        "global_tags" => &["0 meta.version: 1 -> 7"],
        "opentelemetry_api" => &[
            "1 meta.b: - -> true",
            "1 metrics.b: 1.0 -> -",
            "1 meta.error.message: KeyError: 'k' -> 'k'",
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
            if OF_OPENTELEMETRY.contains(&name) {
                sandbox.set("DD_TRACE_OTEL_ENABLED", "true");
            }
        }
        let outcome = sandbox.run_traced([python("otel-venv"), snippet.clone()]);
        ended_as_shown(name, &outcome);
        let launcher = target_dir().join("ddtrace-venv/bin/ddtrace-run");
        let mut theirs_runs = snippet;
        if name == "stable_api_as_named" {
            // The pages import it by a name that no package installs: with us alone it is there by that name.
            let text = std::fs::read_to_string(&theirs_runs).expect("the snippet can be read");
            let renamed = bare.write("renamed.py", text.replace("dd_trace_api", "ddtrace_api"));
            theirs_runs = renamed.to_str().expect("the path is UTF-8").to_owned();
        }
        let peer = bare.run_bare([launcher.to_str().unwrap().to_owned(), python("ddtrace-venv"), theirs_runs]);
        assert_eq!((peer.code, peer.out()), (outcome.code, outcome.out()), "{name}: {peer:?}");
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

/// What one of the two forms has otherwise: lists in the attributes of links; and of OpenTelemetry's API what the Agent makes
/// of its conventions, and failures, which Datadog's form has in tags and OTLP in an event.
fn is_otherwise_by_otlp(snippet: &str, field: &str) -> bool {
    match snippet {
        "links" => field == "link 0",
        // By Datadog's form there is a tag of that name beside the field.
        "reserved" => field == "resource",
        "opentelemetry_api" => {
            let of_the_agent = ["attribute http.method", "attribute http.request.method", "resource"];
            field.starts_with("attribute error.") || of_the_agent.contains(&field)
        }
        _ => false,
    }
}

/// The same snippets, read from an OTLP receiver: the spans that the Agent gets, field by field.
#[test]
fn snippets_arrive_by_otlp() {
    let agent = Agent::start();
    let mut differences = Vec::new();
    for name in SNIPPETS {
        let run = |exporter: &str| {
            agent.clear();
            let mut sandbox = to_datadog(&agent);
            sandbox.set("DD_TRACE_EXPORTER", exporter).set("OTEL_EXPORTER_OTLP_ENDPOINT", agent.otlp_http_url());
            ended_as_shown(name, &sandbox.run_traced([python("otel-venv"), program(&format!("snippets/{name}.py"))]));
            sandbox.settle();
        };
        run("datadog");
        let by_datadog = told(agent.datadog_spans());
        run("otlp");
        let by_otlp = told(agent.otlp_spans());
        assert!(!by_otlp.is_empty(), "{name}");
        if by_otlp.len() != by_datadog.len() {
            differences.push(format!("{name}: {} spans, and {} by OTLP", by_datadog.len(), by_otlp.len()));
        }
        for (index, (datadog, otlp)) in by_datadog.iter().zip(&by_otlp).enumerate() {
            let fields: BTreeSet<&String> = datadog.keys().chain(otlp.keys()).collect();
            let different = fields.into_iter().filter(|field| datadog.get(*field) != otlp.get(*field));
            let different = different.filter(|field| !is_otherwise_by_otlp(name, field));
            differences
                .extend(different.map(|field| {
                    format!("{name}: {index} {field}: {:?} -> {:?}", datadog.get(field), otlp.get(field))
                }));
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
}

/// A span without what is of the moment, and without what only one of the two forms has a place for among the attributes.
fn told(mut spans: Vec<Span>) -> Vec<Shown> {
    // Traces that are not kept are told to the Agent alone, for its statistics.
    spans.retain(|span| span.number("_sampling_priority_v1").is_none_or(|priority| priority > 0));
    spans.sort_by_key(|span| span.start);
    let place = |id: &str| {
        let place = spans.iter().position(|span| span.span_id == id);
        place.map_or_else(|| id.to_owned(), |place| format!("span {place}"))
    };
    let plain = |value: &Value| match value {
        Value::String(text) => text.clone(),
        // Datadog has numbers of one kind, and text for lists.
        value => value.as_f64().map_or_else(|| value.to_string(), |number| number.to_string()),
    };
    let show = |span: &Span| {
        let mut fields = Shown::new();
        let service = span.attributes.get("service.name").or_else(|| span.resource.get("service.name"));
        fields.insert("service".into(), service.map(plain).unwrap_or_default());
        fields.insert("parent".into(), span.parent_id.as_deref().map_or_else(|| "none".to_owned(), place));
        fields.insert("resource".into(), span.text("resource.name").unwrap_or(&span.name).to_owned());
        fields.insert("failed".into(), span.failed.to_string());
        for (index, (_, id, attributes)) in span.links.iter().enumerate() {
            let mut attributes: Vec<_> =
                attributes.iter().map(|(key, value)| format!("{key}={}", plain(value))).collect();
            attributes.sort();
            fields.insert(format!("link {index}"), format!("{} {attributes:?}", place(id)));
        }
        let attributes = span.attributes.iter().filter(|(key, _)| !has_a_place_of_its_own(key));
        // The version is that of the process's own service.
        let version = span.resource.get("service.version").filter(|_| service == span.resource.get("service.name"));
        fields.extend(version.map(|version| ("attribute version".into(), plain(version))));
        fields.extend(attributes.map(|(key, value)| (format!("attribute {key}"), plain(value))));
        fields
    };
    spans.iter().map(show).collect()
}

/// In one of the two forms it is a field, of the resource, of an event, or what the Agent is told.
fn has_a_place_of_its_own(key: &str) -> bool {
    key.starts_with("_dd.")
        || key.starts_with("otel.")
        || ["_sampling_priority_v1", "language", "process_id", "runtime-id", "env"].contains(&key)
        || ["service.name", "resource.name", "operation.name", "span.kind", "span.type", "events"].contains(&key)
}
