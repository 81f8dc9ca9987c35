//! Which instrumentations of OpenTelemetry are loaded, when, and what becomes of those that fail.

use ddtrace_test_support::programs::pythons;
use ddtrace_test_support::python::python;
use ddtrace_test_support::{Outcome, Sandbox, repository, target_dir};
use std::fs;

fn venv(name: &str) -> String {
    target_dir().join("instr-venv/bin").join(name).display().to_string()
}

/// Says whose instrumentations are loaded when the libraries have been imported, and not before.
const LOADED: &str = "import sys; early = [n for n in sys.modules if n.startswith(('opentelemetry', 'flask', 'requests'))]; \
                      import flask, requests; loaded = [n for n in ('flask', 'requests') \
                      if 'opentelemetry.instrumentation.' + n in sys.modules]; \
                      print(early, loaded, 'opentelemetry.distro' in sys.modules)";

/// What it says of both.
const BOTH: &str = "[] ['flask', 'requests'] False\n";

/// What it says of none.
const NONE: &str = "[] [] False\n";

fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.set("DD_TRACE_PROCESS_SPANS", "false");
    sandbox
}

/// An installed package of entry points: its metadata, and a module `made` that they are in.
fn install(sandbox: &mut Sandbox, entry_points: &str, requires: &str, module: &str) {
    let packages = sandbox.path().join("packages");
    let metadata = packages.join("made-1.0.dist-info");
    fs::create_dir_all(&metadata).expect("a directory");
    fs::write(metadata.join("METADATA"), format!("Metadata-Version: 2.1\nName: made\nVersion: 1.0\n{requires}"))
        .expect("a file");
    fs::write(metadata.join("entry_points.txt"), entry_points).expect("a file");
    fs::write(packages.join("made.py"), module).expect("a file");
    sandbox.set("PYTHONPATH", packages);
}

/// Runs a Python that says something, which must be all that is said; and the log.
fn run(sandbox: &Sandbox, argv: &[&str]) -> (String, String) {
    let outcome = sandbox.run_traced(argv);
    assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "{argv:?}: {outcome:?}");
    sandbox.settle();
    let path = sandbox.local_store().with_file_name("sidecar.log");
    let log = fs::read_to_string(&path).unwrap_or_default();
    let _ = fs::remove_file(path);
    (outcome.out(), log)
}

fn loaded(sandbox: &Sandbox) -> String {
    run(sandbox, &[&python("instr-venv"), "-c", LOADED]).0
}

