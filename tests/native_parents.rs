//! Whose requests are whose, where it is easily taken wrongly: while bodies come in parts, in loops that threads share, in sets of
//! epoll that requests make, and by contexts that are passed on.

use ddtrace_test_support::Sandbox;
use ddtrace_test_support::agent::free_port;
use ddtrace_test_support::python::python;
use ddtrace_test_support::servers::{
    self, Server, asked, certificate, curl, files, haproxy, keeper, nginx, nginx_with, only, postgres, program,
    python_server, without_ours,
};
use ddtrace_test_support::spans::Span;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::Duration;

/// Of a client that is not traced.
const CONTEXT: &str = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn sandbox() -> Sandbox {
    let mut sandbox = servers::sandbox(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.set("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "*");
    sandbox
}

/// What this service was asked for at the path.
fn served<'a>(spans: &'a [Span], service: &str, path: &str) -> &'a Span {
    only(spans, |span| {
        span.kind == "server" && span.resource["service.name"] == service && span.text("url.path") == Some(path)
    })
}

/// What a service has asked for, by how that ends.
fn asked_for<'a>(spans: &'a [Span], service: &'a str, end: &str) -> Vec<&'a Span> {
    asked(spans, service).filter(|span| span.text("url.full").is_some_and(|url| url.ends_with(end))).collect()
}

