//! What calls on connections say to programs whose requests have headers put in: what they would say without.

use ddtrace_test_support::agent::free_port;
use ddtrace_test_support::programs::compile;
use ddtrace_test_support::servers::{self, keeper, only, without_ours};
use ddtrace_test_support::{Sandbox, Span};
use std::io::{Read, Write};
use std::net::TcpListener;

fn sandbox() -> Sandbox {
    servers::sandbox(env!("CARGO_BIN_EXE_ddtrace-run"))
}

/// Programs do not expect less to be taken than there is room for: on a blocking socket they send no more then.
#[test]
fn a_request_in_very_many_buffers_is_taken_whole() {
    let mut sandbox = sandbox();
    let program = compile(&sandbox, "many_buffers");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    let arrived = keeper(listener, b"z.");
    let argv = [program.as_str(), &port];
    sandbox.set("DD_SERVICE", "many");
    let bare = sandbox.run_bare(argv);
    let bare_arrived = std::mem::take(&mut *arrived.lock().expect("nobody panics"));
    let traced = sandbox.run_traced(argv);
    assert_eq!((traced.code, traced.out(), traced.err()), (Some(0), bare.out(), String::new()));
    let arrived = arrived.lock().expect("nobody panics");
    let mut with_headers = 0;
    for (bare, traced) in bare_arrived.iter().zip(arrived.iter()) {
        let (theirs, ours) = without_ours(traced);
        assert_eq!(theirs.as_bytes(), bare);
        with_headers += usize::from(!ours.is_empty());
    }
    // All but those that would be more buffers than the system takes in one call, and whose head is in more than one
    // of more than 64.
    assert_eq!((arrived.len(), with_headers), (90, 90 - 4 * 2 - 2 * 13));
    assert_eq!(sandbox.spans().len(), arrived.len(), "one for each request");
}

/// A call that could send no more has the error that it would have had, whatever of ours it was about to send.
#[test]
fn a_send_that_is_given_up_says_why() {
    let mut sandbox = sandbox();
    let program = compile(&sandbox, "stalled");
    sandbox.set("DD_SERVICE", "stalled");
    for (why, expected) in
        [("time", "Resource temporarily unavailable: 60 times\n"), ("signal", "Interrupted system call: 60 times\n")]
    {
        let bare = sandbox.run_bare([program.as_str(), why]);
        assert_eq!((bare.code, bare.out().as_str()), (Some(0), expected), "bare: {bare:?}");
        let traced = sandbox.run_traced([program.as_str(), why]);
        assert_eq!((traced.code, traced.out().as_str()), (Some(0), expected), "{traced:?}");
    }
}

/// Each request of several in one call has headers of its own, as long as it is certain where one ends and the next begins, and
/// the call takes all of them at once.
#[test]
fn requests_that_are_sent_in_one_call_have_their_own_headers() {
    pipelined("", "");
}

/// What comes before a request is no part of it: empty lines, as some send them behind a body (RFC 9112, section 2.2), and
/// what a proxy says of its client.
#[test]
fn headers_are_put_where_they_belong_whatever_comes_before() {
    pipelined("\r\n", "\r\n");
    pipelined("\r\n\r\n", "\r\n\r\n");
    pipelined("PROXY TCP4 192.0.2.1 192.0.2.2 49152 80\r\n", "\n");
}

#[track_caller]
fn pipelined(before: &str, between: &str) {
    let mut sandbox = sandbox();
    let program = compile(&sandbox, "pipelined");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    let arrived = keeper(listener, b"z.");
    let argv = [program.as_str(), &port, before, between];
    sandbox.set("DD_SERVICE", "pipelined");
    let bare = sandbox.run_bare(argv);
    let bare_arrived = std::mem::take(&mut *arrived.lock().expect("nobody panics"));
    let traced = sandbox.run_traced(argv);
    assert_eq!((traced.code, traced.out(), traced.err()), (Some(0), bare.out(), String::new()));
    let arrived = arrived.lock().expect("nobody panics");
    let spans = sandbox.spans();
    for (bare, traced) in bare_arrived.iter().zip(arrived.iter()) {
        assert_eq!(without_ours(traced).0, without_ours(bare).0);
        let (mut path, mut with_headers) = ("", Vec::new());
        let text = String::from_utf8(traced.clone()).expect("requests are text");
        for line in text.lines() {
            let words: Vec<&str> = line.rsplitn(2, "HTTP/1.1").collect();
            path = words.get(1).and_then(|start| start.split(' ').nth(1)).unwrap_or(path);
            if let Some(context) = line.strip_prefix("traceparent: ").filter(|context| !context.contains("-2222")) {
                let id = context.split('-').nth(2).expect("a span's id");
                let span = only(&spans, |span| span.span_id == id);
                assert!(span.text("url.full").is_some_and(|url| url.ends_with(path)), "{text}: {span:#?}");
                with_headers.push(path);
            }
        }
        // The third one has a context of its own, and the rest of its buffer is as it was.
        assert!(with_headers.starts_with(&["/first", "/second"]) && !with_headers.contains(&"/third"), "{text}");
    }
    assert_eq!(arrived.len(), bare_arrived.len());
}

