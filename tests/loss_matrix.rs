//! Every way to die, with every kind of receiver: nothing that was recorded is lost, and nothing is delivered twice.

use ddtrace_test_support::programs::dying_program;
use ddtrace_test_support::python::{program, python};
use ddtrace_test_support::{Manner, Nobody, Outcome, Receiver, Sandbox};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

const WAYS: [&str; 16] = [
    "return",
    "exit",
    "_exit",
    "quick_exit",
    "abort",
    "term",
    "kill",
    "segv",
    "exec",
    "exec-self",
    "fork",
    "fork-kill",
    "_Fork",
    "daemon",
    "thread",
    "killed",
];
/// The same with a stack that is full, where the kernel has no room to tell anybody anything.
const MORE_WAYS: [&str; 1] = ["stack"];

/// The ways of a Python to end, and of those that it starts.
const WAYS_OF_PYTHON: [&str; 13] = [
    "return",
    "raise",
    "_exit",
    "abort",
    "kill",
    "segv",
    "exec",
    "thread",
    "fork-kill",
    "fork",
    "spawn",
    "forkserver",
    "executor",
];

/// Ways in which a process is ended in the midst of recording: what it recorded last may not be noted.
const INTERRUPTED: [&str; 2] = ["thread", "killed"];

/// So many spans each recording process ends, beside one that it leaves open.
const SPANS: &str = "40";

/// What stands where the spans go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backend {
    Is(Manner),
    /// Nobody listens.
    Down,
}

const BACKENDS: [Backend; 8] = [
    Backend::Is(Manner::Takes),
    Backend::Is(Manner::IsSlow(200)),
    Backend::Is(Manner::Refuses(500)),
    Backend::Is(Manner::Refuses(429)),
    Backend::Is(Manner::TalksGarbage),
    Backend::Is(Manner::HangsUp),
    Backend::Is(Manner::IsMute),
    Backend::Down,
];

/// The same by OTLP, which has a status of its own for what can be tried again: 500 is none, and means that what was sent
/// is to be dropped.
const OF_OTLP: [Backend; 8] = [
    Backend::Is(Manner::Takes),
    Backend::Is(Manner::IsSlow(200)),
    Backend::Is(Manner::Refuses(503)),
    Backend::Is(Manner::Refuses(429)),
    Backend::Is(Manner::Refuses(502)),
    Backend::Is(Manner::HangsUp),
    Backend::Is(Manner::IsMute),
    Backend::Down,
];

/// Over gRPC all that is no status of gRPC means that nobody was reached.
const OF_GRPC: [Backend; 6] = [
    Backend::Is(Manner::Takes),
    Backend::Is(Manner::Refuses(503)),
    Backend::Is(Manner::TalksGarbage),
    Backend::Is(Manner::HangsUp),
    Backend::Is(Manner::IsMute),
    Backend::Down,
];

