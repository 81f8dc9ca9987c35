//! Websockets: a span from the request to the end of what handles it.

use super::*;
use ddtrace_test_support::Agent;
use ddtrace_test_support::servers::only;

/// What comes back when a websocket is asked for, a text is sent over it, and it is closed: the status, and what is behind the
/// headers.
pub(crate) fn talk(port: u16, path: &str, headers: &str) -> (u16, Vec<u8>) {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
    connection.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    write!(connection, "GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n{upgrade}{headers}\r\n").expect("it is sent");
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && connection.read(&mut byte).expect("an answer") == 1 {
        head.extend(byte);
    }
    let status = std::str::from_utf8(&head).ok().and_then(|head| head.get(9..12)?.parse().ok());
    let status = status.unwrap_or_else(|| panic!("{path}: {:?}", String::from_utf8_lossy(&head)));
    let mut rest = Vec::new();
    if status == 101 {
        // Texts of clients are masked: with zeros they are the same.
        connection.write_all(b"\x81\x82\0\0\0\0hi").expect("it is sent");
        // A server that breaks off resets the connection.
        let mut frame = [0; 2];
        if connection.read_exact(&mut frame).is_ok() && frame[0] == 0x81 {
            rest = vec![0; frame[1].into()];
            connection.read_exact(&mut rest).expect("a text");
        }
        // It is closed: normally.
        let _ = connection.write_all(b"\x88\x82\0\0\0\0\x03\xe8");
    }
    let _ = connection.read_to_end(&mut Vec::new());
    (status, rest)
}

#[test]
fn websockets_of_a_framework() {
    let mut sandbox = sandbox();
    let (server, port) = serve(&mut sandbox, &["-m", "uvicorn", "--port", "{port}", "sockets:app"]);
    for (path, headers, status, text) in [
        ("/echo/7?token=secret", PARENT, 101, "hi"),
        ("/fails", "", 101, ""),
        ("/breaks", "", 500, ""),
        ("/leaves", "", 500, ""),
        ("/groups", "", 101, "hi"),
        ("/mixes", "", 101, "hi"),
        ("/denies", "", 403, ""),
        ("/answers", "", 418, ""),
        ("/listens", "", 101, "hi"),
        ("/api/shop/a/b", "", 101, "a/b"),
        ("/of/one/within/x", "", 101, "within"),
        ("/none", "", 403, ""),
    ] {
        assert_eq!(talk(port, path, headers), (status, text.as_bytes().to_vec()), "{path}");
    }
    drop(server);
    let spans = sandbox.spans();
    let echo = format!("server GET /echo/{{number:int}} < {SPAN_ID}");
    assert_eq!(
        trees(&spans),
        [
            format!("client SELECT < {echo}").as_str(),
            "server GET",
            "server GET /answers",
            "server GET /api/shop/{name:path}",
            "server GET /breaks !",
            "server GET /denies",
            &echo,
            "server GET /fails !",
            "server GET /groups",
            "server GET /leaves !",
            "server GET /listens",
            "server GET /mixes !",
            "server GET /of/{tenant}/within/{name}",
        ]
    );
    let names =
        ["http.request.method", "http.route", "url.scheme", "url.path", "url.query", "http.response.status_code"];
    let attributes_of = |name: &str| attributes(only(&spans, |span| span.name == name), &names);
    assert_eq!(
        attributes_of("GET /echo/{number:int}"),
        [
            "http.request.method=GET",
            "http.route=/echo/{number:int}",
            "url.scheme=ws",
            "url.path=/echo/7",
            "url.query=<redacted>",
            "http.response.status_code=101",
        ]
    );
    for (path, status, error, events) in [
        ("fails", Some(101), Some("ValueError"), 1),
        ("breaks", Some(500), Some("KeyError"), 1),
        ("leaves", Some(500), Some("500"), 0),
        ("denies", Some(403), None, 0),
        ("answers", Some(418), None, 0),
        // That a client leaves is how a websocket ends.
        ("listens", Some(101), None, 0),
        ("groups", Some(101), None, 0),
        ("mixes", Some(101), Some("ExceptionGroup"), 1),
    ] {
        let span = only(&spans, |span| span.name == format!("GET /{path}"));
        let seen = (span.number("http.response.status_code"), span.error_type(), span.events.len());
        assert_eq!(seen, (status, error, events), "{path}");
    }
}

