use super::{Witness, unquote, watch};
use crate::process::outline;
use crate::sandbox::Sandbox;
use std::path::Path;

fn outline_of(log: &str) -> String {
    outline(&Witness::parse(log, Path::new("/")).processes())
}

#[test]
fn calls_cut_in_two_are_joined() {
    let log = r#"10    execve("/nonexistent/sh", ["sh"], 0x7ffc /* 3 vars */) = 0
10    vfork( <unfinished ...>
11    execve("/nonexistent/miss", ["cc"], 0x5 /* 3 vars */) = -1 ENOENT (No such file or directory)
11    execve("/nonexistent/cc", ["cc", "a \" = 0"], 0x5 /* 3 vars */ <unfinished ...>
10    <... vfork resumed>)              = 11
11    <... execve resumed>)             = 0
11    +++ killed by SIGSEGV (core dumped) +++
10    wait4(-1, [{WIFSIGNALED(s)}], 0, NULL) = 11
10    exit_group(3)                     = ?
10    +++ exited with 3 +++
"#;
    assert_eq!(outline_of(log), "sh (exit 3)\n  cc (SIGSEGV)\n");
}

#[test]
fn threads_are_no_processes_and_may_execute() {
    let log = r#"10    execve("/nonexistent/a", ["a"], 0x7ffc /* 3 vars */) = 0
10    clone3({flags=CLONE_VM|CLONE_THREAD|CLONE_SIGHAND, child_tid=0x7f, exit_signal=0} => {parent_tid=[12]}, 88) = 12
12    clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD <unfinished ...>
13    +++ exited with 4 +++
12    <... clone resumed>, child_tidptr=0x7f) = 13
12    execve("/nonexistent/b", ["b"], 0x7ffc /* 3 vars */ <unfinished ...>
10    +++ superseded by execve in pid 12 +++
10    <... execve resumed>)             = 0
10    +++ exited with 0 +++
"#;
    assert_eq!(outline_of(log), "b (exit 0)\n  a (exit 4)\n");
}

#[test]
fn a_thread_that_executes_without_interruption_is_its_process() {
    let log = r#"10    execve("/nonexistent/a", ["a"], 0x7ffc /* 3 vars */) = 0
10    clone3({flags=CLONE_VM|CLONE_THREAD|CLONE_SIGHAND, child_tid=0x7f, exit_signal=0} => {parent_tid=[12]}, 88) = 12
12    execve("/nonexistent/b", ["b"], 0x7fff711db400 /* 35 vars */ <pid changed to 10 ...>
10    +++ superseded by execve in pid 12 +++
10    <... execve resumed>)             = 0
10    +++ exited with 3 +++
"#;
    assert_eq!(outline_of(log), "b (exit 3)\n");
}

#[test]
fn what_the_launcher_made_is_not_the_targets() {
    let log = r#"10    execve("/nonexistent/ddtrace-run", ["ddtrace-run"], 0x7ffc /* 3 vars */) = 0
10    clone(child_stack=NULL, flags=SIGCHLD) = 11
11    clone(child_stack=NULL, flags=SIGCHLD) = 12
11    +++ exited with 0 +++
10    execve("/nonexistent/sh", ["sh"], 0x7ffc /* 3 vars */) = 0
10    clone(child_stack=NULL, flags=SIGCHLD) = 13
13    +++ exited with 1 +++
10    +++ exited with 0 +++
12    +++ exited with 0 +++
"#;
    let witness = Witness::parse(log, Path::new("/"));
    assert_eq!(outline(&witness.processes_of_target()), "sh (exit 0)\n  sh (exit 1)\n");
    assert_eq!(witness.processes().len(), 4);
}

#[test]
fn programs_known_by_a_descriptor_have_its_name() {
    let log = r#"10    execve("/nonexistent/a", ["a"], 0x7ffc /* 3 vars */) = 0
10    execveat(3</nonexistent/bin/b>, "", ["b"], 0x7ffc /* 3 vars */, AT_EMPTY_PATH) = 0
10    +++ exited with 0 +++
"#;
    assert_eq!(outline_of(log), "b (exit 0)\n");
}

#[test]
fn quoted_paths_are_read() {
    assert_eq!(unquote(r#"/a b\"c\\d\303\244", ["#), "/a b\"c\\dä");
}

#[test]
fn a_real_run_is_seen_whole() {
    let sandbox = Sandbox::new("/nonexistent");
    let script = "/bin/true; (exit 3); sh -c 'kill -TERM $$'; /nonexistent/x 2>/dev/null; exit 5";
    let (outcome, witness) = watch(&sandbox, &sandbox.bare(["sh", "-c", script]));
    assert_eq!(outcome.code, Some(5));
    let shell = super::base_name(Path::new("/bin/sh"));
    let expected =
        format!("{shell} (exit 5)\n  {shell} (SIGTERM)\n  {shell} (exit 127)\n  {shell} (exit 3)\n  true (exit 0)\n");
    assert_eq!(outline(&witness.processes()), expected);
}

#[test]
fn a_script_is_known_by_its_interpreter() {
    let sandbox = Sandbox::new("/nonexistent");
    let script = sandbox.write_program("script", "#!/bin/sh -e\nexit 4\n");
    let (_, witness) = watch(&sandbox, &sandbox.bare([&script]));
    let shell = super::base_name(Path::new("/bin/sh"));
    assert_eq!(outline(&witness.processes()), format!("{shell} (exit 4)\n"));
}
