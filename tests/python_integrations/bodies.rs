//! Bodies of answers: whoever reads them before the program has the answer has a span that lasts until then.

use super::*;
use ddtrace_test_support::servers::only;
use std::net::TcpListener;
use std::sync::mpsc::{Sender, channel};
use std::time::{SystemTime, UNIX_EPOCH};

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    u64::try_from(now.as_nanos()).expect("a time")
}

/// What the program does not wait for the end of.
const GIVEN_UP: [&str; 6] = ["/busy", "/stuck", "/released", "/closed", "/dropped", "/cancelled"];

/// Answers one request, and tells of the path and of when the second half of the body was about to go. That of what is streamed
/// goes when somebody has come to the gate.
fn answer(mut connection: TcpStream, gate: &TcpListener, told: &Sender<(String, u64)>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if connection.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("a head is text");
    let path = head.split(' ').nth(1).expect("a path").to_owned();
    let first = match path.as_str() {
        "/redirected" => "HTTP/1.1 302 Found\r\nLocation: /target\r\nConnection: close\r\nContent-Length: 4\r\n\r\nte",
        "/busy" => "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 4\r\n\r\nte",
        _ => "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nte",
    };
    connection.write_all(first.as_bytes()).expect("it is sent");
    if path == "/streamed" || (path != "/busy" && GIVEN_UP.contains(&path.as_str())) {
        gate.accept().expect("somebody comes");
    }
    let time = now();
    if path != "/broken" {
        // Who has given up on it may be gone.
        let sent = connection.write_all(b"xt");
        assert!(sent.is_ok() || GIVEN_UP.contains(&path.as_str()), "{path}: {sent:?}");
    }
    told.send((path, time)).expect("somebody listens");
}

/// What a program prints, its spans, and when it could have had the whole of each body.
fn asks(
    script: &str,
    library: Option<&str>,
    port: &TcpListener,
    requests: usize,
) -> (String, Vec<Span>, Vec<(String, u64)>) {
    let sandbox = sandbox();
    let gate = TcpListener::bind("127.0.0.1:0").expect("a port");
    let [port_number, gate_port] = [port, &gate].map(|each| each.local_addr().expect("an address").port().to_string());
    let (told, tells) = channel();
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::scope(|scope| {
                for _ in 0..requests {
                    let (connection, _) = port.accept().expect("somebody asks");
                    let (gate, told) = (&gate, told.clone());
                    scope.spawn(move || answer(connection, gate, &told));
                }
            });
        });
        let (python, program) = (python(), program(script));
        let argv = [python.as_str(), &program].into_iter().chain(library).chain([port_number.as_str(), &gate_port]);
        sandbox.run_traced(argv.collect::<Vec<_>>())
    });
    drop(told);
    assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "{library:?}: {outcome:?}");
    (outcome.out(), sandbox.spans(), tells.iter().collect())
}

#[test]
fn a_request_lasts_until_its_body_is_read() {
    for (library, bytes) in [("requests", false), ("httpx", true), ("httpx_async", true)] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (out, spans, halves) = asks("bodies.py", Some(library), &listener, 9);
        let (error, hook) = if bytes { ("RemoteProtocolError", "b'text'") } else { ("ChunkedEncodingError", "text") };
        assert_eq!(out, format!("text\ntext\n{error}\ntext\n{hook}\ntext\ntext\n"), "{library}");
        assert_eq!(trees(&spans), [&["client GET"; 7][..], &["client GET !"; 2]].concat(), "{library}");
        let of = |path: &str| {
            let url = format!("http://127.0.0.1:{port}{path}");
            only(&spans, |span| span.text("url.full") == Some(&url))
        };
        let half = |path: &str| halves.iter().find(|(of, _)| of == path).expect("it was asked for").1;
        for path in ["/late", "/broken", "/redirected", "/target", "/late/hooked"] {
            assert!(of(path).end >= half(path), "{library}: {path}");
        }
        assert!(of("/streamed").end <= half("/streamed"), "{library}");
        assert!(of("/redirected").end <= of("/target").start, "{library}");
        // What is given up is over then, and what comes of the next try is none of its.
        assert!(of("/busy").end <= of("/again").start, "{library}");
        assert_eq!(of("/busy").error_type(), Some("503"), "{library}");
        let broken = of("/broken");
        assert_eq!(
            (broken.error_type().is_some_and(|kind| kind.ends_with(error)), broken.events.len()),
            (true, 1),
            "{library}"
        );
        assert_eq!(broken.number("http.response.status_code"), Some(200), "{library}");
    }
}

/// Of aiohttp the program has the answer before its body: the request is over when that has come, or is not wanted any more.
#[test]
fn a_request_of_aiohttp_lasts_until_its_body_has_come() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (out, spans, halves) = asks("bodies.py", Some("aiohttp"), &listener, 8);
    assert_eq!(out, "text\nClientPayloadError\nTimeoutError\ncancelled\n");
    assert_eq!(trees(&spans), [&["client GET"; 6][..], &["client GET !"; 2]].concat());
    let of = |path: &str| {
        let url = format!("http://127.0.0.1:{port}{path}");
        only(&spans, |span| span.text("url.full") == Some(&url))
    };
    let half = |path: &str| halves.iter().find(|(of, _)| of == path).expect("it was asked for").1;
    for path in ["/late", "/broken", "/meanwhile"] {
        assert!(of(path).end >= half(path), "{path}");
    }
    for path in ["/stuck", "/released", "/closed", "/dropped", "/cancelled"] {
        assert!(of(path).end <= half(path), "{path}");
        assert_eq!(of(path).number("http.response.status_code"), Some(200), "{path}");
    }
    assert!(of("/released").end >= of("/meanwhile").end);
    for (path, kind) in [("/broken", "ClientPayloadError"), ("/stuck", "TimeoutError")] {
        assert!(
            of(path).error_type().is_some_and(|error| error.ends_with(kind)),
            "{path}: {:?}",
            of(path).error_type()
        );
        assert_eq!(of(path).events.len(), 1, "{path}");
    }
}

/// What Python itself asks by.
#[test]
fn a_request_of_the_standard_library_lasts_until_its_body_is_read() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (out, spans, halves) = asks("stdlib.py", None, &listener, 10);
    assert_eq!(out, "text\nIncompleteRead\ntimeout\ntext\n503\ntext\ntext\n");
    assert_eq!(trees(&spans), [&["client GET"; 6][..], &["client GET !"; 3], &["client POST"]].concat());
    let of = |path: &str| {
        let url = format!("http://127.0.0.1:{port}{path}");
        only(&spans, |span| span.text("url.full") == Some(&url))
    };
    let half = |path: &str| halves.iter().find(|(of, _)| of == path).expect("it was asked for").1;
    for path in ["/late", "/broken", "/redirected", "/target", "/late/first", "/late/second"] {
        assert!(of(path).end >= half(path), "{path}");
    }
    for path in ["/stuck", "/closed", "/dropped"] {
        assert!(of(path).end <= half(path), "{path}");
        assert_eq!(of(path).number("http.response.status_code"), Some(200), "{path}");
    }
    assert!(of("/redirected").end <= of("/target").start);
    assert!(of("/late/second").start <= of("/late/first").end && of("/late/second").end <= of("/late/first").end);
    for (path, kind) in [("/broken", "IncompleteRead"), ("/stuck", "TimeoutError"), ("/busy", "503")] {
        assert!(
            of(path).error_type().is_some_and(|error| error.ends_with(kind)),
            "{path}: {:?}",
            of(path).error_type()
        );
    }
}
