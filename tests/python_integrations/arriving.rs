//! Requests that come over one connection: none is below another one, whatever that has left in the context that a server makes
//! its tasks in.

use super::*;
use std::io::{BufRead, BufReader};

/// The same trace as [`PARENT`], below another span of it.
const OTHER: &str = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-c8be7c8270314442-01\r\n";
const OTHER_ID: &str = "c8be7c8270314442";

/// More than servers take in unasked, and less than what sockets do.
const UPLOAD: usize = 1_500_000;

/// Asks over one connection, for each path with these headers, and gives the bodies; what is asked for first comes with one.
fn ask_in_turn(port: u16, requests: &[(&str, &str)]) -> Vec<String> {
    let connection = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
    connection.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut answers = BufReader::new(connection.try_clone().expect("the connection twice"));
    let mut asked = Vec::new();
    for (index, (path, headers)) in requests.iter().enumerate() {
        let (method, length) = if index == 0 { ("POST", UPLOAD) } else { ("GET", 0) };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{headers}\r\n");
        (&connection).write_all(&[head.as_bytes(), &vec![b'x'; length]].concat()).expect("it is sent");
        let (mut line, mut length) = (String::new(), 0);
        answers.read_line(&mut line).expect("an answer");
        assert!(line.contains(" 200 "), "{path}: {line}");
        while line != "\r\n" {
            line.clear();
            assert_ne!(answers.read_line(&mut line).expect("a header"), 0, "{path}");
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a number");
            }
        }
        let mut body = vec![0; length];
        answers.read_exact(&mut body).expect("a body");
        asked.push(String::from_utf8(body).expect("text"));
    }
    asked
}

/// The spans of an upload and of what is asked for behind it, while the application still does something for the upload.
#[track_caller]
fn assert_apart(venv: &str, parser: &str, settings: &[(&str, &str)]) {
    for (headers, above) in
        [(String::new(), String::new()), (format!("{PARENT}baggage: who=me\r\n"), format!(" < {SPAN_ID}"))]
    {
        let mut sandbox = sandbox();
        for (name, value) in settings {
            sandbox.set(name, value);
        }
        let (python, port) = (python::python(venv), free_port());
        let argv = [&python, &program("uploads.py"), &port.to_string(), parser];
        let server = Server::of(&mut sandbox, true, "web", port, &argv);
        let requests = [("/upload", headers.as_str()), ("/a", ""), ("/b", OTHER), ("/last", "")];
        assert_eq!(ask_in_turn(port, &requests), [""; 4], "{venv} {parser} {settings:?} {headers:?}");
        drop(server);
        let mut spans = sandbox.spans();
        spans.retain(|span| span.name != "beside");
        let mut expected = vec![
            format!("internal behind < server POST{above}"),
            format!("internal reads < server POST{above}"),
            format!("internal within < server GET < {OTHER_ID}"),
            format!("server GET < {OTHER_ID}"),
            format!("server POST{above}"),
        ];
        expected.extend(
            ["internal within < server GET", "server GET"].iter().flat_map(|each| vec![String::from(*each); 2]),
        );
        expected.sort();
        assert_eq!(trees(&spans), expected, "{venv} {parser} {settings:?} {headers:?}");
    }
}

#[test]
fn what_comes_behind_an_upload_is_no_part_of_it() {
    assert_apart("integrations-venv", "h11", &[]);
}

#[test]
fn what_comes_behind_an_upload_is_one_span_with_connections() {
    for parser in ["h11", "httptools"] {
        for setting in ["true", "auto"] {
            assert_apart("native-venv", parser, &[("DD_TRACE_NATIVE_ENABLED", setting)]);
        }
    }
}

/// The context of its API, with the baggage that the program has put there, is the upload's as well.
#[test]
fn what_comes_behind_an_upload_has_a_context_of_opentelemetrys_of_its_own() {
    assert_apart("native-venv", "httptools", &[("OTEL", "1")]);
}
