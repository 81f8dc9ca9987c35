//! `ddtrace-run flush` right after a run: what the run's own sidecar has to deliver still is waited for, and counted.

use ddtrace_test_support::programs::dying_program;
use ddtrace_test_support::{Manner, Nobody, Receiver, Sandbox, wait_for};
use std::process::Stdio;

fn sandbox(agent: &str) -> Sandbox {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.unset("DD_TRACE_EXPORTER").set("DD_TRACE_AGENT_URL", agent);
    sandbox
}

/// Has a program record so many spans, and flushes at once: what a script does that must not go on without its traces.
fn record_and_flush(sandbox: &Sandbox, spans: usize) -> (Option<i32>, String) {
    let program = dying_program(sandbox);
    let ledger = sandbox.work().join("ledger");
    let script = r#""$0" "$1" return "$2" "$3" && exec "$0" flush --wait "$4""#;
    let ledger = ledger.to_str().expect("a path of UTF-8");
    let spans = spans.to_string();
    let outcome = sandbox.run_bare(["sh", "-c", script, sandbox.launcher(), &program, ledger, &spans, "20"]);
    (outcome.code, outcome.out())
}

#[test]
fn what_a_run_has_just_recorded_is_delivered_when_flush_ends() {
    for delay in [0, 700] {
        let receiver = Receiver::start(Manner::IsSlow(delay));
        let mut sandbox = sandbox(&receiver.url());
        sandbox.set("DD_TRACE_AGENT_TIMEOUT_SECONDS", "10").set("DD_TRACE_PROCESS_SPANS", "false");
        for round in 1..=3 {
            assert_eq!(record_and_flush(&sandbox, 10), (Some(0), "delivered 0 spans, 0 still waiting\n".into()));
            assert_eq!(receiver.spans().len(), round * 11, "after round {round}, with a delay of {delay} ms");
        }
    }
}

#[test]
fn what_its_sidecar_cannot_deliver_is_waiting() {
    let nobody = Nobody::listens();
    let mut sandbox = sandbox(&nobody.url());
    sandbox.set("DD_TRACE_PROCESS_SPANS", "false");
    let program = dying_program(&sandbox);
    let ledger = sandbox.work().join("ledger");
    let script = r#""$0" "$1" return "$2" 10; "$0" flush --wait 1"#;
    let ledger = ledger.to_str().expect("a path of UTF-8");
    let outcome = sandbox.run_bare(["sh", "-c", script, sandbox.launcher(), &program, ledger]);
    assert_eq!((outcome.code, outcome.out().as_str()), (Some(1), "delivered 0 spans, 11 still waiting\n"));
    sandbox.settle();
}

#[test]
fn what_another_flush_is_at_work_on_is_waited_for() {
    let nobody = Nobody::listens();
    let mut sandbox = sandbox(&nobody.url());
    sandbox.set("DD_TRACE_PROCESS_SPANS", "false").set("DD_TRACE_SHUTDOWN_TIMEOUT_SECONDS", "0.1");
    sandbox.set("DD_TRACE_AGENT_TIMEOUT_SECONDS", "10");
    let (program, ledger) = (dying_program(&sandbox), sandbox.work().join("ledger"));
    assert_eq!(sandbox.run_traced([&program, "return", ledger.to_str().expect("UTF-8"), "10"]).code, Some(0));
    sandbox.settle();
    let receiver = nobody.becomes(Manner::IsSlow(1500));
    let mut first = sandbox.traced(["flush"]).stdout(Stdio::piped()).spawn().expect("flush starts");
    wait_for("the first one at work", || {
        sandbox.run_traced(["status"]).out().contains("is being delivered").then_some(())
    });
    let second = sandbox.run_traced(["flush"]);
    assert_eq!((second.code, second.out().as_str()), (Some(0), "delivered 0 spans, 0 still waiting\n"));
    assert_eq!(receiver.spans().len(), 11);
    assert!(first.wait().expect("it ends").success());
}

#[test]
fn a_program_that_runs_on_holds_nothing_up() {
    let receiver = Receiver::start(Manner::Takes);
    let sandbox = sandbox(&receiver.url());
    let mut service = sandbox.traced(["sleep", "60"]).spawn().expect("it starts");
    let _ = sandbox.sidecar();
    let flushed = sandbox.run_traced(["flush", "--wait", "3600"]);
    assert_eq!((flushed.code, flushed.out().as_str()), (Some(0), "delivered 0 spans, 0 still waiting\n"));
    service.kill().expect("it runs still");
    service.wait().expect("it ends");
    sandbox.settle();
}