#[test]
fn a_websocket_whose_server_is_killed_has_its_name() {
    let mut sandbox = sandbox();
    let (server, port) = serve(&mut sandbox, &["-m", "uvicorn", "--port", "{port}", "sockets:app"]);
    assert_eq!(talk(port, "/killed", "").0, 101);
    drop(server);
    let spans = sandbox.spans();
    let seen = only(&spans, |_| true);
    assert_eq!((seen.name.as_str(), seen.error_type()), ("GET /killed", Some("SIGKILL")));
    let expected = ["http.route=/killed", "http.response.status_code=101"];
    assert_eq!(attributes(seen, &["http.route", "http.response.status_code"]), expected);
}

/// Also where connections are looked at, which know the request.
#[test]
fn a_websocket_is_one_span_with_each_server() {
    for arguments in [
        &["-m", "uvicorn", "--port", "{port}", "sockets:asgi"][..],
        &["-m", "hypercorn", "-b", "127.0.0.1:{port}", "sockets:asgi"],
        &["-m", "daphne", "-b", "127.0.0.1", "-p", "{port}", "sockets:asgi"],
        &["-m", "gunicorn", "-b", "127.0.0.1:{port}", "-k", "asgi", "sockets:asgi"],
    ] {
        for native in ["false", "true", "auto"] {
            let mut sandbox = sandbox();
            sandbox.set("DD_TRACE_NATIVE_ENABLED", native).set("DD_TRACE_HEADER_TAGS", "x-made-by:made");
            let (server, port) = serve(&mut sandbox, arguments);
            for _ in 0..2 {
                assert_eq!(talk(port, "/echo", PARENT), (101, b"hi".to_vec()), "{arguments:?}");
            }
            assert_eq!(talk(port, "/fails", "").0, 101, "{arguments:?}");
            drop(server);
            let spans = sandbox.spans();
            let below = format!("server GET < {SPAN_ID}");
            assert_eq!(trees(&spans), ["server GET !", &below, &below], "{native}: {arguments:?}");
            for span in spans.iter().filter(|span| !span.failed) {
                let seen = attributes(span, &["url.path", "url.scheme", "http.response.status_code", "made"]);
                let expected = ["url.path=/echo", "url.scheme=ws", "http.response.status_code=101", "made=hand"];
                assert_eq!(seen, expected, "{native}: {arguments:?}");
            }
        }
    }
}

#[test]
fn what_switches_requests_off_switches_websockets_off() {
    let arguments = ["-m", "uvicorn", "--port", "{port}", "sockets:app"];
    let seen = |name: &str, value: &str| {
        let mut sandbox = sandbox();
        sandbox.set("DD_TRACE_NATIVE_ENABLED", "false").set("DD_PATCH_MODULES", "sqlite3:false").set(name, value);
        let (server, port) = serve(&mut sandbox, &arguments);
        assert_eq!(talk(port, "/echo/7", PARENT).0, 101);
        drop(server);
        trees(&sandbox.spans())
    };
    let below = |name: &str| vec![format!("server {name} < {SPAN_ID}")];
    assert_eq!(seen("DD_TRACE_STARLETTE_ENABLED", "false"), below("GET /echo/{number:int}"));
    assert_eq!(seen("DD_PATCH_MODULES", "sqlite3:false,fastapi:false,starlette:false"), below("GET"));
    assert_eq!(seen("DD_ASGI_DISTRIBUTED_TRACING", "false"), ["server GET /echo/{number:int}"]);
    let none: [&str; 0] = [];
    assert_eq!(seen("DD_PATCH_MODULES", "sqlite3:false,fastapi:false,starlette:false,asgi:false"), none);
    assert_eq!(seen("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "*"), none);
    assert_eq!(seen("DD_TRACE_ENABLED", "false"), none);
}

#[test]
fn a_websocket_at_an_agent() {
    let agent = Agent::start();
    let mut sandbox = sandbox();
    sandbox.set("DD_TRACE_AGENT_URL", agent.url()).unset("DD_TRACE_EXPORTER").set("DD_PATCH_MODULES", "sqlite3:false");
    let (server, port) = serve(&mut sandbox, &["-m", "uvicorn", "--port", "{port}", "sockets:app"]);
    assert_eq!(talk(port, "/echo/7", "").0, 101);
    drop(server);
    sandbox.settle();
    agent.assert_no_failed_check();
    let traces = agent.datadog_traces();
    let tags = ["component", "http.method", "http.route", "http.status_code", "http.url"];
    let seen: Vec<String> = traces
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|chunk| chunk.as_array().unwrap())
        .map(|span| told(span, &tags))
        .collect();
    assert_eq!(
        seen,
        [format!(
            "fastapi.request | GET /echo/{{number:int}} | web component=fastapi http.method=GET \
             http.route=/echo/{{number:int}} http.status_code=101 http.url=ws://localhost:{port}/echo/7"
        )]
    );
}
