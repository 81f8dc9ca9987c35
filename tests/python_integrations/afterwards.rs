//! What applications of ASGI do for a request once its answer is out, by whichever of its tasks that was sent.

use super::*;
use ddtrace_test_support::servers::only;

/// Asks for a path, waits for what comes behind, and gives the spans of that request and its lines.
fn asked(sandbox: &mut Sandbox, path: &str, headers: &str) -> (Vec<Span>, Vec<String>) {
    let lines = sandbox.write("lines", "");
    sandbox.set("LINES", lines.display().to_string()).set("DD_LOGS_INJECTION", "true");
    let (server, port) = serve(sandbox, &["-m", "uvicorn", "--port", "{port}", "afterwards:app"]);
    assert_eq!(ask(port, path, headers).0, 200, "{path}");
    assert_eq!(ask(port, "/done", "").0, 200, "{path}");
    drop(server);
    let mut spans = sandbox.spans();
    spans.retain(|span| span.name != "GET /done");
    let lines = std::fs::read_to_string(lines).expect("the lines");
    (spans, lines.lines().map(str::to_owned).collect())
}

const WITH_SESSIONS: [&str; 5] = ["/plain", "/stream", "/file", "/plain?task", "/stream?task"];

#[track_caller]
fn assert_below(settings: &[(&str, &str)]) {
    for path in WITH_SESSIONS.into_iter().chain(["/starlette/stream"]) {
        let mut sandbox = sandbox();
        for (name, value) in settings {
            sandbox.set(name, value);
        }
        let (spans, lines) = asked(&mut sandbox, path, "");
        let request = format!("server GET {}", path.split('?').next().unwrap_or(path));
        let mut expected = vec![
            format!("client SELECT < internal BackgroundTask task < {request}"),
            format!("client SELECT < {request}"),
            format!("internal BackgroundTask task < {request}"),
            request.clone(),
        ];
        let mut said = vec!["around", "task"];
        if WITH_SESSIONS.contains(&path) {
            expected.push(format!("client SELECT < {request}"));
            said.push("commits");
        }
        expected.sort();
        said.sort_unstable();
        assert_eq!(trees(&spans), expected, "{path} {settings:?}");
        let id = |name: &str| {
            let id = &only(&spans, |span| span.name.starts_with(name)).span_id;
            u64::from_str_radix(id, 16).expect("an id")
        };
        let trace_id = &spans[0].trace_id;
        let mut shown: Vec<String> = said
            .iter()
            .map(|what| format!("{what} {trace_id} {}", id(if *what == "task" { "BackgroundTask" } else { "GET" })))
            .collect();
        let mut lines = lines;
        lines.sort();
        shown.sort();
        assert_eq!(lines, shown, "{path} {settings:?}");
    }
}

#[test]
fn what_is_done_behind_an_answer_is_below_its_request() {
    assert_below(&[]);
}

#[test]
fn what_is_done_behind_an_answer_is_below_its_request_in_a_context_of_opentelemetrys() {
    assert_below(&[("OTEL", "1")]);
}

/// What is decided about a request is so about all that it does.
#[test]
fn behind_the_answer_of_what_is_not_kept_nothing_is() {
    const PARENT: &str = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00\r\n";
    for path in WITH_SESSIONS.into_iter().chain(["/starlette/stream"]) {
        let mut sandbox = sandbox();
        let (spans, lines) = asked(&mut sandbox, path, PARENT);
        assert_eq!(trees(&spans), [""; 0], "{path}");
        assert!(lines.len() > 1 && lines.iter().all(|line| line.contains(TRACE_ID)), "{path}: {lines:?}");
    }
}
