//! Statements and commands that programs send over their connections.

use ddtrace_test_support::Sandbox;
use ddtrace_test_support::agent::free_port;
use ddtrace_test_support::repository;
use ddtrace_test_support::servers::{self, Server, only, postgres};
use ddtrace_test_support::spans::Span;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

fn sandbox() -> Sandbox {
    servers::sandbox(env!("CARGO_BIN_EXE_ddtrace-run"))
}

#[test]
fn statements_for_postgresql_are_spans() {
    let mut sandbox = sandbox();
    let (server, directory) = postgres(&sandbox);
    sandbox.set("DD_SERVICE", "psql").set("PGHOST", &directory).set("PGUSER", "me").set("PGDATABASE", "postgres");
    let argv = [
        "psql",
        "-X",
        "-c",
        "CREATE TABLE IF NOT EXISTS things (name text)",
        "-c",
        "INSERT INTO things SELECT 'secret' FROM generate_series(1, 2000)",
        "-c",
        "SELECT t.name FROM things t WHERE t.name = 'secret'",
        "-c",
        "DROP TABLE things",
        "-c",
        "SELECT * FROM none",
    ];
    sandbox.assert_same(&argv);
    let script = sandbox.write("script.sql", "SELECT 1 + :client_id AS sum;\n").display().to_string();
    for mode in ["simple", "extended", "prepared"] {
        let argv = ["pgbench", "-n", "-t", "5", "-M", mode, "-f", &script];
        sandbox.set("DD_SERVICE", mode);
        let outcome = sandbox.run_traced(argv);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
    }
    drop(server);
    let spans = sandbox.spans();
    let select = only(&spans, |span| span.name == "SELECT things");
    assert_eq!((select.text("db.system.name"), select.text("db.namespace")), (Some("postgresql"), Some("postgres")));
    assert_eq!(select.text("db.query.text"), Some("SELECT t.name FROM things t WHERE t.name = ?"));
    assert_eq!((select.text("network.transport"), select.failed), (Some("unix"), false));
    assert!(select.text("server.address").is_some_and(|path| path.starts_with(&directory)), "{select:#?}");
    let failed = only(&spans, |span| span.name == "SELECT none");
    assert_eq!((failed.failed, failed.error_type()), (true, Some("42P01")));
    assert_eq!(failed.text("db.response.status_code"), Some("42P01"));
    for name in ["CREATE things", "INSERT things SELECT generate_series", "DROP things"] {
        only(&spans, |span| span.name == name && !span.failed);
    }
    for mode in ["simple", "extended", "prepared"] {
        let of_mode = |span: &&Span| span.resource["service.name"] == mode && span.name == "SELECT";
        let texts: Vec<_> = spans.iter().filter(of_mode).filter_map(|span| span.text("db.query.text")).collect();
        let sums = texts.iter().filter(|text| text.contains(" AS sum")).count();
        assert_eq!(sums, 5, "{mode}: {texts:?}");
    }
}

#[test]
fn commands_for_redis_are_spans() {
    let mut sandbox = sandbox();
    let port = free_port();
    let port_text = port.to_string();
    let argv = ["redis-server", "--port", &port_text, "--save", "", "--bind", "127.0.0.1"];
    let server = Server::of(&mut sandbox, true, "server", port, &argv);
    sandbox.set("DD_SERVICE", "client");
    let script = "SET key 'secret value'\nGET key\nLPUSH key x\nHGETALL none\nDEL key\n";
    let cli = format!("printf '%s' \"$0\" | redis-cli -p {port_text}");
    let argv = ["sh", "-c", &cli, script];
    sandbox.assert_same(&argv);
    let benchmark = ["redis-benchmark", "-p", &port_text, "-n", "2000", "-P", "16", "-c", "4", "-t", "get", "--csv"];
    sandbox.set("DD_SERVICE", "benchmark");
    assert_eq!(sandbox.run_traced(benchmark).code, Some(0));
    drop(server);
    let spans = sandbox.spans();
    let of_client = |name: &str| only(&spans, |span| span.resource["service.name"] == "client" && span.name == name);
    let set = of_client("SET");
    assert_eq!((set.text("db.system.name"), set.text("db.query.text")), (Some("redis"), Some("SET key ?")));
    assert_eq!((set.text("server.address"), set.number("server.port")), (Some("127.0.0.1"), Some(port.into())));
    assert_eq!(of_client("LPUSH").error_type(), Some("WRONGTYPE"));
    for name in ["GET", "HGETALL", "DEL"] {
        assert!(!of_client(name).failed);
    }
    let of_benchmark = |span: &&Span| span.resource["service.name"] == "benchmark" && span.name == "GET";
    assert_eq!(spans.iter().filter(of_benchmark).count(), 2000);
    assert!(spans.iter().all(|span| span.resource["service.name"] != "server"), "a server of commands has no spans");
}

