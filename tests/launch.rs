//! A program under the launcher is the program that it is without: same process, same input and output, same state,
//! same end.

use ddtrace_test_support::programs::{compile, compile_with};
use ddtrace_test_support::sandbox::install;
use ddtrace_test_support::{Outcome, Sandbox, repository};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

fn sandbox() -> Sandbox {
    Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"))
}

/// The state that `host_state` tells of, after `start_with` made it, bare and under the launcher.
#[track_caller]
fn assert_same_state(wishes: &[&str]) {
    let sandbox = sandbox();
    let (start_with, host_state) = (compile(&sandbox, "start_with"), compile(&sandbox, "host_state"));
    let state_of = |launcher: &[&str]| {
        let file = sandbox.work().join("state");
        let mut argv = vec![start_with.as_str()];
        argv.extend(wishes);
        argv.push("--");
        argv.extend(launcher);
        argv.extend([host_state.as_str(), file.to_str().expect("UTF-8")]);
        let outcome = sandbox.run_bare(&argv);
        assert_eq!(outcome.code, Some(0), "{argv:?}: {outcome:?}");
        let state = fs::read_to_string(&file).expect("host_state wrote its state");
        fs::remove_file(&file).expect("the state can be removed");
        // The environment has a test of its own.
        state.lines().filter(|line| !line.starts_with("variable ")).map(|line| format!("{line}\n")).collect::<String>()
    };
    assert_eq!(state_of(&[sandbox.launcher()]), state_of(&[]), "left is under the launcher, right is bare: {wishes:?}");
}

#[test]
fn descriptors_signals_limits_and_the_rest_are_as_inherited() {
    assert_same_state(&[]);
    assert_same_state(&["open=7", "open=200", "umask=027"]);
    assert_same_state(&["group"]);
    assert_same_state(&["session"]);
}

#[test]
fn closed_standard_streams_stay_closed() {
    assert_same_state(&["close=0"]);
    assert_same_state(&["close=1"]);
    assert_same_state(&["close=2"]);
    assert_same_state(&["close=0", "close=1", "close=2"]);
}

#[test]
fn signal_dispositions_and_masks_are_as_inherited() {
    // 13 is SIGPIPE, which Rust's start-up ignores; 17 is SIGCHLD, which the launcher's own forks could miss.
    assert_same_state(&["ignore=13"]);
    assert_same_state(&["ignore=1", "ignore=2", "ignore=17", "block=10", "block=15", "block=34", "block=64"]);
}

