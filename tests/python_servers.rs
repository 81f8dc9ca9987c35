//! The servers and workers that Python programs run under: every request is a span, however the processes come and go.

use ddtrace_test_support::programs::venv_program;
use ddtrace_test_support::{Outcome, PATIENCE, Sandbox, repository, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const REQUESTS: usize = 24;

fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.set("DD_TRACE_PROCESS_SPANS", "false");
    for name in ["served.py", "tasks.py"] {
        fs::copy(repository().join("tests/python").join(name), sandbox.work().join(name)).expect("a program");
    }
    sandbox
}

/// Asks for a path through the server's socket; `None` while nobody answers.
fn ask(socket: &Path, path: &str) -> Option<String> {
    let mut connection = UnixStream::connect(socket).ok()?;
    connection.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(connection, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    answer.starts_with("HTTP/1.1 200").then_some(answer)
}

/// What the spans of this operation were about, and how many there were.
fn resources(sandbox: &Sandbox, operation: &str) -> (usize, BTreeSet<String>) {
    let spans = sandbox.spans();
    let wanted: Vec<_> = spans.iter().filter(|span| span.text("operation.name") == Some(operation)).collect();
    (wanted.len(), wanted.iter().map(|span| span.name.clone()).collect())
}

fn start(sandbox: &Sandbox, argv: &[&str]) -> Child {
    let log = fs::File::create(sandbox.work().join("server.log")).expect("a file");
    let mut command = sandbox.traced(argv);
    command.stdout(Stdio::from(log.try_clone().expect("a descriptor"))).stderr(Stdio::from(log));
    command.spawn().expect("the server starts")
}

/// Starts a server, asks it, ends it by the signal, and looks for the spans.
#[track_caller]
fn assert_served(argv: &[&str], signal: Signal) {
    let sandbox = sandbox();
    let socket = sandbox.work().join("socket");
    let argv: Vec<String> = argv.iter().map(|word| word.replace("{socket}", socket.to_str().unwrap())).collect();
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let mut server = start(&sandbox, &argv);
    let log = || fs::read_to_string(sandbox.work().join("server.log")).unwrap_or_default();
    wait_for(&format!("an answer of {argv:?}"), || ask(&socket, "/first"));
    let mut wanted = BTreeSet::from(["/first".to_owned()]);
    for number in 0..REQUESTS {
        let path = format!("/{number}");
        assert!(ask(&socket, &path).is_some(), "{argv:?}: {}", log());
        wanted.insert(path);
    }
    if signal == Signal::SIGKILL {
        for (pid, line) in sandbox.processes() {
            if !line.contains("ddtrace-run") {
                let _ = kill(Pid::from_raw(pid as i32), signal);
            }
        }
    } else {
        kill(Pid::from_raw(server.id() as i32), signal).expect("the server is there");
    }
    server.wait().expect("the server ends");
    let (count, seen) = resources(&sandbox, "request");
    assert_eq!((count, seen), (wanted.len(), wanted), "{argv:?}: {}", log());
}

#[test]
fn gunicorn() {
    let gunicorn = venv_program("gunicorn");
    for options in [
        &["--workers", "2"][..],
        &["--workers", "2", "--threads", "2"],
        &["--workers", "1", "--preload"],
        // A worker is replaced after a few requests.
        &["--workers", "2", "--max-requests", "5"],
    ] {
        let mut argv = vec![gunicorn.as_str(), "--bind", "unix:{socket}", "served:wsgi"];
        argv.extend(options);
        assert_served(&argv, Signal::SIGTERM);
    }
    assert_served(&[&gunicorn, "--bind", "unix:{socket}", "--workers", "2", "served:wsgi"], Signal::SIGKILL);
    // Requests are greenlets of one thread.
    let greenlets = [&gunicorn, "--bind", "unix:{socket}", "--workers", "2", "-k", "gevent", "served:wsgi"];
    assert_served(&greenlets, Signal::SIGTERM);
    assert_served(&greenlets, Signal::SIGKILL);
}

#[test]
fn uvicorn() {
    let uvicorn = venv_program("uvicorn");
    let python = venv_program("python3");
    assert_served(&[&uvicorn, "--uds", "{socket}", "served:asgi"], Signal::SIGINT);
    // Its workers are spawned: new Pythons.
    assert_served(&[&python, "-m", "uvicorn", "--uds", "{socket}", "--workers", "2", "served:asgi"], Signal::SIGTERM);
    assert_served(&[&uvicorn, "--uds", "{socket}", "served:asgi"], Signal::SIGKILL);
    // One process looks for changes, and spawns another that serves.
    assert_served(&[&uvicorn, "--uds", "{socket}", "--reload", "served:asgi"], Signal::SIGTERM);
}

/// What `--reload` starts anew after a change serves, and is traced, as what it started before.
#[test]
fn uvicorn_reloads() {
    let sandbox = sandbox();
    let socket = sandbox.work().join("socket");
    let uvicorn = venv_program("uvicorn");
    let mut server = start(&sandbox, &[&uvicorn, "--uds", socket.to_str().unwrap(), "--reload", "served:asgi"]);
    wait_for("an answer", || ask(&socket, "/before"));
    let program = sandbox.work().join("served.py");
    // Of another size: a change within one second is otherwise none to what Python has compiled.
    let text = fs::read_to_string(&program).unwrap().replace("ok\\n", "OK\\n") + "# Changed.\n";
    let mut written: Option<Instant> = None;
    wait_for("an answer of the changed program", || {
        // Again, as uvicorn may not have looked at it before it was changed.
        if written.is_none_or(|written| written.elapsed() > Duration::from_secs(4)) {
            fs::write(&program, &text).unwrap();
            written = Some(Instant::now());
        }
        ask(&socket, "/after").filter(|answer| answer.ends_with("OK\n"))
    });
    kill(Pid::from_raw(server.id() as i32), Signal::SIGTERM).unwrap();
    server.wait().unwrap();
    let (_, seen) = resources(&sandbox, "request");
    assert_eq!(seen, BTreeSet::from(["/after".into(), "/before".into()]));
}

/// Forks in C, without a word to Python.
#[test]
fn uwsgi() {
    let uwsgi = venv_program("uwsgi");
    let common = ["--http-socket", "{socket}", "--module", "served:wsgi", "--die-on-term", "--master"];
    for options in
        [&["--processes", "2"][..], &["--processes", "2", "--lazy-apps"], &["--processes", "1", "--threads", "2"]]
    {
        let argv: Vec<&str> = [uwsgi.as_str()].into_iter().chain(common).chain(options.iter().copied()).collect();
        assert_served(&argv, Signal::SIGTERM);
    }
}

#[test]
fn celery() {
    let mut sandbox = sandbox();
    let broker = sandbox.work().join("broker");
    fs::create_dir(&broker).unwrap();
    sandbox.set("BROKER", &broker);
    let (python, celery) = (venv_program("python3"), venv_program("celery"));
    for pool in ["prefork", "solo"] {
        let sent = Outcome::of(sandbox.bare([&python, "tasks.py"]).env("PYTHONPATH", lent(&sandbox)));
        assert_eq!(sent.code, Some(0), "{sent:?}");
        let argv =
            [celery.as_str(), "-A", "tasks", "worker", "--pool", pool, "--concurrency", "2", "--loglevel", "INFO"];
        let mut worker = start(&sandbox, &argv);
        let log = || fs::read_to_string(sandbox.work().join("server.log")).unwrap_or_default();
        wait_for(&format!("ten tasks of {argv:?}"), || (log().matches("succeeded in").count() == 10).then_some(()));
        kill(Pid::from_raw(worker.id() as i32), Signal::SIGTERM).unwrap();
        worker.wait().unwrap();
        let (count, seen) = resources(&sandbox, "task");
        assert_eq!((count, seen.len()), (10, 10), "{pool}: {}", log());
        fs::remove_file(sandbox.local_store()).unwrap();
    }
}

/// The directory that the launcher puts in front of `PYTHONPATH`.
fn lent(sandbox: &Sandbox) -> String {
    let outcome = sandbox.run_traced(["sh", "-c", "printf %s \"$PYTHONPATH\""]);
    sandbox.settle();
    outcome.out()
}

#[test]
fn pytest() {
    for options in [&["-q"][..], &["-q", "-n", "2"], &["-q", "-p", "no:cacheprovider", "--import-mode=importlib"]] {
        let sandbox = sandbox();
        let argv: Vec<String> = [venv_program("pytest")]
            .into_iter()
            .chain(options.iter().map(ToString::to_string))
            .chain(["served.py".into()])
            .collect();
        let outcome = sandbox.run_traced(&argv);
        assert!(outcome.code == Some(0) && outcome.out().contains("2 passed"), "{argv:?}: {outcome:?}");
        assert_eq!(resources(&sandbox, "test"), (2, BTreeSet::from(["one".into(), "two".into()])), "{argv:?}");
    }
}
