//! What is wrong is named, with its place and what happens now; what can run, runs.

use ddtrace_test_support::programs::compile;
use ddtrace_test_support::sandbox::install;
use ddtrace_test_support::{Sandbox, terminal};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn sandbox() -> Sandbox {
    Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"))
}

#[test]
fn limits_too_small_for_the_tracer_leave_the_program_alone() {
    let sandbox = sandbox();
    let start_with = compile(&sandbox, "start_with");
    for wish in ["limit=nofile:4", "limit=fsize:0", "limit=as:60000000"] {
        let script = "echo out; /bin/true; exit 3";
        let bare = sandbox.run_bare([&start_with, wish, "--", "sh", "-c", script]);
        assert_eq!(bare.code, Some(3), "{wish}: {bare:?}");
        let traced = sandbox.run_bare([&start_with, wish, "--", sandbox.launcher(), "sh", "-c", script]);
        assert_eq!((traced.code, &traced.stdout), (bare.code, &bare.stdout), "{wish}: {traced:?}");
    }
    sandbox.settle();
}

#[test]
fn a_missing_library_is_named_and_the_program_runs() {
    let mut sandbox = sandbox();
    let alone = sandbox.path().join("ddtrace-run");
    install(Path::new(sandbox.launcher()), &alone);
    sandbox.use_launcher(alone);
    let outcome = sandbox.run_traced(["--debug", "sh", "-c", "/bin/true; echo out; exit 3"]);
    assert_eq!((outcome.code, outcome.out().as_str()), (Some(3), "out\n"), "{outcome:?}");
    outcome.assert_err_names(&["libddtrace_preload.so"]);
    assert!(!outcome.err().contains("ld.so"), "the loader must not be sent to look for it: {outcome:?}");
}

#[test]
fn places_that_cannot_be_written_stop_nothing() {
    let mut sandbox = sandbox();
    // Below a file no directory can be made, not even by root.
    for name in ["HOME", "TMPDIR", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"] {
        sandbox.set(name, "/dev/null/nowhere");
    }
    let argv = ["sh", "-c", "/bin/true; echo out; echo err >&2; exit 3"];
    sandbox.assert_same(&argv);
    for name in ["HOME", "TMPDIR", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "PATH", "LC_ALL"] {
        sandbox.unset(name);
    }
    sandbox.assert_same(&["/bin/sh", "-c", "/bin/true; echo out; echo err >&2; exit 3"]);
}

#[test]
fn a_state_directory_that_cannot_be_written_is_named_with_what_is_used_instead() {
    let mut sandbox = sandbox();
    let temporary = sandbox.path().join("instead");
    fs::create_dir(&temporary).unwrap();
    sandbox.set("DD_TRACE_STATE_DIR", "/dev/null/nowhere").set("TMPDIR", temporary.to_str().expect("UTF-8"));
    let instead = format!("using {}/ddtrace-", temporary.display());
    let outcome = sandbox.run_traced(["sh", "-c", "echo out; exit 3"]);
    assert_eq!((outcome.code, outcome.out().as_str()), (Some(3), "out\n"), "{outcome:?}");
    outcome.assert_err_names(&["/dev/null/nowhere", "cannot be written", &instead]);
    sandbox.run_traced(["status"]).assert_err_names(&["/dev/null/nowhere", &instead]);
    sandbox.set("DD_TRACE_STATE_DIR", temporary.to_str().expect("UTF-8"));
    sandbox.run_traced(["true"]).assert_success();
}

#[test]
fn broken_configuration_is_named_with_its_place_and_the_program_runs() {
    let sandbox = sandbox();
    for (content, named) in [
        ("# comment\nservice = \"x\n", vec!["broken.toml", "2"]),
        ("service = \"x\"\nenv = [1]\n", vec!["broken.toml", "2", "env"]),
        ("\n\nno_such_key = 1\n", vec!["broken.toml", "3", "no_such_key"]),
    ] {
        let file = sandbox.write("broken.toml", content);
        let file = file.to_str().expect("UTF-8");
        let outcome = sandbox.run_traced(["--debug", "--config", file, "sh", "-c", "echo out; exit 3"]);
        assert_eq!((outcome.code, outcome.out().as_str()), (Some(3), "out\n"), "{outcome:?}");
        outcome.assert_err_names(&named);
    }
}

