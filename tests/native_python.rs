//! Python programs whose connections are looked at: a request is one span, whoever tells of it, and what belongs to what.

use ddtrace_test_support::agent::free_port;
use ddtrace_test_support::python::python;
use ddtrace_test_support::servers::{self, Server, files, only, postgres, program, python_server};
use ddtrace_test_support::spans::Span;
use ddtrace_test_support::{Agent, PATIENCE, Sandbox};
use std::io::{Read, Write};
use std::net::TcpStream;

/// Where integrations of ours leave all to what connections tell, and to the programs.
fn sandbox() -> Sandbox {
    let mut sandbox = servers::sandbox(env!("CARGO_BIN_EXE_ddtrace-run"));
    // Each program instruments what it is about.
    sandbox.set("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "*");
    sandbox
}

/// A server of `tests/python_native`. `how` says what it does.
fn server(sandbox: &mut Sandbox, name: &str, how: &str) -> (Server, u16) {
    let (python, program, port) = (python("native-venv"), program(name), free_port());
    sandbox.set("HOW", how);
    (Server::of(sandbox, true, "web", port, &[&python, &program, &port.to_string()]), port)
}

/// The application of `web.py` in a server that keeps connections, with threads.
fn gunicorn(sandbox: &mut Sandbox, how: &str) -> (Server, u16) {
    let (python, port) = (python("native-venv"), free_port());
    sandbox.set("HOW", how);
    let (directory, address) = (program(""), format!("127.0.0.1:{port}"));
    let argv = [&python, "-m", "gunicorn", "-k", "gthread", "--threads", "3", "--chdir", &directory];
    (Server::of(sandbox, true, "web", port, &[&argv[..], &["-b", &address, "web:app"]].concat()), port)
}

const PARENT: &str = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN_ID: &str = "b7ad6b7169203331";

/// A connection over which one request is made after the other; another one where the server closes it.
struct Client(u16, TcpStream);

impl Client {
    fn new(port: u16) -> Client {
        let connection = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
        connection.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Client(port, connection)
    }

    /// The body of the answer.
    fn get(&mut self, path: &str, headers: &str) -> String {
        self.ask(path, headers);
        self.answer(path)
    }

    fn ask(&mut self, path: &str, headers: &str) {
        write!(self.1, "GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").expect("it is sent");
    }

    fn answer(&mut self, path: &str) -> String {
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"\r\n\r\n") {
            self.1.read_exact(&mut byte).expect("a head");
            answer.push(byte[0]);
        }
        let head = String::from_utf8(answer).expect("a head is text").to_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{path}: {head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        let mut body = vec![0; length.parse().expect("a number")];
        self.1.read_exact(&mut body).expect("a body");
        if head.contains("connection: close") {
            // What the server still does for the request is over then.
            let rest = self.1.read_to_end(&mut Vec::new());
            assert_eq!(rest.expect("it closes the connection"), 0);
            *self = Client::new(self.0);
        }
        String::from_utf8(body).expect("the body is text")
    }
}

fn get(port: u16, path: &str, headers: &str) -> String {
    Client::new(port).get(path, headers)
}

/// Kind and name; of what is asked for, what that is.
fn label(span: &Span) -> String {
    let path = span.text("url.full").filter(|_| span.name == "GET").and_then(|url| url.splitn(4, '/').nth(3));
    let asked = path.or(span.text("db.query.text"));
    format!("{} {}", span.kind, asked.unwrap_or(&span.name))
}

/// Each span with those above it, from itself up; sorted. A parent that is elsewhere is its id.
fn trees(spans: &[Span]) -> Vec<String> {
    let mut trees: Vec<String> = spans
        .iter()
        .map(|span| {
            let mut way = label(span);
            let mut above = span.parent_id.clone();
            while let Some(id) = above {
                let parent = spans.iter().find(|other| other.span_id == id && other.trace_id == span.trace_id);
                let name = parent.map_or_else(|| id.clone(), label);
                way.push_str(&format!(" < {name}"));
                above = parent.and_then(|parent| parent.parent_id.clone());
            }
            way
        })
        .collect();
    trees.sort();
    trees
}

/// Every way in which a program can make a span of its request: there is one span, with what both know.
#[test]
fn a_request_is_one_span_whoever_tells_of_it() {
    for (how, name, follows) in [
        ("nothing", "GET", true),
        ("instrumented", "GET /", true),
        ("datadog", "GET by hand", true),
        ("datadog_with_context", "GET by hand", true),
        ("otel", "GET by hand", true),
    ] {
        let mut sandbox = sandbox();
        let (server, port) = server(&mut sandbox, "web.py", how);
        assert_eq!(get(port, "/", ""), "hello", "{how}");
        assert_eq!(get(port, "/", PARENT), "hello", "{how}");
        drop(server);
        let spans = sandbox.spans();
        let expected = [format!("server {name}"), format!("server {name} < {SPAN_ID}")];
        assert_eq!(trees(&spans), expected, "{how}: {spans:#?}");
        let continued = only(&spans, |span| span.parent_id.is_some());
        assert_eq!((continued.trace_id == TRACE_ID, continued.flags & 0x200 != 0), (follows, true), "{how}");
        for span in &spans {
            let address = if how.starts_with("datadog") { "http.client_ip" } else { "client.address" };
            assert_eq!(span.text(address), Some("127.0.0.1"), "{how}: {span:#?}");
            let path = if how == "otel" { "/set by hand" } else { "/" };
            assert_eq!(span.text("url.path"), Some(path), "{how}: {span:#?}");
            assert!(!span.failed && span.end > span.start, "{how}: {span:#?}");
        }
    }
}

#[test]
fn what_the_program_sees_of_its_span_is_what_is_sent() {
    for how in ["datadog", "otel", "instrumented"] {
        let mut sandbox = sandbox();
        let (server, port) = gunicorn(&mut sandbox, how);
        let mut client = Client::new(port);
        let seen: Vec<String> = ["", PARENT, ""].map(|headers| client.get("/ids/x", headers)).into();
        drop(server);
        let mut sent: Vec<Span> = sandbox.spans();
        sent.sort_by_key(|span| span.start);
        let sent: Vec<String> = sent.iter().map(|span| format!("{} {}", span.trace_id, span.span_id)).collect();
        assert_eq!(seen, sent, "{how}");
        assert!(seen[1].starts_with(TRACE_ID) && seen[0] != seen[2], "{how}: {seen:?}");
    }
}

#[test]
fn what_belongs_to_another_request_is_no_part_of_this_one() {
    let mut sandbox = sandbox();
    let (server, port) = server(&mut sandbox, "web.py", "elsewhere");
    get(port, "/", "");
    drop(server);
    let spans = sandbox.spans();
    assert_eq!(trees(&spans), ["server GET", "server message < 2222222222222222"]);
}

/// Spans of all APIs below the request, and what it asks others for.
#[test]
fn what_a_request_does_is_below_its_one_span() {
    for (how, name, keeps) in [
        ("nothing", "GET", false),
        ("nothing", "GET", true),
        ("instrumented", "GET /custom", true),
        ("datadog", "GET by hand", false),
    ] {
        let mut sandbox = sandbox();
        let root = files(&sandbox);
        let back = free_port();
        let behind = python_server(&mut sandbox, true, back, &root);
        std::fs::write(root.join("from-python"), "content").expect("a file");
        let (server, port) = if keeps { gunicorn(&mut sandbox, how) } else { server(&mut sandbox, "web.py", how) };
        let mut client = Client::new(port);
        assert_eq!(client.get("/custom", PARENT), "hello");
        assert_eq!(client.get(&format!("/asks/{back}"), ""), "content");
        drop((server, behind));
        let name_of_asks = if how == "instrumented" { "GET /asks/<int:back>" } else { name };
        let mut expected = vec![
            format!("client from-python < server {name_of_asks}"),
            format!("internal datadog.work < server {name} < {SPAN_ID}"),
            format!("internal otel.work < internal datadog.work < server {name} < {SPAN_ID}"),
            format!("server GET < client from-python < server {name_of_asks}"),
            format!("server {name_of_asks}"),
            format!("server {name} < {SPAN_ID}"),
        ];
        expected.sort();
        assert_eq!(trees(&sandbox.spans()), expected, "{how}");
    }
}

/// By Datadog's protocol, with one decision for each trace, whoever takes it.
#[test]
fn a_datadog_agent_gets_one_span_and_one_decision() {
    let (agent, mut sandbox) = (Agent::start(), sandbox());
    sandbox.set("DD_TRACE_AGENT_URL", agent.url()).unset("DD_TRACE_EXPORTER");
    let root = files(&sandbox);
    let back = free_port();
    let behind = python_server(&mut sandbox, true, back, &root);
    std::fs::write(root.join("from-python"), "content").expect("a file");
    sandbox.set("DD_TRACE_SAMPLING_RULES", r#"[{"resource":"GET by hand","sample_rate":0}]"#);
    let (first, port) = server(&mut sandbox, "web.py", "datadog");
    assert_eq!(get(port, &format!("/asks/{back}"), ""), "content");
    drop(first);
    sandbox.unset("DD_TRACE_SAMPLING_RULES");
    let (second, port) = server(&mut sandbox, "web.py", "dropped");
    assert_eq!(get(port, "/", PARENT), "hello");
    assert_eq!(get(port, &format!("/asks/{back}"), PARENT), "content");
    drop((second, behind));
    sandbox.settle();
    agent.assert_no_failed_check();
    let spans = agent.datadog_spans();
    let served: Vec<&Span> = spans.iter().filter(|span| span.name == "GET by hand").collect();
    assert_eq!((served.len(), spans.len()), (3, 7), "{spans:#?}");
    for span in &served {
        assert_eq!((span.kind.as_str(), span.text("http.client_ip")), ("server", Some("127.0.0.1")), "{span:#?}");
        assert_eq!(span.text("http.useragent"), None, "{span:#?}");
    }
    let priority = |span: &Span| span.number("_sampling_priority_v1");
    let by_rule = only(&spans, |span| span.name == "GET by hand" && span.parent_id.is_none());
    assert_eq!((priority(by_rule), by_rule.attributes.get("_dd.rule_psr")), (Some(-1), Some(&0.0.into())));
    // Both of the programs behind go by what they are told.
    for asked in spans.iter().filter(|span| span.kind == "client") {
        let parent = only(&spans, |span| Some(&span.span_id) == asked.parent_id.as_ref());
        let below = only(&spans, |span| span.parent_id.as_ref() == Some(&asked.span_id));
        assert_eq!(priority(below).map(|it| it > 0), priority(parent).map(|it| it > 0), "{spans:#?}");
    }
    let continued: Vec<_> = served.iter().filter(|span| span.parent_id.is_some()).map(|span| priority(span)).collect();
    assert_eq!(continued.len(), 2);
    assert!(continued.contains(&Some(-1)) && continued.contains(&Some(1)), "{continued:?}");
}

/// As it is without: spans of the program's own, and nothing else.
#[test]
fn nothing_is_taken_over_unless_connections_are_looked_at() {
    for how in ["nothing", "instrumented", "datadog"] {
        let mut sandbox = sandbox();
        sandbox.set("DD_TRACE_NATIVE_ENABLED", "false");
        let (server, port) = server(&mut sandbox, "web.py", how);
        assert_eq!(get(port, "/custom", PARENT), "hello");
        drop(server);
        let (above, kind) = match how {
            "nothing" => (String::new(), ""),
            "instrumented" => (format!(" < server GET /custom < {SPAN_ID}"), "server GET /custom"),
            _ => (" < internal GET by hand".to_owned(), "internal GET by hand"),
        };
        let mut expected =
            vec![format!("internal datadog.work{above}"), format!("internal otel.work < internal datadog.work{above}")];
        if !kind.is_empty() {
            expected.push(above.trim_start_matches(" < ").to_owned());
        }
        expected.sort();
        let spans = sandbox.spans();
        assert_eq!(trees(&spans), expected, "{how}: {kind}");
        assert!(spans.iter().all(|span| !span.attributes.contains_key("client.address") || how == "instrumented"));
    }
}

/// Runs a part of `works.py` that asks a server which is not traced; `path < … < root` of all spans, which must be these.
#[track_caller]
fn assert_works(sandbox: &mut Sandbox, what: &str, expected: &[&str]) {
    assert_works_with(sandbox, Vec::new(), what, expected);
}

/// With other servers beside that.
#[track_caller]
fn assert_works_with(sandbox: &mut Sandbox, servers: Vec<Server>, what: &str, expected: &[&str]) {
    let root = files(sandbox);
    let back = free_port();
    let behind = python_server(sandbox, false, back, &root);
    sandbox.set("DD_SERVICE", "works");
    let argv = [python("native-venv"), program("works.py"), back.to_string(), what.to_owned()];
    let outcome = sandbox.run_traced(argv);
    assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "{outcome:?}");
    drop((behind, servers));
    let mut expected: Vec<String> = expected.iter().map(|line| (*line).to_owned()).collect();
    expected.sort();
    assert_eq!(trees(&sandbox.spans()), expected, "{what}");
}

#[test]
fn what_is_asked_for_is_below_the_span_that_is_active() {
    assert_works(
        &mut sandbox(),
        "spans",
        &[
            "client before",
            "internal load",
            "client in-load < internal load",
            "internal inner < internal load",
            "client in-inner < internal inner < internal load",
            "client in-load-again < internal load",
            "internal by hand < internal load",
            "client beside-by-hand < internal load",
            "client in-by-hand < internal by hand < internal load",
            "client in-nothing",
            "client in-load-at-last < internal load",
            "client after",
            "internal left open",
            "client deactivated",
        ],
    );
}

#[test]
fn each_thread_has_its_own_active_span() {
    assert_works(
        &mut sandbox(),
        "threads",
        &[
            "internal main",
            "client outside-thread0",
            "internal thread0",
            "client in-thread0 < internal thread0",
            "client outside-thread1",
            "internal thread1",
            "client in-thread1 < internal thread1",
            "client outside-pooled < internal main",
            "internal pooled < internal main",
            "client in-pooled < internal pooled < internal main",
            "internal ended elsewhere < internal main",
            "client after-ended-elsewhere < internal main",
            "client at-the-end",
        ],
    );
}

/// Where tasks take turns on a thread, none of them is taken for another, nor for what is around the loop; and so is what else
/// the loop does.
#[test]
fn what_is_not_certain_begins_a_trace() {
    assert_works(
        &mut sandbox(),
        "loops",
        &[
            "internal around the loop",
            "internal one < internal around the loop",
            "internal two < internal around the loop",
            "client one-0 < internal one < internal around the loop",
            "client one-1 < internal one < internal around the loop",
            "client two-0 < internal two < internal around the loop",
            "client two-1 < internal two < internal around the loop",
            "client of-no-task",
            "client after-the-loop",
            "internal later",
            "client in-later < internal later",
            "internal outer",
            "client after-the-copy",
        ],
    );
    assert_works(
        &mut sandbox(),
        "greenlets",
        &[
            "internal main",
            "internal one < internal main",
            "internal two < internal main",
            "client in-one",
            "client in-two",
            "client after-them",
        ],
    );
}

#[test]
fn a_forked_child_leaves_the_span_of_its_parent() {
    assert_works(
        &mut sandbox(),
        "forks",
        &[
            "internal parent",
            "internal child < internal parent",
            "client in-child < internal child < internal parent",
            "client in-child-after",
            "client in-parent < internal parent",
        ],
    );
}

/// PostgreSQL and Redis, for `works.py`.
fn databases(sandbox: &mut Sandbox) -> Vec<Server> {
    let (postgres, directory) = postgres(sandbox);
    let port = free_port().to_string();
    let argv = ["redis-server", "--port", &port, "--save", "", "--bind", "127.0.0.1"];
    let redis = Server::of(sandbox, false, "redis", port.parse().expect("a number"), &argv);
    sandbox.set("PGHOST", directory).set("REDIS_PORT", port);
    vec![postgres, redis]
}

#[test]
fn statements_are_below_the_span_that_is_active() {
    let mut sandbox = sandbox();
    let servers = databases(&mut sandbox);
    assert_works_with(
        &mut sandbox,
        servers,
        "databases",
        &[
            "internal connects",
            "client HELLO ? < internal connects",
            "client CLIENT MAINT_NOTIFICATIONS ? ? ? < internal connects",
            "client CLIENT SETINFO ? ? < internal connects",
            "client CLIENT SETINFO ? ? < internal connects",
            "client GET first < internal connects",
            "internal asks",
            "client BEGIN < internal asks",
            "client SELECT ? AS one < internal asks",
            "client GET second < internal asks",
            "client SELECT ? AS two",
        ],
    );
}

/// What an instrumentation, or the program, tells of as a client's span is no other span as well.
#[test]
fn what_a_client_span_stands_for_is_one_span() {
    let mut sandbox = sandbox();
    let servers = databases(&mut sandbox);
    assert_works_with(
        &mut sandbox,
        servers,
        "clients",
        &[
            "client HELLO ?",
            "client CLIENT MAINT_NOTIFICATIONS ? ? ?",
            "client CLIENT SETINFO ? ?",
            "client CLIENT SETINFO ? ?",
            "client PING",
            "internal by hand",
            "internal statement < internal by hand",
            "client command < internal by hand",
            "internal no client < internal by hand",
            "client GET command < internal no client < internal by hand",
            "client request < internal by hand",
            "internal below < client request < internal by hand",
            "client below < internal below < client request < internal by hand",
            "internal instrumented",
            "client SELECT < internal instrumented",
            "client GET < internal instrumented",
        ],
    );
}

/// In tasks as well, whatever other tasks do between.
#[test]
fn what_tasks_ask_for_is_below_their_spans_and_no_second_span() {
    for what in ["tasks", "tasks_of_uvloop"] {
        let mut sandbox = sandbox();
        let servers = databases(&mut sandbox);
        let mut expected = vec!["internal around".to_owned(), "client GET nobody's".to_owned()];
        for number in 0..20 {
            expected.push(format!("internal task-{number} < internal around"));
            expected.push(format!("internal by hand {number} < internal around"));
            expected.push(format!("internal instrumented-{number}"));
            expected.push(format!("client GET < internal instrumented-{number}"));
            expected.push(format!("client GET task-{number} < internal task-{number} < internal around"));
        }
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        assert_works_with(&mut sandbox, servers, what, &expected);
    }
}

/// What a task does belongs to the request that it was made for, also when others have come in meanwhile.
#[test]
fn tasks_belong_to_the_request_that_they_were_made_for() {
    for (how, is_by_python) in [
        ("plain-asyncio-h11", true),
        ("traced-asyncio-h11", true),
        ("plain-uvloop-httptools", false),
        ("traced-uvloop-httptools", false),
    ] {
        let mut sandbox = sandbox();
        let (root, back) = (files(&sandbox), free_port());
        let behind = python_server(&mut sandbox, false, back, &root);
        sandbox.set("BACK", back.to_string());
        let (server, port) = server(&mut sandbox, "served.py", how);
        let (mut first, mut second) = (Client::new(port), Client::new(port));
        let file = first.get("/fails", "");
        assert!(!is_by_python || file.ends_with("base_events.py"), "what fails in a loop looks as without: {file}");
        first.get("/background", "");
        first.ask("/slow", PARENT);
        assert_eq!(second.get("/fast", ""), "fast");
        assert_eq!(second.get("/again", ""), "again");
        assert_eq!(first.answer("/slow"), "slow");
        drop((server, behind));
        let mut expected = Vec::new();
        for name in ["fails", "background", "slow", "fast", "again"] {
            let above = if name == "slow" { format!(" < {SPAN_ID}") } else { String::new() };
            let server =
                if how.starts_with("traced") { format!("server request {name}") } else { "server GET".to_owned() };
            expected.push(format!("{server}{above}"));
            expected.push(format!("internal work-{name} < {server}{above}"));
            expected.push(format!("internal later-{name} < {server}{above}"));
            expected.push(format!("client back-{name} < {server}{above}"));
        }
        expected.sort();
        let spans = sandbox.spans();
        let (background, others): (Vec<Span>, Vec<Span>) =
            spans.into_iter().partition(|span| span.name == "background");
        assert_eq!(trees(&others), expected, "{how}");
        // It was made by the task of a request: until that was answered it was its work, and then nobody's.
        let request = only(&others, |span| span.text("url.path") == Some("/background"));
        let belongs = |span: &&Span| span.parent_id.as_ref() == Some(&request.span_id);
        assert!(background.iter().all(|span| span.parent_id.is_none() || belongs(&span)), "{background:#?}");
        assert!(background.iter().any(|span| span.parent_id.is_none()) || how.starts_with("traced"), "{background:#?}");
        for name in ["slow", "fast", "again"] {
            let work = only(&others, |span| span.name == format!("work-{name}"));
            let request = only(&others, |span| span.text("url.path") == Some(&format!("/{name}")));
            assert_eq!(work.parent_id.as_ref(), Some(&request.span_id), "{how}");
        }
    }
}

/// A server whose tasks are older than what comes in: a span of a request that says who has made it is the request's.
#[test]
fn who_has_made_a_request_tells_it_apart() {
    for tells in [true, false] {
        let mut sandbox = sandbox();
        let (server, port) = server(&mut sandbox, "streams.py", if tells { "tells" } else { "is silent" });
        let (mut first, mut second) = (Client::new(port), Client::new(port));
        first.ask("/slow", PARENT);
        assert_eq!(second.get("/other", ""), "other");
        assert_eq!(second.get("/fast", ""), "fast");
        assert_eq!(first.answer("/slow"), "slow");
        drop(server);
        let spans = sandbox.spans();
        let servers = Vec::from_iter(spans.iter().filter(|span| span.kind == "server"));
        assert_eq!(servers.len(), if tells { 3 } else { 6 }, "{spans:#?}");
        for name in ["slow", "other", "fast"].into_iter().filter(|_| tells) {
            let request = only(&spans, |span| span.name == format!("request {name}"));
            assert_eq!(request.text("url.path"), Some(&*format!("/{name}")), "it has what the connection told");
            assert_eq!(request.parent_id.as_deref(), (name == "slow").then_some(SPAN_ID));
            let work = only(&spans, |span| span.name == format!("work-{name}"));
            assert_eq!(work.parent_id.as_ref(), Some(&request.span_id));
        }
    }
}
