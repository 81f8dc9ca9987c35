//! Requests that end in exceptions that are no `Exception`.

use super::*;
use ddtrace_test_support::servers::{files, only, python_server};

/// What ends the program, or the process that serves it, has failed the request; what was no longer wanted has not.
#[test]
fn what_ends_the_program_has_failed_the_request() {
    let sandbox = sandbox();
    let outcome = sandbox.run_traced([&python(), &program("ends.py")]);
    let expected = "SystemExit\nKeyboardInterrupt\nOwn\nGreenletExit\nb'part'\nSystemExit\nCancelledError\n";
    assert_eq!((outcome.code, outcome.out().as_str()), (Some(0), expected), "{outcome:?}");
    let spans = sandbox.spans();
    let mut seen: Vec<String> = spans
        .iter()
        .map(|span| {
            let (path, events) = (span.text("url.path").unwrap_or_default(), span.events.len());
            format!("{path} {} {} {events}", span.failed, span.error_type().unwrap_or_default())
        })
        .collect();
    seen.sort();
    assert_eq!(
        seen,
        [
            "/cancelled false  0",
            "/closed false  0",
            "/ends true SystemExit 1",
            "/ends/exits true SystemExit 1",
            "/ends/interrupts true KeyboardInterrupt 1",
            "/ends/killed false  0",
            "/ends/own true __main__.Own 1",
        ]
    );
}

#[test]
fn a_worker_that_hangs_is_told_of() {
    let mut sandbox = sandbox();
    let (server, port) =
        serve(&mut sandbox, &["-m", "gunicorn", "-b", "127.0.0.1:{port}", "--timeout", "1", "ends:app"]);
    let mut connection = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
    connection.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    connection.write_all(b"GET /hangs HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it is sent");
    // The worker is ended for it.
    let _ = connection.read_to_end(&mut Vec::new());
    drop(server);
    let spans = sandbox.spans();
    let hangs = only(&spans, |_| true);
    assert_eq!((hangs.name.as_str(), hangs.failed, hangs.error_type()), ("GET /hangs", true, Some("SystemExit")));
    assert_eq!(hangs.events, ["exception"]);
}

/// An answer that is still held when the interpreter ends, as by a module in which a daemon thread runs, has not failed for it.
#[test]
fn an_answer_that_is_held_to_the_end_has_come() {
    for library in ["urllib", "http_client", "aiohttp", "http_client_killed"] {
        let mut sandbox = sandbox();
        let root = files(&sandbox);
        let port = free_port();
        let server = python_server(&mut sandbox, false, port, &root);
        let outcome = sandbox.run_traced([&python(), &program("held.py"), library, &port.to_string()]);
        drop(server);
        assert_eq!(outcome.out(), "200\n", "{library}: {outcome:?}");
        let spans = sandbox.spans();
        let request = only(&spans, |_| true);
        assert_eq!(request.number("http.response.status_code"), Some(200), "{library}");
        let error = library.ends_with("killed").then_some("SIGKILL");
        assert_eq!((request.failed, request.error_type()), (error.is_some(), error), "{library}");
    }
}