#[test]
fn a_request_that_is_under_way_at_the_end_is_not_broken_off() {
    let receiver = Receiver::start(Manner::IsSlow(1500));
    let mut sandbox = sandbox(&receiver.url());
    sandbox.set("DD_TRACE_AGENT_TIMEOUT_SECONDS", "10").set("DD_TRACE_SHUTDOWN_TIMEOUT_SECONDS", "0.2");
    sandbox.set("DD_TRACE_PROCESS_SPANS", "false");
    let (program, ledger) = (dying_program(&sandbox), sandbox.work().join("ledger"));
    assert_eq!(sandbox.run_traced([&program, "return", ledger.to_str().expect("UTF-8"), "10"]).code, Some(0));
    sandbox.settle();
    assert_eq!(receiver.spans().len(), 11, "each came once");
    let flushed = sandbox.run_traced(["flush", "--wait", "0"]);
    assert_eq!((flushed.code, flushed.out().as_str()), (Some(0), "delivered 0 spans, 0 still waiting\n"));
}

#[test]
fn it_says_where_it_looks_if_not_in_its_own_place() {
    let mut sandbox = sandbox("http://127.0.0.1:1");
    let elsewhere = sandbox.work();
    sandbox.unset("DD_TRACE_STATE_DIR").set("XDG_STATE_HOME", "/dev/null").set("TMPDIR", elsewhere);
    for command in ["flush", "status"] {
        let outcome = sandbox.run_traced([command]);
        let wanted = "/dev/null/ddtrace cannot be written; looking in ";
        assert!(outcome.err().contains(wanted), "{command}: {outcome:?}");
        assert_eq!(outcome.code, Some(0));
    }
}

#[test]
fn what_a_command_leaves_behind_does_not_hide_what_it_has_recorded() {
    let receiver = Receiver::start(Manner::Takes);
    let mut sandbox = sandbox(&receiver.url());
    sandbox.unset("DD_TRACE_PROCESS_SPANS");
    let program = dying_program(&sandbox);
    let ledger = sandbox.work().join("ledger");
    let script = r#""$0" sh -c 'setsid sleep 30 >/dev/null 2>&1 & "$0" return "$1" 100' "$1" "$2"; exec "$0" flush"#;
    let ledger = ledger.to_str().expect("a path of UTF-8");
    let outcome = sandbox.run_bare(["sh", "-c", script, sandbox.launcher(), &program, ledger]);
    assert_eq!((outcome.code, outcome.out().as_str()), (Some(0), "delivered 0 spans, 0 still waiting\n"));
    let spans = receiver.spans().len();
    // The program's own, and the processes that have ended.
    assert!(spans >= 101, "{spans}");
}

