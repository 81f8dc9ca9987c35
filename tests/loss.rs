//! Nothing that was recorded is lost, however the program ends and whoever is down.

use ddtrace_test_support::agent::free_port;
use ddtrace_test_support::programs::{compile, compile_strictly};
use ddtrace_test_support::{Agent, End, Outcome, Sandbox, Span, spans, wait_for};
use std::collections::BTreeSet;
use std::process::Stdio;

fn sandbox() -> Sandbox {
    Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"))
}

/// Whether the kernel tells strangers how a process ended (`PIDFD_GET_INFO` with the exit code, Linux 6.15):
/// the first process of a run has no parent of ours that could know.
fn deaths_are_told() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc is mounted");
    let mut numbers = release.split(['.', '-', '\n']).map_while(|part| part.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 15)
}

fn signal(name: &str) -> End {
    End::Signal(name.to_owned())
}

#[test]
fn the_first_process_dies_by_itself() {
    for (way, number, end) in [
        ("signal-after-child", "9", signal("SIGKILL")),
        ("signal-after-child", "15", signal("SIGTERM")),
        ("signal-after-child", "6", signal("SIGABRT")),
        ("_exit-after-child", "7", End::Exit(7)),
    ] {
        let sandbox = sandbox();
        let exits = compile(&sandbox, "exits");
        sandbox.assert_same(&[&exits, way, number]);
        sandbox.settle();
        let _ = std::fs::remove_file(sandbox.local_store());
        sandbox.run_traced([&exits, way, number]);
        let spans = sandbox.spans();
        let parent = spans::only(&spans, "exits");
        let child = spans::only(&spans, "true");
        assert_eq!(child.end_of_process(), End::Exit(0), "{way} {number}");
        assert_eq!(child.parent_id.as_ref(), Some(&parent.span_id), "{way} {number}");
        if deaths_are_told() || matches!(end, End::Exit(_)) {
            assert_eq!(parent.end_of_process(), end, "{way} {number}");
        }
    }
}

#[test]
fn every_way_to_end_is_reported_by_the_parent_that_waits() {
    for (way, number, end) in [
        ("_exit", "7", End::Exit(7)),
        ("_Exit", "8", End::Exit(8)),
        ("quick_exit", "9", End::Exit(9)),
        ("raw", "10", End::Exit(10)),
        ("thread-exit", "11", End::Exit(11)),
        ("first-thread-leaves", "12", End::Exit(12)),
        ("abort", "0", signal("SIGABRT")),
        ("segv", "0", signal("SIGSEGV")),
        ("signal", "9", signal("SIGKILL")),
        ("signal", "15", signal("SIGTERM")),
        ("signal", "2", signal("SIGINT")),
    ] {
        let sandbox = sandbox();
        let exits = compile(&sandbox, "exits");
        sandbox.run_traced(["sh", "-c", "$0 $1 $2; exit 0", &exits, way, number]);
        let spans = sandbox.spans();
        assert_eq!(spans.len(), 2, "{way} {number}");
        assert_eq!(spans::only(&spans, "exits").end_of_process(), end, "{way} {number}");
    }
}

#[test]
fn a_forked_child_that_ends_at_once_is_a_span() {
    let sandbox = sandbox();
    let exits = compile(&sandbox, "exits");
    assert_eq!(sandbox.run_traced([&exits, "fork-_exit", "13"]).code, Some(0));
    let spans = sandbox.spans();
    let codes: BTreeSet<_> = spans.iter().map(Span::exit_code).collect();
    assert_eq!((spans.len(), codes), (2, BTreeSet::from([Some(0), Some(13)])));
}

#[test]
fn many_that_kill_themselves_at_once_are_all_there() {
    let sandbox = sandbox();
    let script = "i=0; while [ $i -lt 100 ]; do sh -c 'kill -9 $$' & i=$((i+1)); done; wait; exit 0";
    assert_eq!(sandbox.run_traced(["sh", "-c", script]).code, Some(0));
    let spans = sandbox.spans();
    let killed = spans.iter().filter(|span| span.end_of_process() == signal("SIGKILL")).count();
    assert_eq!((spans.len(), killed), (101, 100));
}