#[test]
fn what_the_variables_ask_for() {
    let mut sandbox = sandbox();
    // No SDK is set up, though the distro is installed that does it.
    assert_eq!(loaded(&sandbox), BOTH);
    for (variables, expected) in [
        (&[("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "flask , django")][..], "[] ['requests'] False\n"),
        (&[("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "*")], NONE),
        (&[("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "redis, *")], NONE),
        (&[("DD_PATCH_MODULES", "redis:true,flask:false")], "[] ['requests'] False\n"),
        (&[("DD_TRACE_FLASK_ENABLED", "false"), ("DD_TRACE_REQUESTS_ENABLED", "0")], NONE),
        (&[("DD_TRACE_FLASK_ENABLED", "true"), ("DD_PATCH_MODULES", "flask:false")], BOTH),
        (&[("DD_TRACE_OTEL_ENABLED", "false")], NONE),
        (&[("DD_TRACE_OTEL_ENABLED", "true")], BOTH),
        (&[("DD_TRACE_ENABLED", "false")], NONE),
        (&[("DD_TRACE_PYTHON_PROVIDER", "none")], NONE),
        // Contexts are handed on.
        (&[("OTEL_SDK_DISABLED", "true")], BOTH),
    ] {
        for (name, value) in variables {
            sandbox.set(name, value);
        }
        assert_eq!(loaded(&sandbox), expected, "{variables:?}");
        for (name, _) in variables {
            sandbox.unset(name);
        }
    }
    sandbox.set("OTEL_PYTHON_CONFIGURATOR", "configurator");
    assert!(loaded(&sandbox).ends_with(" ['flask', 'requests'] True\n"));
    sandbox.unset("OTEL_PYTHON_CONFIGURATOR");
    sandbox.set("OTEL_PYTHON_DISTRO", "another");
    let (out, log) = run(&sandbox, &[&python("instr-venv"), "-c", LOADED]);
    assert_eq!(out, BOTH);
    assert!(log.contains("OTEL_PYTHON_DISTRO=another has no effect"), "{log}");
}

/// Who says in Datadog's words that a library is not to be traced wants no spans of it, whoever would make them.
#[test]
fn what_is_not_loaded_in_datadogs_words_is_said() {
    let mut sandbox = sandbox();
    sandbox.set("DD_PATCH_MODULES", "sqlite3:false");
    let said = |program: &str| run(&sandbox, &[&python("instr-venv"), "-c", program]).1;
    let log = said("import sqlite3; sqlite3.connect(':memory:').execute('SELECT 1')");
    assert!(log.contains("the instrumentation sqlite3 is not loaded, as DD_PATCH_MODULES=sqlite3:false says"), "{log}");
    assert!(sandbox.spans().is_empty());
    let log = said(
        "import ddtrace; ddtrace.patch(flask=False); import flask, sys\n\
                    assert 'opentelemetry.instrumentation.flask' not in sys.modules",
    );
    assert!(log.contains("the instrumentation flask is not loaded, as patch(flask=False) says"), "{log}");
    sandbox.set("DD_TRACE_DEBUG", "true");
    let outcome = sandbox.run_traced([&python("instr-venv"), "-c", "import sqlite3"]);
    assert!(outcome.err().contains("sqlite3 is not loaded, as DD_PATCH_MODULES"), "{outcome:?}");
}

/// Before all others, after all others, also where there are none; a distro that is asked for loads them.
#[test]
fn hooks_and_distros() {
    let mut sandbox = sandbox();
    install(
        &mut sandbox,
        "[opentelemetry_pre_instrument]\nfirst = made:before\n[opentelemetry_post_instrument]\nlast = made:after\n\
         [opentelemetry_instrumentor]\nmade = made:Made\n[opentelemetry_distro]\nmine = made:Distro\n\
         [opentelemetry_configurator]\nmine = made:Configurator\n",
        "",
        "import sys\n\
         from opentelemetry.instrumentation.distro import BaseDistro\n\
         from opentelemetry.instrumentation.instrumentor import BaseInstrumentor\n\
         def said(text):\n    sys.said = getattr(sys, 'said', []) + [text]\n\
         def before():\n    said('before')\n\
         def after():\n    said('after')\n\
         class Made(BaseInstrumentor):\n\
         \x20   def instrumentation_dependencies(self): return ()\n\
         \x20   def _instrument(self, **options): said('instrument %s' % options)\n\
         \x20   def _uninstrument(self, **options): said('uninstrument')\n\
         class Configurator:\n    def configure(self, **options): said('configurator %s' % sorted(options))\n\
         class Distro(BaseDistro):\n\
         \x20   def _configure(self, **options): said('distro')\n\
         \x20   def load_instrumentor(self, entry_point, **options):\n\
         \x20       if entry_point.name == 'made': super().load_instrumentor(entry_point, mine=1, **options)\n",
    );
    let said = "import sys; print(*sys.said, 'flask' in sys.modules, sep='; ')";
    let python = python("instr-venv");
    let argv = [python.as_str(), "-c", said];
    assert_eq!(run(&sandbox, &argv).0, "before; instrument {}; after; True\n");
    sandbox.set("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "*");
    assert_eq!(run(&sandbox, &argv).0, "before; after; False\n");
    sandbox.set("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "");
    sandbox.set("OTEL_PYTHON_DISTRO", "mine").set("OTEL_PYTHON_CONFIGURATOR", "mine");
    let all = "distro; configurator ['auto_instrumentation_version']; before; instrument {'mine': 1}; after; False\n";
    assert_eq!(run(&sandbox, &argv).0, all);
    // What the program asks for itself comes in the place of ours, and what it asks for again is refused as ever.
    let again =
        "import sys, made; made.Made().instrument(hook=2); print(*sys.said[2:], sep='; '); made.Made().instrument()";
    sandbox.unset("OTEL_PYTHON_DISTRO").unset("OTEL_PYTHON_CONFIGURATOR");
    let outcome = sandbox.run_traced([&python, "-c", again]);
    assert_eq!(outcome.out(), "after; uninstrument; instrument {'hook': 2}\n");
    assert_eq!(outcome.err(), "Attempting to instrument while already instrumented\n");
}

#[test]
fn what_fails_is_said_and_harms_nobody() {
    let python = python("instr-venv");
    for (value, requires, expected) in [
        (
            "made:Fails",
            "",
            "the OpenTelemetry entry point made (made:Fails) cannot be loaded: RuntimeError: on purpose",
        ),
        ("made:Ends", "", "cannot be loaded: SystemExit: on purpose"),
        ("made:nobody", "", "cannot be loaded: AttributeError"),
        ("opentelemetry.nobody:Made", "", "cannot be loaded: ModuleNotFoundError"),
        ("made:syntax error", "", "cannot be loaded: "),
        (
            "made:Fails",
            "Requires-Dist: flask<1; extra == 'instruments'\n",
            "the instrumentation made is not loaded: it is for flask<1, and flask 3.1.3 is installed",
        ),
        (
            "made:Fails",
            "Requires-Dist: flask<1; extra == 'instruments-any'\nRequires-Dist: none; extra == 'instruments-any'\n",
            "and flask 3.1.3 is installed",
        ),
        // The library is not there: nothing is to be said.
        ("made:Fails", "Requires-Dist: none; extra == 'instruments'\n", ""),
        ("nobody:Made", "", ""),
    ] {
        let mut sandbox = sandbox();
        install(
            &mut sandbox,
            &format!("[opentelemetry_instrumentor]\nmade = {value}\n"),
            requires,
            "class Fails:\n    def instrument(self, **_): raise RuntimeError('on purpose')\n\
             class Ends:\n    def instrument(self, **_): raise SystemExit('on purpose')\n",
        );
        let others = "import flask, sys; print('opentelemetry.instrumentation.flask' in sys.modules)";
        let (out, log) = run(&sandbox, &[&python, "-c", others]);
        assert_eq!(out, "True\n", "{value}");
        let lines: Vec<_> =
            log.lines().filter(|line| line.contains("entry point") || line.contains("is for")).collect();
        if expected.is_empty() {
            assert!(lines.is_empty(), "{value}: {lines:?}");
        } else {
            assert!(lines.len() == 1 && lines[0].contains(expected), "{value}: {log}");
        }
    }
}

/// One that starts a Python, which would load it and start another one, and so on.
#[test]
fn what_is_started_meanwhile_loads_none() {
    let mut sandbox = sandbox();
    install(
        &mut sandbox,
        "[opentelemetry_pre_instrument]\nmade = made:starts\n",
        "",
        "import subprocess, sys\n\
         def starts():\n    sys.said = subprocess.check_output([sys.executable, '-c', \"import flask, sys; print('opentelemetry.instrumentation.flask' in sys.modules)\"])\n",
    );
    let argv =
        [&python("instr-venv"), "-c", "import os, sys; print(sys.said, [n for n in os.environ if 'LOADING' in n])"];
    assert_eq!(run(&sandbox, &argv).0, "b'False\\n' []\n");
}

/// All versions read what is installed; a program that imports the tracer itself has them, too.
#[test]
fn in_which_pythons() {
    let mut sandbox = sandbox();
    install(
        &mut sandbox,
        "# hooks\n[opentelemetry_pre_instrument]\nmade=made:before\n; none\n[console_scripts]\nother = made:nobody\n",
        "",
        "import sys\ndef before(): sys.said = getattr(sys, 'said', 0) + 1\n",
    );
    fs::create_dir_all(sandbox.path().join("packages/opentelemetry/instrumentation")).expect("a directory");
    let say = "import sys; print(getattr(sys, 'said', None))";
    sandbox.write("pip", say);
    for python in pythons() {
        assert_eq!(run(&sandbox, &[&python, "-W", "error", "-c", say]).0, "1\n", "{python}");
        assert_eq!(run(&sandbox, &[&python, "-Wignore", "pip", "-c"]).0, "None\n", "{python}");
        let attached = "import sys, ddtrace_run.auto; print(getattr(sys, 'said', None))";
        let mut command = sandbox.bare([python.as_str(), "-c", attached]);
        let packages = sandbox.path().join("packages").display().to_string();
        let beside = std::path::Path::new(sandbox.launcher()).with_file_name("python").display().to_string();
        let outcome = Outcome::of(command.env("PYTHONPATH", format!("{packages}:{beside}")));
        assert_eq!((outcome.out().as_str(), outcome.err().as_str()), ("1\n", ""), "{python}");
        sandbox.settle();
    }
}

/// Applications and what they start, but no installers and no helpers.
#[test]
fn in_which_processes() {
    let sandbox = sandbox();
    let python = python("instr-venv");
    let children = format!(
        "import subprocess, sys\nfrom multiprocessing import get_context\ndef work(): {LOADED}\nif __name__ == '__main__':\n\
         \x20   for way in ('fork', 'spawn', 'forkserver'):\n\
         \x20       process = get_context(way).Process(target=work); process.start(); process.join()\n\
         \x20   subprocess.run([sys.executable, '-c', {LOADED:?}])\n"
    );
    let program = sandbox.write("children.py", children).display().to_string();
    assert_eq!(run(&sandbox, &[&python, &program]).0, BOTH.repeat(4));
    let tracker = format!("0 and 'from multiprocessing.resource_tracker import main'; {LOADED}");
    assert_eq!(run(&sandbox, &[&python, "-c", &tracker]).0, NONE);
    sandbox.write("pip.py", LOADED);
    sandbox.write("pip3.11", LOADED);
    sandbox.write("pipe.py", LOADED);
    for argv in
        [&["-m", "pip"][..], &["-W", "ignore", "-Bm", "pip"], &["./pip3.11"], &["-Xutf8", "pip3.11", "-m", "pipe"]]
    {
        assert_eq!(run(&sandbox, &[&[python.as_str()], argv].concat()).0, NONE, "{argv:?}");
    }
    for argv in [&["-m", "pipe"][..], &["pipe.py", "-m", "pip"], &["-c", LOADED, "-m", "pip"]] {
        assert_eq!(run(&sandbox, &[&[python.as_str()], argv].concat()).0, BOTH, "{argv:?}");
    }
}

/// What a program does before it imports a library is done before that is imported.
#[test]
fn preparations_come_first() {
    let sandbox = sandbox();
    let program = "from gevent import monkey; monkey.patch_all(); import requests, sqlalchemy, redis, psycopg, aiohttp, celery\n\
                   from urllib3.util.ssl_ import create_urllib3_context\n\
                   create_urllib3_context(); print('made')";
    let outcome = sandbox.assert_same(&[&python("instr-venv"), "-c", program]);
    assert_eq!((outcome.out().as_str(), outcome.err().as_str()), ("made\n", ""));
}

/// In whatever order the program and its libraries import what the instrumentations need, all of them are loaded.
#[test]
fn whatever_is_imported_first() {
    let sandbox = sandbox();
    let check = "import sys, fastapi, starlette.applications, requests, sqlite3, urllib.request, threading, httpx, asyncio\n\
                 from opentelemetry import trace\n\
                 print(fastapi.FastAPI.__mro__[2].__name__, *sorted(n.rpartition('.')[2] for n in sys.modules \
                 if n.startswith('opentelemetry.instrumentation.') and hasattr(sys.modules[n], 'BaseInstrumentor') \
                 and n.rpartition('.')[2] != 'instrumentor'))";
    for first in [
        "pass",
        "import opentelemetry.sdk.trace",
        "from opentelemetry import context, propagate",
        "import opentelemetry.metrics",
        "import packaging.requirements, importlib.metadata, typing_extensions, wrapt",
        "import starlette.applications",
        "import fastapi",
        "import asyncio, threading, logging",
        "import opentelemetry.instrumentation.flask",
    ] {
        let program = format!("{first}\n{check}");
        let (out, log) = run(&sandbox, &[&python("instr-venv"), "-c", &program]);
        let expected = "Starlette fastapi httpx requests sqlite3 starlette threading urllib";
        let missing: Vec<_> = expected.split(' ').filter(|name| !out.contains(name)).collect();
        assert!(missing.is_empty() && out.starts_with("Starlette "), "{first}: {missing:?} {out} {log}");
        assert!(!log.contains("cannot be"), "{first}: {log}");
    }
}

/// A program that instruments itself does so as without us, and nothing is seen twice.
#[test]
fn programs_that_instrument_themselves() {
    let mut sandbox = sandbox();
    let program = repository().join("tests/python_instrumentations/own.py").display().to_string();
    for (how, argument, expected, spans) in [
        ("flask", "", "asked /\nasked /\n", 2),
        ("fastapi", "", "asked /\nasked /\n", 2),
        ("sqlite3", "", "True\n", 1),
        ("sqlite3", "again", "True\n", 1),
    ] {
        sandbox.set("HOW", how);
        assert_eq!(run(&sandbox, &[&python("instr-venv"), &program, argument]).0, expected, "{how}");
        let seen = sandbox.spans();
        let seen: Vec<_> = seen.iter().filter(|span| ["server", "client"].contains(&span.kind.as_str())).collect();
        // The client of the test of FastAPI is one by httpx.
        let seen: Vec<_> = seen.iter().filter(|span| how != "fastapi" || span.kind == "server").collect();
        assert_eq!(seen.len(), spans, "{how}: {seen:#?}");
        fs::remove_file(sandbox.local_store()).expect("there are spans");
    }
}

/// `opentelemetry-instrument` does what it does without us, with the provider of the SDK where it sets one up.
#[test]
fn opentelemetry_instrument_is_left_to_itself() {
    let mut sandbox = sandbox();
    let program = "import sqlite3; sqlite3.connect(':memory:').cursor().execute('SELECT 1')";
    let (instrument, python) = (venv("opentelemetry-instrument"), python("instr-venv"));
    let options = ["--traces_exporter", "console", "--metrics_exporter", "none", "--logs_exporter", "none"];
    let argv = [&[instrument.as_str()], &options[..], &[&python, "-c", program]].concat();
    let bare = Outcome::of(&mut sandbox.bare(&argv));
    let traced = sandbox.run_traced(&argv);
    for outcome in [&bare, &traced] {
        assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "{outcome:?}");
        assert_eq!(outcome.out().matches("\"name\": \"SELECT\"").count(), 1, "{outcome:?}");
    }
    assert!(sandbox.spans().is_empty());
    // It finds what is there, as ever.
    let bootstrap = sandbox.assert_same(&[venv("opentelemetry-bootstrap"), "--action=requirements".into()]);
    assert!(bootstrap.out().contains("opentelemetry-instrumentation-flask=="), "{bootstrap:?}");
    // By name, ours is the provider.
    sandbox.set("DD_TRACE_OTEL_ENABLED", "true");
    assert_eq!(sandbox.run_traced(&argv).out(), "");
    assert_eq!(sandbox.spans().len(), 1);
}
