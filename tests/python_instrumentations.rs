//! The instrumentations of OpenTelemetry that are installed: the same spans as under `opentelemetry-instrument`.

use ddtrace_test_support::agent::free_port;
use ddtrace_test_support::http::get_with;
use ddtrace_test_support::python::python;
use ddtrace_test_support::servers::{Server, postgres};
use ddtrace_test_support::spans::Span;
use ddtrace_test_support::{Agent, Outcome, Sandbox, repository, target_dir, wait_for};
use serde_json::Value;
use std::fs;
use std::time::{Duration, Instant};

const PARENT: (&str, &str) = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");

/// What differs from one run to the next.
const CHANGES: [&str; 9] = [
    "client.port",
    "net.peer.port",
    "network.peer.port",
    "thread.id",
    "celery.delivery_info",
    "celery.hostname",
    "celery.reply_to",
    "messaging.conversation_id",
    "messaging.message.id",
];

/// Who loads the instrumentations.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    OpenTelemetryInstrument,
    DdtraceRun,
}

use Who::{DdtraceRun, OpenTelemetryInstrument};

fn venv(name: &str) -> String {
    target_dir().join("instr-venv/bin").join(name).display().to_string()
}

/// A sandbox with the programs in it, for a receiver of OTLP.
fn sandbox(agent: &Agent) -> Sandbox {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    let from = repository().join("tests/python_instrumentations");
    let copied =
        Outcome::of(&mut sandbox.bare(["cp".as_ref(), "-rT".as_ref(), from.as_os_str(), sandbox.work().as_os_str()]));
    assert_eq!(copied.code, Some(0), "{copied:?}");
    sandbox.unset("DD_TRACE_EXPORTER").set("DD_TRACE_PROCESS_SPANS", "false");
    // The SDK keeps the literals of statements.
    sandbox.set("DD_TRACE_OBFUSCATION_SQL_ENABLED", "false");
    for (name, value) in [
        ("OTEL_TRACES_EXPORTER", "otlp"),
        ("OTEL_METRICS_EXPORTER", "none"),
        ("OTEL_LOGS_EXPORTER", "none"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &agent.otlp_http_url()),
        ("OTEL_SERVICE_NAME", "shop"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ] {
        sandbox.set(name, value);
    }
    sandbox
}

/// How a program is started.
fn command(sandbox: &Sandbox, who: Who, argv: &[&str]) -> std::process::Command {
    match who {
        OpenTelemetryInstrument => sandbox.bare([&[venv("opentelemetry-instrument").as_str()], argv].concat()),
        DdtraceRun => sandbox.traced(argv),
    }
}

/// The spans, each with those above it: all that is the same in each run.
fn described(spans: &[Span]) -> Vec<String> {
    let title = |span: &Span| format!("{} {}", span.kind, span.name);
    let mut described: Vec<String> = spans
        .iter()
        .map(|span| {
            let mut text = title(span);
            let mut above = span.parent_id.clone();
            while let Some(id) = above {
                let parent = spans.iter().find(|other| other.span_id == id && other.trace_id == span.trace_id);
                text.push_str(&format!(" < {}", parent.map_or_else(|| id.clone(), title)));
                above = parent.and_then(|parent| parent.parent_id.clone());
            }
            let mut attributes = span.attributes.clone();
            for name in CHANGES {
                if let Some(value) = attributes.get_mut(name) {
                    *value = Value::from("…");
                }
            }
            let service = &span.resource["service.name"];
            let links = span.links.len();
            format!("{text}: {service} failed={} {:?} {links} links {attributes:?}", span.failed, span.events)
        })
        .collect();
    described.sort();
    described
}

/// The spans of a run, as soon as there are so many, and no more.
fn received(agent: &Agent, wanted: usize) -> Vec<Span> {
    let start = Instant::now();
    loop {
        let spans = agent.otlp_spans();
        if spans.len() >= wanted || start.elapsed() > Duration::from_secs(12) {
            std::thread::sleep(Duration::from_millis(500));
            let spans = agent.otlp_spans();
            assert_eq!(spans.len(), wanted, "{:#?}", described(&spans));
            return spans;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Compares what comes of a program in both ways.
#[track_caller]
fn assert_same(agent: &Agent, wanted: usize, mut run: impl FnMut(Who)) -> Vec<Span> {
    let [theirs, ours] = [OpenTelemetryInstrument, DdtraceRun].map(|who| {
        agent.clear();
        run(who);
        received(agent, wanted)
    });
    for (ours, theirs) in described(&ours).iter().zip(described(&theirs)) {
        assert_eq!(*ours, theirs, "\nours (left) is not what opentelemetry-instrument sends");
    }
    ours
}

fn serve(sandbox: &Sandbox, who: Who, port: u16, argv: &[&str]) -> Server {
    let log = fs::File::create(sandbox.work().join("server.log")).expect("a file");
    let mut command = command(sandbox, who, argv);
    let child = command.stdout(log.try_clone().expect("the file twice")).stderr(log).spawn();
    let server = Server(child.expect("it is installed: cargo xtask setup"));
    wait_for("a server to listen", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    server
}

/// Asks for each of the paths, in a trace that the client has begun.
fn ask(port: u16, paths: &[&str]) {
    for path in paths {
        get_with(port, path, &[PARENT]).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}

#[test]
fn flask_and_clients() {
    let (agent, port) = (Agent::start(), free_port());
    let sandbox = sandbox(&agent);
    for server in ["flask_app.py", "gunicorn"] {
        assert_same(&agent, 14, |who| {
            let (port_text, bind) = (port.to_string(), format!("127.0.0.1:{port}"));
            let (python, gunicorn) = (python("instr-venv"), venv("gunicorn"));
            let argv = if server == "gunicorn" {
                vec![gunicorn.as_str(), "-b", &bind, "-k", "gthread", "--threads", "4", "flask_app:app"]
            } else {
                vec![python.as_str(), "flask_app.py", &port_text]
            };
            let _server = serve(&sandbox, who, port, &argv);
            ask(port, &["/users/somebody", "/fails", "/nobody", "/clients"]);
            received(&agent, 14);
        });
    }
}

/// The packages for WSGI and ASGI come with those of frameworks, and instrument nothing by themselves: what is no framework's is
/// traced all the same, and what is one's is one span.
#[test]
fn applications_of_no_framework() {
    let agent = Agent::start();
    let sandbox = sandbox(&agent);
    let [gunicorn, uvicorn] = [venv("gunicorn"), venv("uvicorn")];
    for (application, name) in [("plain:app", "GET"), ("plain:asgi", "GET"), ("plain:around", "GET /users/<name>")] {
        let port = free_port();
        let (bind, port_text) = (format!("127.0.0.1:{port}"), port.to_string());
        let argv = match application {
            "plain:asgi" => vec![uvicorn.as_str(), "--port", &port_text, "--log-level", "critical", application],
            _ => vec![gunicorn.as_str(), "-b", &bind, application],
        };
        agent.clear();
        let server = serve(&sandbox, DdtraceRun, port, &argv);
        ask(port, &["/users/somebody"]);
        let spans = received(&agent, 1);
        drop(server);
        let names: Vec<_> = spans.iter().map(|span| (span.kind.as_str(), span.name.as_str())).collect();
        assert_eq!(names, [("server", name)], "{application}");
    }
}

#[test]
fn fastapi_and_starlette_on_uvicorn() {
    let (agent, port) = (Agent::start(), free_port());
    let mut sandbox = sandbox(&agent);
    for (how, wanted) in [("fastapi", 27), ("starlette", 24)] {
        sandbox.set("HOW", how);
        assert_same(&agent, wanted, |who| {
            let (python, port_text) = (python("instr-venv"), port.to_string());
            let _server = serve(&sandbox, who, port, &[&python, "asgi_app.py", &port_text]);
            ask(port, &["/users/somebody", "/threads/somebody", "/fails", "/nobody", "/clients", "/behind"]);
            received(&agent, wanted);
        });
    }
}

/// Other than under `opentelemetry-instrument`, where all but the upload are parts of it, as no requests of the server.
#[test]
fn what_comes_behind_an_upload_is_no_part_of_it() {
    let (agent, port) = (Agent::start(), free_port());
    let sandbox = sandbox(&agent);
    let (python, port_text) = (python("instr-venv"), port.to_string());
    let _server = serve(&sandbox, DdtraceRun, port, &[&python, "upload_app.py", &port_text]);
    let client = "import http.client, sys; connection = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]))\n\
                  for method, path, body in [('POST', '/upload', bytes(1_500_000))] + [('GET', '/users/x', None)] * 2:\n  \
                  connection.request(method, path, body); print(connection.getresponse().read().decode())";
    let asked = sandbox.run_bare([&python, "-c", client, &port_text]);
    assert_eq!(asked.out(), "1500000\n\"x\"\n\"x\"\n", "{asked:?}");
    let is_request = |span: &Span| span.parent_id.is_none();
    let spans = wait_for("the requests", || {
        let spans = agent.otlp_spans();
        let is_last = |span: &&Span| span.name.starts_with("GET ") && !span.name.contains(" http ");
        (spans.iter().filter(is_last).count() == 2).then_some(spans)
    });
    let mut requests: Vec<_> =
        spans.iter().filter(|span| is_request(span)).map(|span| format!("{} {}", span.kind, span.name)).collect();
    requests.sort();
    assert_eq!(requests, ["server GET /users/{name}", "server GET /users/{name}", "server POST /upload"]);
}

#[test]
fn aiohttp() {
    let (agent, port) = (Agent::start(), free_port());
    let sandbox = sandbox(&agent);
    assert_same(&agent, 6, |who| {
        let (python, port_text) = (python("instr-venv"), port.to_string());
        let _server = serve(&sandbox, who, port, &[&python, "aiohttp_app.py", &port_text]);
        ask(port, &["/users/somebody", "/fails", "/nobody", "/clients"]);
        received(&agent, 6);
    });
}

#[test]
fn databases() {
    let agent = Agent::start();
    let sandbox = sandbox(&agent);
    let (_postgres, directory) = postgres(&sandbox);
    let port = free_port().to_string();
    let redis = sandbox.bare(["redis-server", "--port", &port, "--save", "", "--bind", "127.0.0.1"]);
    let _redis = Server::start(redis, port.parse().expect("a number"));
    assert_same(&agent, 19, |who| {
        let argv = [&python("instr-venv"), "databases.py", &directory, &port];
        let outcome = Outcome::of(&mut command(&sandbox, who, &argv));
        assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "{outcome:?}");
    });
}

#[test]
fn django() {
    let (agent, port) = (Agent::start(), free_port());
    let mut sandbox = sandbox(&agent);
    let (address, manage) = (format!("127.0.0.1:{port}"), "manage.py");
    // The first one looks for migrations as well.
    for (server, wanted) in [("runserver", 5), ("gunicorn", 4)] {
        assert_same(&agent, wanted, |who| {
            let (python, gunicorn) = (python("instr-venv"), venv("gunicorn"));
            let mut argv = vec![python.as_str(), manage, "runserver", &address];
            if server == "gunicorn" {
                argv = vec![&gunicorn, "-b", &address, "shop.wsgi"];
            }
            if who == OpenTelemetryInstrument {
                // It reads the settings at the start, and has to be told which; nor can it serve in the process that is
                // started anew when a file has changed.
                sandbox.set("DJANGO_SETTINGS_MODULE", "shop.settings");
                argv.extend((server == "runserver").then_some("--noreload"));
            } else {
                sandbox.unset("DJANGO_SETTINGS_MODULE");
            }
            let _server = serve(&sandbox, who, port, &argv);
            ask(port, &["/users/somebody", "/fails", "/nobody"]);
            received(&agent, wanted);
        });
    }
}

#[test]
fn celery() {
    let agent = Agent::start();
    let mut sandbox = sandbox(&agent);
    let broker = sandbox.work().join("broker");
    fs::create_dir(&broker).expect("a directory");
    sandbox.set("BROKER", &broker);
    assert_same(&agent, 4, |who| {
        let sent = Outcome::of(&mut command(&sandbox, who, &[&python("instr-venv"), "tasks.py"]));
        assert_eq!(sent.code, Some(0), "{sent:?}");
        let log = fs::File::create(sandbox.work().join("server.log")).expect("a file");
        let argv = [&venv("celery"), "-A", "tasks", "worker", "--concurrency", "2", "--loglevel", "INFO"];
        let mut worker = command(&sandbox, who, &argv);
        let _worker = Server(worker.stdout(log.try_clone().expect("twice")).stderr(log).spawn().expect("it starts"));
        received(&agent, 4);
    });
}

/// Celery's command imports the package before it patches: what is loaded by then would let nobody else work. Under
/// `opentelemetry-instrument` this worker takes no task.
#[test]
fn celery_on_gevent() {
    let (agent, port) = (Agent::start(), free_port());
    let mut sandbox = sandbox(&agent);
    let redis = ["redis-server", "--port", &port.to_string(), "--save", "", "--bind", "127.0.0.1"];
    let _redis = Server::start(sandbox.bare(redis), port);
    sandbox.set("BROKER", format!("redis://127.0.0.1:{port}")).set("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "redis");
    let sent = sandbox.run_traced([&python("instr-venv"), "tasks.py"]);
    assert_eq!(sent.code, Some(0), "{sent:?}");
    let log = sandbox.work().join("server.log");
    let file = fs::File::create(&log).expect("a file");
    let mut worker = sandbox.traced([&venv("celery"), "-A", "tasks", "worker", "-P", "gevent", "--loglevel", "INFO"]);
    let _worker = Server(worker.stdout(file.try_clone().expect("twice")).stderr(file).spawn().expect("it starts"));
    let spans = received(&agent, 4);
    let names: Vec<_> = described(&spans).iter().map(|span| span.split(':').next().expect("one").to_owned()).collect();
    let expected =
        ["fails", "work"].map(|task| format!("consumer run/tasks.{task} < producer apply_async/tasks.{task}"));
    assert_eq!(names[..2], expected, "{}", fs::read_to_string(log).expect("a log"));
}

/// Configured in the other dialect, with connections that are looked at as well: one span for each request, also in servers
/// that start their workers anew, patch what was imported, or fork.
#[test]
fn a_request_is_one_span_in_each_server() {
    let (agent, port) = (Agent::start(), free_port());
    let (python, gunicorn, bind, port_text) =
        (python("instr-venv"), venv("gunicorn"), format!("127.0.0.1:{port}"), port.to_string());
    let common = [gunicorn.as_str(), "-b", &bind];
    let wsgi = |options: &[&'static str]| [&common[..], options].concat();
    let flask = "server GET, server GET, server GET /clients, server GET /fails, ".to_owned()
        + &["server GET /users/<name>"; 5].join(", ");
    let fastapi =
        "server GET, server GET /clients, server GET /fails, ".to_owned() + &["server GET /users/{name}"; 3].join(", ");
    for (argv, expected) in [
        (vec![python.as_str(), "flask_app.py", &port_text], &flask),
        (wsgi(&["flask_app:app", "-k", "gevent"]), &flask),
        (wsgi(&["flask_app:app", "--threads", "4", "--preload"]), &flask),
        (wsgi(&["flask_app:app", "--threads", "4", "-w", "3", "--max-requests", "2"]), &flask),
        (wsgi(&["asgi_app:app", "-k", "uvicorn.workers.UvicornWorker", "-w", "2"]), &fastapi),
        (vec![&python, "-m", "uvicorn", "asgi_app:app", "--port", &port_text, "--workers", "2"], &fastapi),
        (vec![&python, "-m", "uvicorn", "asgi_app:app", "--port", &port_text, "--reload"], &fastapi),
    ] {
        agent.clear();
        let mut sandbox = sandbox(&agent);
        for name in ["OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_ENDPOINT"] {
            sandbox.unset(name);
        }
        sandbox.set("DD_TRACE_AGENT_URL", agent.url()).set("DD_SERVICE", "shop").set("DD_TRACE_NATIVE_ENABLED", "true");
        sandbox.set("OTEL_PYTHON_FLASK_EXCLUDED_URLS", "health").set("HOW", "fastapi").set("DEBUG", "1");
        let server = serve(&sandbox, DdtraceRun, port, &argv);
        ask(port, &["/users/somebody", "/fails", "/nobody", "/clients"]);
        drop(server);
        sandbox.settle();
        let seen = agent.datadog_spans();
        let mut requests: Vec<_> =
            seen.iter().filter(|span| span.kind == "server").map(|span| format!("server {}", span.name)).collect();
        requests.sort();
        let log = fs::read_to_string(sandbox.work().join("server.log")).expect("a log");
        assert_eq!(requests.join(", "), *expected, "{argv:?}: {log}");
        let known: std::collections::BTreeSet<_> = seen.iter().map(|span| &span.span_id).collect();
        let lost = seen.iter().filter(|span| !known.contains(span.parent_id.as_ref().expect("the client's")));
        // What the client has asked for, and nothing else, begins here.
        assert_eq!(lost.count(), 4, "{argv:?}: {:#?}", described(&seen));
        assert!(!log.contains("Warning:"), "{argv:?}: {log}");
    }
}

/// What the instrumentations read by themselves, they read here, too.
#[test]
fn their_own_variables() {
    let (agent, port) = (Agent::start(), free_port());
    let mut sandbox = sandbox(&agent);
    sandbox.set("OTEL_PYTHON_FLASK_EXCLUDED_URLS", "health").set("OTEL_SEMCONV_STABILITY_OPT_IN", "http");
    sandbox.set("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST", "traceparent");
    assert_same(&agent, 1, |who| {
        let (python, port_text) = (python("instr-venv"), port.to_string());
        let _server = serve(&sandbox, who, port, &[&python, "flask_app.py", &port_text]);
        ask(port, &["/health", "/users/somebody"]);
        let spans = received(&agent, 1);
        assert_eq!(spans[0].text("url.path"), Some("/users/somebody"), "{spans:#?}");
    });
}
