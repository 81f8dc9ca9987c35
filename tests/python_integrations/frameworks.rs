//! Frameworks and servers of one process.

use super::*;
use ddtrace_test_support::Agent;
use ddtrace_test_support::servers::only;

#[test]
fn flask_by_its_own_server() {
    let mut sandbox = sandbox();
    sandbox.set("DD_TRACE_HEADER_TAGS", "x-tenant,x-made-by:made");
    let (server, port) = serve(&mut sandbox, &[&program("flask_app.py"), "{port}"]);
    assert_eq!(ask(port, "/users/7?token=abc", &format!("{PARENT}X-Tenant: t\r\n")).0, 200);
    assert_eq!(ask(port, "/shop/a%20b", "").0, 200);
    assert_eq!(ask(port, "/fails", "").0, 500);
    assert_eq!(ask(port, "/handled", "").0, 400);
    assert_eq!(ask(port, "/unavailable", "").0, 503);
    assert_eq!(ask(port, "/nowhere", "").0, 404);
    assert!(ask(port, "/streams", "").1.contains("two"));
    let _ = ask(port, "/breaks", "");
    drop(server);
    let spans = sandbox.spans();
    let requests: Vec<Span> = spans.iter().filter(|span| span.kind == "server").cloned().collect();
    assert_eq!(
        trees(&requests),
        [
            "server GET",
            "server GET /breaks !",
            "server GET /fails !",
            "server GET /handled",
            "server GET /shop/<name>",
            "server GET /streams",
            "server GET /unavailable !",
            &format!("server GET /users/<int:number> < {SPAN_ID}"),
        ]
    );
    let user = only(&requests, |span| span.trace_id == TRACE_ID);
    let names = [
        "http.request.method",
        "http.route",
        "url.path",
        "url.query",
        "url.scheme",
        "server.address",
        "client.address",
        "network.protocol.version",
        "http.response.status_code",
        "http.request.header.x-tenant",
        "error.type",
    ];
    assert_eq!(
        attributes(user, &names),
        [
            "http.request.method=GET",
            "http.route=/users/<int:number>",
            "url.path=/users/7",
            "url.query=<redacted>",
            "url.scheme=http",
            "server.address=localhost",
            "client.address=127.0.0.1",
            "network.protocol.version=1.1",
            "http.response.status_code=200",
            "http.request.header.x-tenant=[\"t\"]",
        ]
    );
    assert!(user.number("server.port") == Some(port.into()) && user.number("network.peer.port").is_some(), "{user:#?}");
    let named = |name: &str| only(&requests, |span| span.name == name).clone();
    assert_eq!(named("GET /shop/<name>").text("url.path"), Some("/shop/a%20b"));
    let fails = named("GET /fails");
    assert_eq!((fails.error_type(), fails.events.as_slice()), (Some("ValueError"), &["exception".to_owned()][..]));
    assert_eq!(named("GET /unavailable").error_type(), Some("503"));
    assert!(named("GET /unavailable").events.is_empty());
    assert_eq!(named("GET /breaks").error_type(), Some("OSError"));
    assert_eq!(named("GET /streams").text("made"), Some("parts"));
    assert_eq!(named("GET").number("http.response.status_code"), Some(404));
    // Statements are below the request.
    let statements: Vec<String> = trees(&spans).into_iter().filter(|tree| tree.starts_with("client")).collect();
    assert_eq!(
        statements,
        [
            "client BATCH INSERT things < server GET /shop/<name>",
            "client COMMIT < server GET /shop/<name>",
            "client CREATE things < server GET /shop/<name>",
            "client SELECT things < server GET /shop/<name>",
        ]
    );
}

