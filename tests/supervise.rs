//! `--supervise`: the launcher stays as the program's parent, and whoever deals with it deals with the program.

use ddtrace_test_support::outcome::Outcome;
use ddtrace_test_support::programs::{compile, compile_with, dying_program};
use ddtrace_test_support::terminal::Session;
use ddtrace_test_support::{Sandbox, wait_for};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

fn sandbox() -> Sandbox {
    Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"))
}

fn send(signal: &str, pid: u32) {
    let outcome = Outcome::of(Command::new("kill").args(["-s", signal, &pid.to_string()]));
    assert_eq!(outcome.code, Some(0), "{signal}: {outcome:?}");
}

/// The state of a process as `/proc` has it, such as `T` for stopped.
fn state(pid: u32) -> Option<char> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(") ")?.1.chars().next()
}

fn wait_for_state(pid: u32, wanted: char) {
    wait_for(&format!("process {pid} to be in state {wanted}"), || (state(pid) == Some(wanted)).then_some(()));
}

/// Waits until a process runs in the foreground of its terminal: what is typed before that is the shell's.
fn wait_for_foreground(pid: u32) {
    wait_for(&format!("process {pid} to be in the foreground"), || {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
        // State, group, and the group in the foreground of the terminal, counted from the state on.
        (fields[0] == "S" && fields[2] == fields[5]).then_some(())
    });
}

/// Asks the shell for its jobs until it says that the only one is stopped.
fn wait_for_stopped_job(shell: &mut Session, launcher: u32) {
    wait_for_state(launcher, 'T');
    shell.types("echo; jobs\n");
    shell.shows("Stopped");
    shell.shows("next> ");
}

