//! Programs whose connections are looked at as well: what both know is told once.

use super::*;
use ddtrace_test_support::servers::{files, postgres, python_server};

/// Servers that run the application in another thread, task or greenlet than the one that has read the request, also where what
/// they tell it of the peer is what a proxy says.
#[test]
fn a_request_is_one_span_with_each_server() {
    let tornado = "import plain, tornado.ioloop, tornado.httpserver; from tornado.wsgi import WSGIContainer; \
                   tornado.httpserver.HTTPServer(WSGIContainer(plain.wsgi), xheaders=True).listen({port}, '127.0.0.1'); \
                   tornado.ioloop.IOLoop.current().start()";
    for arguments in [
        &["-m", "waitress", "--listen=127.0.0.1:{port}", "plain:wsgi"][..],
        &["-m", "waitress", "--listen=127.0.0.1:{port}", "--trusted-proxy=127.0.0.1", "plain:wsgi"],
        &["-m", "hypercorn", "-b", "127.0.0.1:{port}", "plain:asgi"],
        &["-m", "hypercorn", "-b", "127.0.0.1:{port}", "wsgi:plain:wsgi"],
        &["-m", "daphne", "-b", "127.0.0.1", "-p", "{port}", "plain:asgi"],
        &["-m", "daphne", "-b", "127.0.0.1", "-p", "{port}", "--proxy-headers", "plain:asgi"],
        &["-m", "gunicorn", "-b", "127.0.0.1:{port}", "-k", "gevent", "plain:wsgi"],
        &["-m", "gunicorn", "-b", "127.0.0.1:{port}", "-k", "tornado", "plain:wsgi"],
        &["-c", tornado],
    ] {
        for setting in ["true", "auto"] {
            let mut sandbox = sandbox();
            sandbox.set("DD_TRACE_NATIVE_ENABLED", setting);
            let (server, port) = serve(&mut sandbox, arguments);
            for headers in [PARENT, "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n"] {
                assert_eq!(ask(port, "/users/7", headers), (200, "ok".into()), "{arguments:?}");
            }
            drop(server);
            let expected = ["server GET".to_owned(), format!("server GET < {SPAN_ID}")];
            assert_eq!(trees(&sandbox.spans()), expected, "{setting}: {arguments:?}");
        }
    }
}

/// The application of `unknown.py`, which is asked once: each span with what is above it.
fn works(settings: &[(&str, &str)], arguments: &[&str]) -> Vec<String> {
    let mut sandbox = sandbox();
    let (database, socket) = postgres(&sandbox);
    let (root, back) = (files(&sandbox), free_port());
    let behind = python_server(&mut sandbox, false, back, &root);
    sandbox.set("BACK", back.to_string()).set("DATABASE", socket);
    for (name, value) in settings {
        sandbox.set(name, value);
    }
    let (server, port) = serve(&mut sandbox, arguments);
    assert_eq!(ask(port, "/works", PARENT), (200, "ok".into()), "{settings:?} {arguments:?}");
    drop((server, behind, database));
    let shown = |span: &Span| span.text("url.full").or(span.text("db.query.text")).unwrap_or(&span.name).to_owned();
    let mut spans = sandbox.spans();
    for span in &mut spans {
        span.name = shown(span).rsplit('/').next().unwrap_or_default().to_owned();
    }
    trees(&spans)
}

/// Without a word of anybody: what no integration knows is told by connections, below what is active, and all else once.
#[test]
fn what_no_integration_knows_is_told_by_connections() {
    let program = program("unknown.py");
    for arguments in [
        &[program.as_str(), "{port}"][..],
        &["-m", "gunicorn", "-b", "127.0.0.1:{port}", "-k", "gthread", "--threads", "2", "unknown:app"],
        &["-m", "waitress", "--listen=127.0.0.1:{port}", "unknown:app"],
    ] {
        let below = format!("server works < {SPAN_ID}");
        let mut expected = vec![below.clone()];
        for (name, is_failed) in [("plain", true), ("pooled", true), ("SELECT ? AS here", false)] {
            expected.push(format!("client {name}{} < {below}", if is_failed { " !" } else { "" }));
        }
        expected.push(format!("client SELECT ? AS known < {below}"));
        expected.push(format!("client SELECT ? AS pooled < {below}"));
        expected.sort();
        assert_eq!(works(&[], arguments), expected, "{arguments:?}");
    }
}

/// In tasks, and in threads that an event loop has do something.
#[test]
fn what_event_loops_have_done_is_below_their_requests() {
    for arguments in [
        &["-m", "uvicorn", "--port", "{port}", "unknown_async:app"][..],
        &["-m", "hypercorn", "-b", "127.0.0.1:{port}", "unknown_async:app"],
    ] {
        let below = format!("server works < {SPAN_ID}");
        let mut expected = vec![below.clone()];
        for name in ["gathered0", "gathered1", "in-thread", "plain", "sync"] {
            expected.push(format!("client {name} ! < {below}"));
        }
        expected.extend(["in_thread", "sync"].map(|name| format!("client SELECT ? AS {name} < {below}")));
        expected.sort();
        assert_eq!(works(&[], arguments), expected, "{arguments:?}");
    }
}

