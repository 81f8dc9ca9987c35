//! What switches integrations off, and who else traces.

use super::*;
use ddtrace_test_support::Outcome;
use ddtrace_test_support::programs::pythons;
use ddtrace_test_support::servers::only;

/// The kinds of spans of one request to Flask that asks another one.
fn kinds(sandbox: &mut Sandbox) -> Vec<String> {
    let (server, port) = serve(sandbox, &[&program("flask_app.py"), "{port}"]);
    assert_eq!(ask(port, "/asks", PARENT).0, 200);
    drop(server);
    let mut kinds: Vec<String> = sandbox.spans().iter().map(|span| format!("{} {}", span.kind, span.name)).collect();
    kinds.sort();
    kinds
}

const ALL: [&str; 3] = ["client GET", "server GET /asks", "server GET /users/<int:number>"];

#[test]
fn variables() {
    for (name, value, left) in [
        ("UNRELATED", "1", &ALL[..]),
        ("DD_TRACE_REQUESTS_ENABLED", "false", &ALL),
        ("DD_PATCH_MODULES", "requests:false,urllib3:false", &ALL[1..]),
        ("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "requests, urllib3", &ALL[1..]),
        ("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "*", &[]),
        // What the server knows is left.
        ("DD_TRACE_FLASK_ENABLED", "false", &["client GET", "server GET", "server GET"]),
        ("DD_PATCH_MODULES", "flask:false,wsgi:false", &ALL[..1]),
        ("DD_TRACE_PYTHON_PROVIDER", "none", &[]),
        ("DD_TRACE_ENABLED", "false", &[]),
    ] {
        let mut sandbox = sandbox();
        // Without a tracer in the program its connections would be looked at.
        sandbox.set("DD_TRACE_NATIVE_ENABLED", "false").set(name, value);
        assert_eq!(kinds(&mut sandbox), left, "{name}={value}");
    }
}

/// Nothing is recorded, but what came in goes out.
#[test]
fn without_tracing_contexts_are_handed_on() {
    let mut sandbox = sandbox();
    sandbox.set("DD_TRACE_ENABLED", "false");
    let program = sandbox.write(
        "app.py",
        "import sys, requests\nfrom flask import Flask, request\napp = Flask(__name__)\n\
         @app.route('/asks')\ndef asks():\n    return requests.get(request.host_url + 'echo').text\n\
         @app.route('/echo')\ndef echo():\n    return request.headers.get('traceparent', 'none')\n\
         app.run(port=int(sys.argv[1]), threaded=True)\n",
    );
    let (server, port) = serve(&mut sandbox, &[program.to_str().unwrap(), "{port}"]);
    let answer = ask(port, "/asks", PARENT).1;
    assert!(answer.contains(TRACE_ID) && answer.contains(SPAN_ID), "{answer}");
    assert_eq!(ask(port, "/asks", "").1, "none");
    drop(server);
}

#[test]
fn the_program_has_a_say() {
    let sandbox = sandbox();
    let script = "import ddtrace, sqlite3\n\
        def ask(): sqlite3.connect(':memory:').execute('SELECT 1')\n\
        ask()\n\
        ddtrace.patch(sqlite3=False); ask()\n\
        ddtrace.patch(sqlite3=True); ask()\n";
    let outcome = sandbox.run_traced([&python(), "-c", script]);
    assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""));
    assert_eq!(sandbox.spans().len(), 2);
    let mut sandbox = self::sandbox();
    sandbox.set("DD_TRACE_SQLITE3_ENABLED", "0").set("DD_SQLITE3_SERVICE", "files");
    let script = "import sqlite3\n\
        def ask(): sqlite3.connect(':memory:').execute('SELECT 1')\n\
        ask()\n\
        import ddtrace; ddtrace.patch(sqlite3=True); ask()\n";
    let outcome = sandbox.run_traced([&python(), "-c", script]);
    assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""));
    let spans = sandbox.spans();
    assert_eq!(only(&spans, |_| true).text("service.name"), Some("files"));
}

