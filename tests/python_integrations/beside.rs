//! Beside instrumentations of OpenTelemetry for other libraries: nothing is seen twice.

use super::*;
use ddtrace_test_support::servers::postgres;
use ddtrace_test_support::target_dir;
use std::os::unix::fs::symlink;

/// A Python for which, of the instrumentations of OpenTelemetry, only this one is installed.
fn with_instrumentation(name: &str) -> Sandbox {
    let mut sandbox = sandbox();
    let packages = sandbox.path().join("packages");
    std::fs::create_dir(&packages).expect("a directory");
    let all = target_dir().join("instr-venv/lib/python3.11/site-packages");
    let metadata = format!("opentelemetry_instrumentation_{name}-");
    for entry in std::fs::read_dir(all).expect("it is there: cargo xtask setup").flatten() {
        let file = entry.file_name().into_string().expect("a name");
        if !file.starts_with("opentelemetry_instrumentation_") || file.starts_with(&metadata) {
            symlink(entry.path(), packages.join(file)).expect("a link");
        }
    }
    sandbox.set("PYTHONPATH", format!("{}:{}", packages.display(), directory()));
    // Connections would be looked at in the program that answers.
    sandbox.set("DD_TRACE_NATIVE_ENABLED", "false");
    sandbox
}

fn run(sandbox: &Sandbox, script: &str, argument: &str) {
    let outcome = sandbox.run_traced([&python(), "-c", script, argument]);
    assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "{outcome:?}");
}

/// What each span is of, and who tells of it, which the conventions show: ours are newer ones. Sorted.
fn told(sandbox: &Sandbox, ours: &str, theirs: &str) -> Vec<String> {
    let told = |span: &Span| match (span.text(ours), span.text(theirs)) {
        (Some(text), _) => format!("ours: {text}"),
        (None, text) => format!("theirs: {}", text.unwrap_or_default()),
    };
    let mut seen: Vec<String> = sandbox.spans().iter().map(told).collect();
    seen.sort();
    seen
}

/// Below a client of ours an instrumentation for what that is made of has no span, and is at work again behind it. What the program
/// has switched off by itself stays so.
#[test]
fn below_a_client_of_ours() {
    let sandbox = with_instrumentation("urllib3");
    let script = "import threading, http.server\n\
        class Echo(http.server.BaseHTTPRequestHandler):\n\
        \x20   def do_GET(self):\n\
        \x20       self.send_response(200); self.send_header('content-length', '0'); self.end_headers()\n\
        \x20   def do_POST(self): self.rfile.read(11); self.do_GET()\n\
        \x20   def log_message(self, *_): pass\n\
        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Echo)\n\
        threading.Thread(target=server.serve_forever, daemon=True).start()\n\
        at = 'http://127.0.0.1:%d' % server.server_port\n\
        import requests, urllib3\n\
        from opentelemetry import context\n\
        from opentelemetry.instrumentation.utils import is_http_instrumentation_enabled, suppress_instrumentation\n\
        requests.get(at + '/one')\n\
        assert is_http_instrumentation_enabled() and not any('suppress' in key for key in context.get_current())\n\
        with suppress_instrumentation():\n\
        \x20   requests.get(at + '/two')\n\
        \x20   assert not is_http_instrumentation_enabled()\n\
        copied = []\n\
        def body():\n\
        \x20   import contextvars\n\
        \x20   copied.append((contextvars.copy_context(), is_http_instrumentation_enabled()))\n\
        \x20   yield b'x'\n\
        requests.post(at + '/three', data=body())\n\
        assert not copied[0][1]\n\
        assert copied[0][0].run(is_http_instrumentation_enabled)\n\
        urllib3.PoolManager().request('GET', at + '/four')\n";
    run(&sandbox, script, "");
    let seen = told(&sandbox, "url.full", "http.url");
    let seen: Vec<(&str, &str)> = seen
        .iter()
        .map(|seen| (seen.split(':').next().unwrap_or_default(), seen.rsplit('/').next().unwrap_or_default()))
        .collect();
    assert_eq!(seen, [("ours", "one"), ("ours", "three"), ("ours", "two"), ("theirs", "four")]);
}