/// By messages that come several at a time an answer is read as by any other call. What streams of the C library read and close
/// is not seen, so nothing is said of it.
#[test]
fn answers_are_seen_however_they_are_read_or_not_at_all() {
    for (way, expected) in [("recvmmsg", 1), ("stream", 0)] {
        let mut sandbox = sandbox();
        let program = compile(&sandbox, "odd_reads");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port().to_string();
        let _arrived = keeper(listener, b"\r\n\r\n");
        sandbox.set("DD_SERVICE", "reads");
        let outcome = sandbox.assert_same(&[program.as_str(), &port, way]);
        assert_eq!(outcome.code, Some(0), "{way}: {outcome:?}");
        let spans = sandbox.spans();
        assert_eq!(spans.len(), expected, "{way}: {spans:#?}");
        let answered = |span: &Span| span.attributes["http.response.status_code"] == 200 && !span.failed;
        assert!(spans.iter().all(answered), "{spans:#?}");
    }
}

/// Who asks something that speaks no HTTP has failed.
#[test]
fn an_answer_that_is_none_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let _ = connection.read(&mut [0; 4096]);
            let _ = connection.write_all(b"220 mail.example.com ready\r\n");
        }
    });
    let sandbox = sandbox();
    let outcome = sandbox.assert_same(&["curl", "-sS", &format!("http://127.0.0.1:{port}/")]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let spans = sandbox.spans();
    let asked: Vec<&Span> = spans.iter().filter(|span| span.text("url.full").is_some()).collect();
    let [asked] = &asked[..] else { panic!("{spans:#?}") };
    assert_eq!((asked.failed, asked.error_type()), (true, Some("invalid_response")));
}

/// The status of an answer is known though the program dies before the rest has come.
#[test]
fn an_answer_has_a_status_before_it_is_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let answering = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().expect("a connection");
        let _ = connection.read(&mut [0; 4096]);
        let _ = connection.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\na part");
        let _ = connection.read(&mut [0; 1]);
    });
    let program = "import os, socket, sys\n\
                   connection = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n\
                   connection.sendall(b'GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n\
                   connection.recv(4096)\n\
                   os.kill(os.getpid(), 9)\n";
    let sandbox = sandbox();
    let outcome = sandbox.run_traced(["python3", "-c", program, &port.to_string()]);
    assert_eq!(outcome.signal, Some(9), "{outcome:?}");
    answering.join().expect("it answers");
    let spans = sandbox.spans();
    let asked = servers::only(&spans, |span| span.text("url.full").is_some());
    assert_eq!((asked.number("http.response.status_code"), asked.error_type()), (Some(503), Some("SIGKILL")));
}

/// Who gives up waiting for an answer says so by closing the connection when nothing has come in time: in a loop as well.
#[test]
fn who_waits_in_vain_has_failed_by_that() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let back = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || listener.incoming().collect::<Vec<_>>());
    let mut sandbox = sandbox();
    let root = servers::files(&sandbox);
    let url = format!("http://127.0.0.1:{back}/");
    let outcome = sandbox.assert_same(&["curl", "-s", "-m", "0.5", &url]);
    assert_eq!(outcome.code, Some(28), "{outcome:?}");
    let front = free_port();
    let server = format!(
        "listen 127.0.0.1:{front}; root {}; location /up/ {{ proxy_pass {url}; proxy_read_timeout 300ms; }}",
        root.display()
    );
    let proxy = servers::nginx_with(&mut sandbox, true, "proxy", front, &server);
    let answer = sandbox.run_bare([
        "curl",
        "-sS",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        &format!("http://127.0.0.1:{front}/up/"),
    ]);
    assert_eq!(answer.out(), "504");
    drop(proxy);
    let spans = sandbox.spans();
    for service in ["curl", "proxy"] {
        let asked = only(&spans, |span| span.kind == "client" && span.resource["service.name"] == service);
        assert_eq!((asked.failed, asked.error_type()), (true, Some("timeout")), "{service}");
    }
}

/// Where a part of a head goes out unseen, what looks like its end is the program's body, and left as it is.
#[test]
fn what_looks_like_a_head_behind_unseen_bytes_is_left_alone() {
    for way in ["stream", "child", "call"] {
        let sandbox = sandbox();
        let program = compile(&sandbox, "unseen_writes");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port().to_string();
        let arrived = keeper(listener, b"z.");
        let outcome = sandbox.assert_same(&[program.as_str(), &port, way]);
        assert_eq!(outcome.code, Some(0), "{way}: {outcome:?}");
        let arrived = arrived.lock().expect("nobody panics");
        assert_eq!(arrived.len(), 2, "bare and traced");
        assert_eq!(arrived[0].escape_ascii().to_string(), arrived[1].escape_ascii().to_string(), "{way}");
    }
}

/// Stacks of 16 KiB are the smallest that a thread can have. A handler of a signal may have less: what it asks for is left alone.
#[test]
fn threads_need_no_more_of_a_stack_than_they_have() {
    let mut sandbox = sandbox();
    let program = compile(&sandbox, "small_stacks");
    sandbox.set("DD_SERVICE", "small");
    let outcome = sandbox.assert_same(&[&program]);
    assert_eq!((outcome.code, outcome.out().as_str()), (Some(0), "ok\nok\n"));
    let spans = sandbox.spans();
    assert_eq!(spans.len(), 3, "{spans:#?}");
    let server = only(&spans, |span| span.kind == "server" && span.parent_id.is_some());
    assert_eq!(server.parent_id.as_ref(), Some(&only(&spans, |span| span.kind == "client").span_id));
}
