//! The APIs of Python's programs: the provider of OpenTelemetry's API answers as the SDK does, what is active is so whatever
//! a program does, and nothing is lost.

use ddtrace_test_support::python::{program, python};
use ddtrace_test_support::{Outcome, Sandbox};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.set("DD_TRACE_PROCESS_SPANS", "false");
    sandbox
}

/// The answers of a provider to the questions of the contract.
fn answers(outcome: &Outcome) -> BTreeMap<String, Value> {
    outcome.assert_success();
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
    let listed = [
        "a parent that is not sampled",
        "an end before the start",
        "attributes",
        "processors",
        "the flags of a root",
        "values that are no attributes by the specification",
        "which details find no room",
    ];
    assert_eq!(different, listed, "{ours:#?}");
    // A trace that is not kept is recorded all the same, for the Agent's statistics.
    assert_eq!(ours["a parent that is not sampled"][3], true);
    // There is no value None in what is recorded.
    assert_eq!(ours["attributes"]["attributes"].get("none"), None);
    // What has no form in a record is text that says all of it.
    assert_eq!(ours["values that are no attributes by the specification"]["with none"], "'[1,null,2]'");
    // The first ones stay, as the specification has it.
    assert_eq!(ours["which details find no room"], serde_json::json!(["event.0", "event.127", 1, 128]));
    // Nothing takes less than no time.
    assert_eq!(ours["an end before the start"], serde_json::json!([[5000, 5000], [5000, 5000]]));
    // As Datadog's tracers have it.
    assert_eq!(ours["the flags of a root"], 1);
    // A span that is about to end is one that can still be changed.
    assert_eq!(ours["processors"][0][1][2], true);
}

/// What runs where nothing carries the API out runs as well where ours does, whatever it is called with.
#[test]
fn what_runs_with_the_api_alone_runs() {
    let sandbox = sandbox();
    for venv in ["otel-venv", "otel-older-venv"] {
        let bare = sandbox.run_bare([python(venv), program("bare.py")]);
        bare.assert_success();
        assert_eq!(sandbox.run_traced([python(venv), program("bare.py")]), bare, "left is under the launcher");
    }
}

/// In every style, from the first request on; and no style that is named keeps the API from being imported.
#[test]
fn contexts_go_through_a_program_without_a_tracer() {
    for (variable, styles) in [
        ("DD_TRACE_PROPAGATION_STYLE", "datadog"),
        ("DD_TRACE_PROPAGATION_STYLE", "datadog,b3"),
        ("DD_TRACE_PROPAGATION_STYLE", "datadog,b3multi,jaeger,xray,ottrace"),
        ("OTEL_PROPAGATORS", "b3,datadog"),
    ] {
        for venv in ["otel-venv", "otel-older-venv"] {
            let mut sandbox = sandbox();
            sandbox.set(variable, styles);
            let outcome = sandbox.run_traced([python(venv), program("propagate.py")]);
            outcome.assert_success();
            assert_eq!(outcome.out(), "passed on\n", "{styles}");
        }
    }
}

/// The same where tracing is switched off: the propagators that are named keep working.
#[test]
fn contexts_go_through_a_program_that_is_not_traced() {
    for off in [("OTEL_SDK_DISABLED", "true"), ("DD_TRACE_ENABLED", "false"), ("OTEL_TRACES_EXPORTER", "none")] {
        for styles in ["datadog", "b3,datadog"] {
            let mut sandbox = sandbox();
            sandbox.set("OTEL_PROPAGATORS", styles);
            sandbox.set(off.0, off.1);
            let outcome = sandbox.run_traced([python("otel-venv"), program("propagate.py")]);
            outcome.assert_success();
            assert_eq!(outcome.out(), "passed on\n", "{styles} with {}={}", off.0, off.1);
            assert!(sandbox.spans().is_empty(), "{}={}", off.0, off.1);
        }
    }
}