#[test]
fn a_program_killed_from_outside_leaves_what_it_did() {
    let sandbox = sandbox();
    let mut command = sandbox.traced(["sh", "-c", "/bin/true; echo done > done; exec sleep 600"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the launcher starts");
    let pid = child.id();
    let _ = sandbox.wait_for_file(&sandbox.work().join("done"));
    assert_eq!(sandbox.run_bare(["sh", "-c", "kill -9 $0", &pid.to_string()]).code, Some(0));
    assert_eq!(Outcome::finish(child, "the killed program").signal, Some(9));
    let spans = sandbox.spans();
    assert_eq!(spans::only(&spans, "true").end_of_process(), End::Exit(0));
    let root = spans.iter().find(|span| span.parent_id.is_none()).expect("the killed program itself");
    assert_eq!(root.pid(), pid);
    if deaths_are_told() {
        assert_eq!(root.end_of_process(), signal("SIGKILL"));
    }
}

#[test]
fn a_whole_group_killed_at_once_is_all_there() {
    let sandbox = sandbox();
    // `setsid` makes a group of its own, which the outer shell then kills with all that is in it.
    let inner = "for i in 1 2 3 4 5; do sleep 600 & done; echo ready > ready; wait";
    let outer =
        format!("setsid sh -c '{inner}' & while [ ! -s ready ]; do sleep 0.05; done; kill -9 -$!; wait; exit 0");
    assert_eq!(sandbox.run_traced(["sh", "-c", &outer]).code, Some(0));
    let spans = sandbox.spans();
    let sleepers: Vec<_> =
        spans.iter().filter(|span| span.command_args().last().is_some_and(|arg| arg == "600")).collect();
    assert_eq!(sleepers.len(), 5, "{:?}", spans.iter().map(Span::command_args).collect::<Vec<_>>());
    if deaths_are_told() {
        assert!(sleepers.iter().all(|span| span.end_of_process() == signal("SIGKILL")), "{sleepers:#?}");
    }
}

#[test]
fn a_daemon_that_outlives_the_program_is_there() {
    let sandbox = sandbox();
    let processes = compile(&sandbox, "processes");
    assert_eq!(sandbox.run_traced([&processes, "daemon"]).code, Some(0));
    let spans = sandbox.spans();
    assert_eq!(spans.len(), 3, "{spans:#?}");
    let daemon = spans.iter().find(|span| span.command_args().last().is_some_and(|arg| arg == "exit 8"));
    let daemon = daemon.expect("the program that the daemon executed");
    if deaths_are_told() {
        assert_eq!(daemon.exit_code(), Some(8));
    }
}

#[test]
fn what_an_absent_agent_did_not_take_the_next_run_delivers() {
    let mut sandbox = sandbox();
    let port = free_port();
    sandbox.unset("DD_TRACE_EXPORTER").set("DD_TRACE_AGENT_URL", format!("http://127.0.0.1:{port}"));
    assert_eq!(sandbox.run_traced(["sh", "-c", "/bin/false; exit 3"]).code, Some(3));
    sandbox.settle();

    let agent = Agent::start_at(port);
    assert_eq!(sandbox.run_traced(["/bin/true"]).code, Some(0));
    sandbox.settle();
    agent.assert_no_failed_check();
    let spans = agent.datadog_spans();
    assert_eq!(spans.len(), 3, "{spans:#?}");
    let failed = spans::only(&spans, "false");
    assert_eq!(failed.exit_code(), Some(1));
    assert!(spans.iter().any(|span| failed.parent_id.as_ref() == Some(&span.span_id) && span.exit_code() == Some(3)));
}

#[test]
fn a_killed_sidecar_takes_nothing_with_it() {
    let sandbox = sandbox();
    let mut command =
        sandbox.traced(["sh", "-c", "echo begun > begun; while [ ! -e go ]; do sleep 0.05; done; /bin/true; exit 3"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the launcher starts");
    let _ = sandbox.wait_for_file(&sandbox.work().join("begun"));
    let sidecar = sandbox.sidecar();
    assert_eq!(sandbox.run_bare(["kill", "-KILL", &sidecar.to_string()]).code, Some(0));
    wait_for("the sidecar to be gone", || sandbox.processes().iter().all(|(pid, _)| *pid != sidecar).then_some(()));
    sandbox.write("go", "");
    let outcome = Outcome::finish(child, "the program whose sidecar was killed");
    assert_eq!((outcome.code, outcome.out().as_str(), outcome.err().as_str()), (Some(3), "", ""));
}

/// Children by system calls of the program's own are noticed by what they do first, whatever that is: none of them says
/// what another one says.
#[test]
fn children_that_no_library_has_made_have_ids_of_their_own() {
    for process_spans in ["false", "true"] {
        let mut sandbox = sandbox();
        sandbox.set("DD_TRACE_PROCESS_SPANS", process_spans);
        let source = ddtrace_test_support::repository().join("tests/apps/raw_forks.c");
        let program = compile_strictly(&sandbox, &source, "cc", &[]);
        assert_eq!(sandbox.run_traced([program.as_str(), "10"]).code, Some(0));
        let spans = sandbox.spans();
        let named = |name: &str| spans.iter().filter(|span| span.name == name).count();
        let counts = ["before", "after", "child", "grandchild"].map(named);
        let log = sandbox.local_store().with_file_name("sidecar.log");
        let log = std::fs::read_to_string(log).unwrap_or_default();
        assert_eq!((counts, log.as_str()), ([10, 10, 100, 40], ""), "process spans {process_spans}");
        let ids: BTreeSet<_> = spans.iter().map(|span| &span.span_id).collect();
        assert_eq!(ids.len(), spans.len(), "process spans {process_spans}: two spans with the same id");
    }
}

/// A process that has no memory to record in, or none of its own, says how much is lost.
#[test]
fn what_a_process_cannot_record_is_counted() {
    let raw = "ulimit -Sf 10; exec \"$0\" 10";
    for (script, lost) in [
        (raw, 160),
        ("ulimit -v 150000; exec \"$0\" 10", 160),
        ("ulimit -Sf 10; exec \"$0\" 10 exec", 10),
        ("exec \"$0\" 10 vfork", 10),
    ] {
        for process_spans in ["false", "true"] {
            let mut sandbox = sandbox();
            sandbox.set("DD_TRACE_PROCESS_SPANS", process_spans).set("DD_TRACE_LOG_LEVEL", "info");
            let source = ddtrace_test_support::repository().join("tests/apps/raw_forks.c");
            let program = compile_strictly(&sandbox, &source, "cc", &[]);
            assert_eq!(sandbox.run_traced(["bash", "-c", script, &program]).code, Some(0), "{script}");
            sandbox.settle();
            let log = sandbox.local_store().with_file_name("sidecar.log");
            let log = std::fs::read_to_string(log).unwrap_or_default();
            let told = format!("records lost in processes {lost}, in the spool 0");
            assert!(log.contains(&told), "{script}: {log}");
        }
    }
}