/// Sends a body byte by byte, and goes away before the last one.
fn upload(port: u16, path: &str, parts: usize) {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
    connection.set_nodelay(true).expect("a socket");
    let length = parts + 1;
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
    connection.write_all(head.as_bytes()).expect("it is sent");
    for _ in 0..parts {
        connection.write_all(b"x").expect("it is sent");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// HAProxy sees after its servers, and serves others, while bodies come: nothing of that is for a request that is not whole.
#[test]
fn a_request_that_comes_in_parts_is_nobodys_parent() {
    let mut sandbox = sandbox();
    let [front, back] = [free_port(), free_port()];
    // It reads a body before it hands it on.
    let server = format!(
        "listen 127.0.0.1:{back}; location / {{ return 200; }} \
         location /upload/ {{ proxy_pass http://127.0.0.1:{back}/; }}"
    );
    let backend = nginx_with(&mut sandbox, false, "backend", back, &server);
    let checks: String =
        (0..16).map(|number| format!("\n server check{number} 127.0.0.1:{back} check inter 2ms backup")).collect();
    let sections = format!(
        "global\n nbthread 1\n\
         listen all\n bind 127.0.0.1:{front}\n monitor-uri /alive\n option httpchk GET /check\n\
         \x20server real 127.0.0.1:{back}{checks}"
    );
    let proxy = haproxy(&mut sandbox, front, &sections);
    let url = |path: &str| format!("http://127.0.0.1:{front}/{path}");
    // It is seen to answer at once.
    for _ in 0..3 {
        curl(&mut sandbox, false, &[&url("alive")]);
    }
    upload(front, "/upload/alone", 600);
    let uploads: Vec<_> =
        (0..4).map(|number| std::thread::spawn(move || upload(front, &format!("/upload/{number}"), 50))).collect();
    curl(&mut sandbox, false, &["--no-progress-meter", "-Z", "--parallel-max", "4", &url("get?number=[1-50]")]);
    for upload in uploads {
        upload.join().expect("it is sent");
    }
    drop((proxy, backend));
    let spans = sandbox.spans();
    let of_upload = |span: &&Span| span.text("url.path").is_some_and(|path| path.starts_with("/upload/"));
    let uploads: Vec<_> = spans.iter().filter(of_upload).collect();
    assert_eq!(uploads.len(), 5, "{uploads:#?}");
    let mut checks = 0;
    for span in asked(&spans, "haproxy") {
        checks += usize::from(span.text("url.full").is_some_and(|url| url.ends_with("/check")));
        let below = uploads.iter().find(|upload| span.parent_id.as_ref() == Some(&upload.span_id));
        assert!(below.is_none(), "{span:#?} {below:#?}");
    }
    assert!(checks > 0, "no server was seen after");
}

/// A thread that has just read a request goes on with what another one has read.
#[test]
fn a_thread_that_shares_its_loop_asks_for_nobody_that_is_known() {
    let mut sandbox = sandbox();
    let root = files(&sandbox);
    let [back, port] = [free_port(), free_port()];
    let backend = python_server(&mut sandbox, false, back, &root);
    let (script, ports) = (program("shares_loop.py"), [port, back].map(|port| port.to_string()));
    let server = Server::of(&mut sandbox, true, "loop", port, &["python3", &script, &ports[0], &ports[1]]);
    let url = |path: &str| format!("http://127.0.0.1:{port}/{path}");
    curl(&mut sandbox, false, &[&url("at-once")]);
    for (traced, paths) in [(false, ["one", "other"]), (true, ["passed-one", "passed-other"])] {
        sandbox.set("DD_SERVICE", "curl");
        let argv = ["curl", "-sS", &url(paths[0])];
        let mut command = if traced { sandbox.traced(argv) } else { sandbox.bare(argv) };
        let mut first = command.stdout(Stdio::null()).spawn().expect("curl");
        curl(&mut sandbox, traced, &[&url(paths[1])]);
        assert!(first.wait().expect("it ends").success());
    }
    drop((server, backend));
    let spans = sandbox.spans();
    for name in ["one", "other", "passed-one", "passed-other"] {
        let request = served(&spans, "loop", &format!("/{name}"));
        let all = asked_for(&spans, "loop", &format!("?{name}"));
        assert_eq!(all.len(), 1, "{name}: {spans:#?}");
        // Who passes the context on that a request has brought says for whom he asks.
        let expected = name.starts_with("passed").then_some(&request.span_id);
        assert_eq!(all[0].parent_id.as_ref(), expected, "{name}");
    }
}

/// Nor does one that tasks take turns on, which another thread wakes.
#[test]
fn a_thread_that_runs_tasks_asks_for_nobody_that_is_known() {
    let mut sandbox = sandbox();
    let root = files(&sandbox);
    let [back, port] = [free_port(), free_port()];
    let backend = python_server(&mut sandbox, false, back, &root);
    let (script, ports) = (program("woken.py"), [port, back].map(|port| port.to_string()));
    let server = Server::of(&mut sandbox, true, "tasks", port, &["python3", &script, &ports[0], &ports[1]]);
    let url = format!("http://127.0.0.1:{port}/request?number=[1-60]");
    curl(&mut sandbox, false, &["--no-progress-meter", "-Z", "--parallel-max", "4", &url]);
    drop((server, backend));
    let spans = sandbox.spans();
    let [requests, jobs] = ["?request", "?job"].map(|end| {
        let is_one = |span: &&Span| span.text("url.full").is_some_and(|url| url.contains(end));
        asked(&spans, "tasks").filter(is_one).collect::<Vec<_>>()
    });
    assert!(requests.len() == 60 && jobs.len() > 10, "{} and {}", requests.len(), jobs.len());
    for span in requests.into_iter().chain(jobs) {
        assert_eq!(span.parent_id, None, "{span:#?}");
    }
}

/// The same in Rust: tasks of tokio, on several threads, under load.
#[test]
fn a_server_of_tokio_asks_for_nobody_else() {
    const REQUESTS: usize = 200;
    let mut sandbox = sandbox();
    let root = files(&sandbox);
    let [back, front] = [free_port(), free_port()];
    let backend = nginx(&mut sandbox, false, "backend", back, "http://127.0.0.1:1", &root);
    let program = env!("CARGO_BIN_EXE_ddtrace-run").replace("ddtrace-run", "plain_web");
    sandbox.set("TOKIO_WORKER_THREADS", "4");
    let argv = [&program, &front.to_string(), &format!("http://127.0.0.1:{back}")];
    let server = Server::of(&mut sandbox, true, "axum", front, &argv.map(String::as_str));
    let mut get = |traced: bool, path: &str| {
        let (url, out) = (format!("http://127.0.0.1:{front}/{path}?number=[1-{REQUESTS}]"), "/dev/null");
        curl(&mut sandbox, traced, &["--no-progress-meter", "-f", "-Z", "--parallel-max", "12", "-o", out, &url]);
    };
    // Threads are seen to share a loop when two have waited for it.
    get(false, "own");
    get(false, "up/short");
    get(true, "passed/short");
    drop((server, backend));
    let spans = sandbox.spans();
    let (mut alone, mut below) = (0, 0);
    for span in asked(&spans, "axum") {
        let Some(parent) = &span.parent_id else {
            alone += 1;
            continue;
        };
        let parent = only(&spans, |other| *parent == other.span_id);
        let (path, query) = (parent.text("url.path"), parent.text("url.query").expect("it has one"));
        assert_eq!(path, Some("/passed/short"), "{span:#?}");
        assert!(span.text("url.full").is_some_and(|url| url.ends_with(query)), "{span:#?} {parent:#?}");
        below += 1;
    }
    assert_eq!(alone, REQUESTS, "those that pass nothing on");
    // Of many contexts that are brought at once some are forgotten.
    assert!(below > REQUESTS / 2, "{below}");
}

/// What a thread waits for by a set that it has made for the request that it serves is that request's.
#[test]
fn a_set_of_epoll_is_the_requests_that_has_made_it() {
    let mut sandbox = sandbox();
    let root = files(&sandbox);
    let (database, directory) = postgres(&sandbox);
    let [back, port] = [free_port(), free_port()];
    let backend = python_server(&mut sandbox, false, back, &root);
    let (python, script) = (python("integrations-venv"), program("sets.py"));
    let ports = [port, back].map(|port| port.to_string());
    sandbox.set("PGHOST", directory);
    let server = Server::of(&mut sandbox, true, "sets", port, &[&python, &script, &ports[0], &ports[1]]);
    let url = |path: &str| format!("http://127.0.0.1:{port}/{path}");
    // The next request over the same connection is served by the same thread.
    for paths in [&["database"][..], &["makes", "waits"], &["woken"], &["accepts"], &["copied"]] {
        let urls: Vec<_> = paths.iter().map(|path| url(path)).collect();
        let answers = curl(&mut sandbox, false, &urls.iter().map(String::as_str).collect::<Vec<_>>()).out();
        assert_eq!(answers, "ok".repeat(paths.len()), "{paths:?}");
    }
    drop((server, backend, database));
    let spans = sandbox.spans();
    for name in ["database", "makes"] {
        let request = served(&spans, "sets", &format!("/{name}"));
        let all = asked_for(&spans, "sets", &format!("?{name}"));
        assert_eq!(all.len(), 1, "{name}: {spans:#?}");
        assert_eq!(all[0].parent_id.as_ref(), Some(&request.span_id), "{name}");
    }
    let statement = only(&spans, |span| span.text("db.query.text").is_some_and(|text| text.contains(" AS one")));
    assert_eq!(statement.parent_id.as_ref(), Some(&served(&spans, "sets", "/database").span_id));
    // It is not where somebody else can have the thread do something: the next request, one who wakes it, or puts something in.
    for name in ["waits", "job", "accepts", "copied"] {
        let all = asked_for(&spans, "sets", &format!("?{name}"));
        assert_eq!(all.len(), 1, "{name}: {spans:#?}");
        assert_eq!(all[0].parent_id, None, "{name}");
    }
}

/// A job that passes on the context of a request that is over is not for another one that has brought the same.
#[test]
fn a_context_that_several_requests_have_brought_is_for_none_of_them() {
    let mut sandbox = sandbox();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let back = listener.local_addr().expect("an address").port();
    let arrived = keeper(listener, b"\r\n\r\n");
    let other = CONTEXT.replace("b7ad", "b7ae");
    for (service, contexts) in [("same", [CONTEXT, CONTEXT]), ("different", [CONTEXT, &other])] {
        let port = free_port();
        let (script, ports) = (program("jobs.py"), [port, back].map(|port| port.to_string()));
        let server = Server::of(&mut sandbox, true, service, port, &["python3", &script, &ports[0], &ports[1]]);
        for (path, context) in ["leaves", "works"].iter().zip(contexts) {
            curl(&mut sandbox, false, &["-H", context, &format!("http://127.0.0.1:{port}/{path}")]);
        }
        drop(server);
    }
    let spans = sandbox.spans();
    let all: Vec<_> = asked(&spans, "same").chain(asked(&spans, "different")).collect();
    assert_eq!(all.len(), 1, "{all:#?}");
    assert!(all[0].text("url.full").is_some_and(|url| url.ends_with("/own")), "{all:#?}");
    assert_eq!(all[0].parent_id.as_ref(), Some(&served(&spans, "different", "/works").span_id));
    // What is not told of is left as it is.
    let arrived = arrived.lock().expect("nobody panics");
    let are_left: Vec<_> =
        arrived.iter().map(|message| without_ours(message).1 == [format!("{CONTEXT}\r\n")]).collect();
    assert_eq!(are_left, [true, true, true, false], "{arrived:?}");
}

/// The next connection, and the head of the request that comes over it.
fn next(listener: &TcpListener) -> (TcpStream, String) {
    let stream = listener.accept().expect("a connection").0;
    let lines = BufReader::new(stream.try_clone().expect("a descriptor")).lines();
    let lines = lines.map(|line| line.expect("text")).take_while(|line| !line.is_empty());
    let head = lines.map(|line| line + "\n").collect();
    (stream, head)
}

fn answer(mut stream: &TcpStream) {
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").expect("it is sent");
}

/// Requests over HTTP/2 are not seen, but may have brought any context.
#[test]
fn a_context_that_came_over_http_2_is_not_taken_for_another_requests() {
    for is_encrypted in [false, true] {
        let mut sandbox = sandbox();
        let [front, second_front] = [free_port(), free_port()];
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let back = listener.local_addr().expect("an address").port();
        let (bind, scheme, version) = match is_encrypted {
            false => ("proto h2".to_owned(), "http", "--http2-prior-knowledge"),
            true => (format!("ssl crt {} alpn h2", key_and_certificate(&sandbox)), "https", "--http2"),
        };
        let sections = format!(
            "listen all\n bind 127.0.0.1:{front}\n bind 127.0.0.1:{second_front} {bind}\n server backend 127.0.0.1:{back}"
        );
        let proxy = haproxy(&mut sandbox, front, &sections);
        sandbox.set("DD_SERVICE", "curl");
        let ask = |more: &[&str], url: &str| {
            let argv = [&["curl", "-sSkf", "-o", "/dev/null", "-H", CONTEXT, url][..], more].concat();
            sandbox.bare(argv).spawn().expect("curl")
        };
        let mut first = ask(&[], &format!("http://127.0.0.1:{front}/first"));
        let (first_asks, first_head) = next(&listener);
        // While that is open.
        let mut second = ask(&[version], &format!("{scheme}://127.0.0.1:{second_front}/second"));
        let (second_asks, second_head) = next(&listener);
        answer(&second_asks);
        assert!(second.wait().expect("it ends").success());
        answer(&first_asks);
        assert!(first.wait().expect("it ends").success());
        drop(proxy);
        let spans = sandbox.spans();
        let all: Vec<_> = asked(&spans, "haproxy").collect();
        assert_eq!(all.len(), 1, "{version}: {all:#?}");
        assert_eq!(all[0].parent_id.as_ref(), Some(&served(&spans, "haproxy", "/first").span_id));
        assert!(!first_head.contains(CONTEXT) && first_head.contains("traceparent: "), "{first_head}");
        assert!(second_head.contains(CONTEXT), "{second_head}");
    }
}

/// A file with a certificate and its key, as HAProxy wants them.
fn key_and_certificate(sandbox: &Sandbox) -> String {
    let (certificate, key) = certificate(sandbox);
    let both = sandbox.path().join("both.pem");
    let [certificate, key] = [certificate, key].map(|file| std::fs::read(file).expect("it was made"));
    std::fs::write(&both, [certificate, key].concat()).expect("a file");
    both.display().to_string()
}

/// What nobody understands brings no context: requests that pass theirs on are followed as before.
#[test]
fn a_proxy_that_has_refused_rubbish_is_followed() {
    let mut sandbox = sandbox();
    let root = files(&sandbox);
    let [front, back] = [free_port(), free_port()];
    let backend = python_server(&mut sandbox, false, back, &root);
    let proxy =
        haproxy(&mut sandbox, front, &format!("listen all\n bind 127.0.0.1:{front}\n server backend 127.0.0.1:{back}"));
    let rubbish: [&[u8]; 3] = [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"BAD\r\n\r\n", b"\n"];
    for (bytes, passes) in rubbish.into_iter().zip(["one", "two", "three"]) {
        let mut connection = TcpStream::connect(("127.0.0.1", front)).expect("it listens");
        connection.write_all(bytes).expect("it is sent");
        connection.shutdown(std::net::Shutdown::Write).expect("a socket");
        let _ = connection.read_to_end(&mut Vec::new());
        curl(&mut sandbox, true, &[&format!("http://127.0.0.1:{front}/short?{passes}")]);
    }
    drop((proxy, backend));
    let spans = sandbox.spans();
    for passes in ["one", "two", "three"] {
        let all = asked_for(&spans, "haproxy", &format!("?{passes}"));
        assert_eq!(all.len(), 1, "{passes}: {spans:#?}");
        let parent = spans.iter().find(|span| Some(&span.span_id) == all[0].parent_id.as_ref()).expect("a parent");
        assert_eq!((parent.kind.as_str(), &parent.trace_id), ("server", &all[0].trace_id), "{passes}");
    }
}