/// Settings are read as Datadog's tracer reads them, under all names that are in the table, and what was probably meant otherwise
/// is told of.
#[test]
fn words_and_names() {
    let script = "import sqlite3, sys, urllib.request\n\
        sqlite3.connect(':memory:').execute('SELECT 1')\n\
        import http.server, threading\n\
        class Echo(http.server.BaseHTTPRequestHandler):\n\
        \x20   def do_GET(self): self.send_response(204); self.end_headers()\n\
        \x20   def log_message(self, *_): pass\n\
        server = http.server.HTTPServer(('127.0.0.1', 0), Echo)\n\
        threading.Thread(target=server.serve_forever, daemon=True).start()\n\
        urllib.request.urlopen('http://127.0.0.1:%d/' % server.server_port)\n";
    let both = ["client GET", "client SELECT"];
    for (name, value, left, complains) in [
        ("DD_TRACE_SQLITE3_ENABLED", "off", &both[..1], true),
        ("DD_TRACE_SQLITE_ENABLED", "no", &both[..1], true),
        ("DD_TRACE_SQLITE3_ENABLED", "True", &both, false),
        ("DD_TRACE_SQLITE3_ENABLED", "", &both, false),
        ("DD_PATCH_MODULES", "sqlite3:disabled", &both[..1], true),
        ("DD_PATCH_MODULES", "sqlite3", &both, false),
        ("DD_TRACE_URLLIB_ENABLED", "false", &both[1..], false),
        ("DD_PATCH_MODULES", "urllib:false", &both[1..], false),
    ] {
        let mut sandbox = sandbox();
        sandbox.set("DD_TRACE_NATIVE_ENABLED", "false").set("DD_TRACE_DEBUG", "true").set(name, value);
        let outcome = sandbox.run_traced([&python(), "-c", script]);
        assert_eq!(outcome.code, Some(0), "{name}={value}: {outcome:?}");
        assert_eq!(outcome.err().matches("counts as false").count(), usize::from(complains), "{outcome:?}");
        let mut seen: Vec<String> = sandbox.spans().iter().map(|span| format!("{} {}", span.kind, span.name)).collect();
        seen.sort();
        assert_eq!(seen, left, "{name}={value}");
    }
}

/// `patch` takes all names of our table, and refuses only to switch on what there cannot be.
#[test]
fn names_that_patch_takes() {
    let script = "import ddtrace\n\
        from ddtrace._monkey import ModuleNotFoundException\n\
        ours = 'flask django fastapi starlette aiohttp wsgi asgi requests urllib3 httpx aiohttp_client httplib urllib '\n\
        ours += 'sqlite3 psycopg psycopg2 pymysql jinja2 redis'\n\
        for wanted in (False, True): ddtrace.patch(**dict.fromkeys(ours.split(), wanted))\n\
        ddtrace.patch(nothing=False)\n\
        try: ddtrace.patch(nothing=True)\n\
        except ModuleNotFoundException as error: print(error)\n";
    let outcome = sandbox().run_traced([&python(), "-c", script]);
    assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "{outcome:?}");
    assert_eq!(outcome.out(), "nothing does not have automatic instrumentation\n");
}

/// Datadog's own tracer: from when it is imported on, nothing is recorded twice.
#[test]
fn another_tracer_comes_first() {
    let sandbox = sandbox();
    let script = "import sqlite3\n\
        def ask(): sqlite3.connect(':memory:').execute('SELECT 1')\n\
        ask()\n\
        import ddtrace; ask()\n";
    let mut command = sandbox.traced([&python::python("ddtrace-venv"), "-c", script]);
    let outcome =
        Outcome::of(command.env("DD_TRACE_AGENT_URL", "http://127.0.0.1:1").env("DD_TRACE_STARTUP_LOGS", "0"));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(sandbox.spans().len(), 1);
}