#[test]
fn impossible_values_are_named_and_the_program_runs() {
    let mut sandbox = sandbox();
    sandbox
        .set("DD_TRACE_AGENT_URL", "gopher://nowhere")
        .set("DD_TRACE_AGENT_PORT", "99999")
        .set("DD_TRACE_DEBUG", "maybe");
    let outcome = sandbox.run_traced(["--debug", "sh", "-c", "echo out; exit 3"]);
    assert_eq!((outcome.code, outcome.out().as_str()), (Some(3), "out\n"), "{outcome:?}");
    outcome.assert_err_names(&["DD_TRACE_AGENT_URL", "gopher://nowhere", "DD_TRACE_AGENT_PORT", "99999"]);
}

#[test]
fn what_is_wrong_is_said_everywhere_and_what_cannot_be_traced_only_on_a_terminal() {
    let mut sandbox = sandbox();
    sandbox.set("DD_TRACE_AGENT_PORT", "99999");
    let argv = ["sh", "-c", "echo err >&2"];
    for said in [terminal::run(sandbox.traced(argv), 100).err(), sandbox.run_traced(argv).err()] {
        assert!(said.contains("DD_TRACE_AGENT_PORT") && said.contains("err"), "{said}");
    }
    // That a program cannot be seen from inside is no mistake of anybody's: its stderr stays its own.
    sandbox.unset("DD_TRACE_AGENT_PORT").set("DD_TRACE_DENYLIST", "sh");
    let screen = terminal::run(sandbox.traced(argv), 100).err();
    assert!(screen.contains("never instrumented"), "{screen}");
    assert_eq!(sandbox.run_traced(argv).err(), "err\n");
}

#[test]
fn what_cannot_be_started_ends_as_env_does() {
    let sandbox = sandbox();
    let missing = sandbox.run_traced(["no-such-program", "-x"]);
    assert_eq!((missing.code, missing.out().as_str()), (Some(127), ""));
    missing.assert_err_names(&["no-such-program"]);

    let plain = sandbox.write("plain", "echo never\n");
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).expect("its owner may do this");
    for refused in [plain.to_str().expect("UTF-8"), "/"] {
        let outcome = sandbox.run_traced([refused]);
        assert_eq!((outcome.code, outcome.out().as_str()), (Some(126), ""), "{refused}");
        outcome.assert_err_names(&[refused]);
    }
    for name in ["", "/nonexistent/program", "/etc/passwd/program"] {
        let ours = sandbox.run_traced(["--", name]);
        let theirs = sandbox.run_bare(["env", name]);
        assert_eq!(ours.code, theirs.code, "{name:?}: {ours:?}");
    }
    sandbox.settle();
}

#[test]
fn a_wrong_command_line_is_an_error_of_our_own() {
    let sandbox = sandbox();
    let unknown = sandbox.run_traced(["--no-such-flag", "true"]);
    assert_eq!((unknown.code, unknown.out().as_str()), (Some(125), ""));
    unknown.assert_err_names(&["--no-such-flag"]);
    let nothing = sandbox.run_bare([sandbox.launcher()]);
    assert_eq!((nothing.code, nothing.out().as_str()), (Some(125), ""));
    nothing.assert_err_names(&["Usage"]);
}

#[test]
fn profiling_is_accepted_and_said_to_do_nothing_yet() {
    let sandbox = sandbox();
    for flag in ["-p", "--profiling"] {
        let outcome = terminal::run(sandbox.traced([flag, "sh", "-c", "echo out; exit 3"]), 100);
        assert_eq!((outcome.code, outcome.out().as_str()), (Some(3), "out\n"), "{outcome:?}");
        outcome.assert_err_names(&["--profiling", "no effect"]);
    }
}

#[test]
fn messages_to_a_closed_stderr_hurt_nobody() {
    let mut sandbox = sandbox();
    sandbox.set("DD_TRACE_AGENT_PORT", "99999");
    let start_with = compile(&sandbox, "start_with");
    // Whatever file the program opens first gets descriptor 2, and no message of the launcher.
    let script = "exec 2>first; echo mine >&2; exit 3";
    let argv = [&start_with, "close=2", "--", sandbox.launcher(), "--debug", "sh", "-c", script];
    assert_eq!(sandbox.run_bare(argv).code, Some(3));
    assert_eq!(fs::read_to_string(sandbox.work().join("first")).expect("the script wrote it"), "mine\n");
}