/// Servers that are not the frameworks' own: a request is one span, which has the route.
#[test]
fn frameworks_in_other_servers() {
    let uwsgi = "import pyuwsgi; pyuwsgi.run(['--http-socket', '127.0.0.1:{port}', '--enable-threads', '--need-app', \
                 '--master', '--die-on-term', '--pythonpath', 'PROGRAMS', '--module', 'flask_app:app'])";
    let uwsgi = uwsgi.replace("PROGRAMS", &directory());
    for (arguments, route) in [
        (&["-m", "waitress", "--listen=127.0.0.1:{port}", "flask_app:app"][..], "/users/<int:number>"),
        (&["-m", "hypercorn", "-b", "127.0.0.1:{port}", "fastapi_app:app"], "/users/{number}"),
        (&["-m", "hypercorn", "-b", "127.0.0.1:{port}", "wsgi:flask_app:app"], "/users/<int:number>"),
        (&["-m", "daphne", "-b", "127.0.0.1", "-p", "{port}", "fastapi_app:app"], "/users/{number}"),
        (&["-c", &uwsgi], "/users/<int:number>"),
    ] {
        let mut sandbox = sandbox();
        let (server, port) = serve(&mut sandbox, arguments);
        assert_eq!(ask(port, "/users/7", PARENT).0, 200, "{arguments:?}");
        drop(server);
        assert_eq!(trees(&sandbox.spans()), [format!("server GET {route} < {SPAN_ID}")], "{arguments:?}");
    }
}

/// A file that the server is to send by itself is sent so.
#[test]
fn a_file_that_uwsgi_sends() {
    let mut sandbox = sandbox();
    let app = "from flask import Flask, send_file\n\
               app = Flask(__name__)\n\
               @app.get('/file')\n\
               def file():\n\
               \x20   return send_file(__file__)\n";
    sandbox.write("files.py", app);
    let uwsgi = "import pyuwsgi; pyuwsgi.run(['--http-socket', '127.0.0.1:{port}', '--enable-threads', '--need-app', \
                 '--die-on-term', '--logto', 'log', '--pythonpath', '.', '--module', 'files:app'])";
    let (server, port) = serve(&mut sandbox, &["-c", uwsgi]);
    assert_eq!(ask(port, "/file", ""), (200, app.to_owned()));
    drop(server);
    assert_eq!(trees(&sandbox.spans()), ["server GET /file"]);
    let log = std::fs::read_to_string(sandbox.work().join("log")).expect("it was written");
    assert!(log.contains(" via sendfile() "), "{log}");
}

/// Servers in C call an application by themselves: without a framework it is traced where it has the middleware, or by its
/// connections.
#[test]
fn an_application_of_no_framework_in_uwsgi() {
    let script = "from ddtrace.contrib.wsgi import DDWSGIMiddleware\n\
                  def bare(environ, start_response):\n\
                  \x20   start_response('200 OK', [])\n\
                  \x20   return [b'hello']\n\
                  application = DDWSGIMiddleware(bare)\n";
    for (how, native, expected) in [
        ("'--module', 'shop'", "auto", &["GET /x"][..]),
        ("'--wsgi-file', 'shop.py'", "auto", &["GET /x"]),
        ("'--wsgi-file', 'shop.py', '--callable', 'bare'", "true", &["GET"]),
        ("'--wsgi-file', 'shop.py', '--callable', 'bare'", "auto", &["GET"]),
        ("'--wsgi-file', 'shop.py', '--callable', 'bare'", "false", &[]),
    ] {
        let mut sandbox = sandbox();
        sandbox.write("shop.py", script);
        sandbox.set("DD_TRACE_NATIVE_ENABLED", native);
        let uwsgi = format!(
            "import pyuwsgi; pyuwsgi.run(['--http-socket', '127.0.0.1:{{port}}', '--enable-threads', '--need-app', \
             '--master', '--die-on-term', '--pythonpath', '.', {how}])"
        );
        let (server, port) = serve(&mut sandbox, &["-c", &uwsgi]);
        assert_eq!(ask(port, "/x", PARENT), (200, "hello".to_owned()), "{how}");
        drop(server);
        let expected: Vec<_> = expected.iter().map(|name| format!("server {name} < {SPAN_ID}")).collect();
        assert_eq!(trees(&sandbox.spans()), expected, "{how} {native}");
    }
}