/// Styles that no package has brought are written and read for spans of all tracers.
#[test]
fn names_without_packages_hold_for_an_sdk_of_the_programs_own() {
    for carried_out in ["auto", "false"] {
        let mut sandbox = sandbox();
        sandbox.set("OTEL_PROPAGATORS", "b3,baggage");
        if carried_out == "false" {
            sandbox.set("DD_TRACE_OTEL_ENABLED", carried_out);
        }
        let outcome = sandbox.run_traced([python("otel-venv"), program("names_without_packages.py")]);
        outcome.assert_success();
        assert_eq!(outcome.out(), "passed on\n");
    }
}

/// A trace may come in without a span of it.
#[test]
fn a_trace_that_comes_in_without_a_span_is_continued() {
    sandbox().run_traced([python("otel-venv"), program("rootless.py")]).assert_success();
}

/// A decision is taken before a fork, as both sides go on with the trace.
#[test]
fn a_forked_child_and_its_parent_decide_the_same() {
    let mut sandbox = sandbox();
    sandbox.set("DD_TRACE_SAMPLING_RULES", r#"[{"resource":"GET /health","sample_rate":0}]"#);
    let outcome = sandbox.run_traced([python("otel-venv"), program("forks.py")]);
    outcome.assert_success();
    assert_eq!(outcome.out(), "both say the same\n");
}

/// What is active, and when, whatever the program does.
#[test]
fn what_is_active_under_fire() {
    let sandbox = sandbox();
    for venv in ["otel-venv", "otel-older-venv"] {
        let outcome = sandbox.run_traced([python(venv), "-W".into(), "error".into(), program("semantics.py")]);
        outcome.assert_success();
        assert_eq!(outcome.out(), "all is as it should be\n");
    }
    let spans = sandbox.spans();
    let named = |name: &str| spans.iter().filter(|span| span.text("operation.name") == Some(name)).count();
    assert_eq!(named("outer"), 2);
    assert_eq!(named("part"), 2 * 8 * 200);
    assert_eq!(named("in.pool"), 2 * 9);
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

/// The same in greenlets, which take turns in one thread, with what is active kept in either place.
#[test]
fn what_is_active_in_greenlets() {
    let sandbox = sandbox();
    for api in ["datadog", "otel"] {
        let outcome = sandbox.run_traced([python("otel-venv"), program("greenlets.py"), api.into()]);
        outcome.assert_success();
        assert_eq!(outcome.out(), "all is as it should be\n");
    }
    let spans = sandbox.spans();
    let named = |name: &str| spans.iter().filter(|span| span.text("operation.name") == Some(name)).count();
    assert_eq!((named("request"), named("part"), named("in.greenlet"), named("killed")), (100, 100, 48, 2));
    let ids = |name| spans.iter().filter(move |span| span.text("operation.name") == Some(name));
    let greenlets: Vec<_> = ids("in.greenlet").map(|span| &span.span_id).collect();
    assert_eq!(named("in.its.greenlet"), 30);
    assert!(
        ids("in.its.greenlet").all(|span| span.parent_id.as_ref().is_some_and(|parent| greenlets.contains(&parent)))
    );
    assert_eq!(spans.iter().filter(|span| span.name == "by.otel").count(), 50);
}

/// In the API of OpenTelemetry a context keeps the span that it has, whatever the other API does within it.
#[test]
fn an_ended_span_of_opentelemetry_stays_current() {
    sandbox().run_traced([python("otel-venv"), program("ended.py")]).assert_success();
}

/// Where a user does not want it, the libraries stay as they are.
#[test]
fn what_is_handed_on_can_be_switched_off() {
    let program = r#"
import concurrent.futures, gevent, gevent.pool, os
from ddtrace import tracer
with tracer.trace("here"), concurrent.futures.ThreadPoolExecutor(1) as pool:
    print(pool.submit(tracer.current_trace_context).result() is None, gevent.spawn(tracer.current_span).get() is None)
"#;
    for (off, said) in [
        (None, "False False\n"),
        (Some("DD_TRACE_FUTURES_ENABLED"), "True False\n"),
        (Some("DD_TRACE_GEVENT_ENABLED"), "False True\n"),
    ] {
        let mut sandbox = sandbox();
        if let Some(name) = off {
            sandbox.set(name, "false");
        }
        let outcome = sandbox.run_traced([python("otel-venv"), "-c".into(), program.into()]);
        outcome.assert_success();
        assert_eq!(outcome.out(), said, "{off:?}");
    }
}

/// Spans of Datadog's API end wherever they are finished: what begins afterwards hangs under none of them.
#[test]
fn what_is_finished_elsewhere_is_active_nowhere() {
    let sandbox = sandbox();
    let outcome = sandbox.run_traced([python("otel-venv"), program("elsewhere.py")]);
    outcome.assert_success();
    assert_eq!(outcome.out(), "all is as it should be\n");
}

/// What leaves a block is what the program has raised, and the span ends by it, however hard it is to tell of that.
#[test]
fn exceptions_leave_spans_as_they_are() {
    let sandbox = sandbox();
    for way in ["texts", "descriptors"] {
        let outcome = sandbox.run_traced([python("otel-venv"), program("in_trouble.py"), way.into()]);
        outcome.assert_success();
        assert_eq!(outcome.out(), "all is as it should be\n");
    }
    let spans = sandbox.spans();
    let named =
        |name: &str| spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name}: {spans:#?}"));
    for name in ["text.datadog", "text.handled"] {
        let message = "\u{fffd}\u{fffd}\u{fffd} bad name";
        assert_eq!(named(name).text("error.message"), Some(message), "{:#?}", named(name));
    }
    for name in ["text.scope", "text.block", "descriptors.scope"] {
        assert!(named(name).failed && named(name).events == ["exception"], "{:#?}", named(name));
    }
    let told = named("descriptors.datadog");
    assert_eq!(told.text("error.type"), Some("builtins.OSError"));
    assert!(told.text("error.stack").is_some_and(|stack| stack.contains("in descriptors")), "{told:#?}");
}

/// Work that goes on from where it has ended keeps nothing of what was before, and however much there is, it can be let go of.
#[test]
fn chains_of_spans_are_let_go_of() {
    let sandbox = sandbox();
    let outcome = sandbox.run_traced([python("otel-venv"), program("chains.py")]);
    outcome.assert_success();
    assert_eq!(outcome.out(), "all is as it should be\n");
}

/// Both APIs and the stable one see the same span, and end in one trace.
#[test]
fn all_apis_meet_in_one_trace() {
    let sandbox = sandbox();
    sandbox.run_traced([python("otel-venv"), program("together.py")]).assert_success();
    let spans = sandbox.spans();
    let traces: std::collections::BTreeSet<_> = spans.iter().map(|span| &span.trace_id).collect();
    assert_eq!(traces.len(), 1, "{spans:#?}");
    let by_name: BTreeMap<_, _> = spans.iter().map(|span| (span.name.as_str(), span)).collect();
    for (child, parent) in [("otel", "datadog"), ("stable", "otel"), ("inner", "stable"), ("innermost", "inner")] {
        assert_eq!(by_name[child].parent_id.as_ref(), Some(&by_name[parent].span_id), "{child}");
    }
    assert_eq!(by_name["renamed"].text("resource.name"), Some("renamed"));
    assert_eq!(by_name["renamed"].text("error.message"), Some("bad"));
    assert_eq!(by_name["otel"].text("by.datadog"), Some("yes"));
    assert_eq!(by_name["datadog"].text("by.otel"), Some("yes"));
}

/// What one API says of baggage, the other says and sends, and what was detached or has ended is gone.
#[test]
fn baggage_is_the_same_in_all_apis() {
    let sandbox = sandbox();
    for venv in ["otel-venv", "otel-older-venv"] {
        let outcome = sandbox.run_traced([python(venv), program("baggage.py")]);
        outcome.assert_success();
        assert_eq!(outcome.out(), "all is as it should be\n");
    }
}

/// A text is cut to the limit when what is secret in it is hidden, whoever looks at it; the program sees it cut at once.
#[test]
fn half_a_secret_is_hidden_as_well() {
    let mut sandbox = sandbox();
    sandbox.set("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "32");
    let source = "from opentelemetry import trace
with trace.get_tracer('t').start_as_current_span('request') as span:
    span.set_attribute('url.full', 'http://user:secretpassword@host/path')
    span.add_event('e', {'url.full': 'http://user:secretpassword@host/path'})
    print(span.attributes['url.full'], span.events[0].attributes['url.full'])
";
    let outcome = sandbox.run_traced([python("otel-venv").as_str(), "-c", source]);
    outcome.assert_success();
    assert_eq!(outcome.out(), "http://user:secretpassword@host/ http://user:secretpassword@host/\n");
    let [span] = &sandbox.spans()[..] else { panic!("one span") };
    assert_eq!(span.text("url.full"), Some("http://REDACTED:REDACTED@host/pa"));
    assert!(!format!("{span:?}").contains("secret"), "{span:#?}");
}

/// What the package tells type checkers is what is there at run time; a program that uses the whole API is right by it, and
/// runs.
#[test]
fn the_types_are_those_of_what_is_there() {
    let mut sandbox = sandbox();
    let (python, typed) = (python("otel-venv"), program("typed.py"));
    let outcome = sandbox.run_traced([&python, &typed]);
    outcome.assert_success();
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

/// What a program may ask of the lent modules beside their functions.
#[test]
fn lent_modules_are_what_they_say() {
    let sandbox = sandbox();
    let source = "import importlib.metadata, ddtrace, ddtrace_api, dd_trace_api
with ddtrace.tracer.trace('x') as span, ddtrace_api.Span() as nothing:
    nothing.set_tags({'a': 1})
    print([isinstance(each, ddtrace_api.Span) for each in (span, nothing, 5)])
print(ddtrace_api.Span is dd_trace_api.Span, importlib.metadata.version('ddtrace') == ddtrace.__version__)
print('ddtrace' in [each.metadata['Name'] for each in importlib.metadata.distributions()])
";
    let outcome = sandbox.run_traced([python("otel-venv").as_str(), "-W", "error", "-c", source]);
    outcome.assert_success();
    assert_eq!(outcome.out(), "[True, True, False]\nTrue True\nFalse\n");
    assert_eq!(sandbox.spans().len(), 1);
}

/// The page names each module of Datadog's package that is not there.
#[test]
fn modules_that_are_missing_are_named() {
    let sandbox = sandbox();
    let source = "import ddtrace, pkgutil
print(*sorted(module.name for module in pkgutil.iter_modules(ddtrace.__path__) if module.name[0] != '_'))
";
    let real = sandbox.run_bare([python("ddtrace-venv").as_str(), "-c", source]).out();
    let deeper = ["internal.logger", "internal.utils.formats"];
    let source = "import importlib, sys, ddtrace
for name in sys.argv[1:]:
    try:
        importlib.import_module('ddtrace.' + name)
    except ModuleNotFoundError:
        print('ddtrace.' + name)
if not hasattr(ddtrace.tracer, 'data_streams_processor'):
    print('tracer.data_streams_processor')
";
    let python = python("otel-venv");
    let outcome =
        sandbox.run_traced([python.as_str(), "-c", source].into_iter().chain(real.split_whitespace()).chain(deeper));
    outcome.assert_success();
    let missing = outcome.out();
    assert!(missing.lines().any(|name| name == "ddtrace.profiling"), "{missing}");
    let page = include_str!("../docs/python.md");
    for name in missing.lines() {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}

/// Whichever module has the API imported.
#[test]
fn the_order_of_imports_does_not_matter() {
    for venv in ["otel-venv", "otel-older-venv"] {
        for enabled in [None, Some("true")] {
            let mut sandbox = sandbox();
            if let Some(enabled) = enabled {
                sandbox.set("DD_TRACE_OTEL_ENABLED", enabled);
            }
            sandbox.run_traced([python(venv), program("imported_first.py")]).assert_success();
            assert_eq!(sandbox.spans().len(), 2);
        }
    }
}

/// Baggage that comes in without a trace is shown by the first span, as it is by programs of other languages.
#[test]
fn baggage_alone_is_shown_by_the_first_span() {
    for venv in ["otel-venv", "otel-older-venv"] {
        let sandbox = sandbox();
        sandbox.run_traced([python(venv), program("baggage_alone.py")]).assert_success();
        let spans = sandbox.spans();
        let shown =
            |name: &str| spans.iter().find(|span| span.name == name).and_then(|span| span.text("baggage.user.id"));
        let all = ["served", "below", "outer", "inner"].map(shown);
        assert_eq!(all, [Some("7"), None, None, None], "{spans:#?}");
    }
}

/// An SDK that a program sets up itself does all by itself.
#[test]
fn an_sdk_of_the_programs_own_is_left_alone() {
    for venv in ["otel-venv", "otel-older-venv"] {
        let sandbox = sandbox();
        let bare = sandbox.run_bare([python(venv), program("own_sdk.py")]);
        let traced = sandbox.run_traced([python(venv), program("own_sdk.py")]);
        bare.assert_success();
        assert_eq!(traced, bare, "left is under the launcher");
        let spans = sandbox.spans();
        assert_eq!(spans.len(), 0, "{spans:#?}");
    }
}

/// What programs do with the API beyond what its pages show gives the answers that Datadog's own tracer gives.
#[test]
fn the_api_as_programs_use_it() {
    let mut sandbox = sandbox();
    let real = sandbox.run_bare([python("ddtrace-venv"), program("usage.py")]);
    let ours = sandbox.run_traced([python("otel-venv"), program("usage.py")]);
    assert_eq!((real.code, ours.code, ours.err().as_str()), (Some(0), Some(0), ""), "{real:?} {ours:?}");
    for (real, ours) in real.out().lines().zip(ours.out().lines()) {
        assert_eq!(ours, real);
    }
    assert_eq!(ours.out().lines().count(), real.out().lines().count());
    let spans = sandbox.spans();
    let mut names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    // Nothing of what was switched off, was made by hand, or was taken out by a processor.
    assert_eq!(names, ["continued", "lasting", "nothing", "on", "on.again", "times", "times.below"]);
    for span in spans.iter().filter(|span| span.name.starts_with("times")) {
        assert_eq!(span.start, 1_000_000_007, "{span:#?}");
    }
    let lasting = spans.iter().find(|span| span.name == "lasting").expect("it is among them");
    assert_eq!(lasting.end - lasting.start, 2_500_000_000, "what was said before the end");
    sandbox.set("DD_TRACE_ENABLED", "false");
    assert_eq!(
        sandbox.run_traced([python("otel-venv").as_str(), "-c", "import ddtrace; print(ddtrace.tracer.enabled)"]).out(),
        "False\n"
    );
}

/// The SDK's exporters on our provider: what they hold goes out when the program ends, and they find what they read.
#[test]
fn exporters_of_the_programs_own_get_everything() {
    let sandbox = sandbox();
    let run = |way: &str| {
        let outcome = sandbox.run_traced([python("otel-venv"), program("exporters.py"), way.into()]);
        outcome.assert_success();
        outcome.out()
    };
    let all = "batch ['a', 'b', 'c']\nsimple ['a', 'b', 'c']\n";
    assert_eq!(run("at_the_end"), all);
    assert_eq!(run("before_the_end"), format!("{all}shut down\n"));
    assert_eq!(run("console").matches("\"trace_id\"").count(), 3 + 1, "three spans, and a link");
    assert_eq!(run("otlp"), "");
    let scope = r#"{"name": "one", "version": "2.0", "schema_url": "", "attributes": null}"#;
    assert_eq!(run("alike").trim_end(), scope);
}

/// What trace processors leave is all that is sent of a trace, and they are given it from its first span on.
#[test]
fn what_processors_leave_is_recorded() {
    let mut sandbox = sandbox();
    // All that a program does is one trace then.
    sandbox.set("DD_TRACE_PROCESS_SPANS", "true");
    sandbox.run_traced([python("otel-venv"), program("filters.py"), "left".into()]).assert_success();
    let spans: Vec<_> =
        sandbox.spans().into_iter().filter(|span| !span.attributes.contains_key("process.exit.code")).collect();
    let mut names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    let left = "/anew below.hidden broken held inner long one ordered root short twice two without";
    assert_eq!(names.join(" "), left);
    assert!(!format!("{spans:?}").contains("secret"), "{spans:#?}");
    let renamed = spans.iter().find(|span| span.name == "/anew").expect("it is among them");
    assert_eq!((renamed.text("operation.name"), renamed.text("filtered")), (Some("anew"), Some("yes")));
}

/// What processors wait for is bounded, and what they have not seen is lost only with a process that is killed.
#[test]
fn what_processors_wait_with() {
    for (way, done, code) in [
        ("open_at_the_end", 5, Some(0)),
        ("shut_down", 1, Some(0)),
        ("in_parts", 500, Some(0)),
        ("freed", 300, Some(0)),
        ("without_parts", 20_000, Some(0)),
        ("in_a_child", 1, Some(0)),
        ("killed", 0, None),
    ] {
        let mut sandbox = sandbox();
        if way == "without_parts" {
            sandbox.set("DD_TRACE_PARTIAL_FLUSH_ENABLED", "false");
        }
        let outcome = sandbox.run_traced([python("otel-venv"), program("filters.py"), way.into()]);
        assert_eq!((outcome.code, outcome.err().as_str()), (code, ""), "{way}");
        let spans = sandbox.spans();
        let named = |name: &str| spans.iter().filter(|span| span.name == name).count();
        assert_eq!((named("root"), named("done"), named("hidden"), named("unseen")), (1, done, 0, 0), "{way}");
        let root = spans.iter().find(|span| span.name == "root").expect("there is one");
        let is_open = root.attributes.contains_key("ddtrace_run.unfinished") || root.text("error.type").is_some();
        assert_eq!(is_open, matches!(way, "shut_down" | "killed"), "{way}: {root:#?}");
        if way == "in_a_child" {
            assert_eq!((named("in.child"), named("below.child")), (1, 1));
        }
    }
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

/// When the interpreter ends, what is open is closed and finalizers run: their spans are as those before, and nothing is said.
#[test]
fn spans_end_with_the_interpreter() {
    for way in ["early", "late"] {
        let sandbox = sandbox();
        sandbox.run_traced([python("otel-venv"), program("at_the_end.py"), way.into()]).assert_success();
        let spans = sandbox.spans();
        let named =
            |name: &str| spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name}: {spans:#?}"));
        let generator = named("open.generator");
        assert_eq!(generator.text("error.type"), Some("builtins.GeneratorExit"), "{generator:#?}");
        assert!(!named("last.datadog").failed && !named("last.otel").failed);
        assert!(named("last.failed").failed && named("last.failed").events == ["exception"]);
        assert_eq!(spans.len(), if way == "early" { 5 } else { 4 }, "{spans:#?}");
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
    // Memory of the process alone: not the code, of which a debug build has much, and not the ring, of which there is as much
    // as the sidecar has not looked at. That is 1.5 MiB with both APIs, to a few pages the same in each run, and 4 MiB is what
    // the whole tracer may add. Spans that leave 300 bytes behind are past it.
    let memory = |process: &Value| process["memory"].as_i64().expect("a number");
    let added = memory(&traced) - memory(&bare);
    assert!(added < 4096, "{added} KiB");
}