/// Whose work a thread does is not known among greenlets: what integrations tell is all.
#[test]
fn greenlets_are_left_alone() {
    let arguments = ["-m", "gunicorn", "-b", "127.0.0.1:{port}", "-k", "gevent", "unknown:app"];
    let below = format!("server works < {SPAN_ID}");
    assert_eq!(works(&[], &arguments), [format!("client SELECT ? AS known < {below}"), below]);
}

/// What is not to be seen is not seen in another way.
#[test]
fn what_is_switched_off_is_not_told_by_connections() {
    let off = [("DD_PATCH_MODULES", "flask:false,wsgi:false,psycopg2:false,httplib:false")];
    assert_eq!(works(&off, &[&program("unknown.py"), "{port}"]), [] as [&str; 0]);
    let off = [("DD_TRACE_NATIVE_ENABLED", "false")];
    let below = format!("server works < {SPAN_ID}");
    let seen = works(&off, &[&program("unknown.py"), "{port}"]);
    assert_eq!(seen, [format!("client SELECT ? AS known < {below}"), below]);
}

/// A program without any package.
#[test]
fn the_server_of_python_itself() {
    let mut sandbox = sandbox();
    let (root, port) = (files(&sandbox), free_port());
    let server = python_server(&mut sandbox, true, port, &root);
    assert_eq!(ask(port, "/short", PARENT).0, 200);
    assert_eq!(ask(port, "/nowhere", "").0, 404);
    drop(server);
    assert_eq!(trees(&sandbox.spans()), ["server GET".to_owned(), format!("server GET < {SPAN_ID}")]);
}

/// What is imported need not be what the program serves by; and a pool's thread works for the request that has handed work to it.
#[test]
fn what_is_imported_and_not_served_by_says_nothing() {
    for module in ["werkzeug", "wsgiref.simple_server", "flask"] {
        let mut sandbox = sandbox();
        let (root, back, port) = (files(&sandbox), free_port(), free_port());
        let behind = python_server(&mut sandbox, false, back, &root);
        sandbox.set("BACK", back.to_string());
        let (python, program, port_text) = (python(), program("beside.py"), port.to_string());
        let server = Server::of(&mut sandbox, true, "web", port, &[&python, &program, &port_text, module]);
        for _ in 0..2 {
            assert_eq!(ask(port, "/", PARENT).0, 200);
        }
        drop((server, behind));
        let below = format!("server GET < {SPAN_ID}");
        let asked = format!("client GET < {below}");
        let expected = [&asked, &asked, &asked, &asked, &below, &below];
        assert_eq!(trees(&sandbox.spans()).iter().collect::<Vec<_>>(), expected, "{module}");
    }
}

/// Statements that an integration tells of are for the request that connections tell of, and so is what comes after them.
#[test]
fn what_is_left_to_an_integration_is_for_the_same_request() {
    let mut sandbox = sandbox();
    let (database, socket) = postgres(&sandbox);
    let (root, back, port) = (files(&sandbox), free_port(), free_port());
    let behind = python_server(&mut sandbox, false, back, &root);
    sandbox.set("BACK", back.to_string()).set("DATABASE", socket);
    let (python, program, port_text) = (python(), program("beside.py"), port.to_string());
    let server = Server::of(&mut sandbox, true, "web", port, &[&python, &program, &port_text, "json"]);
    for _ in 0..2 {
        assert_eq!(ask(port, "/", PARENT).0, 200);
    }
    drop((server, behind, database));
    let below = format!("server GET < {SPAN_ID}");
    let of_one = [format!("client GET < {below}"), format!("client SELECT < {below}")];
    let expected: Vec<String> =
        of_one.iter().flat_map(|each| vec![each.clone(); 4]).chain([below.clone(), below.clone()]).collect();
    assert_eq!(trees(&sandbox.spans()), expected);
}

/// Where Datadog's own tracer is, connections tell nothing, and what it does to functions works.
#[test]
fn nothing_is_told_beside_datadogs_tracer() {
    let server = "import ddtrace, asyncio, http.server; \
                  assert 'Task' not in type(vars(asyncio.BaseEventLoop)['create_task']).__name__; \
                  http.server.HTTPServer(('127.0.0.1', {port}), http.server.SimpleHTTPRequestHandler).serve_forever()";
    let mut sandbox = sandbox();
    sandbox.set("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false").set("DD_TRACE_STARTUP_LOGS", "false");
    let (python, port) = (python::python("ddtrace-venv"), free_port());
    let server = server.replace("{port}", &port.to_string());
    let server = Server::of(&mut sandbox, true, "web", port, &[&python, "-c", &server]);
    assert_eq!(ask(port, "/", "").0, 200);
    drop(server);
    assert_eq!(trees(&sandbox.spans()), [] as [&str; 0]);
}
