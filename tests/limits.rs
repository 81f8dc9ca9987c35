//! Machines and users that give too little: the program runs as without us, and what can be seen is.

use ddtrace_test_support::programs::{compile, compile_strictly, compile_with, dying_program, python};
use ddtrace_test_support::sandbox::install;
use ddtrace_test_support::{Outcome, Sandbox, Span, repository};
use std::collections::BTreeSet;
use std::path::Path;

fn sandbox() -> Sandbox {
    Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"))
}

/// How many spans ended with this code.
fn ended_with(spans: &[Span], code: i64) -> usize {
    spans.iter().filter(|span| span.exit_code() == Some(code)).count()
}

/// Work with children, which tells what it could not do.
const WORK: &str = "sh -c 'exit 5'; echo $?; (exit 6); echo $?; echo text | cat; for i in 1 2 3; do sh -c 'exit 5' & done; wait; \
                    echo kept > file && cat file; rm -f file; exit 4";

#[test]
fn under_limits_of_their_own_programs_run_as_ever() {
    for limit in ["-n 8", "-n 16", "-Hn 24", "-f 1", "-Hf 1", "-v 100000", "-l 0", "-s 256", "-c 0", "-m 1000"] {
        let sandbox = sandbox();
        let outcome = sandbox.assert_same(&["bash", "-c", &format!("ulimit {limit}; {WORK}")]);
        assert_eq!(outcome.code, Some(4), "{limit}: {outcome:?}");
        let spans = sandbox.spans();
        // Those who cannot speak for themselves are told of by the shell that has started them.
        assert!(ended_with(&spans, 5) >= 4, "ulimit {limit}: {spans:#?}");
        assert_eq!(ended_with(&spans, 4), 1, "ulimit {limit}");
    }
}

#[test]
fn under_the_limits_of_the_launcher_programs_run_as_ever() {
    for limit in ["-n 16", "-Hn 24", "-f 1", "-Hf 1", "-v 400000", "-l 0", "-s 512", "-u 500"] {
        let sandbox = sandbox();
        let run = |launcher: &str| {
            let script = format!("ulimit {limit}; \"$@\" -c \"$WORK\"");
            let mut command = sandbox.bare(["bash", "-c", &script, "bash"]);
            command.args(launcher.split_terminator(' ')).arg("/bin/bash").env("WORK", WORK);
            Outcome::of(&mut command)
        };
        assert_eq!(run(sandbox.launcher()), run(""), "left is under the launcher: ulimit {limit}");
        sandbox.settle();
    }
}

/// A program that keeps all its memory in place (`mlockall`) is given little of ours to keep: neither a user's limit for that is
/// reached, nor is memory taken that nothing uses. It records as ever.
#[test]
fn a_program_that_keeps_its_memory_in_place_keeps_little_of_ours() {
    const SPANS: usize = 30_000;
    let mut sandbox = sandbox();
    sandbox.set("DD_TRACE_LOCAL_MAX_BYTES", "1000000000");
    let program = compile_strictly(&sandbox, &repository().join("tests/apps/keeps_memory.c"), "cc", &[]);
    let run = |sandbox: &Sandbox, before: &str, launcher: &str, spans: usize| {
        let mut command = sandbox.bare(["bash", "-c", &format!("{before} \"$@\""), "bash"]);
        let command = command.args(launcher.split_terminator(' ')).args([&program, &spans.to_string(), "rss"]);
        let outcome = Outcome::of(command);
        assert_eq!((outcome.code, outcome.out().as_str()), (Some(0), "mlockall: done\n"), "{before}: {outcome:?}");
        std::fs::read_to_string(sandbox.work().join("rss")).expect("it tells").parse::<u64>().expect("kilobytes")
    };
    // A user's limit, as root has none.
    let as_user = "ulimit -l 8192; exec setpriv --bounding-set=-ipc_lock --";
    for process_spans in ["true", "false"] {
        sandbox.set("DD_TRACE_PROCESS_SPANS", process_spans);
        for (before, spans) in [(as_user, 0), ("", SPANS)] {
            let [bare, traced] = ["", sandbox.launcher()].map(|launcher| run(&sandbox, before, launcher, spans));
            // Half of it is what the tracer's spans lie in.
            assert!(traced < bare + 10_000, "{bare} and {traced} KB");
        }
    }
    let spans = sandbox.spans();
    assert_eq!(spans.iter().filter(|span| span.name == "work").count(), 2 * SPANS);
    assert_eq!(ended_with(&spans, 0), 2, "both processes that were to be spans");
}

