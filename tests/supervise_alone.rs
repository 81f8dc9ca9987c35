//! `--supervise` where one of launcher, program and sidecar is gone, or does not answer.

use ddtrace_test_support::programs::dying_program;
use ddtrace_test_support::{Manner, Outcome, Receiver, Sandbox, wait_for};
use std::process::{Child, Stdio};
use std::time::Duration;

fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.set("DD_TRACE_PROCESS_SPANS", "true");
    sandbox
}

/// A program that waits for a line before it goes on.
fn waiting(sandbox: &Sandbox, options: &[&str], then: &str) -> Child {
    let script = format!("read line; {then}");
    let mut command = sandbox.traced(options.iter().copied().chain(["sh", "-c", &script]));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the launcher starts")
}

fn kill(sandbox: &Sandbox, signal: &str, pid: u32) {
    assert_eq!(sandbox.run_bare(["kill", signal, &pid.to_string()]).code, Some(0));
}

#[test]
fn what_a_program_records_after_its_launcher_was_killed_is_not_lost() {
    let sandbox = sandbox();
    let mut launcher = waiting(&sandbox, &["--supervise"], "/bin/true; exit 3");
    let sidecar = sandbox.sidecar();
    let input = launcher.stdin.take();
    kill(&sandbox, "-KILL", launcher.id());
    assert!(!launcher.wait().expect("a child").success());
    // Longer than what a command has left behind is waited for.
    std::thread::sleep(Duration::from_secs(1));
    drop(input);
    let names: Vec<_> = sandbox.spans().into_iter().map(|span| (span.name, span.failed)).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.contains(&("true".into(), false)), "{names:?}");
    assert!(!sandbox.processes().iter().any(|(pid, _)| *pid == sidecar), "it has ended as well");
}

#[test]
fn a_sidecar_that_was_killed_is_missed() {
    for option in ["--supervise", "--view"] {
        let sandbox = sandbox();
        let mut launcher = waiting(&sandbox, &[option, "--debug"], "exit 3");
        kill(&sandbox, "-KILL", sandbox.sidecar());
        drop(launcher.stdin.take());
        let outcome = Outcome::finish(launcher, "a launcher whose sidecar is gone");
        assert_eq!(outcome.code, Some(3));
        outcome.assert_err_names(&["the sidecar has ended before its time"]);
    }
}

#[test]
fn a_sidecar_that_does_not_answer_is_waited_for_as_long_as_was_said() {
    for option in ["--supervise", "--view"] {
        let sandbox = sandbox();
        let mut launcher = waiting(&sandbox, &[option, "--debug", "--shutdown-timeout=0s"], "exit 3");
        let sidecar = sandbox.sidecar();
        kill(&sandbox, "-STOP", sidecar);
        drop(launcher.stdin.take());
        let outcome = Outcome::finish(launcher, "a launcher whose sidecar stands still");
        assert_eq!(outcome.code, Some(3));
        outcome.assert_err_names(&["spans are still being delivered"]);
        assert_eq!(option == "--view", outcome.err().contains("nothing has come from the sidecar"), "{outcome:?}");
        kill(&sandbox, "-CONT", sidecar);
        sandbox.settle();
    }
}

/// A run that only delivers any more traces nobody, and is in nobody's way.
#[test]
fn a_run_within_one_that_is_over_is_a_run_of_its_own() {
    let receiver = Receiver::start(Manner::IsMute);
    let sandbox = sandbox();
    let program = dying_program(&sandbox);
    let inner = format!("{} --exporter=local sh -c '{program} return ledger 3; exit 4'", sandbox.launcher());
    let waits = "until [ -e go ]; do sleep 0.1; done";
    let script =
        format!("({waits}; XDG_STATE_HOME=$PWD/inner {inner}; echo $? > code) >/dev/null 2>&1 </dev/null & exit 3");
    let url = receiver.url();
    let options = ["--supervise", "--shutdown-timeout=1h", "--exporter=datadog", "--agent-url", &url];
    let mut command = sandbox.traced(options.into_iter().chain(["sh", "-c", &script]));
    let mut outer = command.spawn().expect("the launcher starts");
    wait_for("the outer run to deliver", || (receiver.unanswered() > 0).then_some(()));
    // What the command has left behind is waited for no longer then.
    std::thread::sleep(Duration::from_secs(1));
    sandbox.write("go", "");
    assert_eq!(sandbox.wait_for_file(&sandbox.work().join("code")), "4\n");
    let store = sandbox.work().join("inner/ddtrace").join(sandbox.local_store().file_name().expect("a file"));
    let stored = sandbox.wait_for_file(&store);
    assert!(stored.contains("exit 4"));
    // Its program's own spans as well: it is of that run, and not of the one that the launcher was in.
    let ledger = std::fs::read_to_string(sandbox.work().join("ledger")).expect("its ledger");
    assert!(ledger.lines().count() > 3 && ledger.lines().all(|id| stored.contains(id)), "{ledger}");
    kill(&sandbox, "-TERM", outer.id());
    assert_eq!(wait_for("the end", || outer.try_wait().expect("a child")).code(), Some(3));
    kill(&sandbox, "-TERM", sandbox.sidecar());
    sandbox.settle();
}

/// Within a run that traces, another launcher has no say of its own in how spans are delivered, and says so; but a program
/// that is not to be traced is not.
#[test]
fn a_launcher_within_a_run_that_traces_says_what_has_no_effect() {
    let sandbox = sandbox();
    let launcher = sandbox.launcher();
    let inner = |options: &str| sandbox.run_traced(["--supervise", "sh", "-c", &format!("{launcher} {options}")]);
    let outcome = inner("--agent-url http://127.0.0.1:1 --service=other sh -c 'exit 5'");
    assert_eq!(outcome.code, Some(5));
    outcome.assert_err_names(&["agent.url has no effect: an outer ddtrace-run delivers this program's spans"]);
    assert!(!outcome.err().contains("service"), "{outcome:?}");
    let outcome = inner("--agent-url http://127.0.0.1:1 --debug true");
    assert!(!outcome.err().contains("spans go to datadog at http://127.0.0.1:1"), "{outcome:?}");

    let clean = "--set enabled=false sh -c 'echo $LD_PRELOAD$_DDTRACE_RUN$_DDTRACE_TRACER.; exec sleep 0.01'";
    let outcome = inner(clean);
    outcome.assert_success();
    assert_eq!(outcome.out(), ".\n");
    assert!(sandbox.spans().iter().all(|span| span.name != "sleep"));
}

/// Also the launcher finds its own parts there.
#[test]
fn without_proc_programs_are_traced() {
    let sandbox = sandbox();
    let script = "umount -l /proc && exec \"$@\"";
    let command =
        ["unshare", "-m", "sh", "-c", script, "sh", sandbox.launcher(), "--supervise", "sh", "-c", "true; exit 6"];
    let outcome = sandbox.run_bare(command);
    assert_eq!((outcome.code, outcome.err().as_str()), (Some(6), ""));
    assert!(sandbox.spans().iter().any(|span| span.name.starts_with("sh") && span.failed));
}
