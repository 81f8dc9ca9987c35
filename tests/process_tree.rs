//! Every process is one span below the right parent, with the right end: held against what `strace` saw of the same
//! run.

use ddtrace_test_support::process::outline_with_ids;
use ddtrace_test_support::programs::{compile, compile_with, python};
use ddtrace_test_support::{End, Outcome, Sandbox, Span, spans, witness};
use std::collections::BTreeSet;

fn sandbox() -> Sandbox {
    Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"))
}

/// Runs a program bare and under the launcher, which must not differ; then under launcher and witness, whose accounts
/// must not differ and must both have `count` processes.
#[track_caller]
fn assert_tree<A: AsRef<str>>(sandbox: &Sandbox, argv: &[A], count: usize) -> Vec<Span> {
    let argv: Vec<&str> = argv.iter().map(AsRef::as_ref).collect();
    let without_ours = |outcome: Outcome| {
        let ours = |line: &&[u8]| {
            let names = [
                "LD_PRELOAD=",
                "PYTHONPATH=",
                "_DDTRACE_RUN=",
                "_DDTRACE_TRACER=",
                "TRACEPARENT=",
                "TRACESTATE=",
                "BAGGAGE=",
                "DD_",
                "OTEL_",
            ];
            names.iter().any(|name| line.starts_with(name.as_bytes()))
        };
        let lines =
            outcome.stdout.split_inclusive(|&byte| byte == b'\n').filter(|line| !ours(line)).collect::<Vec<_>>();
        Outcome { stdout: lines.concat(), ..outcome }
    };
    let bare = without_ours(sandbox.run_bare(&argv));
    assert_eq!(without_ours(sandbox.run_traced(&argv)), bare, "left is under the launcher, right is bare: {argv:?}");
    // From here on only the watched run counts.
    sandbox.settle();
    let _ = std::fs::remove_file(sandbox.local_store());

    let (outcome, witness) = witness::watch(sandbox, &sandbox.traced(&argv));
    assert_eq!((outcome.code, outcome.signal), (bare.code, bare.signal), "{argv:?}: {outcome:?}");
    let spans = sandbox.spans();
    let seen = witness.processes_of_target();
    let told = spans::processes(&spans);
    assert_eq!(outline_with_ids(&told), outline_with_ids(&seen), "left are the spans, right is the witness: {argv:?}");
    assert_eq!(told.len(), count, "{argv:?}:\n{}", outline_with_ids(&told));
    let traces: BTreeSet<_> = spans.iter().map(|span| &span.trace_id).collect();
    assert_eq!(traces.len(), 1, "one run is one trace");
    spans
}

#[test]
fn processes_made_in_any_way() {
    let sandbox = sandbox();
    let processes = compile(&sandbox, "processes");
    for (way, count) in [
        ("fork", 3),
        ("vfork", 3),
        ("spawn", 3),
        ("shell", 3),
        ("raw", 2),
        ("daemon", 3),
        ("double-fork", 3),
        ("forkpty", 2),
        ("threads", 21),
        ("unreaped", 2),
        ("ignored", 2),
        ("deep", 21),
    ] {
        assert_tree(&sandbox, &[&processes, way], count);
    }
}

#[test]
fn programs_executed_by_any_function() {
    let sandbox = sandbox();
    let execs = compile(&sandbox, "execs");
    for form in [
        "execl",
        "execlp",
        "execle",
        "execv",
        "execvp",
        "execvpe",
        "execve",
        "execve-null-env",
        "execve-empty-argv",
        "fexecve",
        "execveat",
        "execveat-libc",
        "headless",
        "large-environment",
        "thread",
    ] {
        assert_tree(&sandbox, &[&execs, form], 2);
    }
}

#[test]
fn failing_executions_leave_no_trace() {
    let sandbox = sandbox();
    let execs = compile(&sandbox, "execs");
    for form in ["search", "failing", "bad-pointers"] {
        assert_tree(&sandbox, &[&execs, form], 2);
    }
}

#[test]
fn a_spawn_in_vain_is_no_process() {
    // The C library makes one and reaps it itself; the caller gets an error and never hears of it.
    let sandbox = sandbox();
    let processes = compile(&sandbox, "processes");
    assert_eq!(sandbox.assert_same(&[&processes, "vain-spawn"]).code, Some(0));
    sandbox.settle();
    std::fs::remove_file(sandbox.local_store()).expect("the first run was stored");
    assert_eq!(sandbox.run_traced([&processes, "vain-spawn"]).code, Some(0));
    assert_eq!(sandbox.spans().len(), 1);
}