/// A pipeline of several hundred, as libraries make them of a batch; all of it has spans, and so has what comes after one that
/// is longer than that.
#[test]
fn long_pipelines_have_a_span_for_each() {
    let mut sandbox = sandbox();
    let port = free_port();
    let port_text = port.to_string();
    let argv = ["redis-server", "--port", &port_text, "--save", "", "--bind", "127.0.0.1"];
    let server = Server::of(&mut sandbox, false, "server", port, &argv);
    let script = format!(
        "import socket\ns = socket.create_connection(('127.0.0.1', {port}))\n\
         def send(name, count):\n    \
             s.sendall(b'*2\\r\\n$4\\r\\n%s\\r\\n$1\\r\\na\\r\\n' % name * count)\n    \
             lines = 0\n    \
             while lines < count: lines += s.recv(65536).count(b'\\r\\n')\n\
         send(b'INCR', 1000)\nsend(b'DECR', 3000)\nsend(b'TYPE', 1)\n"
    );
    sandbox.set("DD_SERVICE", "client");
    let outcome = sandbox.run_traced(["python3", "-c", &script]);
    assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""));
    drop(server);

    let (server, directory) = postgres(&sandbox);
    let client = repository().join("tests/python_native/pipeline.py").display().to_string();
    let socket = format!("{directory}/.s.PGSQL.5432");
    for statements in [
        vec!["SELECT 1 AS many"; 300],
        [vec!["SELECT 1 AS before"; 3], vec!["SELECT 1/0 AS wrong"], vec!["SELECT 1 AS skipped"; 5]].concat(),
    ] {
        let argv = [vec!["python3", &client, &socket], statements].concat();
        let outcome = sandbox.run_traced(argv);
        assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""));
    }
    drop(server);

    let spans = sandbox.spans();
    let named = |name: &str| spans.iter().filter(|span| span.name == name).count();
    assert_eq!((named("INCR"), named("TYPE")), (1000, 1));
    assert!((1024..=3000).contains(&named("DECR")), "{}", named("DECR"));
    let with = |text: &str| -> Vec<_> {
        spans.iter().filter(|span| span.text("db.query.text").is_some_and(|query| query.contains(text))).collect()
    };
    assert_eq!(with("AS many").iter().filter(|span| !span.failed).count(), 300);
    assert_eq!(with("AS before").iter().filter(|span| !span.failed).count(), 3);
    let failures = |text: &str| -> Vec<_> {
        with(text).iter().map(|span| (span.failed, span.error_type().map(str::to_owned))).collect()
    };
    assert_eq!(failures("AS wrong"), [(true, Some("22012".to_owned()))]);
    assert_eq!(failures("AS skipped"), vec![(true, Some("pipeline_aborted".to_owned())); 5]);
}

/// A command has begun when the call began that sends it: what it is, is seen when that is back, and the server may have answered
/// by then, or have kept it waiting.
#[test]
fn a_command_begins_when_it_is_about_to_be_sent() {
    const SIZE: usize = 30_000_000;
    const HELD: Duration = Duration::from_millis(500);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().expect("a connection");
        let (mut left, mut piece) = (SIZE, vec![0; 1 << 20]);
        // The call has begun, and takes for as long as nobody reads on.
        left -= connection.read(&mut piece).expect("the beginning");
        std::thread::sleep(HELD);
        while left > 0 {
            left -= connection.read(&mut piece).expect("more of it");
        }
        connection.write_all(b"+OK\r\n").expect("somebody who reads");
    });
    let program = r#"
import socket, sys
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
size = int(sys.argv[2])
begin = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%08d\r\n"
begin %= size - len(begin % 0) - 2
connection.sendall(begin + b"x" * (size - len(begin) - 2) + b"\r\n")
assert connection.recv(100) == b"+OK\r\n"
"#;
    let sandbox = sandbox();
    let outcome = sandbox.run_traced(["python3", "-c", program, &port, &SIZE.to_string()]);
    assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""));
    let spans = sandbox.spans();
    let command = only(&spans, |span| span.text("db.operation.name") == Some("SET"));
    assert!(Duration::from_nanos(command.end - command.start) >= HELD, "{command:#?}");
}
