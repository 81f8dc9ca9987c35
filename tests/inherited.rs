//! What the launcher inherits and the program is to find as it was: signals that are ignored, blocked or pending, and a
//! stderr that nobody reads.

use ddtrace_test_support::{Outcome, Sandbox};

fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.set("DD_TRACE_PROCESS_SPANS", "true");
    sandbox
}

const WAYS: [&[&str]; 3] = [&[], &["--supervise"], &["--debug"]];

#[test]
fn who_ignores_the_end_of_children_is_traced() {
    for way in WAYS {
        let sandbox = sandbox();
        let mut argv = vec!["env", "--ignore-signal=CHLD", sandbox.launcher()];
        argv.extend(way);
        argv.extend(["sh", "-c", "/bin/true; exit 3"]);
        let outcome = sandbox.run_bare(argv);
        assert_eq!(outcome.code, Some(3), "{outcome:?}");
        let mut programs: Vec<_> = sandbox.spans().into_iter().map(|span| span.name).collect();
        programs.sort();
        assert_eq!((programs.len(), programs.last().map(String::as_str)), (2, Some("true")), "{way:?}");
    }
}

#[test]
fn no_signal_of_the_launchers_children_waits_for_the_program() {
    let sandbox = sandbox();
    let blocked = ["env", "--block-signal=CHLD"];
    let program = ["grep", "-e", "ShdPnd", "-e", "SigPnd", "-e", "SigBlk", "/proc/self/status"];
    let bare = sandbox.run_bare(blocked.into_iter().chain(program));
    for way in WAYS {
        let launcher = [&[sandbox.launcher()], way].concat();
        let traced = sandbox.run_bare(blocked.into_iter().chain(launcher).chain(program));
        assert_eq!(traced.out(), bare.out(), "{way:?}");
    }
}

#[test]
fn a_stderr_that_nobody_reads_keeps_no_program_from_running() {
    let options: [&[&str]; 4] =
        [&["--debug"], &["--debug", "--supervise"], &["--profiling"], &["--set", "agent.port=abc"]];
    for options in options {
        let sandbox = sandbox();
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = sandbox.traced(options.iter().chain(&["sh", "-c", "exit 3"]));
        let outcome =
            command.stderr(writer).spawn().map(|child| Outcome::finish(child, "a program without an audience"));
        assert_eq!(outcome.expect("the launcher starts").code, Some(3), "{options:?}");
        assert_ne!(sandbox.spans().len(), 0, "{options:?}");
    }
}