/// Threads share the memory where there are more of them than it has parts: nothing is lost, and of each thread nothing is out of
/// order, which would leave spans open.
#[test]
fn crowds_of_threads_that_live_at_once_lose_nothing() {
    // The second ones fill all that there is.
    for (threads, each, arguments) in [(1200, 5, "10000"), (800, 75, "0"), (200, 5, "10000 lock")] {
        let mut sandbox = sandbox();
        sandbox.set("DD_TRACE_LOG_LEVEL", "info").set("DD_TRACE_LOCAL_MAX_BYTES", "1000000000");
        let program = compile_strictly(&sandbox, &repository().join("tests/apps/crowd.c"), "cc", &[]);
        let (count, each_text) = (threads.to_string(), each.to_string());
        let command = [&program, &count, &each_text].map(String::as_str).into_iter().chain(arguments.split(' '));
        let outcome = sandbox.run_traced(command);
        assert_eq!((outcome.code, outcome.out().as_str()), (Some(0), "done\n"), "{outcome:?}");
        let spans = sandbox.spans();
        let named = |name: &str| spans.iter().filter(|span| span.name == name && !span.failed).count();
        assert_eq!(["work", "part"].map(named), [threads * each; 2]);
        let log = std::fs::read_to_string(sandbox.local_store().with_file_name("sidecar.log")).unwrap_or_default();
        assert!(log.contains("records lost in processes 0, in the spool 0"), "{log}");
    }
}

/// Handlers of signals may jump out of a record that they have interrupted: neither is what it has taken lost for good, nor what is
/// recorded then.
#[test]
fn a_thread_that_jumps_out_of_its_records_goes_on_recording() {
    let mut sandbox = sandbox();
    sandbox.set("DD_TRACE_LOG_LEVEL", "info");
    let program = compile_strictly(&sandbox, &repository().join("tests/apps/jumps.c"), "cc", &[]);
    let outcome = sandbox.run_traced([program.as_str(), "3000"]);
    assert_eq!((outcome.code, outcome.out().as_str()), (Some(0), "done\n"), "{outcome:?}");
    let spans = sandbox.spans();
    let named = |name: &str| spans.iter().filter(|span| span.name == name && !span.failed).count();
    assert_eq!((named("whole"), named("after")), (1, 3000));
    let log = std::fs::read_to_string(sandbox.local_store().with_file_name("sidecar.log")).unwrap_or_default();
    assert!(log.contains("records lost in processes 0, in the spool 0"), "{log}");
}