/// The names by which users of Datadog's tracer know them.
#[test]
fn flask_at_an_agent() {
    let agent = Agent::start();
    let mut sandbox = sandbox();
    sandbox.set("DD_TRACE_AGENT_URL", agent.url()).unset("DD_TRACE_EXPORTER");
    let (server, port) = serve(&mut sandbox, &[&program("flask_app.py"), "{port}"]);
    assert_eq!(ask(port, "/asks", "").0, 200);
    assert_eq!(ask(port, "/shop/x", "").0, 200);
    assert_eq!(ask(port, "/fails", "").0, 500);
    assert_eq!(ask(port, "/nowhere", "").0, 404);
    drop(server);
    sandbox.settle();
    agent.assert_no_failed_check();
    let traces = agent.datadog_traces();
    let spans: Vec<_> = traces.as_array().unwrap().iter().flat_map(|chunk| chunk.as_array().unwrap()).collect();
    let tags = ["component", "span.kind", "http.method", "http.route", "http.status_code", "db.system", "error.type"];
    let mut seen: Vec<String> = spans.iter().map(|span| told(span, &tags)).collect();
    seen.sort();
    assert_eq!(
        seen,
        [
            "flask.request | GET /asks | web component=flask span.kind=server http.method=GET http.route=/asks http.status_code=200",
            "flask.request | GET /fails | web component=flask span.kind=server http.method=GET http.route=/fails http.status_code=500 error.type=ValueError",
            "flask.request | GET /shop/<name> | web component=flask span.kind=server http.method=GET http.route=/shop/<name> http.status_code=200",
            "flask.request | GET /users/<int:number> | web component=flask span.kind=server http.method=GET http.route=/users/<int:number> http.status_code=200",
            "flask.request | GET 404 | web component=flask span.kind=server http.method=GET http.status_code=404",
            "requests.request | GET | http component=requests span.kind=client http.method=GET http.status_code=200",
            "sqlite.connection.commit | sqlite.connection.commit | sql component=sqlite span.kind=client db.system=sqlite",
            "sqlite.query | CREATE TABLE things (name TEXT) | sql component=sqlite span.kind=client db.system=sqlite",
            "sqlite.query | INSERT INTO things VALUES (?) | sql component=sqlite span.kind=client db.system=sqlite",
            "sqlite.query | SELECT * FROM things WHERE name = ? | sql component=sqlite span.kind=client db.system=sqlite",
        ]
    );
    let of = |resource: &str| spans.iter().find(|span| span["resource"] == resource).expect("such a span");
    let stack = of("GET /fails")["meta"]["error.stack"].as_str().unwrap();
    assert!(stack.contains("in fails\n") && !stack.contains("ddtrace_run"), "{stack}");
    assert_eq!(
        of("GET /users/<int:number>")["meta"]["http.url"],
        format!("http://127.0.0.1:{port}/users/1?<redacted>").replace("127.0.0.1", "localhost")
    );
}

#[test]
fn applications_of_no_framework() {
    for arguments in [
        &[&program("plain.py"), "{port}"][..],
        &["-m", "gunicorn", "-b", "127.0.0.1:{port}", "plain:wsgi"],
        &["-m", "uvicorn", "--port", "{port}", "plain:asgi"],
        &["-m", "gunicorn", "-b", "127.0.0.1:{port}", "-k", "asgi", "plain:asgi"],
        &[
            "-c",
            "from gevent.pywsgi import WSGIServer; import plain; WSGIServer(('127.0.0.1', {port}), plain.wsgi).serve_forever()",
        ],
        &["-m", "waitress", "--listen=127.0.0.1:{port}", "plain:wsgi"],
        &["-m", "hypercorn", "-b", "127.0.0.1:{port}", "plain:asgi"],
        &["-m", "hypercorn", "-b", "127.0.0.1:{port}", "wsgi:plain:wsgi"],
        &["-m", "daphne", "-b", "127.0.0.1", "-p", "{port}", "plain:asgi"],
    ] {
        let mut sandbox = sandbox();
        let (server, port) = serve(&mut sandbox, arguments);
        assert_eq!(ask(port, "/users/7", PARENT), (200, "ok".into()), "{arguments:?}");
        assert_eq!(ask(port, "/fails", "").0, 500, "{arguments:?}");
        drop(server);
        let spans = sandbox.spans();
        assert_eq!(trees(&spans), ["server GET !".to_owned(), format!("server GET < {SPAN_ID}")], "{arguments:?}");
        let (failed, other) = (only(&spans, |span| span.failed), only(&spans, |span| !span.failed));
        assert_eq!(failed.error_type(), Some("ValueError"), "{arguments:?}");
        assert_eq!(
            attributes(other, &["url.path", "http.response.status_code"]),
            ["url.path=/users/7", "http.response.status_code=200"]
        );
    }
}

