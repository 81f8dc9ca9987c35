//! What programs record of their own: whether processes are spans, are held back, or are none.

use ddtrace::handshake::{Hello, open_ring};
use ddtrace::identity::{FLAG_PROCESS_SPANS, FLAG_PROCESS_SPANS_HELD, Identity};
use ddtrace::ids::{SpanId, TraceId};
use ddtrace::record::{EndBody, RecordWriter, SPAN_LOCAL_ROOT, SpanBody};
use ddtrace::ring::ThreadSlot;
use ddtrace::ring::layout::{CHUNK_COUNT, RING_SIZE};
use ddtrace::semconv::Key;
use ddtrace::sys;
use ddtrace_test_support::{Sandbox, Span, spans, wait_for};

/// How the program that records ends.
const ENDING: &str = "DDTRACE_TEST_RECORDER";

/// A program with two spans: not a test by itself, but what the others start under the launcher.
#[test]
fn recorder() {
    let Ok(ending) = std::env::var(ENDING) else { return };
    let identity = std::env::var("_DDTRACE_RUN").expect("the launcher's variable");
    let identity = Identity::parse(identity.as_bytes()).expect("an identity");
    let pid = sys::getpid();
    assert!(identity.is_of(pid, 0), "the preloaded library has made it this process's own");
    let hello =
        Hello { pid, ppid: sys::getppid(), speaker: pid, span_id: identity.span_id, ring_size: RING_SIZE as u64 };
    let ring = open_ring(identity.run, &hello, CHUNK_COUNT).expect("the sidecar is there");
    let slot = ThreadSlot::new();
    let write = |fill: &dyn Fn(&mut RecordWriter)| ring.append(&slot, fill).expect("there is room");
    let now = sys::realtime_ns();
    let body = SpanBody {
        trace_id: TraceId(0xfeed),
        parent_id: SpanId(0),
        start_unix_ns: now,
        kind: 2,
        trace_flags: 1,
        flags: SPAN_LOCAL_ROOT,
    };
    write(&|record| {
        record.span_start(SpanId(u64::from(pid)), &body);
        record.text(Key::Name, b"request");
    });
    let query = SpanBody { parent_id: SpanId(u64::from(pid)), flags: 0, ..body };
    let end = EndBody { end_unix_ns: now + 1000, status: 0 };
    write(&|record| {
        record.span(SpanId(u64::from(pid) << 32), &query, &end);
        record.text(Key::Name, b"query");
    });
    if ending == "kill" {
        // SAFETY: ends this process, which nobody else needs.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    }
    write(&|record| record.span_end(SpanId(u64::from(pid)), &end));
}

fn sandbox(ending: &str) -> Sandbox {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.set(ENDING, ending).unset("DD_TRACE_PROCESS_SPANS");
    // A shell's word for the program that records.
    let this = std::env::current_exe().expect("a test is a program");
    sandbox.set("RECORDER", this);
    sandbox
}

const RECORD: &str = "\"$RECORDER\" --exact recorder";

fn names(spans: &[Span]) -> Vec<&str> {
    let mut names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    names
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name} in {:?}", names(spans)))
}

#[test]
fn programs_record_where_processes_are_no_spans() {
    let sandbox = sandbox("return");
    let outcome = sandbox.run_traced(["--process-spans=false", "sh", "-c", &format!("{RECORD}; exit 3")]);
    assert_eq!(outcome.code, Some(3));
    let spans = sandbox.spans();
    assert_eq!(names(&spans), ["query", "request"]);
    let (query, request) = (named(&spans, "query"), named(&spans, "request"));
    assert_eq!((request.parent_id.as_ref(), query.parent_id.as_ref()), (None, Some(&request.span_id)));
    let pid = u64::from_str_radix(&request.span_id, 16).expect("a span id");
    let resource = request.resource.get("process.pid").map(ToString::to_string);
    assert!(resource.is_some_and(|text| text.contains(&pid.to_string())), "{:?}", request.resource);
}

#[test]
fn where_processes_are_no_spans_the_context_in_the_environment_is_left_alone() {
    const CONTEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for context in [None, Some(CONTEXT)] {
        let mut sandbox = sandbox("return");
        if let Some(context) = context {
            sandbox.set("TRACEPARENT", context);
        }
        let command = "echo \"direct ${TRACEPARENT-}\"; sh -c 'echo \"child ${TRACEPARENT-}\"; exit 0'; exit 0";
        let outcome = sandbox.run_traced(["--process-spans=false", "sh", "-c", command]);
        let context = context.unwrap_or_default();
        assert_eq!(outcome.out(), format!("direct {context}\nchild {context}\n"));
        sandbox.settle();
        assert!(!sandbox.local_store().exists(), "there is nothing to store");
    }
}

#[test]
fn a_server_in_the_background_is_waited_for_though_it_has_said_nothing_yet() {
    let sandbox = sandbox("return");
    let command = format!("(sleep 1; exec {RECORD}) >/dev/null 2>&1 & exit 0");
    assert_eq!(sandbox.run_traced(["--process-spans=false", "sh", "-c", &command]).code, Some(0));
    assert_eq!(names(&sandbox.spans()), ["query", "request"]);
}