#[test]
fn a_process_that_executes_program_after_program_is_one_span() {
    let sandbox = sandbox();
    let execs = compile(&sandbox, "execs");
    let spans = assert_tree(&sandbox, &[&execs, "chain", "8"], 1);
    assert_eq!(spans[0].exit_code(), Some(3));
}

#[test]
fn shells_and_what_they_make() {
    let sandbox = sandbox();
    assert_tree(&sandbox, &["sh", "-c", "/bin/true; (exit 3); /bin/true & wait; x=$(/bin/false); exit 4"], 5);
    assert_tree(&sandbox, &["bash", "-c", "/bin/true | /bin/cat | (exit 7); cat <(/bin/true); /bin/false; exit 5"], 7);
    assert_tree(&sandbox, &["sh", "-c", "sh -c 'kill -9 $$'; sh -c 'kill -15 $$'; exit 0"], 3);
    assert_tree(&sandbox, &["sh", "-c", "nonexistent-program; /nonexistent; exit 0"], 2);
}

#[test]
fn an_emptied_environment_does_not_cut_the_tree() {
    let sandbox = sandbox();
    assert_tree(&sandbox, &["sh", "-c", "env -i /bin/sh -c '/bin/true; /usr/bin/env; exit 3'; exit 0"], 4);
}

#[test]
fn a_script_is_the_interpreter_with_the_script_as_argument() {
    let sandbox = sandbox();
    let script = sandbox.write_program("script", "#!/bin/sh\n/bin/true\nexit 3\n");
    let script = script.to_str().expect("UTF-8");
    let spans = assert_tree(&sandbox, &["sh", "-c", &format!("{script} word; exit 0")], 3);
    let span = spans.iter().find(|span| span.exit_code() == Some(3)).expect("the script is a span");
    let args = span.command_args();
    assert_eq!(args[args.len() - 2..], [script.to_owned(), "word".to_owned()], "{args:?}");
}

#[test]
fn static_programs_are_spans_as_well() {
    let sandbox = sandbox();
    let fixed = compile_with(&sandbox, "exits", "cc", &["-static"]);
    let spans = assert_tree(&sandbox, &["sh", "-c", &format!("{fixed} exit 9; {fixed} abort; exit 0")], 3);
    assert!(spans.iter().any(|span| span.exit_code() == Some(9)));
    // And as the program itself: it runs, and the launcher knows it cannot look inside.
    assert_eq!(sandbox.assert_same(&[fixed.as_str(), "exit", "9"]).code, Some(9));
}

#[test]
fn programs_of_another_libc_are_spans_as_well() {
    let sandbox = sandbox();
    let musl = compile_with(&sandbox, "exits", "musl-gcc", &[]);
    assert_tree(&sandbox, &["sh", "-c", &format!("{musl} _exit-after-child 9; {musl} exit 8; exit 0")], 4);
    assert_tree(&sandbox, &[&musl, "_exit-after-child", "9"], 2);
}

#[test]
fn python_makes_processes_in_its_own_ways() {
    let sandbox = sandbox();
    let script = "\
import os, subprocess, sys
subprocess.run(['/bin/true'], check=True)
subprocess.run('exit 3', shell=True)
subprocess.run(['/bin/sh', '-c', 'exit 4'], env={'ONLY': 'this'}, cwd='/', start_new_session=True)
os.waitpid(os.spawnv(os.P_NOWAIT, '/bin/true', ['true']), 0)
pid = os.fork()
if pid == 0:
    os._exit(5)
os.waitpid(pid, 0)
os.waitpid(os.posix_spawn('/bin/false', ['false'], os.environ), 0)
sys.exit(6)
";
    assert_tree(&sandbox, &[&python(), "-c", script], 7);
}