fn django(arguments: &[&str], how: &str) {
    let mut sandbox = sandbox();
    sandbox.set("HOW", how);
    let (server, port) = serve(&mut sandbox, arguments);
    assert_eq!(ask(port, "/users/7/", PARENT).0, 200, "{arguments:?}");
    assert_eq!(ask(port, "/old/7", "").0, 200);
    assert_eq!(ask(port, "/shop/fails", "").0, 500);
    assert_eq!(ask(port, "/shop/nowhere", "").0, 404);
    assert_eq!(ask(port, "/none", "").0, 404);
    assert_eq!(ask(port, "/queries", "").0, 200);
    assert_eq!(ask(port, "/waits", "").0, 200);
    assert_eq!(ask(port, "/", "").0, 200);
    drop(server);
    let mut spans = sandbox.spans();
    // What Django asks a database for before it is used.
    spans.retain(|span| span.kind == "server" || span.text("db.query.text") == Some("SELECT ?"));
    assert_eq!(
        trees(&spans),
        [
            "client SELECT < server GET queries",
            "server GET",
            "server GET /",
            "server GET ^old/(?P<number>\\d+)$",
            "server GET queries",
            "server GET shop/fails !",
            "server GET shop/nowhere",
            &format!("server GET users/<int:number>/ < {SPAN_ID}"),
            "server GET waits",
        ],
        "{arguments:?}"
    );
    let fails = only(&spans, |span| span.failed);
    assert_eq!((fails.error_type(), fails.events.len()), (Some("ValueError"), 1), "{arguments:?}");
}

#[test]
fn django_by_each_server() {
    let program = program("django_app.py");
    django(&[&program, "runserver", "--noreload", "127.0.0.1:{port}"], "wsgi");
    // The one process looks for changes, the other serves.
    django(&[&program, "runserver", "127.0.0.1:{port}"], "wsgi");
    django(&["-m", "gunicorn", "-b", "127.0.0.1:{port}", "django_app:wsgi"], "wsgi");
    django(&["-m", "uvicorn", "--port", "{port}", "django_app:asgi"], "asgi");
}

#[test]
fn fastapi_and_starlette() {
    let mut sandbox = sandbox();
    let (server, port) = serve(&mut sandbox, &["-m", "uvicorn", "--port", "{port}", "fastapi_app:app"]);
    assert_eq!(ask(port, "/users/7", PARENT).0, 200);
    assert_eq!(ask(port, "/shop/a", "").0, 200);
    assert_eq!(ask(port, "/asks/1", "").0, 200);
    assert_eq!(ask(port, "/fails", "").0, 500);
    assert_eq!(ask(port, "/refuses", "").0, 418);
    assert_eq!(ask(port, "/none", "").0, 404);
    assert!(ask(port, "/streams", "").1.contains("two"));
    assert_eq!(ask(port, "/mounted/plain", "").1, "inner");
    assert_eq!(ask(port, "/mounted/within/x", "").1, "inner");
    assert_eq!(ask(port, "/later", "").0, 200);
    assert_eq!(ask(port, "/done", "").0, 200);
    drop(server);
    let spans = sandbox.spans();
    assert_eq!(
        trees(&spans),
        [
            "client GET < internal BackgroundTask call < server GET /later",
            "client GET < server GET /asks/{number}",
            "client GET < server GET /asks/{number}",
            "internal BackgroundTask call < server GET /later",
            "server GET",
            "server GET /asks/{number}",
            "server GET /done",
            "server GET /fails !",
            "server GET /later",
            "server GET /mounted/plain",
            "server GET /mounted/within/{name}",
            "server GET /refuses",
            "server GET /shop/{name}",
            "server GET /shop/{name} < client GET < server GET /asks/{number}",
            "server GET /streams",
            &format!("server GET /users/{{number}} < {SPAN_ID}"),
            "server GET /users/{number} < client GET < internal BackgroundTask call < server GET /later",
            "server GET /users/{number} < client GET < server GET /asks/{number}",
        ]
    );
    assert_eq!(only(&spans, |span| span.failed).error_type(), Some("ValueError"));
    // What is done behind the answer is no part of the request.
    let later = only(&spans, |span| span.name == "GET /later");
    let called = only(&spans, |span| span.kind == "internal" && span.parent_id.as_ref() == Some(&later.span_id));
    assert!(later.end <= called.start, "{later:#?} {called:#?}");
}