#[test]
fn the_process_is_the_one_that_was_started() {
    let sandbox = sandbox();
    let mut command = sandbox.traced(["sh", "-c", "echo $$ $PPID"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the launcher starts");
    let pid = child.id();
    let outcome = Outcome::finish(child, "the launcher");
    assert_eq!(outcome.out(), format!("{pid} {}\n", std::process::id()));
}

#[test]
fn the_target_has_no_children_that_it_did_not_make() {
    // `wait` would report the sidecar, or wait for it.
    let script = "read -r children < /proc/$$/task/$$/children; echo \"[$children]\"; wait; echo $?";
    assert_eq!(sandbox().run_traced(["sh", "-c", script]).out(), "[]\n0\n");
}

/// Not even if it is given the orphans of its descendants.
#[test]
fn a_target_that_adopts_orphans_does_not_wait_for_the_sidecar() {
    let mut sandbox = sandbox();
    let adopts = compile(&sandbox, "adopts");
    // Until it has no child any more, its own orphan included.
    let script = "if (!fork) { fork or sleep 1; exit 0 } $count++ while wait > 0; print qq($count\\n)";
    let run = |launcher: &[&str]| {
        let mut command = sandbox.bare(["timeout", "20", &adopts]);
        Outcome::of(command.args(launcher).args(["perl", "-e", script]))
    };
    let bare = run(&[]);
    assert_eq!((bare.code, bare.out().as_str()), (Some(0), "2\n"), "{bare:?}");
    for launcher in [&[sandbox.launcher()][..], &[sandbox.launcher(), "--supervise"]] {
        let traced = run(launcher);
        assert_eq!((traced.code, traced.out().as_str()), (Some(0), "2\n"), "{traced:?}");
    }
    sandbox.set("PYTHONPATH", repository().join("target/debug/python").display().to_string());
    let auto = "import os, ddtrace_run.auto\nif os.fork() == 0: os._exit(0)\nos.wait()\ntry: os.wait()\nexcept OSError: print('none')";
    let mut command = sandbox.bare(["timeout", "20", &adopts]);
    let attached = Outcome::of(command.args(["python3", "-c", auto]));
    assert_eq!((attached.code, attached.out().as_str()), (Some(0), "none\n"), "{attached:?}");
}

/// A real-time policy is the program's alone, down to its children.
#[test]
fn the_sidecar_is_scheduled_as_others_are() {
    let sandbox = sandbox();
    let policies = "chrt -p $$ | head -1; for thread in /proc/$1/task/*; do chrt -p ${thread##*/} | head -1; done";
    let mut command = sandbox.bare(["chrt", "-f", "10", sandbox.launcher(), "sleep", "100"]);
    let mut child = command.spawn().expect("the launcher starts");
    let sidecar = sandbox.sidecar().to_string();
    let told =
        sandbox.run_bare(["bash", "-c", &policies.replace("$$", &child.id().to_string()), "bash", &sidecar]).out();
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    if told.lines().next().is_some_and(|line| line.ends_with("SCHED_FIFO")) {
        assert!(told.lines().count() >= 2, "{told}");
        assert!(told.lines().skip(1).all(|line| line.ends_with("SCHED_OTHER")), "{told}");
    }
}

#[test]
fn exit_codes_and_signals_are_the_programs_own() {
    let sandbox = sandbox();
    let exits = compile(&sandbox, "exits");
    for code in ["0", "1", "2", "124", "125", "126", "127", "128", "200", "255"] {
        sandbox.assert_same(&[&exits, "exit", code]);
    }
    for way in ["return", "_exit", "_Exit", "quick_exit", "raw", "thread-exit", "first-thread-leaves"] {
        assert_eq!(sandbox.assert_same(&[&exits, way, "42"]).code, Some(42), "{way}");
    }
    for signal in [1, 2, 6, 9, 13, 14, 15, 31, 40] {
        assert_eq!(sandbox.assert_same(&[&exits, "signal", &signal.to_string()]).signal, Some(signal));
    }
    assert_eq!(sandbox.assert_same(&[&exits, "abort"]).signal, Some(6));
    assert_eq!(sandbox.assert_same(&[&exits, "segv"]).signal, Some(11));
}

#[test]
fn arguments_arrive_byte_for_byte() {
    let sandbox = sandbox();
    let script = "import os, sys; sys.stdout.write(ascii(list(map(os.fsencode, sys.argv[1:]))))";
    let python = ddtrace_test_support::programs::python();
    let mut argv: Vec<OsString> = [&python, "-c", script].map(Into::into).into();
    argv.extend(
        ["", " ", "--", "-d", "--help", "a b", "\"'$HOME`\\", "-", "--service=x", "\n\t", "ä€😀"].map(Into::into),
    );
    argv.push(OsString::from_vec((1..=255).collect()));
    argv.push(OsString::from_vec(vec![b'x'; 100_000]));
    let bare = sandbox.assert_same(&argv);
    assert_eq!(bare.code, Some(0), "{bare:?}");

    // Everything after the `--`, a second one included, belongs to the program.
    let dashes: Vec<&OsStr> = std::iter::once(OsStr::new("--")).chain(argv.iter().map(OsString::as_os_str)).collect();
    assert_eq!(sandbox.run_traced(dashes), bare);
}

#[test]
fn a_program_whose_name_begins_with_a_dash_needs_the_dashes() {
    let mut sandbox = sandbox();
    sandbox.write_program("-odd", "#!/bin/sh\necho odd \"$@\"\n");
    let path = format!("{}:/usr/bin:/bin", sandbox.work().display());
    sandbox.set("PATH", path);
    assert_eq!(sandbox.run_traced(["--", "-odd", "-v", "--"]).out(), "odd -v --\n");
}

#[test]
fn input_and_output_pass_through_unchanged() {
    let sandbox = sandbox();
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let mut command = sandbox.traced(["cat"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the launcher starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    let writer = std::thread::spawn({
        let bytes = bytes.clone();
        move || stdin.write_all(&bytes)
    });
    let outcome = Outcome::finish(child, "cat under the launcher");
    writer.join().expect("the writer does not panic").expect("cat reads all");
    assert!(outcome.stdout == bytes && outcome.stderr.is_empty(), "{} bytes came", outcome.stdout.len());
}

#[test]
fn a_pipeline_ends_when_the_program_ends() {
    // `cat` sees the end of its input only when the sidecar holds none of the program's streams.
    let sandbox = sandbox();
    let script = format!("'{0}' sh -c 'echo x' | cat; '{0}' sh -c 'echo y >&2' 2>&1 | cat", sandbox.launcher());
    let outcome = sandbox.run_bare(["sh", "-c", &script]);
    assert_eq!((outcome.out().as_str(), outcome.err().as_str()), ("x\ny\n", ""));
}

#[test]
fn a_broken_pipe_ends_the_program_as_ever() {
    let sandbox = sandbox();
    let script = |prefix: &str| format!("({prefix} sh -c 'while :; do echo y; done'; echo $? >&2) | head -n 1");
    let bare = sandbox.run_bare(["bash", "-c", &script("")]);
    let traced = sandbox.run_bare(["bash", "-c", &script(&format!("'{}'", sandbox.launcher()))]);
    assert_eq!(bare.err(), "141\n");
    assert_eq!(traced, bare);
}

#[test]
fn what_is_no_variable_in_the_environment_is_handed_on() {
    let sandbox = sandbox();
    let program = compile(&sandbox, "odd_environment");
    let entries = |outcome: Outcome| -> BTreeSet<String> {
        outcome.assert_success();
        outcome.out().lines().map(String::from).collect()
    };
    let bare = entries(sandbox.run_bare([&program, &program]));
    assert_eq!(bare.iter().map(String::as_str).collect::<Vec<_>>(), ["=bar", "A=1", "FOO"]);
    assert_eq!(entries(sandbox.run_bare([&program, sandbox.launcher(), &program])), bare);
    sandbox.settle();
}

#[test]
fn children_see_only_the_documented_variables_besides_their_own() {
    let mut sandbox = sandbox();
    sandbox.set("EMPTY", "").set("BLANKS", " a  b ").set("DD_SERVICE", "shop").set("OTEL_RESOURCE_ATTRIBUTES", "a=b");
    let environment = |outcome: Outcome| -> BTreeMap<String, String> {
        let text = outcome.out();
        let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let argv = ["sh", "-c", "sh -c 'env -0; exit 0'; exit 0"];
    let bare = environment(sandbox.run_bare(argv));
    let traced = environment(sandbox.run_traced(argv));
    assert!(traced["LD_PRELOAD"].contains("libddtrace_preload.so"), "{traced:#?}");
    let ours = |name: &str| {
        ["LD_PRELOAD", "PYTHONPATH", "_DDTRACE_RUN", "_DDTRACE_TRACER", "TRACEPARENT", "TRACESTATE", "BAGGAGE"]
            .contains(&name)
            || name.starts_with("DD_")
            || name.starts_with("OTEL_")
    };
    for (name, value) in &bare {
        assert_eq!(traced.get(name), Some(value), "{name} was changed or removed");
    }
    let added: Vec<_> = traced.keys().filter(|name| !bare.contains_key(*name) && !ours(name)).collect();
    assert!(added.is_empty(), "not documented: {added:?}");
    // Whoever speaks the other dialect gets the same service.
    assert_eq!(traced.get("OTEL_SERVICE_NAME").map(String::as_str), Some("shop"));
}

#[test]
fn what_the_process_has_replaced_is_not_handed_on() {
    let mut sandbox = sandbox();
    sandbox.set("B3", "000000000000000700000000000000aa-0000000000000008-1").set("X_DATADOG_TRACE_ID", "7");
    let variables = |sandbox: &Sandbox| {
        let outcome = sandbox.run_traced(["env"]);
        let is_context = |line: &&str| ["B3=", "X_DATADOG", "TRACEPARENT="].iter().any(|name| line.starts_with(name));
        outcome.out().lines().filter(is_context).map(str::to_owned).collect::<Vec<_>>()
    };
    sandbox.set("OTEL_PROPAGATORS", "b3");
    let [datadogs, parent] = &variables(&sandbox)[..] else { panic!("{:?}", variables(&sandbox)) };
    assert_eq!(datadogs, "X_DATADOG_TRACE_ID=7", "it is not read, so it is none of ours");
    assert!(parent.starts_with("TRACEPARENT=00-000000000000000700000000000000aa-"), "{parent}");
    // Without a context there is nothing to replace.
    sandbox.set("B3", "0");
    assert!(variables(&sandbox).contains(&"B3=0".to_owned()));
}

#[test]
fn rules_see_what_is_known_of_a_process_when_it_starts() {
    let mut sandbox = sandbox();
    for (name, flags) in [("env", "00"), ("other", "01")] {
        let rule = format!(r#"[{{"tags":{{"process.executable.name":"{name}"}},"sample_rate":0}}]"#);
        sandbox.set("DD_TRACE_SAMPLING_RULES", rule);
        let out = sandbox.run_traced(["env"]).out();
        let parent = out.lines().find_map(|line| line.strip_prefix("TRACEPARENT=")).expect("it is there");
        assert!(parent.ends_with(flags), "{name}: {parent}");
    }
}

#[test]
fn an_existing_preload_stays_first() {
    let sandbox = sandbox();
    // The loader complains about what it cannot find in each new process, and runs the program.
    let mut command = sandbox.traced(["sh", "-c", "echo \"$LD_PRELOAD\""]);
    let outcome = Outcome::of(command.env("LD_PRELOAD", "libnonexistent-a.so libnonexistent-b.so"));
    let preload = outcome.out();
    assert!(preload.starts_with("libnonexistent-a.so libnonexistent-b.so"), "{preload}");
    assert!(preload.trim_end().ends_with("libddtrace_preload.so"), "{preload}");
}

#[test]
fn the_launcher_under_the_launcher_traces_once() {
    let sandbox = sandbox();
    let launcher = sandbox.launcher();
    let outcome = sandbox.run_traced([launcher, launcher, "sh", "-c", "echo x; (exit 2); exit 3"]);
    assert_eq!((outcome.code, outcome.out().as_str(), outcome.err().as_str()), (Some(3), "x\n", ""));
    let spans = sandbox.spans();
    let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
    assert_eq!(spans.len(), 2, "the shell and its subshell, not the launchers: {names:?}");
}

/// Copies the launcher and its library to other places.
fn copy_to(sandbox: &mut Sandbox, launcher: &Path, library: &Path) {
    let original = PathBuf::from(sandbox.launcher());
    install(&original, launcher);
    install(&original.with_file_name("libddtrace_preload.so"), library);
    sandbox.use_launcher(launcher);
}

#[test]
fn a_directory_with_blanks_and_colons_works() {
    let mut sandbox = sandbox();
    let directory = sandbox.path().join("a dir:with/blank s");
    copy_to(&mut sandbox, &directory.join("ddtrace-run"), &directory.join("libddtrace_preload.so"));
    let outcome = sandbox.run_traced(["sh", "-c", "/bin/true; echo out; exit 3"]);
    assert_eq!((outcome.code, outcome.out().as_str(), outcome.err().as_str()), (Some(3), "out\n", ""));
    assert_eq!(sandbox.spans().len(), 2, "the shell and /bin/true");
}

#[test]
fn the_installed_layout_works() {
    let mut sandbox = sandbox();
    let prefix = sandbox.path().join("usr");
    copy_to(&mut sandbox, &prefix.join("bin/ddtrace-run"), &prefix.join("lib/ddtrace/libddtrace_preload.so"));
    assert_eq!(sandbox.run_traced(["sh", "-c", "/bin/true; exit 3"]).code, Some(3));
    assert_eq!(sandbox.spans().len(), 2, "the shell and /bin/true");
}

#[test]
fn switched_off_means_nothing_is_traced() {
    for (name, value) in
        [("DD_TRACE_ENABLED", "false"), ("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")]
    {
        let mut sandbox = sandbox();
        // Datadog's name for the exporter would win over OpenTelemetry's.
        sandbox.unset("DD_TRACE_EXPORTER").set(name, value);
        let outcome = sandbox.run_traced(["sh", "-c", "echo \"$LD_PRELOAD\"; exit 3"]);
        assert_eq!((outcome.code, outcome.out().as_str()), (Some(3), "\n"), "{name}={value}");
        assert!(sandbox.spans().is_empty(), "{name}={value}");
    }
}

/// What of a program cannot be seen is said once: on a terminal, with `--debug`, or in the log, and never where nobody looks for
/// requests.
#[test]
fn what_cannot_be_seen_is_said() {
    let mut sandbox = sandbox();
    let (refusing, named_java) = (compile_with(&sandbox, "refusing", "cc", &["-static"]), sandbox.path().join("java"));
    fs::copy("/bin/true", &named_java).expect("a program can be copied");
    let named_java = named_java.to_str().expect("UTF-8").to_owned();
    let said = |sandbox: &Sandbox, program: &str| {
        let outcome = sandbox.run_bare([sandbox.launcher(), "--debug", program]);
        let (brings, is_static) = ("java brings its own TLS", "refusing is statically linked");
        [brings, is_static].map(|text| outcome.err().matches(text).count())
    };
    assert_eq!((said(&sandbox, &named_java), said(&sandbox, &refusing)), ([1, 0], [0, 1]));
    sandbox.set("DD_TRACE_NATIVE_ENABLED", "false");
    assert_eq!((said(&sandbox, &named_java), said(&sandbox, "/bin/true")), ([0, 0], [0, 0]));
    let outcome = sandbox.run_bare([sandbox.launcher(), &named_java]);
    assert_eq!(outcome.err(), "", "a program's stderr is its own");
}

#[test]
fn help_and_version_go_to_stdout() {
    let sandbox = sandbox();
    for flag in ["--help", "-h"] {
        let help = sandbox.run_traced([flag]);
        assert_eq!((help.code, help.err().as_str()), (Some(0), ""));
        assert!(help.out().contains("ddtrace-run") && help.out().contains("--view"), "{help:?}");
    }
    for flag in ["--version", "-v"] {
        let version = sandbox.run_traced([flag]);
        assert!(version.code == Some(0) && version.out().contains(env!("CARGO_PKG_VERSION")), "{version:?}");
    }
}

#[test]
fn completions_and_the_manual_come_from_the_program_itself() {
    let sandbox = sandbox();
    for shell in ["bash", "zsh", "fish"] {
        let completions = sandbox.run_traced(["completions", shell]);
        assert!(
            completions.code == Some(0)
                && completions.out().contains(if shell == "fish" { "-l view" } else { "--view" }),
            "{shell}: {completions:?}"
        );
    }
    let manual = sandbox.run_traced(["man"]);
    assert!(manual.code == Some(0) && manual.out().contains(".TH DDTRACE-RUN"), "{manual:?}");
}