#[test]
fn what_a_span_tells_of_its_process() {
    let mut sandbox = sandbox();
    sandbox.set("DD_SERVICE", "shop").set("DD_ENV", "test").set("DD_VERSION", "1.2").set("DD_TAGS", "team:one");
    let outcome = sandbox.run_traced(["sh", "-c", "cd /; /bin/ls --color=never /dev/null; sh -c 'kill -9 $$'; exit 3"]);
    assert_eq!(outcome.code, Some(3));
    let spans = sandbox.spans();
    let ls = spans::only(&spans, "ls");
    let shell = spans.iter().find(|span| span.parent_id.is_none()).expect("a root");
    assert_eq!(ls.command_args(), ["/bin/ls", "--color=never", "/dev/null"]);
    assert!(ls.text("process.executable.path").is_some_and(|path| path.ends_with("/bin/ls")), "{ls:#?}");
    assert_eq!(ls.text("process.working_directory"), Some("/"));
    assert_eq!(ls.number("process.parent_pid"), Some(i64::from(shell.pid())));
    assert_eq!((ls.exit_code(), ls.error_type(), ls.failed), (Some(0), None, false));
    assert_eq!(ls.name, "ls");
    assert_eq!(ls.parent_id.as_ref(), Some(&shell.span_id));
    assert!(shell.start <= ls.start && ls.start <= ls.end && ls.end <= shell.end, "{ls:#?}\n{shell:#?}");
    assert_eq!((shell.exit_code(), shell.error_type(), shell.failed), (Some(3), Some("3"), true));
    let killed = spans.iter().find(|span| span.error_type() == Some("SIGKILL")).expect("the killed shell");
    assert_eq!((killed.exit_code(), killed.failed), (Some(137), true));
    for span in &spans {
        let resource = |key: &str| span.resource.get(key).and_then(|value| value.as_str());
        assert_eq!(resource("service.name"), Some("shop"));
        assert_eq!(resource("service.version"), Some("1.2"));
        assert_eq!(resource("deployment.environment.name").or(resource("deployment.environment")), Some("test"));
        assert_eq!(resource("team"), Some("one"));
    }
}