/// A command that leaves a process behind, which records when the command is gone, and not before.
fn leaving_a_recorder_behind(before_the_end: &str) -> String {
    let gone = "while kill -0 $$ 2>/dev/null; do sleep 0.01; done";
    format!("({gone}; exec {RECORD}) >/dev/null 2>&1 </dev/null & {before_the_end}exit 3")
}

#[test]
fn what_a_supervised_command_leaves_behind_is_waited_for_though_it_has_said_nothing_yet() {
    let sandbox = sandbox("return");
    let script = leaving_a_recorder_behind("");
    let outcome = sandbox.run_traced(["--supervise", "--process-spans=false", "sh", "-c", &script]);
    assert_eq!(outcome.code, Some(3));
    assert_eq!(names(&sandbox.spans()), ["query", "request"]);
}

#[test]
fn what_the_first_program_of_a_container_leaves_behind_is_waited_for() {
    let sandbox = sandbox("return");
    let script = leaving_a_recorder_behind("");
    let launcher = sandbox.launcher();
    let inside = ["unshare", "--pid", "--fork", "--mount-proc", launcher, "--process-spans=false", "sh", "-c", &script];
    let outcome = sandbox.run_bare(inside);
    // Only root may have a pid namespace.
    if !outcome.err().contains("Operation not permitted") {
        assert_eq!(outcome.code, Some(3));
        assert_eq!(names(&sandbox.spans()), ["query", "request"]);
    }
}

#[test]
fn a_sidecar_that_is_told_to_go_waits_for_who_has_said_nothing_yet() {
    let sandbox = sandbox("return");
    let script = leaving_a_recorder_behind("read line; ");
    let mut command = sandbox.traced(["--process-spans=false", "sh", "-c", &script]);
    let mut shell = command.stdin(std::process::Stdio::piped()).spawn().expect("the launcher starts");
    assert_eq!(sandbox.run_bare(["kill", "-TERM", &sandbox.sidecar().to_string()]).code, Some(0));
    drop(shell.stdin.take());
    assert_eq!(shell.wait().expect("it ends").code(), Some(3));
    assert_eq!(names(&sandbox.spans()), ["query", "request"]);
}

#[test]
fn spans_are_sent_while_processes_are_held_back() {
    let sandbox = sandbox("return");
    let mut command = sandbox.traced(["sh", "-c", &format!("{RECORD} >/dev/null; read line; exit 0")]);
    let mut shell = command.stdin(std::process::Stdio::piped()).spawn().expect("the launcher starts");
    let _ = sandbox.wait_for_file(&sandbox.local_store());
    let ahead = wait_for("both spans", || {
        let spans = spans::read_lines(&sandbox.local_store());
        (spans.len() >= 2).then_some(spans)
    });
    assert_eq!(names(&ahead), ["query", "request"]);
    drop(shell.stdin.take());
    assert!(shell.wait().expect("it ends").success());
    let spans = sandbox.spans();
    assert_eq!(spans.len(), 4, "{:?}", names(&spans));
}

#[test]
fn what_a_killed_process_had_begun_ends_with_it() {
    let mut sandbox = sandbox("kill");
    sandbox.set("DD_TRACE_PROCESS_SPANS", "true");
    sandbox.run_traced(["sh", "-c", &format!("{RECORD} >/dev/null; exit 0")]);
    let spans = sandbox.spans();
    assert_eq!(spans.len(), 4, "{:?}", names(&spans));
    let request = named(&spans, "request");
    assert!(request.failed);
    assert_eq!(request.text("error.type"), Some("SIGKILL"));
    assert!(!named(&spans, "query").failed);
}

#[test]
fn the_view_shows_both_kinds() {
    let outcome = sandbox("return").run_traced(["--view", "sh", "-c", &format!("{RECORD} >/dev/null; exit 0")]);
    let view = outcome.err();
    assert!(view.contains("request") && view.contains("query"), "{view}");
}

#[test]
fn a_server_that_a_job_has_left_behind_goes_on_recording_and_is_no_span() {
    let mut sandbox = sandbox("return");
    let environment = sandbox.work().join("environment");
    // After the command's end and two seconds it is known what the process in the background is.
    let server = format!("sleep 4; env >{}; exec {RECORD}", environment.display());
    sandbox.set("SERVER", server);
    let command = "(exec sh -c \"$SERVER\") >/dev/null 2>&1 & exit 0";
    assert_eq!(sandbox.run_traced(["sh", "-c", command]).code, Some(0));
    let spans = sandbox.spans();
    assert_eq!(
        names(&spans).into_iter().filter(|name| !name.ends_with("sh")).collect::<Vec<_>>(),
        ["query", "request"]
    );
    let environment = std::fs::read_to_string(environment).expect("the server has written it");
    let identity = environment.lines().find_map(|line| line.strip_prefix("_DDTRACE_RUN=")).expect("an identity");
    let identity = Identity::parse(identity.as_bytes()).expect("an identity");
    assert_eq!(identity.flags & (FLAG_PROCESS_SPANS | FLAG_PROCESS_SPANS_HELD), 0, "its children need not even come");
}