/// How spans go there.
#[derive(Clone, Copy, Debug)]
enum Protocol {
    Datadog,
    Otlp(&'static str),
}

/// Cells that run at the same time: most of a cell's time is waiting.
const AT_ONCE: usize = 12;

#[test]
fn nothing_is_lost_and_nothing_comes_twice() {
    let shared = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    let program = dying_program(&shared);
    try_all(&[&program], WAYS.iter().chain(&MORE_WAYS), Protocol::Datadog, &BACKENDS);
}

#[test]
fn nothing_is_lost_by_otlp() {
    let shared = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    let program = dying_program(&shared);
    try_all(&[&program], WAYS.iter().chain(&MORE_WAYS), Protocol::Otlp("http/json"), &OF_OTLP);
}

#[test]
fn nothing_is_lost_by_grpc() {
    let shared = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    let program = dying_program(&shared);
    try_all(&[&program], WAYS.iter().chain(&MORE_WAYS), Protocol::Otlp("grpc"), &OF_GRPC);
}

#[test]
fn nothing_is_lost_of_a_python() {
    try_all(&[&python("otel-venv"), &program("dies.py")], WAYS_OF_PYTHON.iter(), Protocol::Datadog, &BACKENDS);
}

/// Lets a program die in all of the ways, with each kind of receiver.
fn try_all<'a>(
    program: &[&str],
    ways: impl Iterator<Item = &'a &'a str> + Clone,
    protocol: Protocol,
    backends: &[Backend],
) {
    let cells: Vec<(&str, Backend)> =
        backends.iter().flat_map(|backend| ways.clone().map(|way| (*way, *backend))).collect();
    let (todo, failed) = (Mutex::new(cells.iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = todo.lock().expect("no cell panics with the list").next();
                    let Some((way, backend)) = next else { return };
                    // All cells are told of, not only the first that fails.
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| cell(program, way, protocol, *backend))) {
                        let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                        failed.lock().expect("no cell panics with it").push(format!("{way} × {backend:?}: {text}"));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("no cell panics with it");
    assert!(failed.is_empty(), "{} of {} cells failed:\n{}", failed.len(), cells.len(), failed.join("\n"));
}

/// Runs the program to its end with such a receiver, then lets the receiver take all, and compares.
fn cell(program: &[&str], way: &str, protocol: Protocol, backend: Backend) {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    let receiver = match backend {
        Backend::Is(manner) => Ok(Receiver::start(manner)),
        Backend::Down => Err(Nobody::listens()),
    };
    let url = receiver.as_ref().map_or_else(Nobody::url, Receiver::url);
    sandbox.unset("DD_TRACE_EXPORTER").set("DD_TRACE_PROCESS_SPANS", "false");
    match protocol {
        Protocol::Datadog => sandbox.set("DD_TRACE_AGENT_URL", url),
        Protocol::Otlp(protocol) => sandbox
            .set("DD_TRACE_EXPORTER", "otlp")
            .set("OTEL_EXPORTER_OTLP_ENDPOINT", url)
            .set("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
    };
    // Who takes everything is given the time to answer: what was not answered is sent again.
    let patience = if backend == Backend::Is(Manner::Takes) { "25" } else { "0.3" };
    sandbox.set("DD_TRACE_SHUTDOWN_TIMEOUT_SECONDS", patience);
    let ledger = sandbox.work().join("ledger");
    let words = [way, ledger.to_str().expect("a path of UTF-8"), SPANS];
    let traced = sandbox.run_traced(program.iter().chain(&words));
    sandbox.settle();
    let noted = ids_in(&std::fs::read_to_string(&ledger).expect("the program noted its spans"));
    assert!(noted.len() > 40, "{traced:?}");

    // The account, before anything else is done: what was recorded is at the receiver or waits.
    let waiting = status(&sandbox)["spans_waiting"].as_u64().expect("a number");
    let before = receiver.as_ref().map_or(0, |receiver| receiver.spans().len() as u64);
    let slow_or_interrupted = backend == Backend::Is(Manner::IsSlow(200)) || INTERRUPTED.contains(&way);
    if !slow_or_interrupted {
        let log = sandbox.local_store().with_file_name("sidecar.log");
        let log = std::fs::read_to_string(log).unwrap_or_default();
        let account = (before + waiting, traced.out());
        assert_eq!(account, (noted.len() as u64, String::new()), "delivered and waiting; {traced:?}{log}");
    }
    if matches!(backend, Backend::Down | Backend::Is(Manner::Refuses(_) | Manner::HangsUp)) {
        assert_eq!(before, 0);
    }

    let receiver = receiver.unwrap_or_else(|nobody| nobody.becomes(Manner::Takes));
    receiver.be(Manner::Takes);
    let flushed = sandbox.run_traced(["flush", "--wait", "25"]);
    assert_eq!(flushed.code, Some(0), "{flushed:?}");
    assert_eq!(status(&sandbox)["spans_waiting"], 0);

    let received = receiver.spans();
    let took: BTreeSet<u64> = received.iter().copied().collect();
    let lost: Vec<_> = noted.difference(&took).collect();
    assert!(lost.is_empty(), "{} of {} are lost: {lost:x?}", lost.len(), noted.len());
    let unknown = took.difference(&noted).count();
    let allowed = if INTERRUPTED.contains(&way) { 2 } else { 0 };
    assert!(unknown <= allowed, "{unknown} came that were not noted");
    // Whoever was about to answer when the sidecar had to go may have taken what is then sent again.
    if backend != Backend::Is(Manner::IsSlow(200)) {
        assert_eq!(received.len(), took.len(), "some came twice: {:x?}", repeated(&received));
    }
}

fn ids_in(ledger: &str) -> BTreeSet<u64> {
    ledger.lines().map(|line| u64::from_str_radix(line, 16).expect("a line of the ledger is an id")).collect()
}

fn repeated<T: Ord + Debug + Copy>(items: &[T]) -> Vec<T> {
    let mut counts = BTreeMap::new();
    items.iter().for_each(|item| *counts.entry(*item).or_insert(0) += 1);
    counts.into_iter().filter(|(_, count)| *count > 1).map(|(item, _)| item).collect()
}

fn status(sandbox: &Sandbox) -> serde_json::Value {
    let outcome: Outcome = sandbox.run_traced(["status", "--json"]);
    serde_json::from_str(&outcome.out()).unwrap_or_else(|error| panic!("{error}: {outcome:?}"))
}
