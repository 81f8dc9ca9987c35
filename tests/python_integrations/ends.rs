//! Requests that end in exceptions that are no `Exception`.

use super::*;
use ddtrace_test_support::servers::only;

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
