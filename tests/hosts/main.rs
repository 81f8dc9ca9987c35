//! The programs that people start: each does some real work bare and under the launcher, and nobody can tell the two
//! apart by output, end, files that are left, or what a child of theirs sees of descriptors, environment, signals,
//! limits and threads.
//!
//! A program that is not installed is left out; `cargo xtask hosts` installs them all, and then none may be missing.

mod table;

use ddtrace_test_support::Sandbox;
use ddtrace_test_support::outcome::Outcome;
use ddtrace_test_support::programs::compile;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use table::{HOSTS, Host};

/// Set by `cargo xtask hosts`.
const ALL: &str = "DDTRACE_TEST_ALL_HOSTS";

/// What a run left behind.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    outcome: Outcome,
    /// Files by name, with the part of their content that may not differ.
    files: BTreeMap<PathBuf, String>,
}

#[test]
fn no_host_can_tell() {
    let missing: Vec<_> = HOSTS.iter().filter(|host| !host.needs.iter().all(|program| is_there(program))).collect();
    if !missing.is_empty() {
        let tell = |host: &&Host| format!("{} ({})", host.name, host.packages.join(" "));
        let told = missing.iter().map(tell).collect::<Vec<_>>().join(", ");
        assert!(std::env::var_os(ALL).is_none(), "not installed: {told}");
        eprintln!("left out, as they are not installed: {told}");
    }
    let wanted = std::env::var("DDTRACE_TEST_HOST").ok();
    let is_wanted = |host: &&Host| {
        wanted.as_ref().is_none_or(|wanted| wanted == host.name)
            && !missing.iter().any(|missing| missing.name == host.name)
    };
    let hosts = Mutex::new(HOSTS.iter().filter(is_wanted));
    let failures = Mutex::new(Vec::new());
    let next = || hosts.lock().expect("nobody panics here").next();
    // Most of the time is spent in waiting.
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some(host) = next() {
                    if let Err(difference) = compare(host) {
                        failures.lock().expect("nobody panics here").push(format!("==> {}\n{difference}", host.name));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("nobody panics here");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn is_there(program: &str) -> bool {
    let found = |directory: &str| Path::new(directory).join(program).exists();
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/usr/local/go/bin"].into_iter().any(found)
}

fn compare(host: &Host) -> Result<(), String> {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    let state = compile(&sandbox, "host_state");
    let (exits, processes) = (compile(&sandbox, "exits"), compile(&sandbox, "processes"));
    sandbox.set("STATE", &state).set("EXITS", &exits).set("PROCESSES", &processes);
    sandbox.set("SHELL_WORK", table::shell_work());
    sandbox.set("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/go/bin");
    let run = |launcher: &[&str]| {
        let mut argv = launcher.to_vec();
        // By its path, as the launcher is: Rust starts what it has to search for in another way, which children notice.
        argv.extend(["/bin/bash", "-c", host.script]);
        let mut outcome = sandbox.run_bare(&argv);
        outcome.stderr = without_ids(&outcome.err()).into_bytes();
        let traces = Traces { outcome, files: files_in(&sandbox.work()) };
        sandbox.settle();
        fs::remove_dir_all(sandbox.work()).expect("the directory is ours");
        fs::create_dir(sandbox.work()).expect("the directory is ours");
        traces
    };
    let bare = run(&[]);
    let launcher = env!("CARGO_BIN_EXE_ddtrace-run");
    for flags in [&[][..], &["--supervise"]] {
        let traced = run(&[&[launcher], flags].concat());
        if traced != bare {
            return Err(format!("with {flags:?}\n{}", difference(&bare, &traced)));
        }
    }
    Ok(())
}

/// Shells name the processes that they speak of: after `line 2:`, and padded to five places, which tells short ids apart.
fn without_ids(text: &str) -> String {
    let mut told = String::new();
    let mut last = "";
    for word in text.split_inclusive(char::is_whitespace) {
        let bare = word.trim_end();
        let is_number = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit());
        if is_number && (bare.len() > 3 || last.ends_with(':')) {
            told.truncate(told.trim_end_matches(' ').len());
            told.push_str(" # ");
        } else {
            told.push_str(word);
        }
        if !bare.is_empty() {
            last = bare;
        }
    }
    told
}

#[test]
fn ids_of_any_length_are_left_out() {
    let told = |id: &str| format!("/bin/bash: line 12: {id:>5} Killed                  sleep 60\n");
    let of = |id: &str| without_ids(&told(id));
    assert_eq!(of("7"), "/bin/bash: line 12: # Killed                  sleep 60\n");
    assert_eq!((of("429"), of("6500"), of("65000")), (of("7"), of("7"), of("7")));
    assert_eq!(without_ids("exit 12\n"), "exit 12\n");
}

/// The lines that only one of the runs has.
fn difference(bare: &Traces, traced: &Traces) -> String {
    let text = |traces: &Traces| {
        let files = traces.files.iter();
        let lines = files.flat_map(|(path, text)| text.lines().map(move |line| format!("{}: {line}", path.display())));
        let outcome = format!("{:?}", traces.outcome);
        let outcome = outcome.lines().map(str::to_owned).collect::<Vec<_>>();
        outcome.into_iter().chain(lines).collect::<Vec<_>>()
    };
    let (bare, traced) = (text(bare), text(traced));
    let only = |mark: &str, these: &[String], those: &[String]| {
        these.iter().filter(|line| !those.contains(line)).map(|line| format!("{mark} {line}\n")).collect::<String>()
    };
    let first = bare.iter().zip(&traced).find(|(bare, traced)| bare != traced);
    let order = first.map_or_else(String::new, |(bare, traced)| format!("first:  {bare}\nwhere:  {traced}\n"));
    order + &only("bare:   ", &bare, &traced) + &only("traced: ", &traced, &bare)
}

/// All files below a directory, with their content as far as it says nothing of process ids and the tracer.
fn files_in(directory: &Path) -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    let mut left = vec![directory.to_owned()];
    while let Some(path) = left.pop() {
        for entry in fs::read_dir(&path).expect("it can be read").flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                left.push(entry.path());
                continue;
            }
            let bytes = fs::read(entry.path()).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let lines = text.lines().filter(|line| !line.starts_with("parent: ") && !is_documented(line));
            files.insert(entry.path(), lines.collect::<Vec<_>>().join("\n"));
        }
    }
    files
}

/// Whether the line is that of a variable that traced programs have.
fn is_documented(line: &str) -> bool {
    let names = ["LD_PRELOAD", "PYTHONPATH", "_DDTRACE_", "TRACEPARENT", "TRACESTATE", "BAGGAGE", "DD_", "OTEL_", "_="];
    line.strip_prefix("variable ").is_some_and(|line| names.iter().any(|name| line.starts_with(name)))
}