#[test]
fn runs_that_begin_meanwhile_hold_nothing_up() {
    let receiver = Receiver::start(Manner::Takes);
    let sandbox = sandbox(&receiver.url());
    let script = r#"(for i in $(seq 60); do "$0" sleep 0.3; done) & loop=$!; sleep 1; "$0" flush --wait 3600; code=$?; kill $loop; exit $code"#;
    let outcome = sandbox.run_bare(["sh", "-c", script, sandbox.launcher()]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    sandbox.settle();
}

/// Whether its own sidecar is refused or flush itself: nobody who relies on the exit code goes on without the spans.
#[test]
fn what_no_receiver_takes_is_told() {
    let receiver = Receiver::start(Manner::Refuses(400));
    let mut sandbox = sandbox(&receiver.url());
    sandbox.set("DD_TRACE_PROCESS_SPANS", "false");
    let (program, ledger) = (dying_program(&sandbox), sandbox.work().join("ledger"));
    let script = r#""$0" "$1" return "$2" 100 && exec "$0" flush"#;
    let ledger = ledger.to_str().expect("plain");
    let outcome = sandbox.run_bare(["sh", "-c", script, sandbox.launcher(), &program, ledger]);
    assert_eq!((outcome.code, outcome.out().as_str()), (Some(1), "delivered 0 spans, 0 still waiting\n"));
    let told = "101 spans of runs that others were at work on were dropped; ";
    assert!(outcome.err().contains(told) && outcome.err().contains("sidecar.log says why"), "{outcome:?}");
    let status = sandbox.run_traced(["status"]).out();
    assert!(status.contains("101 spans of runs that are over so far were dropped; the log says why"), "{status}");
    let metrics = sandbox.run_traced(["status", "--metrics"]).out();
    let counted = |name: &str, count: u32| {
        metrics.contains(&format!("\nddtrace_run_sidecar_{name}_total{{run=\"gone\"}} {count}\n"))
    };
    assert!(counted("spans_recorded", 101) && counted("spans_dropped", 101), "{metrics}");

    let nobody = Nobody::listens();
    sandbox.set("DD_TRACE_AGENT_URL", nobody.url());
    assert_eq!(sandbox.run_traced([&program, "return", ledger, "10"]).code, Some(0));
    sandbox.settle();
    sandbox.set("DD_TRACE_AGENT_URL", receiver.url());
    let flushed = sandbox.run_traced(["flush"]);
    assert_eq!(
        (flushed.code, flushed.out().as_str()),
        (Some(1), "delivered 0 spans, dropped 11 spans, 0 still waiting\n")
    );
    let metrics = sandbox.run_traced(["status", "--metrics"]).out();
    assert!(metrics.contains("\nddtrace_run_sidecar_spans_dropped_total{run=\"gone\"} 112\n"), "{metrics}");
}

#[test]
fn it_says_of_nobody_what_it_has_not_tried() {
    let nobody = Nobody::listens();
    let mut sandbox = sandbox(&nobody.url());
    sandbox.set("DD_TRACE_PROCESS_SPANS", "false").set("DD_TRACE_SHUTDOWN_TIMEOUT_SECONDS", "0.1");
    let (program, ledger) = (dying_program(&sandbox), sandbox.work().join("ledger"));
    let ledger = ledger.to_str().expect("plain");
    assert_eq!(sandbox.run_traced([&program, "return", ledger, "10"]).code, Some(0));
    sandbox.settle();
    let receiver = nobody.becomes(Manner::Takes);
    let flushed = sandbox.run_traced(["flush", "--wait", "0"]);
    assert_eq!((flushed.code, flushed.out().as_str()), (Some(1), "delivered 0 spans, 11 still waiting\n"));
    assert!(!flushed.err().contains("no answer"), "it was not asked: {flushed:?}");
    assert_eq!(sandbox.run_traced(["flush"]).out(), "delivered 11 spans, 0 still waiting\n");
    assert_eq!(receiver.spans().len(), 11);

    // What a daemon holds up is told apart from what the Agent does.
    let nobody = Nobody::listens();
    sandbox.set("DD_TRACE_AGENT_URL", nobody.url());
    let script =
        r#""$0" sh -c 'setsid sleep 20 >/dev/null 2>&1 & "$0" return "$1" 100' "$1" "$2"; exec "$0" flush --wait 3"#;
    let flushed = sandbox.run_bare(["sh", "-c", script, sandbox.launcher(), &program, ledger]);
    assert_eq!((flushed.code, flushed.out().as_str()), (Some(1), "delivered 0 spans, 101 still waiting\n"));
    assert!(flushed.err().contains("still waiting for the Datadog Agent at "), "{flushed:?}");
    assert!(!flushed.err().contains("left behind"), "none of them waits for an end: {flushed:?}");
}

/// What begins in another state directory is no concern of this one's, nor is a run that never came to be.
#[test]
fn status_tells_of_its_own_runs_alone() {
    let sandbox = sandbox("http://127.0.0.1:1");
    let script = r#"
DD_TRACE_STATE_DIR="$1/other" "$0" --supervise --exporter local sleep 1 & sleep 0.1
DD_TRACE_STATE_DIR="$1/own" "$0" status
wait
export DD_TRACE_STATE_DIR="$1/few"
sh -c 'ulimit -n 8; exec "$0" --exporter local true' "$0"
sleep 2
"$0" status
"#;
    let root = sandbox.path().display().to_string();
    let outcome = sandbox.run_bare(["sh", "-c", script, sandbox.launcher(), &root]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(outcome.out(), format!("nothing waits in {root}/own/spool\nnothing waits in {root}/few/spool\n"));
    let log = std::fs::read_to_string(sandbox.path().join("few/sidecar.log")).expect("a log");
    assert!(log.contains("the sidecar cannot work (EMFILE"), "{log}");
}