/// An instrumentation of OpenTelemetry that is installed comes first, unless that API is not carried out: here for the
/// framework of an application, so that its server is left alone, and nobody traces where that one is switched off. For an
/// application of no framework there is none.
#[test]
fn an_installed_instrumentation_comes_first() {
    let flask = "import sys\nfrom flask import Flask\napp = Flask(__name__)\n\
        app.add_url_rule('/', view_func=lambda: 'hello')\napp.run(port=int(sys.argv[1]))\n";
    for (otel, of_flask, of_none) in [("auto", 0, 1), ("false", 1, 1)] {
        for (is_flask, spans) in [(true, of_flask), (false, of_none)] {
            let mut sandbox = sandbox();
            sandbox.set("DD_TRACE_OTEL_ENABLED", otel).set("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "flask");
            let (python, port) = (python::python("native-venv"), free_port());
            let program =
                if is_flask { sandbox.write("tiny.py", flask).display().to_string() } else { program("plain.py") };
            let server = Server::of(&mut sandbox, true, "web", port, &[&python, &program, &port.to_string()]);
            assert_eq!(ask(port, "/", "").0, 200);
            drop(server);
            assert_eq!(sandbox.spans().len(), spans, "{otel}, of Flask: {is_flask}");
        }
    }
}

#[test]
fn statuses_that_are_errors() {
    let mut sandbox = sandbox();
    sandbox.set("DD_TRACE_HTTP_SERVER_ERROR_STATUSES", "400-404");
    let (server, port) = serve(&mut sandbox, &[&program("flask_app.py"), "{port}"]);
    assert_eq!(ask(port, "/handled", "").0, 400);
    assert_eq!(ask(port, "/unavailable", "").0, 503);
    drop(server);
    assert_eq!(trees(&sandbox.spans()), ["server GET /handled !", "server GET /unavailable"]);
}

/// A request is one span with the native one, and so is what it asks for.
#[test]
fn beside_what_connections_tell() {
    for arguments in [
        &[&program("flask_app.py"), "{port}"][..],
        &["-m", "gunicorn", "-k", "gthread", "-b", "127.0.0.1:{port}", "--threads", "3", "flask_app:app"],
    ] {
        let mut sandbox = sandbox();
        sandbox.set("DD_TRACE_NATIVE_ENABLED", "true");
        let (server, port) = serve(&mut sandbox, arguments);
        assert_eq!(ask(port, "/asks", PARENT).0, 200);
        drop(server);
        let above = format!("server GET /asks < {SPAN_ID}");
        let expected = [
            format!("client GET < {above}"),
            above.clone(),
            format!("server GET /users/<int:number> < client GET < {above}"),
        ];
        assert_eq!(trees(&sandbox.spans()), expected, "{arguments:?}");
    }
}

/// And so is what Python itself asks for; that is switched as with Datadog's tracer, and as the instrumentation of OpenTelemetry.
#[test]
fn what_the_standard_library_asks_for() {
    for (name, value, spans) in [
        ("UNRELATED", "1", 1),
        ("DD_TRACE_NATIVE_ENABLED", "true", 1),
        ("DD_TRACE_HTTPLIB_ENABLED", "false", 0),
        ("DD_PATCH_MODULES", "httplib:false", 0),
        ("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "urllib", 0),
    ] {
        let mut sandbox = sandbox();
        sandbox.set("DD_TRACE_NATIVE_ENABLED", "false").set(name, value);
        let port = free_port();
        let argv = [python(), program("plain.py"), port.to_string()];
        let server = Server::of(&mut sandbox, false, "web", port, &argv.each_ref().map(String::as_str));
        let url = format!("http://127.0.0.1:{port}/");
        let outcome = sandbox.run_traced([&python(), &program("asks.py"), "urllib", &url]);
        drop(server);
        assert_eq!((outcome.out().as_str(), outcome.err().as_str()), ("200\n", ""), "{name}={value}");
        assert_eq!(sandbox.spans().len(), spans, "{name}={value}");
    }
}

/// The same with an event loop.
#[test]
fn beside_what_connections_tell_of_tasks() {
    let mut sandbox = sandbox();
    sandbox.set("DD_TRACE_NATIVE_ENABLED", "true");
    let (server, port) = serve(&mut sandbox, &["-m", "uvicorn", "--port", "{port}", "fastapi_app:app"]);
    assert_eq!(ask(port, "/asks/1", PARENT).0, 200);
    assert_eq!(ask(port, "/users/7", "").0, 200);
    drop(server);
    let above = format!("client GET < server GET /asks/{{number}} < {SPAN_ID}");
    let mut expected = [
        "server GET /users/{number}".to_owned(),
        format!("server GET /asks/{{number}} < {SPAN_ID}"),
        format!("server GET /shop/{{name}} < {above}"),
        format!("server GET /users/{{number}} < {above}"),
        above.clone(),
        above,
    ];
    expected.sort();
    assert_eq!(trees(&sandbox.spans()), expected);
}

/// And with one whose tasks are older than what comes in: the request is known by who has made it.
#[test]
fn beside_what_connections_tell_of_older_tasks() {
    let mut sandbox = sandbox();
    sandbox.set("DD_TRACE_NATIVE_ENABLED", "true");
    let (server, port) = serve(&mut sandbox, &[&program("aiohttp_app.py"), "{port}"]);
    assert_eq!(ask(port, "/users/7", PARENT).0, 200);
    drop(server);
    let spans = sandbox.spans();
    assert_eq!(trees(&spans), [format!("server GET /users/{{number}} < {SPAN_ID}")]);
    assert_eq!(spans[0].text("network.peer.address"), Some("127.0.0.1"), "{spans:#?}");
}

/// Programs see their functions as they were.
#[test]
fn what_is_wrapped_looks_like_itself() {
    let sandbox = sandbox();
    let script = "
import inspect, pickle, sqlite3, traceback
import flask, requests, urllib3
from requests.adapters import HTTPAdapter
print(inspect.signature(HTTPAdapter.send))
print(HTTPAdapter.send.__name__, HTTPAdapter().send.__qualname__)
print(inspect.signature(flask.Flask.__call__), flask.Flask.__call__.__doc__)
print(sqlite3.connect.__name__, sqlite3.Connection.__name__)
session = pickle.loads(pickle.dumps(requests.Session()))
try:
    session.get('http://127.0.0.1:1/')
except requests.ConnectionError:
    text = traceback.format_exc()
print('ddtrace_run.contrib.requests' in text)
try:
    sqlite3.connect(':memory:').execute('nonsense')
except sqlite3.OperationalError as error:
    print(len(traceback.extract_tb(error.__traceback__)))
";
    let command = [&python(), "-c", script];
    let (bare, traced) = (sandbox.run_bare(command), sandbox.run_traced(command));
    assert_eq!((traced.code, traced.out(), traced.err()), (bare.code, bare.out(), bare.err()));
}

/// An integration that fails is told of, once, and the program goes on.
#[test]
fn an_integration_that_fails_hurts_nobody() {
    let mut sandbox = sandbox();
    let log = sandbox.path().join("sidecar.log");
    sandbox.set("DD_TRACE_LOG_FILE", &log);
    let script = "
import requests.adapters
class Request:
    method = url = 5
class Adapter(requests.adapters.HTTPAdapter):
    def get_connection_with_tls_context(self, *args, **kwargs):
        raise KeyError('mine')
for _ in range(2):
    try:
        Adapter().send(Request())
    except KeyError as error:
        print(error)
    except AttributeError as error:
        print('other', error)
";
    let command = [&python(), "-c", script];
    let (bare, traced) = (sandbox.run_bare(command), sandbox.run_traced(command));
    assert_eq!((traced.code, traced.out(), traced.err()), (bare.code, bare.out(), bare.err()));
    sandbox.settle();
    let log = std::fs::read_to_string(log).unwrap_or_default();
    assert_eq!(log.matches("the integration of requests has failed").count(), 1, "{log}");
}

/// The libraries that Pythons of all versions bring.
#[test]
fn every_python() {
    let script = "
try:
    import sqlite3
except ImportError:
    sqlite3 = None
from wsgiref.handlers import SimpleHandler
import io, sys
def app(environ, start_response):
    if sqlite3 is not None:
        sqlite3.connect(':memory:').execute('SELECT 1')
    start_response('200 OK', [])
    return [b'ok']
environ = {'REQUEST_METHOD': 'GET', 'PATH_INFO': '/x', 'SERVER_PROTOCOL': 'HTTP/1.1', 'HTTP_HOST': 'here'}
out = io.BytesIO()
SimpleHandler(io.BytesIO(), out, sys.stderr, environ).run(app)
print(out.getvalue().endswith(b'ok'), sqlite3 is not None)
";
    for python in pythons() {
        let sandbox = sandbox();
        let outcome = sandbox.run_traced([&python, "-c", script]);
        assert_eq!(outcome.err(), "", "{python}");
        let expected: &[&str] = match outcome.out().as_str() {
            "True True\n" => &["client SELECT < server GET", "server GET"],
            // One that was built without it.
            "True False\n" => &["server GET"],
            out => panic!("{python}: {out}"),
        };
        assert_eq!(trees(&sandbox.spans()), expected, "{python}");
    }
}

/// What the program adds by any API goes to the request's span, or below it.
#[test]
fn programs_see_the_span_of_their_request() {
    let mut sandbox = sandbox();
    let program = sandbox.write(
        "app.py",
        "import sys\nfrom ddtrace import tracer\nfrom flask import Flask\nfrom opentelemetry import trace\n\
         app = Flask(__name__)\n\
         @app.route('/')\ndef index():\n\
         \x20   tracer.current_span().set_tag('one', '1')\n\
         \x20   trace.get_current_span().set_attribute('two', 2)\n\
         \x20   with trace.get_tracer('here').start_as_current_span('otel'), tracer.trace('datadog'):\n\
         \x20       return '%032x' % tracer.current_span().trace_id\n\
         app.run(port=int(sys.argv[1]), threaded=True)\n",
    );
    let (server, port) = serve(&mut sandbox, &[program.to_str().unwrap(), "{port}"]);
    assert_eq!(ask(port, "/", PARENT).1, TRACE_ID);
    // Nothing of the request is left on the thread.
    assert_ne!(ask(port, "/", "").1, TRACE_ID);
    drop(server);
    let spans = sandbox.spans();
    let (first, second) = (format!("server GET / < {SPAN_ID}"), "server GET /".to_owned());
    let mut expected: Vec<String> = [first, second]
        .into_iter()
        .flat_map(|server| {
            [format!("internal datadog < internal otel < {server}"), format!("internal otel < {server}"), server]
        })
        .collect();
    expected.sort();
    assert_eq!(trees(&spans), expected);
    assert!(
        spans
            .iter()
            .filter(|span| span.kind == "server")
            .all(|span| attributes(span, &["one", "two"]) == ["one=1", "two=2"])
    );
}

/// FastAPI's applications are Starlette's, and FastAPI makes spans of its own: what is switched off is so for all of them.
#[test]
fn fastapi_beside_starlette_and_by_itself() {
    for (name, value, expected) in [
        ("DD_TRACE_STARLETTE_ENABLED", "false", &["server GET /below/{name}", "server GET /shop/{name}"][..]),
        // What Starlette knows is left.
        ("DD_TRACE_FASTAPI_ENABLED", "false", &["server GET", "server GET /below/{name}"]),
        ("DD_PATCH_MODULES", "fastapi:false,starlette:false,asgi:false", &[]),
        ("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "*", &[]),
    ] {
        let mut sandbox = sandbox();
        sandbox.set("DD_TRACE_NATIVE_ENABLED", "false").set(name, value);
        let (server, port) = serve(&mut sandbox, &["-m", "uvicorn", "--port", "{port}", "fastapi_app:app"]);
        for path in ["/shop/a", "/below/x"] {
            assert_eq!(ask(port, path, "").0, 200);
        }
        drop(server);
        assert_eq!(trees(&sandbox.spans()), expected, "{name}={value}");
    }
}
