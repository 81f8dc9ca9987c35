//! What the sidecar holds in memory stays within `memory.max_bytes`, whatever processes do, and nothing of it is lost.

use ddtrace_test_support::programs::{compile_strictly, dying_program};
use ddtrace_test_support::{Manner, Outcome, Receiver, Sandbox, repository, wait_for};
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::{Child, Stdio};

/// The least that can be set.
const MOST: u64 = 24 << 20;

/// A sandbox whose spans go to a receiver, and whose sidecar may have little memory.
fn sandbox(receiver: &Receiver) -> Sandbox {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.unset("DD_TRACE_EXPORTER").set("DD_TRACE_PROCESS_SPANS", "false").set("DD_TRACE_LOG_LEVEL", "info");
    sandbox.set("DD_TRACE_AGENT_URL", receiver.url()).set("DD_TRACE_MEMORY_MAX_BYTES", MOST.to_string());
    sandbox.set("DD_TRACE_SHUTDOWN_TIMEOUT_SECONDS", "25");
    sandbox
}

fn start(sandbox: &Sandbox, words: &[&str]) -> Child {
    let mut command = sandbox.traced(words);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the launcher starts")
}

/// Bytes that a process takes: what it has allocated, and the memory that stands for the spool where there is no disk.
fn memory(pid: u32) -> u64 {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap_or_default();
    let (mut bytes, mut is_spool) = (0, false);
    for line in maps.lines() {
        let mut words = line.split_ascii_whitespace();
        let first = words.next().unwrap_or_default();
        if !first.ends_with(':') {
            is_spool = line.contains("memfd:ddtrace-run segment");
        } else if first == "Anonymous:" && !is_spool || first == "Rss:" && is_spool {
            bytes += words.next().and_then(|number| number.parse::<u64>().ok()).expect("kilobytes") << 10;
        }
    }
    bytes
}

fn sidecar(sandbox: &Sandbox) -> u32 {
    let name = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    wait_for("the sidecar", || {
        sandbox.processes().into_iter().map(|(pid, _)| pid).find(|pid| name(*pid).trim() == "ddtrace-sidecar")
    })
}

fn log(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.local_store().with_file_name("sidecar.log")).unwrap_or_default()
}

#[test]
fn spans_that_never_end_are_sent_unfinished_and_none_is_lost() {
    const PROCESSES: usize = 5;
    const TRACES: usize = 500;
    const BELOW: usize = 20;
    let receiver = Receiver::start(Manner::Takes);
    let sandbox = sandbox(&receiver);
    let program = compile_strictly(&sandbox, &repository().join("tests/apps/opens.c"), "cc", &[]);
    let go = sandbox.work().join("go");
    let numbers = [PROCESSES, TRACES, BELOW].map(|number| number.to_string());
    let words = [&program, go.to_str().expect("plain"), &numbers[0], &numbers[1], &numbers[2]];
    let child = start(&sandbox, &words);
    let sidecar = sidecar(&sandbox);
    let all = (PROCESSES * TRACES * (BELOW + 1)) as u64;
    let mut most = 0;
    let counters = wait_for("all spans to have been read", || {
        most = most.max(memory(sidecar));
        let status: Value = serde_json::from_str(&sandbox.run_traced(["status", "--json"]).out()).ok()?;
        let counters = status["runs"].get(0)?["counters"].clone();
        (counters["spans_recorded"].as_u64() == Some(all)).then_some(counters)
    });
    let cut = counters["spans_cut_short"].as_u64().expect("a number");
    assert!(cut > all / 2 && cut < all, "{counters:#}");
    assert!(most < MOST, "{most} bytes for {all} open spans: {counters:#}");
    std::fs::write(&go, "").expect("a file");
    let outcome = Outcome::finish(child, "the program");
    assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""));
    sandbox.settle();
    let received = receiver.spans();
    let took: BTreeSet<u64> = received.iter().copied().collect();
    assert_eq!((received.len() as u64, took.len() as u64), (all, all), "each of them once");
    let log = log(&sandbox);
    let account = format!("recorded {all} spans: {all} delivered, 0 dropped, 0 waiting; records lost in processes 0");
    assert!(log.contains(&account) && log.contains("memory.max_bytes is reached: "), "{log}");
}

/// As between the requests of a service that has had a busy hour.
#[test]
fn what_a_burst_needs_goes_back_when_it_is_over() {
    const SPANS: usize = 60_000;
    const IDLE: u64 = 12 << 20;
    let receiver = Receiver::start(Manner::Takes);
    let mut sandbox = sandbox(&receiver);
    sandbox.unset("DD_TRACE_MEMORY_MAX_BYTES");
    let program = compile_strictly(&sandbox, &repository().join("tests/apps/bursts.c"), "cc", &[]);
    let end = sandbox.work().join("end");
    let child = start(&sandbox, &[&program, "1", &SPANS.to_string(), end.to_str().expect("plain")]);
    let sidecar = sidecar(&sandbox);
    let mut most = 0;
    wait_for("all to have been delivered", || {
        most = most.max(memory(sidecar));
        // On a busy machine an answer can come too late, and a request a second time.
        let received: BTreeSet<u64> = receiver.spans().into_iter().collect();
        (received.len() == SPANS).then_some(())
    });
    assert!(most > IDLE, "it was no burst: {most} bytes");
    wait_for("the memory to go back", || (memory(sidecar) <= IDLE).then_some(()));
    std::fs::write(&end, "").expect("a file");
    assert_eq!(Outcome::finish(child, "the program").code, Some(0));
    sandbox.settle();
}

#[test]
fn without_a_disk_what_waits_takes_as_much_again_and_no_more() {
    const SPANS: usize = 60_000;
    let receiver = Receiver::start(Manner::Refuses(503));
    let sandbox = sandbox(&receiver);
    let state = sandbox.local_store().parent().expect("it is in the state directory").to_owned();
    std::fs::create_dir_all(&state).expect("a directory");
    std::fs::write(state.join("spool"), "this is no directory").expect("a file");
    let (program, ledger) = (dying_program(&sandbox), sandbox.work().join("ledger"));
    let child = start(&sandbox, &[&program, "wait", ledger.to_str().expect("plain"), &SPANS.to_string()]);
    let sidecar = sidecar(&sandbox);
    let (mut most, mut before) = (0, 0);
    wait_for("the sidecar to have had too much", || {
        let now = memory(sidecar);
        most = most.max(now);
        let is_dropping = log(&sandbox).contains("are dropped");
        (is_dropping && std::mem::replace(&mut before, now) == now).then_some(())
    });
    assert!(most < 2 * MOST, "{most} bytes");
    receiver.be(Manner::Takes);
    std::fs::write(ledger.with_extension("go"), "").expect("a file");
    assert_eq!(Outcome::finish(child, "the program").code, Some(0));
    sandbox.settle();
    // What finds no room in the spool stays in the processes, and what finds none there either is lost and counted.
    let log = log(&sandbox);
    let account = log.split_once("recorded ").expect("the account").1;
    let mut numbers = account.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse::<u64>().ok());
    let (recorded, delivered, dropped) = (numbers.next(), numbers.next(), numbers.next());
    // A request may have been under way when what it brought was given up.
    let received = receiver.spans().len() as u64;
    let in_doubt = delivered.map(|delivered| received - delivered);
    assert!(in_doubt <= dropped, "{received} came: {log}");
    assert_eq!(recorded, delivered.zip(dropped).map(|(delivered, dropped)| delivered + dropped), "{log}");
    assert!(delivered > Some(1000) && dropped > Some(1000) && account.contains(" 0 waiting;"), "{log}");
}