/// What SQLAlchemy executes its instrumentation tells of, and drivers of what they are asked for without it.
#[test]
fn what_sqlalchemy_executes() {
    let script = "import asyncio, sys\n\
        import sqlalchemy as sa\n\
        from sqlalchemy.ext.asyncio import create_async_engine\n\
        def statements(connection):\n\
        \x20   connection.execute(sa.text('CREATE TEMPORARY TABLE things (name VARCHAR(9))'))\n\
        \x20   connection.execute(sa.text('INSERT INTO things VALUES (:name)'), [{'name': 'a'}, {'name': 'b'}])\n\
        \x20   connection.exec_driver_sql('SELECT name FROM things')\n\
        \x20   try:\n\
        \x20       connection.execute(sa.text('SELECT things'))\n\
        \x20   except sa.exc.DBAPIError:\n\
        \x20       pass\n\
        def works(url):\n\
        \x20   engine = sa.create_engine(url)\n\
        \x20   with engine.connect() as connection:\n\
        \x20       statements(connection)\n\
        \x20       connection.rollback()\n\
        \x20       connection.connection.cursor().execute('SELECT 1 AS things')\n\
        async def works_asynchronously(url):\n\
        \x20   async with create_async_engine(url).connect() as connection:\n\
        \x20       await connection.run_sync(statements)\n\
        if '+psycopg:' in sys.argv[1] or '+asyncpg:' in sys.argv[1]: asyncio.run(works_asynchronously(sys.argv[1]))\n\
        if '+asyncpg:' not in sys.argv[1]: works(sys.argv[1])\n";
    for driver in ["sqlite", "psycopg", "psycopg2", "asyncpg", "pymysql"] {
        let sandbox = with_instrumentation("sqlalchemy");
        let server = match driver {
            "sqlite" => None,
            "pymysql" => Some(super::databases::mariadb(&sandbox)),
            _ => Some(postgres(&sandbox)),
        };
        let url = match &server {
            Some((_, socket)) if driver == "pymysql" => format!("mysql+pymysql://root@/test?unix_socket={socket}"),
            Some((_, socket)) => format!("postgresql+{driver}://me@/postgres?host={socket}"),
            None => String::from("sqlite://"),
        };
        run(&sandbox, script, &url);
        drop(server);
        let told = told(&sandbox, "db.query.text", "db.statement");
        let seen: Vec<&String> = told.iter().filter(|seen| seen.contains("things")).collect();
        let of_engine: Vec<&&String> = seen.iter().filter(|seen| seen.starts_with("theirs: ")).collect();
        // With the engine, and without it.
        let expected = match driver {
            "psycopg" => (8, 1),
            "asyncpg" => (4, 0),
            _ => (4, 1),
        };
        assert_eq!((of_engine.len(), seen.len() - of_engine.len()), expected, "{driver}: {seen:?}");
    }
}

/// What is switched off by what Datadog's tracer would call it has no spans, whoever would make them.
#[test]
fn an_instrumentation_by_its_own_name() {
    let script = "import urllib.request, http.server, threading\n\
        server = http.server.HTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)\n\
        server.RequestHandlerClass.log_message = lambda *_: None\n\
        threading.Thread(target=server.serve_forever, daemon=True).start()\n\
        urllib.request.urlopen('http://127.0.0.1:%d/' % server.server_port).read()\n";
    for (name, value, expected) in [
        ("DD_TRACE_URLLIB3_ENABLED", "false", 1),
        ("DD_TRACE_URLLIB_ENABLED", "false", 0),
        ("DD_PATCH_MODULES", "urllib:false", 0),
        ("DD_TRACE_HTTPLIB_ENABLED", "no", 0),
    ] {
        let mut sandbox = with_instrumentation("urllib");
        sandbox.set(name, value);
        run(&sandbox, script, "");
        assert_eq!(told(&sandbox, "url.full", "http.url").len(), expected, "{name}={value}");
    }
}

/// That of FastAPI traces what any application does behind its answers, those of Starlette, too, which are ours otherwise.
#[test]
fn what_fastapi_does_behind_answers() {
    let mut sandbox = with_instrumentation("fastapi");
    super::behind::asked(&mut sandbox, "behind:app", &["/starlette/one", "/fails"]);
    let spans = sandbox.spans();
    let mut tasks: Vec<&str> =
        spans.iter().map(|span| span.name.as_str()).filter(|name| name.starts_with("BackgroundTask")).collect();
    tasks.sort_unstable();
    assert_eq!(tasks, ["BackgroundTask breaks", "BackgroundTask waits"]);
}