#[test]
fn aiohttp_serves_and_asks() {
    let mut sandbox = sandbox();
    let (server, port) = serve(&mut sandbox, &[&program("aiohttp_app.py"), "{port}"]);
    assert_eq!(ask(port, "/users/7", PARENT).0, 200);
    assert_eq!(ask(port, "/asks", "").0, 200);
    assert_eq!(ask(port, "/fails", "").0, 500);
    assert_eq!(ask(port, "/refuses", "").0, 403);
    assert_eq!(ask(port, "/none", "").0, 404);
    assert_eq!(ask(port, "/breaks", "").0, 202);
    assert_eq!(ask(port, "/prepares", "").0, 500);
    assert_eq!(ask(port, "/waits", "").0, 504);
    drop(server);
    let spans = sandbox.spans();
    assert_eq!(
        trees(&spans),
        [
            "client GET < server GET /asks",
            "client GET < server GET /asks",
            "server GET",
            "server GET /asks",
            "server GET /breaks !",
            "server GET /fails !",
            "server GET /prepares !",
            "server GET /refuses",
            &format!("server GET /users/{{number}} < {SPAN_ID}"),
            "server GET /users/{number} < client GET < server GET /asks",
            "server GET /users/{number} < client GET < server GET /asks",
            "server GET /waits !",
        ]
    );
    // The status that was sent, whatever has failed behind it.
    for (path, status, error) in [
        ("refuses", 403, None),
        ("fails", 500, Some("ValueError")),
        ("breaks", 202, Some("OSError")),
        ("prepares", 500, Some("OSError")),
        ("waits", 504, Some("TimeoutError")),
    ] {
        let span = only(&spans, |span| span.name == format!("GET /{path}"));
        assert_eq!((span.number("http.response.status_code"), span.error_type()), (Some(status), error), "{path}");
    }
}

/// What the server says of a request behind the application is of the request; one fails before its route is known, too.
#[test]
fn what_aiohttp_says_of_a_request() {
    let mut sandbox = sandbox();
    sandbox.set("DD_TRACE_DEBUG", "true");
    let outcome = sandbox.run_traced([&python(), &program("aiohttp_log.py")]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(!outcome.err().contains("the integration of"), "{outcome:?}");
    let spans = sandbox.spans();
    for (path, name) in [("/fails", "GET /fails"), ("/lost", "GET")] {
        let request = only(&spans, |span| span.kind == "server" && span.text("url.path") == Some(path));
        assert_eq!(request.name, name);
        let id = u64::from_str_radix(&request.span_id, 16).expect("an id");
        let expected =
            ["aiohttp.server", "aiohttp.access"].map(|logger| format!("{logger} {path} {} {id}", request.trace_id));
        let out = outcome.out();
        let seen: Vec<&str> = out.lines().filter(|line| line.contains(path)).collect();
        assert_eq!(seen, expected);
    }
}
