//! The APIs of Python's programs where a program is interrupted, and where its work goes on elsewhere.

use ddtrace_test_support::Sandbox;
use ddtrace_test_support::programs::pythons;
use ddtrace_test_support::python::{program, python};

fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.set("DD_TRACE_PROCESS_SPANS", "false");
    sandbox
}

/// None is swallowed, and no span has lost its name for it: those of Ctrl-C, and those that a program may take for its own.
#[test]
fn what_the_handlers_of_signals_raise_comes_out() {
    for raised in ["interrupt", "limit"] {
        let sandbox = sandbox();
        let outcome = sandbox.run_traced([python("otel-venv"), program("signals.py"), raised.into()]);
        outcome.assert_success();
        sandbox.settle();
        let mut names: Vec<_> = sandbox.spans().into_iter().map(|span| span.name).collect();
        names.sort();
        names.dedup();
        let known = ["datadog", "named", "otel", "resource"];
        assert!(names.iter().all(|name| known.contains(&name.as_str())), "{raised}: {names:?}");
    }
}

/// Before 3.12 the interpreter frees what it is reading where a finalizer sets a context variable; there no garbage is
/// collected meanwhile.
#[test]
fn finalizers_make_spans_wherever_they_run() {
    for python in pythons().iter().cloned().chain([python("otel-venv")]) {
        let sandbox = sandbox();
        let outcome = sandbox.run_traced([python.as_str(), &program("finalizers.py")]);
        outcome.assert_success();
        assert_eq!(outcome.out(), "done\n", "{python}");
        let spans = sandbox.spans();
        let named = |name: &str| spans.iter().filter(|span| span.name == name).count();
        assert_eq!((named("loop"), named("no collector")), (3000, 1), "{python}");
        assert!(named("finalizer") > 20_000, "{python}: {}", named("finalizer"));
    }
}

/// Of every kind, though not by `traceback`'s own functions, which drop what handlers raise.
#[test]
fn exceptions_are_shown_as_python_shows_them() {
    sandbox().run_traced([python("otel-venv"), program("formats.py")]).assert_success();
}

/// However a task is made, and in threads as well: what begins there is under the span in which it was made.
#[test]
fn tasks_are_under_the_span_in_which_they_were_made() {
    for api in [None, Some("otel")] {
        let sandbox = sandbox();
        let mut argv = vec![python("otel-venv"), program("tasks.py")];
        argv.extend(api.map(String::from));
        sandbox.run_traced(argv).assert_success();
    }
}

/// A program that has put something else in the place of what shows exceptions has them recorded all the same.
#[test]
fn exceptions_are_shown_whatever_is_in_the_place_of_tracebacks() {
    sandbox().run_traced([python("otel-venv"), program("replaced_traceback.py")]).assert_success();
}

/// None of them ends the process, and what is said beside them is kept.
#[test]
fn values_that_contain_themselves_or_are_too_long_break_nothing() {
    let sandbox = sandbox();
    sandbox.run_traced([python("otel-venv"), program("odd_values.py")]).assert_success();
    let spans = sandbox.spans();
    let odd = spans.iter().find(|span| span.name == "odd").expect("the span");
    assert_eq!(odd.events.iter().filter(|name| *name == "order").count(), 1, "{odd:?}");
    let stored = std::fs::read_to_string(sandbox.local_store()).expect("the local store");
    assert!(
        stored.contains(r#"{"key":"customer","value":{"stringValue":"c1"}}"#),
        "what comes after a long value is kept"
    );
}

/// Older interpreters end such threads in the middle of our code, which neither aborts the process nor harms it.
#[test]
fn an_interpreter_ends_while_daemon_threads_make_spans() {
    let all = pythons();
    let way = |way: &'static str| all.iter().cloned().map(move |python| (python, way));
    for (python, way) in way("fail").chain(way("work")).chain([(python("otel-venv"), "send")]) {
        for _ in 0..6 {
            sandbox().run_traced([&python, &program("daemons.py"), way]).assert_success();
        }
    }
}