/// The children of a process now.
fn children_of(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// The first child of a process.
fn child_of(pid: u32) -> u32 {
    wait_for("a child", || children_of(pid).first().copied())
}

/// The program that a shell has started under supervision.
fn supervised_by(shell: u32) -> u32 {
    wait_for("the program", || children_of(shell).into_iter().flat_map(children_of).next())
}

#[test]
fn every_end_is_the_programs_own() {
    let sandbox = sandbox();
    let exits = compile(&sandbox, "exits");
    for (way, number) in [
        ("return", "0"),
        ("exit", "7"),
        ("_exit", "255"),
        ("raw", "3"),
        ("thread-exit", "4"),
        ("abort", "0"),
        ("segv", "0"),
        ("signal", "9"),
        ("signal", "15"),
        ("signal", "2"),
        ("signal", "13"),
        // Real-time signals have no name that libraries know.
        ("signal", "34"),
        ("signal", "64"),
    ] {
        let bare = sandbox.run_bare([&exits, way, number]);
        let supervised = sandbox.run_traced(["--supervise", &exits, way, number]);
        assert_eq!(supervised, bare, "{way} {number}");
    }
    for missing in ["/nonexistent/program", "/etc/passwd"] {
        assert_eq!(sandbox.run_traced(["--supervise", missing]).code, sandbox.run_bare(["env", missing]).code);
    }
}

#[test]
fn the_launcher_leaves_no_core_beside_the_programs() {
    let sandbox = sandbox();
    let exits = compile(&sandbox, "exits");
    let cores_of = |run: &str| {
        let outcome = sandbox.run_bare(["sh", "-c", &format!("ulimit -c unlimited; {run} \"$0\" abort"), &exits]);
        let files = fs::read_dir(sandbox.work()).expect("the working directory").flatten();
        let cores: Vec<_> = files.filter(|file| file.file_name().to_string_lossy().starts_with("core")).collect();
        cores.iter().for_each(|core| fs::remove_file(core.path()).expect("it can be removed"));
        // 128 and SIGABRT, as the shell has it.
        (outcome.code, cores.len())
    };
    let supervised = cores_of(&format!("{} --supervise", sandbox.launcher()));
    assert_eq!(supervised, cores_of(""), "left is supervised, right bare");
}

/// `signals` under supervision: the launcher, and what the program says.
fn listener(sandbox: &Sandbox) -> (Child, impl Iterator<Item = String>) {
    let program = compile(sandbox, "signals");
    let mut command = sandbox.traced(["--supervise", &program, "5"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the launcher starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert_eq!(lines.next(), Some(format!("ready {}", child.id())), "the launcher is the parent");
    (child, lines)
}

#[test]
fn signals_are_handed_on_once_each_and_with_their_value() {
    let sandbox = sandbox();
    let (mut child, mut lines) = listener(&sandbox);
    // All but KILL, STOP, CHLD, which speaks of the launcher's own child, and TERM, which ends the program.
    for signal in (1..=64).filter(|number| ![9, 15, 17, 19, 32, 33].contains(number)) {
        send(&signal.to_string(), child.id());
        assert_eq!(lines.next(), Some(format!("got {signal}")));
    }
    let pid = child.id();
    // The value of sigqueue(3).
    let outcome = Outcome::of(Command::new("kill").args(["-q", "4711", "-s", "USR1", &pid.to_string()]));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(lines.next().as_deref(), Some("got 10 with 4711"));
    send("TERM", pid);
    assert_eq!((lines.next().as_deref(), lines.next()), (Some("got 15"), None));
    assert_eq!(child.wait().expect("a child").code(), Some(5));
}

#[test]
fn a_stop_from_outside_does_not_leave_the_launcher_behind() {
    let sandbox = sandbox();
    let mut command = sandbox.traced(["--supervise", "sleep", "600"]);
    // No terminal, and so nobody who would let a stopped launcher go on.
    let mut child = unsafe_session(&mut command).spawn().expect("the launcher starts");
    let program = child_of(child.id());
    send("STOP", program);
    wait_for_state(program, 'T');
    send("CONT", program);
    wait_for_state(program, 'S');
    send("TERM", program);
    assert_eq!(wait_for("the end", || child.try_wait().expect("a child")).to_string(), "signal: 15 (SIGTERM)");
}

/// In a session without a terminal.
fn unsafe_session(command: &mut Command) -> &mut Command {
    use std::os::unix::process::CommandExt;
    // SAFETY: the call is allowed between fork and exec, and changes the child alone.
    unsafe { command.pre_exec(|| nix::unistd::setsid().map(drop).map_err(Into::into)) }
}

/// An interactive shell on a terminal.
fn shell(sandbox: &Sandbox) -> Session {
    let mut command = sandbox.bare(["bash", "--norc", "--noprofile", "-i"]);
    command.env("PS1", "next> ").env("TERM", "dumb").env("run", format!("{} --supervise", sandbox.launcher()));
    let mut session = Session::start(command);
    session.shows("next> ");
    session
}

#[test]
fn control_c_ends_both_and_the_shell_is_told() {
    let sandbox = sandbox();
    let mut shell = shell(&sandbox);
    shell.types("$run sleep 600\n");
    wait_for_foreground(supervised_by(shell.id()));
    shell.types("\x03");
    shell.shows("next> ");
    shell.types("echo code $?\n");
    shell.shows("code 130");
    // What a program makes of it is its own affair.
    shell.types("$run sh -c 'trap \"exit 9\" INT; echo waits; while :; do sleep 0.1; done'\n");
    shell.shows("\nwaits");
    shell.types("\x03");
    shell.shows("next> ");
    shell.types("echo code $?\nexit\n");
    shell.shows("code 9");
    shell.end();
    assert_eq!(
        sandbox.spans().iter().filter(|span| span.command_args().last().is_some_and(|arg| arg == "600")).count(),
        1
    );
}

#[test]
fn control_z_and_fg_and_bg_work_as_ever() {
    let sandbox = sandbox();
    let mut shell = shell(&sandbox);
    shell.types("$run cat\n");
    let program = supervised_by(shell.id());
    let launcher = child_of(shell.id());
    wait_for_foreground(program);
    shell.types("one\n");
    shell.shows("one\r\none\r\n");
    shell.types("\x1a");
    shell.shows("Stopped");
    shell.shows("next> ");
    wait_for_state(program, 'T');
    shell.types("fg\n");
    wait_for_foreground(program);
    shell.types("two\n");
    shell.shows("two\r\ntwo\r\n");
    // A job in the background that reads from the terminal is stopped by it.
    shell.types("\x1a");
    shell.shows("Stopped");
    shell.shows("next> ");
    shell.types("bg\n");
    shell.shows("next> ");
    wait_for_stopped_job(&mut shell, launcher);
    shell.types("fg\n");
    wait_for_foreground(program);
    shell.types("three\n");
    shell.shows("three\r\nthree\r\n");
    shell.types("\x04");
    shell.shows("next> ");
    shell.types("echo code $?\nexit\n");
    shell.shows("code 0");
    shell.end();
}

/// As timeout(1) makes one. As the leader of the job it would have been in front of the terminal all the same.
#[test]
fn a_program_in_a_group_of_its_own_is_in_front_of_the_terminal() {
    let sandbox = sandbox();
    let mut shell = shell(&sandbox);
    shell.types("$run timeout 600 sleep 600\n");
    let program = supervised_by(shell.id());
    wait_for("a group of its own", || (!children_of(program).is_empty()).then_some(()));
    shell.types("\x1a");
    shell.shows("Stopped");
    shell.shows("next> ");
    wait_for_state(program, 'T');
    shell.types("fg\n");
    wait_for_state(program, 'S');
    shell.types("\x03");
    shell.shows("next> ");
    shell.types("echo code $?\n");
    shell.shows("code 130");
    // It may read from the terminal, also after it was stopped there.
    let reader = sandbox.write(
        "reader.py",
        "import os, sys\nos.setpgid(0, 0)\nfor line in sys.stdin: print('<' + line[:-1] + '>', flush=True)\n",
    );
    shell.types(&format!("$run python3 {}\n", reader.display()));
    shell.shows("reader.py\r\n");
    shell.types("one\n");
    shell.shows("<one>\r\n");
    shell.types("\x1a");
    shell.shows("Stopped");
    shell.shows("next> ");
    shell.types("fg\n");
    shell.shows("reader.py\r\n");
    shell.types("two\n");
    shell.shows("<two>\r\n");
    shell.types("\x04");
    shell.shows("next> ");
    shell.types("echo code $?\nexit\n");
    shell.shows("code 0");
    shell.end();
}

#[test]
fn a_writer_in_the_background_is_stopped_where_the_terminal_wants_it() {
    let sandbox = sandbox();
    let mut shell = shell(&sandbox);
    shell.types("stty tostop; $run sh -c 'echo wrote; sleep 600' &\n");
    let program = supervised_by(shell.id());
    let launcher = child_of(shell.id());
    wait_for_stopped_job(&mut shell, launcher);
    shell.types("fg\n");
    shell.shows("\r\nwrote");
    wait_for_foreground(program);
    shell.types("\x03");
    shell.shows("next> ");
    shell.types("exit\n");
    shell.end();
}

#[test]
fn a_shell_as_the_program_has_its_own_jobs() {
    let sandbox = sandbox();
    let mut outer = shell(&sandbox);
    outer.types("PS1='inner> ' $run bash --norc --noprofile -i\n");
    outer.shows("inner> ");
    let inner = supervised_by(outer.id());
    outer.types("sleep 600\n");
    wait_for_foreground(child_of(inner));
    outer.types("\x1a");
    outer.shows("Stopped");
    outer.shows("inner> ");
    outer.types("kill %1; wait; suspend -f\n");
    // The outer shell has the terminal back, and gives it away again.
    outer.shows("next> ");
    wait_for_state(inner, 'T');
    outer.types("fg\n");
    outer.shows("bash");
    outer.types("\n");
    outer.shows("inner> ");
    outer.types("exit 6\n");
    outer.shows("next> ");
    outer.types("echo code $?\nexit\n");
    outer.shows("code 6");
    outer.end();
}

#[test]
fn a_closed_terminal_is_told_to_the_program_of_its_leader() {
    let sandbox = sandbox();
    let mut session = Session::start(sandbox.traced([
        "--supervise",
        "sh",
        "-c",
        "trap 'echo gone > hangup; exit 0' HUP; echo ready; while :; do sleep 0.1; done",
    ]));
    session.shows("ready");
    session.hang_up();
    let _ = session.end();
    assert_eq!(sandbox.wait_for_file(&sandbox.work().join("hangup")), "gone\n");
}

#[test]
fn streams_are_the_programs_alone() {
    let sandbox = sandbox();
    // The program stops reading and runs on: whoever writes to it is told, as without us.
    let script = "mkfifo fifo; \"$@\" sh -c 'exec <&-; while [ ! -e told ]; do sleep 0.05; done' < fifo & \
                  (trap '' PIPE; while echo line; do :; done > fifo 2> /dev/null; echo yes > told); wait; cat told; rm fifo told";
    for launcher in [&[][..], &[sandbox.launcher(), "--supervise"]] {
        let mut argv = vec!["bash", "-c", script, "bash"];
        argv.extend(launcher);
        assert_eq!(sandbox.run_bare(argv).out(), "yes\n", "{launcher:?}");
    }
}

/// A receiver that takes connections and never answers.
fn silent_receiver() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    (listener, url)
}

#[test]
fn delivery_is_waited_for_until_somebody_wants_an_end() {
    let sandbox = sandbox();
    let (receiver, url) = silent_receiver();
    let arguments =
        ["--supervise", "--shutdown-timeout=1h", "--exporter=datadog", "--agent-url", &url, "sh", "-c", "exit 4"];
    let mut child = sandbox.traced(arguments).stderr(Stdio::null()).spawn().expect("the launcher starts");
    // The program has ended: its spans are on their way to somebody who does not answer.
    let mut connection = loop {
        let mut connection = receiver.accept().expect("the sidecar connects").0;
        let mut head = [0; 4096];
        let length = connection.read(&mut head).unwrap_or(0);
        if String::from_utf8_lossy(&head[..length]).contains("/traces") {
            break connection;
        }
        // What it asks before, it is answered.
        let _ = connection.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    };
    wait_for("the program to be reaped", || children_of(child.id()).is_empty().then_some(()));
    assert_eq!(child.try_wait().expect("a child"), None, "the launcher waits for the delivery");
    send("TERM", child.id());
    assert_eq!(wait_for("the end", || child.try_wait().expect("a child")).code(), Some(4));
    let _ = connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
}

/// Who asks it for its version waits as long as it pleases.
#[test]
fn an_agent_that_never_comes_to_an_end_is_not_in_the_way() {
    let (receiver, url) = silent_receiver();
    std::thread::spawn(move || {
        while let Ok((mut connection, _)) = receiver.accept() {
            std::thread::spawn(move || {
                while connection.write_all(b"H").is_ok() {
                    std::thread::sleep(std::time::Duration::from_millis(50));
                }
            });
        }
    });
    for supervise in [true, false] {
        let mut argv = vec!["--debug", "--exporter=datadog", "--agent-url", &url, "--shutdown-timeout=0s"];
        argv.extend(supervise.then_some("--supervise"));
        argv.extend(["sh", "-c", "exit 4"]);
        let sandbox = sandbox();
        let outcome = sandbox.run_traced(argv);
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
        outcome.assert_err_names(&["no answer within 800 ms"]);
    }
}

#[test]
fn without_supervision_the_end_is_never_held_up() {
    let sandbox = sandbox();
    let (receiver, url) = silent_receiver();
    let arguments = ["--shutdown-timeout=1h", "--exporter=datadog", "--agent-url", &url, "sh", "-c", "exit 4"];
    // It returns although the sidecar may wait for an hour; and nobody holds its output.
    assert_eq!(sandbox.run_traced(arguments).code, Some(4));
    let sidecar = wait_for("the sidecar", || sandbox.processes().into_iter().next()).0;
    drop(receiver);
    send("TERM", sidecar);
    sandbox.settle();
}

/// What a service manager addresses to the launcher (`sd_listen_fds`, `sd_watchdog_enabled`) is the program's.
#[test]
fn what_a_service_manager_gives_is_the_programs() {
    let sandbox = sandbox();
    // The last one is the inode of a pidfd.
    let inner = "import os; own = str(os.getpid()); names = 'LISTEN_PID', 'WATCHDOG_PID', 'SYSTEMD_EXEC_PID'\n\
                 print([os.environ[name] == own for name in names], os.fstat(os.pidfd_open(os.getpid())).st_ino)\n\
                 print(os.environ['LISTEN_PIDFDID'])";
    let outer = "import os, sys; own = str(os.getpid())\n\
                 os.environ.update(LISTEN_PID=own, WATCHDOG_PID=own, SYSTEMD_EXEC_PID=own)\n\
                 os.environ['LISTEN_PIDFDID'] = str(os.fstat(os.pidfd_open(os.getpid())).st_ino)\n\
                 os.execvp(sys.argv[1], sys.argv[1:])";
    for launcher in
        [&[][..], &[sandbox.launcher()], &[sandbox.launcher(), "--supervise"], &[sandbox.launcher(), "--view"]]
    {
        let mut command = sandbox.bare(["python3", "-c", outer]);
        let said = Outcome::of(command.args(launcher).args(["python3", "-c", inner])).out();
        let mut lines = said.lines();
        let inode = lines.next().and_then(|line| line.strip_prefix("[True, True, True] "));
        assert!(inode.is_some() && inode == lines.next(), "{launcher:?}: {said}");
    }
    let others = "LISTEN_PID=7 exec \"$0\" --supervise sh -c 'echo $LISTEN_PID'";
    assert_eq!(sandbox.run_bare(["bash", "-c", others, sandbox.launcher()]).out(), "7\n");
}

#[test]
fn as_the_first_process_of_a_container_it_reaps_and_is_not_in_the_way() {
    let sandbox = sandbox();
    // As root; where no pid namespace can be made, both runs fail in the same way.
    let inside = |script: &str| {
        let launcher = sandbox.launcher();
        sandbox.run_bare(["unshare", "--pid", "--fork", "--mount-proc", launcher, "sh", "-c", script])
    };
    let orphans = "for i in 1 2 3 4 5; do (sleep 0.1 &) ; done; sleep 0.5; \
                   grep -l 'State:.*zombie' /proc/[0-9]*/status 2>/dev/null | wc -l; grep PPid /proc/self/status; exit 8";
    let outcome = inside(orphans);
    if outcome.err().contains("Operation not permitted") {
        return;
    }
    assert_eq!((outcome.code, outcome.out().lines().next()), (Some(8), Some("0")), "{outcome:?}");
    assert_eq!(inside("kill -TERM 1; sleep 600").code, Some(128 + 15), "its first process is told");
    // Who stops the program from inside finds it stopped until he lets it go on.
    let stopped = "(sleep 0.3; grep State: /proc/$$/status; kill -CONT $$) & kill -STOP $$; exit 3";
    let outcome = inside(stopped);
    assert_eq!((outcome.code, outcome.out().contains("stopped")), (Some(3), true), "{outcome:?}");
}

/// The launcher has waited for the command, so it knows: also where the kernel tells nobody else (before Linux 6.15).
#[test]
fn how_the_command_ended_is_known_on_every_kernel() {
    for _ in 0..5 {
        let mut sandbox = sandbox();
        sandbox.set("DD_TRACE_PROCESS_SPANS", "true");
        let (refusing, program) = (compile_with(&sandbox, "refusing", "cc", &["-static"]), dying_program(&sandbox));
        // ioctl, with ENOTTY.
        let argv = [&refusing, "16", "25", sandbox.launcher(), "--supervise", &program, "kill", "ledger", "1"];
        assert_eq!(sandbox.run_bare(argv).signal, Some(9));
        let spans = sandbox.spans();
        let killed = spans.iter().filter(|span| span.error_type() == Some("SIGKILL")).count();
        assert_eq!(killed, 2, "the process and its root: {spans:?}");
    }
}
