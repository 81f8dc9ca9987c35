//! Servers of whose ways their names tell (`preload/src/net/programs.rs`): what they ask for has the right parent or none.

use ddtrace_test_support::Sandbox;
use ddtrace_test_support::agent::free_port;
use ddtrace_test_support::servers::{self, Server, asked, curl, files, keeper, python_server};
use ddtrace_test_support::spans::Span;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

fn sandbox() -> Sandbox {
    servers::sandbox(env!("CARGO_BIN_EXE_ddtrace-run"))
}

/// The end of what a request was for.
fn end_of<'a>(span: &'a Span, name: &str) -> &'a str {
    span.text(name).and_then(|text| text.rsplit('/').next()).unwrap_or_default()
}

/// How many of what a service has asked for are below a request. It is for the same.
fn rightly_below(spans: &[Span], service: &str) -> usize {
    let parents = asked(spans, service).filter_map(|span| {
        let parent = spans.iter().find(|parent| Some(&parent.span_id) == span.parent_id.as_ref())?;
        assert_eq!(end_of(span, "url.full"), end_of(parent, "url.path"), "{span:#?} {parent:#?}");
        Some(())
    });
    parents.count()
}

fn answered(connection: &mut TcpStream) {
    let (mut answer, mut bytes) = (Vec::new(), [0; 4096]);
    while !answer.ends_with(b"done") {
        let count = connection.read(&mut bytes).expect("an answer");
        assert!(count > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&bytes[..count]);
    }
}

/// A thread of Puma's that has read a part of a request leaves it to another one, which reads the rest, and goes on with what that one
/// has read meanwhile.
#[test]
fn puma_leaves_parts_of_requests_to_its_reactor() {
    let mut sandbox = sandbox();
    let [back, port] = [free_port(), free_port()];
    let listener = TcpListener::bind(("127.0.0.1", back)).expect("a port");
    let _arrived = keeper(listener, b"\r\n\r\n");
    let app = sandbox.path().join("config.ru");
    let ask = format!("Net::HTTP.get(URI('http://127.0.0.1:{back}' + env['PATH_INFO']))");
    let script = format!("require 'net/http'\nrun lambda {{ |env| {ask}; [200, {{}}, ['done']] }}\n");
    std::fs::write(&app, script).expect("a file");
    let (bind, app) = (format!("tcp://127.0.0.1:{port}"), app.display().to_string());
    let server = Server::of(&mut sandbox, true, "puma", port, &["puma", "-q", "-b", &bind, "-t", "1:1", &app]);
    let connect = || TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    let send = |connection: &mut TcpStream, text: &str| connection.write_all(text.as_bytes()).expect("it is sent");
    let get = |connection: &mut TcpStream, path: &str| {
        send(connection, &format!("GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        answered(connection);
    };
    let (mut one, mut other) = (connect(), connect());
    // From here on its reactor waits for what comes next.
    get(&mut other, "first");
    std::thread::sleep(Duration::from_millis(500));
    get(&mut one, "second");
    send(&mut one, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234");
    std::thread::sleep(Duration::from_millis(200));
    for number in 0..3 {
        get(&mut other, &format!("between-{number}"));
        std::thread::sleep(Duration::from_millis(500));
    }
    send(&mut one, "56789");
    answered(&mut one);
    drop(server);
    let spans = sandbox.spans();
    assert_eq!(asked(&spans, "puma").count(), 6, "{spans:#?}");
    assert!(rightly_below(&spans, "puma") > 0, "a thread that has read the whole request asks for it");
}

/// lighttpd asks another server where one has refused, after it has read further requests.
#[test]
fn lighttpd_tries_again_later() {
    const REQUESTS: usize = 10;
    let mut sandbox = sandbox();
    let root = files(&sandbox);
    let [nobody, back, port] = [free_port(), free_port(), free_port()];
    let backend = python_server(&mut sandbox, false, back, &root);
    let server = |port: u16| format!("(\"host\" => \"127.0.0.1\", \"port\" => {port}, \"disable-time\" => 0)");
    let config = format!(
        "server.modules = (\"mod_proxy\")\nserver.document-root = \"{}\"\nserver.bind = \"127.0.0.1\"\nserver.port = {port}\n\
         proxy.balance = \"round-robin\"\nproxy.server = (\"\" => ({}, {}))\n",
        root.display(),
        server(nobody),
        server(back)
    );
    let file = sandbox.path().join("lighttpd.conf");
    std::fs::write(&file, config).expect("a file");
    let proxy =
        Server::of(&mut sandbox, true, "lighttpd", port, &["lighttpd", "-D", "-f", &file.display().to_string()]);
    let signal = |name: &str| {
        let sent = Command::new("kill").args([name, &proxy.0.id().to_string()]).status();
        assert!(sent.expect("kill").success());
    };
    for round in 0..3 {
        // All are there when it looks.
        signal("-STOP");
        let connections: Vec<_> = (0..REQUESTS)
            .map(|number| {
                let mut connection = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
                let head = format!("GET /{round}-{number} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
                connection.write_all(head.as_bytes()).expect("it is sent");
                connection
            })
            .collect();
        signal("-CONT");
        for mut connection in connections {
            connection.read_to_end(&mut Vec::new()).expect("an answer");
        }
    }
    curl(&mut sandbox, false, &[&format!("http://127.0.0.1:{port}/alone")]);
    drop((proxy, backend));
    let spans = sandbox.spans();
    assert!(asked(&spans, "lighttpd").count() > 3 * REQUESTS, "{spans:#?}");
    assert!(rightly_below(&spans, "lighttpd") > REQUESTS, "{spans:#?}");
}