#[test]
fn secrets_on_command_lines_do_not_get_out() {
    let sandbox = sandbox();
    let outcome = sandbox.run_traced(["sh", "-c", "/bin/true --password=hunter2 --token hunter2; exit 0"]);
    assert_eq!(outcome.code, Some(0));
    let spans = sandbox.spans();
    let args = spans::only(&spans, "true").command_args().join(" ");
    assert!(args.contains("--password") && !args.contains("hunter2"), "{args}");
}

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn an_incoming_context_is_continued() {
    let mut sandbox = sandbox();
    // It switches the process spans on by itself.
    sandbox.unset("DD_TRACE_PROCESS_SPANS").set("TRACEPARENT", TRACEPARENT).set("TRACESTATE", "vendor=value,other=1");
    let outcome = sandbox.run_traced(["sh", "-c", "printenv TRACEPARENT; printenv TRACESTATE; exit 0"]);
    let spans = sandbox.spans();
    assert_eq!(spans.len(), 3);
    assert!(spans.iter().all(|span| span.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"), "{spans:#?}");
    let parent_is = |span: &&Span| span.parent_id.as_deref() == Some("00f067aa0ba902b7");
    let root = spans.iter().find(parent_is).expect("a span below the incoming one");
    // Bit 8 says that bit 9 is known; bit 9 that the parent is remote.
    assert_eq!(root.flags & 0x300, 0x300, "{root:#?}");
    assert!(root.trace_state.contains("vendor=value") && root.trace_state.contains("other=1"), "{root:#?}");
    let below: Vec<_> = spans.iter().filter(|span| !parent_is(span)).collect();
    assert!(below.iter().all(|span| span.parent_id.as_ref() == Some(&root.span_id) && span.flags & 0x300 == 0x100));
    // Each program is told of a span of this very tree.
    let text = outcome.out();
    let mut lines = text.lines();
    let own: Vec<_> = lines.next().expect("a traceparent").split('-').map(str::to_owned).collect();
    assert_eq!(own[1], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert!(spans.iter().any(|span| span.span_id == own[2]), "{own:?} is not among {spans:#?}");
    assert!(lines.next().is_some_and(|line| line.contains("vendor=value")), "{text}");
}

#[test]
fn a_malformed_context_starts_a_new_trace() {
    for malformed in [
        "",
        "garbage",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
    ] {
        let mut sandbox = sandbox();
        sandbox.set("TRACEPARENT", malformed);
        assert_eq!(sandbox.run_traced(["sh", "-c", "/bin/true; exit 3"]).code, Some(3));
        let spans = sandbox.spans();
        assert_eq!(spans.len(), 2, "{malformed:?}");
        let root = spans.iter().find(|span| span.parent_id.is_none()).expect("a root");
        assert_ne!(root.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736", "{malformed:?}");
        assert_eq!(root.flags & 0x200, 0, "{malformed:?}");
    }
}

#[test]
fn process_spans_are_on_only_where_they_should_be() {
    let spans_with = |name: &str, value: &str| {
        let mut sandbox = sandbox();
        sandbox.unset("DD_TRACE_PROCESS_SPANS").set(name, value);
        assert_eq!(sandbox.run_traced(["sh", "-c", "/bin/true; exit 3"]).code, Some(3));
        sandbox.spans().len()
    };
    // Held back until the command has proved not to be a service.
    assert_eq!(spans_with("UNRELATED", "1"), 2);
    assert_eq!(spans_with("CI", "true"), 2);
    assert_eq!(spans_with("TRACEPARENT", TRACEPARENT), 2);
    assert_eq!(spans_with("DD_TRACE_PROCESS_SPANS", "true"), 2);
    assert_eq!(spans_with("DD_TRACE_PROCESS_SPANS", "false"), 0);
}

#[test]
fn a_subshell_whose_first_word_is_its_childs_is_told_right() {
    // dash forks the subshell and vforks its commands: the subshell's ring is first needed by a child of it.
    let sandbox = sandbox();
    let program = compile_with(&sandbox, "exits", "cc", &["-static"]);
    let command = "(/bin/true; $0 exit 4; exit 7); true";
    assert_eq!(sandbox.run_traced(["sh", "-c", command, &program]).code, Some(0));
    let spans = sandbox.spans();
    let root = spans.iter().find(|span| span.parent_id.is_none()).expect("a root");
    let subshell = spans.iter().find(|span| span.parent_id.as_ref() == Some(&root.span_id)).expect("a subshell");
    assert_eq!(subshell.exit_code(), Some(7), "{spans:#?}");
    assert_eq!(subshell.number("process.parent_pid"), Some(i64::from(root.pid())));
    let children: Vec<_> = spans.iter().filter(|span| span.parent_id.as_ref() == Some(&subshell.span_id)).collect();
    assert_eq!(children.len(), 2, "{spans:#?}");
}

#[test]
fn what_a_static_program_starts_is_a_span_as_well() {
    let sandbox = sandbox();
    let program = compile_with(&sandbox, "processes", "cc", &["-static"]);
    let outcome = sandbox.run_traced(["sh", "-c", "$0 shell; true", &program]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let spans = sandbox.spans();
    let middle = spans::only(&spans, "processes");
    assert!(spans.iter().any(|span| span.parent_id.as_ref() == Some(&middle.span_id)), "{spans:#?}");
}

#[test]
fn a_context_that_a_program_sets_for_another_is_that_others() {
    let sandbox = sandbox();
    // In the same process it stays what it was set to, for a child it is the parent.
    let command = "env TRACEPARENT=$0 sh -c 'echo $TRACEPARENT; /bin/true; exit 0'";
    let outcome = sandbox.run_traced(["sh", "-c", command, TRACEPARENT]);
    assert_eq!(outcome.out().trim(), TRACEPARENT);
    let spans = sandbox.spans();
    let child = spans.iter().find(|span| span.name == "true").expect("true is a span");
    assert_eq!(child.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(child.parent_id.as_deref(), Some("00f067aa0ba902b7"));
}

#[test]
fn what_a_command_leaves_running_is_a_service_and_no_span() {
    let mut sandbox = sandbox();
    sandbox.unset("DD_TRACE_PROCESS_SPANS");
    let command = "/bin/true; sleep 5 >/dev/null 2>&1 & exit 0";
    assert_eq!(sandbox.run_traced(["sh", "-c", command]).code, Some(0));
    let mut names: Vec<String> = sandbox.spans().into_iter().map(|span| span.name).collect();
    names.sort();
    assert_eq!(names, ["dash", "true"]);
    // With the switch it is one, when it has ended.
    sandbox.set("DD_TRACE_PROCESS_SPANS", "true");
    assert_eq!(sandbox.run_traced(["sh", "-c", command]).code, Some(0));
    assert_eq!(sandbox.spans().len(), 2 + 3);
}

#[test]
fn ends_are_told_as_they_were() {
    let sandbox = sandbox();
    let exits = compile(&sandbox, "exits");
    let script = "for way in 'exit 0' '_exit 5' 'raw 6' 'quick_exit 7' 'abort' 'segv' 'signal 9' 'signal 15' \
                  'first-thread-leaves 8'; do $0 $way >/dev/null; done 2>/dev/null; exit 0";
    assert_eq!(sandbox.run_traced(["sh", "-c", script, &exits]).code, Some(0));
    let spans = sandbox.spans();
    let ends: BTreeSet<End> = spans
        .iter()
        .filter(|span| span.text("process.executable.name") == Some("exits"))
        .map(Span::end_of_process)
        .collect();
    let signal = |name: &str| End::Signal(name.to_owned());
    let wanted = [End::Exit(0), End::Exit(5), End::Exit(6), End::Exit(7), End::Exit(8)].into_iter();
    let wanted = wanted.chain([signal("SIGABRT"), signal("SIGSEGV"), signal("SIGKILL"), signal("SIGTERM")]);
    assert_eq!(ends, wanted.collect());
}