/// The sidecar has the limit on CPU time (`ulimit -t`) as well: what it has no time left for is on disk, and the next one
/// delivers that.
#[test]
fn with_little_time_to_compute_nothing_is_lost() {
    let mut sandbox = sandbox();
    sandbox.set("DD_TRACE_PROCESS_SPANS", "false").set("DD_TRACE_LOCAL_MAX_BYTES", "1000000000");
    let program = dying_program(&sandbox);
    let script = "ulimit -t 1; for i in 1 2; do \"$0\" \"$1\" return ledger-$i 40000; done";
    let outcome = sandbox.run_bare(["bash", "-c", script, sandbox.launcher(), &program]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    sandbox.settle();
    let waits = sandbox.run_traced(["status"]).out();
    assert!(waits.contains("spans wait in"), "the limit was reached: {waits}");
    let flushed = sandbox.run_traced(["flush", "--wait", "60"]);
    assert_eq!(flushed.code, Some(0), "{flushed:?}");
    // What was under way when a sidecar was killed is sent twice.
    let ids: BTreeSet<String> = sandbox.spans().into_iter().map(|span| span.span_id).collect();
    assert_eq!(ids.len(), 2 * 40_001);
}

/// Where the last process that its user may have (`ulimit -u`) is the program, there is no sidecar, and the program runs.
#[test]
fn where_no_process_can_be_added_the_program_runs() {
    let sandbox = sandbox();
    let dir = sandbox.path().to_str().expect("UTF-8");
    let built = Path::new(sandbox.launcher()).parent().expect("it is in a directory").to_owned();
    let launcher = sandbox.path().join("bin/ddtrace-run");
    for file in ["ddtrace-run", "libddtrace_preload.so"] {
        install(&built.join(file), &launcher.with_file_name(file));
    }
    let opened = sandbox.run_bare(["sh", "-c", "chmod -R a+rX $0; chmod -R a+rwX $0/home $0/tmp $0/work", dir]);
    assert_eq!(opened.code, Some(0), "{opened:?}");
    let launcher = launcher.to_str().expect("UTF-8");
    for most in 1..=4 {
        let run = format!("ulimit -u {most}; exec {launcher} /bin/echo text");
        let other_user = ["setpriv", "--reuid=4321", "--regid=4321", "--clear-groups", "bash", "-c", &run];
        let outcome = sandbox.run_bare(other_user);
        assert_eq!((outcome.code, outcome.out().as_str()), (Some(0), "text\n"), "{most}: {outcome:?}");
        let is_traced = outcome.err().is_empty();
        assert!(is_traced || outcome.err().contains("the program runs untraced"), "{most}: {outcome:?}");
        assert!(!is_traced || most > 1, "there was room for no other process");
        sandbox.settle();
    }
}

/// The sidecar has the limit as well, and reads from as many processes at once as it has room for.
#[test]
fn with_little_address_space_nothing_is_lost() {
    let mut sandbox = sandbox();
    sandbox.set("DD_TRACE_PROCESS_SPANS", "false");
    let program = dying_program(&sandbox);
    let script = "ulimit -v 600000; exec \"$0\" bash -c 'for i in $(seq 30); do \"$0\" return ledger-$i 100 & done; wait' \"$1\"";
    let outcome = sandbox.run_bare(["bash", "-c", script, sandbox.launcher(), &program]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(sandbox.spans().len(), 30 * 101);
}

/// A kernel before 5.3, or a container's filter.
#[test]
fn without_descriptors_of_processes_everything_is_traced() {
    for (errno, supervise) in [("38", None), ("1", None), ("38", Some("--supervise"))] {
        let mut sandbox = sandbox();
        sandbox.set("DD_TRACE_PROCESS_SPANS", "true");
        let refusing = compile_with(&sandbox, "refusing", "cc", &["-static"]);
        let program = dying_program(&sandbox);
        let script = format!("echo ran; {program} kill ledger 2; (sleep 0.3; /bin/true)& exit 3");
        let words = [&refusing, "434", errno, sandbox.launcher()].into_iter().chain(supervise);
        let outcome = sandbox.run_bare(words.chain(["bash", "-c", &script]));
        assert_eq!((outcome.code, outcome.out().as_str()), (Some(3), "ran\n"), "{outcome:?}");
        let spans = sandbox.spans();
        let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
        // The status of a process that is reaped at once by somebody who is not traced is nobody's to tell.
        assert_eq!((named("step").len(), named("bash").len()), (2, 1), "{spans:?}");
        assert_eq!(named("root")[0].error_type(), Some("SIGKILL"), "{spans:?}");
        assert_eq!(named("true").len(), 1, "what goes on after the first process is seen as well: {spans:?}");
    }
}

/// Neither descriptors nor `/proc`.
#[test]
fn where_no_process_can_be_watched_the_program_runs_untraced_and_that_is_said() {
    let sandbox = sandbox();
    let refusing = compile_with(&sandbox, "refusing", "cc", &["-static"]);
    let script = format!("umount -l /proc; exec {refusing} 434 38 {} sh -c 'echo ran; exit 3'", sandbox.launcher());
    let outcome = sandbox.run_bare(["unshare", "-m", "sh", "-c", &script]);
    assert_eq!((outcome.code, outcome.out().as_str()), (Some(3), "ran\n"), "{outcome:?}");
    let said = outcome.err();
    assert!(said.contains("cannot start the sidecar (") && said.contains("; the program runs untraced"), "{said}");
}

/// A filter that refuses a sidecar what it waits with takes no processor, and does not keep it from ending.
#[test]
fn a_sidecar_that_cannot_wait_for_events_looks_instead() {
    let sandbox = sandbox();
    let refusing = compile_with(&sandbox, "refusing", "cc", &["-static"]);
    let script = format!("exec {refusing} 232 38 {} bash -c '/bin/true; sleep 1; exit 3'", sandbox.launcher());
    let outcome = sandbox.run_bare(["sh", "-c", &script]);
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    sandbox.settle();
}

/// What was set for the program, and could be taken back, is not the sidecar's.
#[test]
fn with_little_that_is_the_programs_alone_nothing_is_lost() {
    for limits in ["-S -d 30000", "-S -v 150000", "-S -f 20", "-S -n 12"] {
        let mut sandbox = sandbox();
        sandbox.set("DD_TRACE_PROCESS_SPANS", "false");
        let program = dying_program(&sandbox);
        for supervise in ["", "--supervise"] {
            let script = format!(
                "ulimit {limits}; exec \"$0\" {supervise} bash -c 'ulimit -S -d unlimited -v unlimited -f unlimited; \
                                  ulimit -S -n > limit; \"$0\" return ledger 100' \"$1\""
            );
            let outcome = sandbox.run_bare(["bash", "-c", &script, sandbox.launcher(), &program]);
            assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "{limits} {supervise}: {outcome:?}");
            let descriptors = std::fs::read_to_string(sandbox.work().join("limit")).expect("it was noted");
            assert_eq!(descriptors == "12\n", limits.ends_with("-n 12"), "as it was: {descriptors}");
        }
        assert_eq!(sandbox.spans().len(), 2 * 101, "{limits}");
    }
}

/// Nobody can be helped whose memory would never find room: the sidecar says so and ends, instead of waiting for ever.
#[test]
fn a_sidecar_without_any_room_ends() {
    let mut sandbox = sandbox();
    sandbox.set("DD_TRACE_PROCESS_SPANS", "false");
    let program = dying_program(&sandbox);
    let script = "until [ -e go ]; do sleep 0.05; done; exec \"$0\" return ledger 100";
    let mut run = sandbox.traced(["sh", "-c", script, &program]).spawn().expect("it starts");
    let sidecar = sandbox.sidecar().to_string();
    let limited = sandbox.run_bare(["prlimit", "--pid", &sidecar, "--as=1000000:1000000"]);
    assert_eq!(limited.code, Some(0), "{limited:?}");
    std::fs::write(sandbox.work().join("go"), "").expect("a file");
    assert!(run.wait().expect("it ends").success());
    sandbox.settle();
    let log = std::fs::read_to_string(sandbox.local_store().with_file_name("sidecar.log")).expect("a log");
    assert!(log.contains("was sent away: the limit of memory"), "{log}");
}

/// The sidecar holds a descriptor for each process that lives; there may be fewer of them than processes.
#[test]
fn with_few_descriptors_many_processes_end_as_they_do() {
    let sandbox = sandbox();
    let script = "ulimit -n 64; exec \"$0\" bash -c 'for i in $(seq 100); do sleep 60 & done; sleep 1; kill -9 $(jobs -p); wait'";
    let outcome = sandbox.run_bare(["bash", "-c", script, sandbox.launcher()]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let spans = sandbox.spans();
    let killed = spans.iter().filter(|span| span.text("error.type") == Some("SIGKILL"));
    let lived: Vec<u64> = killed.map(|span| (span.end - span.start) / 1_000_000).collect();
    assert_eq!(lived.len(), 100, "{lived:?}");
    assert!(lived.iter().all(|milliseconds| *milliseconds > 500), "{lived:?}");
}

#[test]
fn where_the_kernel_has_no_memory_to_share_programs_run_as_ever() {
    let sandbox = sandbox();
    let refusing = compile_with(&sandbox, "refusing", "cc", &["-static"]);
    let processes = compile(&sandbox, "processes");
    // memfd_create, ftruncate, fallocate, fcntl, socket, connect, sendmsg, mmap is needed by all, madvise: with ENOSYS,
    // EPERM, ENOSPC and ENOMEM.
    for call in ["319", "77", "285", "72", "41", "42", "46", "28", "318", "302"] {
        for error in ["38", "1", "28", "12"] {
            for way in ["fork", "spawn"] {
                sandbox.assert_same(&[&refusing, call, error, &processes, way]);
            }
        }
    }
    sandbox.settle();
}

#[test]
fn where_the_sidecar_has_no_such_memory_either_it_keeps_what_there_is() {
    for (error, has_spool) in [("38", true), ("1", true), ("38", false)] {
        let sandbox = sandbox();
        let refusing = compile_with(&sandbox, "refusing", "cc", &["-static"]);
        if !has_spool {
            let state = sandbox.local_store().parent().expect("it is in the state directory").to_owned();
            std::fs::create_dir_all(&state).expect("a directory");
            std::fs::write(state.join("spool"), "this is no directory").expect("a file");
        }
        let work = ["bash", "-c", WORK];
        // memfd_create, for the launcher, its sidecar and all processes.
        let confined = [&refusing, "319", error];
        let traced = sandbox.run_bare(confined.iter().copied().chain([sandbox.launcher()]).chain(work));
        assert_eq!(traced, sandbox.run_bare(work), "left is under the launcher: {error}");
        // None of them has memory to share, so the first one is known by the launcher, and by nobody else.
        let spans = sandbox.spans();
        assert_eq!(spans.len(), 1, "{error}, {has_spool}: {spans:#?}");
    }
}

/// With an emptied environment there is as much room for arguments as without us, to the byte.
#[test]
fn the_longest_arguments_that_a_program_can_be_given_are_as_long() {
    let program = r#"
import os
def spawned(arguments):
    return os.waitpid(os.posix_spawn("/bin/true", arguments, {}), 0)[1]
def forked(arguments):
    pid = os.fork()
    if not pid:
        try:
            os.execve("/bin/true", arguments, {})
        except OSError as error:
            os._exit(error.errno)
    return os.waitpid(pid, 0)[1]
def fits(way, length):
    try:
        return way(["true"] + ["x" * 100_000] * 20 + ["x" * length]) == 0
    except OSError:
        return False
for way in spawned, forked:
    most, too_many = 0, 130_000
    while most + 1 < too_many:
        length = (most + too_many) // 2
        most, too_many = (length, too_many) if fits(way, length) else (most, length)
    print(way.__name__, most)
"#;
    let sandbox = sandbox();
    let outcome = sandbox.assert_same(&["python3", "-c", program]);
    let most = |way| outcome.out().lines().find_map(|line| line.strip_prefix(way)?.trim().parse::<u32>().ok());
    let room = [most("spawned").expect("said"), most("forked").expect("said")];
    assert!(room.iter().all(|room| (1..129_999).contains(room)), "the limit is among the lengths tried: {room:?}");
    // The ones without room for us are seen from outside.
    let spans = sandbox.spans();
    assert!(spans.iter().any(|span| span.text("ddtrace_run.untraceable") == Some("environment")), "{:?}", spans.len());
}

/// The launcher needs room for its own name among the arguments, and for nothing else.
#[test]
fn what_finds_no_room_beside_the_arguments_of_the_program_is_left_out() {
    let program = r#"
import os, sys
def run(length):
    environment = {"HOME": os.environ["HOME"]}
    command = [sys.argv[1], "/bin/true"] + ["x" * 100_000] * 20 + ["x" * length]
    try:
        pid = os.posix_spawn(command[0], command, environment, file_actions=[(os.POSIX_SPAWN_DUP2, 1, 2)])
    except OSError:
        return None
    return os.waitpid(pid, 0)[1]
most, too_many = 0, 130_000
while most + 1 < too_many:
    length = (most + too_many) // 2
    most, too_many = (length, too_many) if run(length) is not None else (most, length)
print(run(most), run(most - 100_000))
"#;
    let sandbox = sandbox();
    let outcome = sandbox.run_bare(["python3", "-c", program, sandbox.launcher()]);
    let said = outcome.out();
    assert!(said.ends_with("\n0 0\n"), "{outcome:?}");
    assert!(said.contains("no room for the tracer's variables beside so many arguments; the program runs untraced"));
    sandbox.settle();
}

#[test]
fn on_file_systems_that_are_full_or_read_only_programs_run_as_ever() {
    // As root; elsewhere both runs fail in the same way.
    for options in ["size=16k", "size=16k,ro", "ro"] {
        let sandbox = sandbox();
        let home = sandbox.path().join("home");
        let tmp = sandbox.path().join("tmp");
        let directory = Path::new(sandbox.launcher()).parent().expect("it lies in a directory");
        // The launcher is to be found wherever the project lies.
        let script = "mount --bind \"$4\" /mnt || exit 99; \
                      for d in \"$2\" \"$3\" /tmp /var/tmp /dev/shm; do mount -t tmpfs -o \"$1\" none \"$d\" || exit 99; done; \
                      head -c 1M /dev/zero > \"$2/filled\" 2> /dev/null; shift 4; exec \"$@\" /bin/sh -c 'sh -c \"exit 5\"; echo $?; exit 4'";
        let run = |launcher: &[&str]| {
            let mut argv = vec!["unshare", "-m", "sh", "-c", script, "sh", options];
            argv.extend([&home, &tmp, directory].map(|path| path.to_str().expect("plain")));
            argv.extend(launcher);
            sandbox.run_bare(argv)
        };
        let bare = run(&[]);
        assert_eq!(run(&["/mnt/ddtrace-run"]), bare, "left is under the launcher: {options}");
        assert_eq!(run(&["/mnt/ddtrace-run", "--supervise"]), bare, "left is supervised: {options}");
        sandbox.settle();
    }
}

/// A program in Python that does something to itself and then has children, of which the last one ends with 5.
fn confined(act: &str) -> (Sandbox, Vec<Span>) {
    let sandbox = sandbox();
    let children = "\nfor code in 6, 5:\n    pid = os.fork()\n    if pid == 0: os._exit(code)\n    print(os.waitpid(pid, 0)[1] >> 8)\n";
    let script = format!("import os, sys\nprint('begun', flush=True)\n{act}\n{children}");
    let outcome = sandbox.assert_same(&[&python(), "-c", &script]);
    assert!(outcome.out().ends_with("6\n5\n"), "{outcome:?}");
    let spans = sandbox.spans();
    (sandbox, spans)
}

#[test]
fn a_program_that_closes_what_it_does_not_know_loses_nothing() {
    let act = "os.closerange(3, 1 << 16)\n\
               files = [open('data%d' % n, 'w+b', buffering=0) for n in range(20)]\n\
               [f.write(b'own') for f in files]";
    let (sandbox, spans) = confined(act);
    assert_eq!((ended_with(&spans, 5), ended_with(&spans, 6)), (1, 1), "{spans:#?}");
    for number in 0..20 {
        let text = std::fs::read_to_string(sandbox.work().join(format!("data{number}"))).expect("it was written");
        assert_eq!(text, "own", "what stands at its descriptor now is its own");
    }
}

#[test]
fn a_program_that_changes_its_root_or_its_user_goes_on_to_be_recorded() {
    // As root; elsewhere the calls fail, and so do both runs, in the same way.
    for act in ["os.chroot('.'); os.chdir('/')", "os.setgid(1234); os.setuid(1234)", "os.setsid()"] {
        let act = format!("try: {act}\nexcept PermissionError: pass");
        let (_, spans) = confined(&act);
        assert_eq!((ended_with(&spans, 5), ended_with(&spans, 6)), (1, 1), "{act}: {spans:#?}");
    }
}

/// A forked child that makes its own children by vfork before it has said anything itself.
#[test]
fn in_a_pid_namespace_children_speak_for_their_parents_as_anywhere() {
    let script = "( sh -c 'exit 5'; sh -c 'exit 5'; exit 6 ); ( sh -c 'exit 5'; exit 6 ); exit 4";
    let mut seen = Vec::new();
    for inside in [&[][..], &["unshare", "--pid", "--fork", "--mount-proc"]] {
        let sandbox = sandbox();
        let outcome = sandbox.run_traced(inside.iter().chain(&["sh", "-c", script]));
        // Only root may have a pid namespace.
        if outcome.err().contains("Operation not permitted") {
            return;
        }
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
        let spans = sandbox.spans();
        seen.push([5, 6].map(|code| ended_with(&spans, code)));
    }
    assert_eq!(seen, [[3, 2], [3, 2]]);
}

#[test]
fn in_a_namespace_with_another_clock_nothing_is_lost() {
    let sandbox = sandbox();
    // As root; where there are no time namespaces, both runs fail in the same way.
    for offset in ["1000000", "-10"] {
        let inside = format!("unshare --time --fork --monotonic {offset} sh -c 'sh -c \"exit 5\"; exit 6'");
        sandbox.assert_same(&["sh", "-c", &format!("{inside}; echo $?; exit 4")]);
    }
    let spans = sandbox.spans();
    assert_eq!(ended_with(&spans, 4), 2);
    assert!(spans.iter().all(|span| span.start <= span.end), "{spans:#?}");
    if sandbox.run_bare(["unshare", "--time", "true"]).code == Some(0) {
        assert_eq!((ended_with(&spans, 5), ended_with(&spans, 6)), (2, 4), "{spans:#?}");
    }
}
