//! What waits, for whom, and for how long: several receivers, too little room, no disk, much at once.

use ddtrace_test_support::programs::{compile_strictly, dying_program};
use ddtrace_test_support::{Manner, Moment, Nobody, Outcome, Receiver, Sandbox, repository, wait_for};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Stdio;

/// A sandbox whose spans go to the Agent at this port.
fn sandbox(port: u16) -> Sandbox {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.unset("DD_TRACE_EXPORTER").set("DD_TRACE_PROCESS_SPANS", "false").set("DD_TRACE_LOG_LEVEL", "info");
    sandbox.set("DD_TRACE_AGENT_URL", format!("http://127.0.0.1:{port}"));
    sandbox.set("DD_TRACE_SHUTDOWN_TIMEOUT_SECONDS", "0.3");
    sandbox
}

/// Has a program record so many spans and one that is open; gives their ids in order.
fn record(sandbox: &Sandbox, spans: usize) -> Vec<u64> {
    let (program, ledger) = (dying_program(sandbox), sandbox.work().join("ledger"));
    let path = ledger.to_str().expect("a path of UTF-8");
    let _ = std::fs::remove_file(&ledger);
    assert_eq!(sandbox.run_traced([program.as_str(), "return", path, &spans.to_string()]).code, Some(0));
    sandbox.settle();
    let ledger = std::fs::read_to_string(ledger).expect("the program noted its spans");
    let ids: Vec<u64> = ledger.lines().map(|line| u64::from_str_radix(line, 16).expect("an id")).collect();
    assert_eq!(ids.len(), spans + 1);
    ids
}

fn state(sandbox: &Sandbox) -> PathBuf {
    sandbox.local_store().parent().expect("it is in the state directory").to_owned()
}

fn log(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(state(sandbox).join("sidecar.log")).unwrap_or_default()
}

fn status(sandbox: &Sandbox) -> serde_json::Value {
    let outcome: Outcome = sandbox.run_traced(["status", "--json"]);
    serde_json::from_str(&outcome.out()).unwrap_or_else(|error| panic!("{error}: {outcome:?}"))
}

fn flush(sandbox: &Sandbox) -> Outcome {
    sandbox.run_traced(["flush", "--wait", "25"])
}

#[track_caller]
fn assert_all(received: &[u64], ids: &[u64]) {
    let mut received = received.to_vec();
    received.sort_unstable();
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    assert!(received == ids, "{} came of {}", received.len(), ids.len());
}

#[test]
fn each_receiver_has_its_own_progress() {
    let nobody = Nobody::listens();
    let mut sandbox = sandbox(nobody.port);
    sandbox.set("DD_TRACE_EXPORTER", "datadog,local");
    let ids = record(&sandbox, 100);
    let stored = |sandbox: &Sandbox| -> Vec<u64> {
        let spans = sandbox.spans();
        spans.iter().map(|span| u64::from_str_radix(&span.span_id, 16).expect("an id")).collect()
    };
    assert_all(&stored(&sandbox), &ids);
    let waiting = status(&sandbox);
    assert_eq!(waiting["spans_waiting"], ids.len());
    let destinations = waiting["runs"][0]["destinations"].as_array().expect("a list");
    assert_eq!((destinations.len(), &destinations[0]["spans_waiting"]), (1, &ids.len().into()), "{waiting:#}");

    let refused = sandbox.run_traced(["flush", "--wait", "0"]);
    assert_eq!((refused.code, refused.out().as_str()), (Some(1), "delivered 0 spans, 101 still waiting\n"));
    assert!(refused.err().contains(&format!("still waiting for the Datadog Agent at {}", nobody.url())));

    let receiver = nobody.becomes(Manner::Takes);
    assert_eq!(flush(&sandbox).out(), "delivered 101 spans, 0 still waiting\n");
    assert_all(&receiver.spans(), &ids);
    assert_all(&stored(&sandbox), &ids);
    assert!(sandbox.run_traced(["status"]).out().starts_with("nothing waits in "));
}

/// What a receiver asks for holds for the sidecars of later runs, and for `flush`.
#[test]
fn a_receiver_that_asks_to_be_left_alone_is() {
    let receiver = Receiver::start(Manner::AsksToWait(3600));
    let sandbox = sandbox(receiver.port);
    let mut ids = record(&sandbox, 5);
    assert_eq!(receiver.unanswered(), 1);
    receiver.be(Manner::Takes);
    ids.extend(record(&sandbox, 5));
    let flushed = sandbox.run_traced(["flush", "--wait", "1"]);
    assert_eq!(flushed.code, Some(1), "{flushed:?}");
    assert!(flushed.err().contains("has asked to be left alone for another"), "{flushed:?}");
    assert_eq!(receiver.spans().len(), 0);
    // It was somebody else, or so long ago.
    std::fs::remove_file(state(&sandbox).join("spool/asked")).expect("what was asked for is kept");
    assert_eq!(flush(&sandbox).code, Some(0));
    assert_all(&receiver.spans(), &ids);
}

/// Also at the end it is waited for, where there is time for that.
#[test]
fn a_receiver_that_asks_for_a_moment_shortly_before_the_end_gets_all() {
    let receiver = Receiver::start(Manner::AsksToWait(3));
    let mut sandbox = sandbox(receiver.port);
    sandbox.set("DD_TRACE_PROCESS_SPANS", "true").set("DD_TRACE_PARTIAL_FLUSH_MIN_SPANS", "1");
    let go = sandbox.work().join("go");
    let script = "sh -c true; while [ ! -e go ]; do sleep 0.1; done";
    let mut command = sandbox.traced(["--supervise", "--shutdown-timeout", "30s", "sh", "-c", script]);
    let mut command = command.stdin(Stdio::null()).spawn().expect("the launcher");
    wait_for("a request", || (receiver.unanswered() > 0).then_some(()));
    receiver.be(Manner::Takes);
    std::fs::write(go, "").expect("a file");
    assert!(command.wait().expect("it ends").success());
    assert!(receiver.spans().len() >= 3);
    assert!(sandbox.run_traced(["status"]).out().starts_with("nothing waits in "));
}

#[test]
fn a_receiver_that_has_moved_is_told_on_the_command_line() {
    let nobody = Nobody::listens();
    let sandbox = sandbox(nobody.port);
    let ids = record(&sandbox, 10);
    let receiver = Receiver::start(Manner::Takes);
    let flushed = sandbox.run_traced(["flush", "--agent-url", &receiver.url()]);
    assert_eq!((flushed.code, flushed.out().as_str()), (Some(0), "delivered 11 spans, 0 still waiting\n"));
    assert_all(&receiver.spans(), &ids);
}

#[test]
fn beyond_the_bound_the_oldest_goes_and_all_is_accounted_for() {
    let nobody = Nobody::listens();
    let mut sandbox = sandbox(nobody.port);
    sandbox.set("DD_TRACE_SPOOL_MAX_BYTES", "4194304");
    let ids = record(&sandbox, 16_000);
    let run = &status(&sandbox)["runs"][0];
    let count = |name: &str| run["counters"][name].as_u64().expect("a number");
    let (waiting, dropped) = (run["spans_waiting"].as_u64().expect("a number"), count("spans_dropped"));
    assert_eq!(count("spans_recorded"), ids.len() as u64, "{run:#}");
    assert_eq!((count("records_lost_in_processes"), count("records_lost_in_spool")), (0, 0));
    assert_eq!(waiting + dropped, ids.len() as u64, "{run:#}");
    assert!(waiting > 1000 && dropped > 1000, "{run:#}");
    assert!(log(&sandbox).contains("spool.max_bytes is reached: the oldest "), "{}", log(&sandbox));

    let receiver = nobody.becomes(Manner::Takes);
    assert_eq!(flush(&sandbox).code, Some(0));
    let received: BTreeSet<u64> = receiver.spans().into_iter().collect();
    assert_eq!(received.len() as u64, waiting);
    // Whole groups go, of some 2000 spans that ended at about the same time: beyond the edge nothing is missing.
    let beyond_edge = received.len().saturating_sub(2000);
    let missing = ids[ids.len() - beyond_edge..].iter().filter(|id| !received.contains(id)).count();
    assert!(beyond_edge > 1000 && missing == 0, "{missing} of the newest {beyond_edge} are missing");
}

#[test]
fn without_a_spool_memory_serves() {
    let receiver = Receiver::start(Manner::Takes);
    let mut sandbox = sandbox(receiver.port);
    sandbox.set("DD_TRACE_SHUTDOWN_TIMEOUT_SECONDS", "25");
    std::fs::create_dir_all(state(&sandbox)).expect("a directory");
    std::fs::write(state(&sandbox).join("spool"), "this is no directory").expect("a file");
    let ids = record(&sandbox, 5000);
    assert_all(&receiver.spans(), &ids);
    assert!(log(&sandbox).contains("keeping them in memory"), "{}", log(&sandbox));
}

#[test]
fn what_waited_in_memory_alone_is_counted_as_dropped() {
    let nobody = Nobody::listens();
    let sandbox = sandbox(nobody.port);
    std::fs::create_dir_all(state(&sandbox)).expect("a directory");
    std::fs::write(state(&sandbox).join("spool"), "this is no directory").expect("a file");
    record(&sandbox, 100);
    let log = log(&sandbox);
    assert!(log.contains("recorded 101 spans: 0 delivered, 101 dropped, 0 waiting"), "{log}");
    assert!(log.contains("101 spans that no receiver took were in memory alone and are dropped"), "{log}");
}

#[test]
fn a_disk_that_fills_up_meanwhile_loses_nothing() {
    let receiver = Receiver::start(Manner::Takes);
    let mut sandbox = sandbox(receiver.port);
    sandbox.set("DD_TRACE_SHUTDOWN_TIMEOUT_SECONDS", "25");
    let program = dying_program(&sandbox);
    let ledger = sandbox.work().join("ledger");
    let state = state(&sandbox);
    std::fs::create_dir_all(&state).expect("a directory");
    // Room for the first megabyte of records and no more.
    let script = "mount -t tmpfs -o size=1200k none \"$0\" && \"$1\" --supervise \"$2\" return \"$3\" 5000; \
                  code=$?; cat \"$0/sidecar.log\"; exit $code";
    let launcher = sandbox.launcher();
    let words = ["unshare", "-rm", "sh", "-c", script].into_iter().map(str::to_owned);
    let paths = [&state.display().to_string(), launcher, &program, &ledger.display().to_string()].map(str::to_owned);
    let outcome = sandbox.run_bare(words.chain(paths));
    if outcome.err().contains("unshare") {
        // A machine on which nobody but root may mount: the same is tried with a spool that cannot be made.
        return;
    }
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    sandbox.settle();
    let text = std::fs::read_to_string(&ledger).expect("the program noted its spans");
    let ids: Vec<u64> = text.lines().map(|line| u64::from_str_radix(line, 16).expect("an id")).collect();
    assert_all(&receiver.spans(), &ids);
    assert!(outcome.out().contains("No space left on device"), "{}", outcome.out());
    assert!(outcome.out().contains("recorded 5001 spans: 5001 delivered, 0 dropped, 0 waiting"), "{}", outcome.out());
}

#[test]
fn much_at_once_from_many_loses_nothing() {
    let receiver = Receiver::start(Manner::Takes);
    let mut sandbox = sandbox(receiver.port);
    // On a busy machine the receiver takes its time, and what it has not answered in time it gets again.
    sandbox.set("DD_TRACE_AGENT_TIMEOUT_SECONDS", "25");
    let program = dying_program(&sandbox);
    let ledger = sandbox.work().join("ledger");
    let script = "for i in 1 2 3 4 5 6; do \"$0\" return \"$1\" 5000 & done; wait";
    let path = ledger.to_str().expect("a path of UTF-8");
    // Supervised, so that all is delivered before the launcher ends.
    let words = ["--supervise", "--set", "shutdown_timeout=25s", "sh", "-c", script, &program, path];
    assert_eq!(sandbox.run_traced(words).code, Some(0));
    sandbox.settle();
    let text = std::fs::read_to_string(&ledger).expect("the program noted its spans");
    let ids: Vec<u64> = text.lines().map(|line| u64::from_str_radix(line, 16).expect("an id")).collect();
    assert_eq!(ids.len(), 6 * 5_001);
    let log = log(&sandbox);
    eprintln!("{log}");
    assert_all(&receiver.spans(), &ids);
    assert!(
        log.contains("recorded 30006 spans: 30006 delivered, 0 dropped, 0 waiting; records lost in processes 0"),
        "{log}"
    );
}

/// Twice what finds room in a process's memory, faster than the sidecar would look by itself, and from more threads than
/// there are processors.
#[test]
fn a_burst_after_idleness_loses_nothing() {
    for threads in [1, 24] {
        let nobody = Nobody::listens();
        let mut sandbox = sandbox(nobody.port);
        sandbox.set("DD_TRACE_SHUTDOWN_TIMEOUT_SECONDS", "0").set("DD_TRACE_PROCESS_SPANS", "false");
        let program = compile_strictly(&sandbox, &repository().join("tests/apps/bursts.c"), "cc", &[]);
        let (count, each) = (threads.to_string(), (200_000 / threads).to_string());
        assert_eq!(sandbox.run_traced([&program, &count, &each]).code, Some(0));
        sandbox.settle();
        let log = log(&sandbox);
        let recorded = format!("recorded {} spans: 0 delivered, 0 dropped", 200_000 / threads * threads);
        assert!(
            log.contains(&recorded) && log.contains("records lost in processes 0, in the spool 0"),
            "{threads}: {log}"
        );
    }
}

/// The files of the spool after a crash of the machine, or on a bad disk: what can be read is delivered, what cannot is told
/// of and counted, and holds nothing else up.
#[test]
fn what_is_damaged_on_disk_is_told_of_and_holds_nothing_up() {
    for damage in ["cut", "scribbled over"] {
        let nobody = Nobody::listens();
        let sandbox = sandbox(nobody.port);
        let ids = record(&sandbox, 5000);
        let more = record(&sandbox, 100);
        let spool = state(&sandbox).join("spool");
        let runs = std::fs::read_dir(spool).expect("a spool").flatten().map(|entry| entry.path());
        let largest = runs
            .map(|run| run.join("payloads-00000001.seg"))
            .max_by_key(|path| std::fs::metadata(path).map_or(0, |metadata| metadata.len()));
        let path = largest.expect("a run");
        let mut bytes = std::fs::read(&path).expect("a segment");
        let half = bytes.len() / 2;
        match damage {
            "cut" => bytes.truncate(half),
            _ => bytes[half..half + 200].fill(0x5a),
        }
        std::fs::write(&path, bytes).expect("a segment");

        let receiver = nobody.becomes(Manner::Takes);
        let flushed = flush(&sandbox);
        assert_eq!(status(&sandbox)["spans_waiting"], 0, "{damage}: {flushed:?}");
        let received: BTreeSet<u64> = receiver.spans().into_iter().collect();
        assert_eq!(received.len(), receiver.spans().len(), "{damage}: none twice");
        assert!(more.iter().all(|id| received.contains(id)), "{damage}: the other run is there");
        let lost = ids.iter().filter(|id| !received.contains(id)).count();
        if damage == "cut" {
            assert_eq!(lost, 0, "the records say again what the payloads have lost: {flushed:?}");
        } else {
            let told = format!("a request of {lost} spans is damaged on disk; they are dropped");
            assert!(lost > 0 && (flushed.err() + &log(&sandbox)).contains(&told), "{lost}: {flushed:?}");
        }
    }
}

#[test]
fn the_account_is_shown_with_debug() {
    let receiver = Receiver::start(Manner::Takes);
    let sandbox = sandbox(receiver.port);
    let program = dying_program(&sandbox);
    let ledger = sandbox.work().join("ledger");
    let path = ledger.to_str().expect("a path of UTF-8");
    let outcome =
        sandbox.run_traced(["--debug", "--supervise", "--shutdown-timeout=25s", &program, "return", path, "10"]);
    let account = "recorded 11 spans: 11 delivered, 0 dropped, 0 waiting; records lost in processes 0, in the spool 0";
    assert!(outcome.err().contains(account), "{outcome:?}");
}

/// What another release has written, and what cannot be opened now, is left to whoever can read it.
#[test]
fn what_cannot_be_read_now_is_told_of_and_stays() {
    let nobody = Nobody::listens();
    let sandbox = sandbox(nobody.port);
    let ids: Vec<Vec<u64>> = (0..3).map(|_| record(&sandbox, 100)).collect();
    let mut runs: Vec<PathBuf> = std::fs::read_dir(state(&sandbox).join("spool"))
        .expect("a spool")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    runs.sort();
    let segments = |run: &PathBuf| -> Vec<PathBuf> {
        let files = std::fs::read_dir(run).expect("a run").map(|entry| entry.expect("an entry").path());
        files.filter(|path| path.extension().is_some_and(|ending| ending == "seg")).collect()
    };
    let add_to_version = |by: i8| {
        for path in segments(&runs[0]) {
            let mut bytes = std::fs::read(&path).expect("a segment");
            bytes[8] = bytes[8].wrapping_add_signed(by);
            std::fs::write(&path, bytes).expect("a segment");
        }
    };
    add_to_version(1);
    let (payloads, elsewhere) = (runs[1].join("payloads-00000001.seg"), runs[1].join("elsewhere"));
    std::fs::rename(&payloads, &elsewhere).expect("a file");
    std::os::unix::fs::symlink(&elsewhere, &payloads).expect("a link");

    let receiver = nobody.becomes(Manner::Takes);
    let flushed = flush(&sandbox);
    assert_eq!((flushed.code, flushed.out().as_str()), (Some(1), "delivered 101 spans, 202 still waiting\n"));
    let reasons = [
        (&runs[0], "it was written by another version of ddtrace-run; it stays where it is"),
        (&runs[1], "Too many levels of symbolic links (os error 40); it stays where it is"),
    ];
    let shown = sandbox.run_traced(["status"]).out();
    assert!(shown.starts_with("202 spans wait in "), "{shown}");
    for (run, reason) in reasons {
        for text in [&flushed.err(), &shown] {
            let lines = text.lines().filter(|line| line.contains(&run.display().to_string()) && line.ends_with(reason));
            assert_eq!(lines.count(), 1, "{reason}: {text}");
        }
    }
    assert_all(&receiver.spans(), &ids[2]);

    // The next sidecar leaves them as well, and says so in the log.
    let mut ids = ids.concat();
    ids.extend(record(&sandbox, 10));
    for (run, reason) in reasons {
        assert!(run.is_dir());
        let log = log(&sandbox);
        assert!(log.lines().any(|line| line.contains(&run.display().to_string()) && line.ends_with(reason)), "{log}");
    }

    add_to_version(-1);
    std::fs::rename(&elsewhere, &payloads).expect("a file");
    assert_eq!(flush(&sandbox).out(), "delivered 202 spans, 0 still waiting\n");
    assert_all(&receiver.spans(), &ids);
}

#[test]
fn with_too_few_descriptors_nothing_is_lost() {
    let nobody = Nobody::listens();
    let sandbox = sandbox(nobody.port);
    let ids = (0..6).map(|_| record(&sandbox, 10)).collect::<Vec<_>>().concat();
    let receiver = nobody.becomes(Manner::Takes);
    for most in 4..24 {
        let script = format!("ulimit -n {most}; exec \"$0\" flush --wait 2");
        let flushed = sandbox.run_bare(["sh", "-c", &script, sandbox.launcher()]);
        let left = status(&sandbox)["spans_waiting"].as_u64().expect("a number");
        assert_eq!(left + receiver.spans().len() as u64, ids.len() as u64, "{most}: {flushed:?}");
        assert!(flushed.code != Some(0) || left == 0, "{most}: {flushed:?}");
    }
    assert_eq!(flush(&sandbox).code, Some(0));
    assert_all(&receiver.spans(), &ids);
}

#[test]
fn who_asks_for_the_status_is_not_in_the_way_of_a_delivery() {
    let nobody = Nobody::listens();
    let sandbox = sandbox(nobody.port);
    let ids = (0..4).map(|_| record(&sandbox, 2000)).collect::<Vec<_>>().concat();
    let receiver = nobody.becomes(Manner::Takes);
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let flushed = std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    sandbox.run_traced(["status"]);
                }
            });
        }
        // In the midst of that.
        std::thread::sleep(std::time::Duration::from_millis(300));
        let flushed = flush(&sandbox);
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        flushed
    });
    assert_eq!((flushed.code, flushed.out()), (Some(0), format!("delivered {} spans, 0 still waiting\n", ids.len())));
    assert_all(&receiver.spans(), &ids);
}

/// What nobody is sent since its trace was decided against is no delivery, and is counted for itself.
#[test]
fn what_is_not_sampled_is_not_counted_as_delivered() {
    let receiver = Receiver::start(Manner::Takes);
    let one_of_them = r#"[{"name": "root", "sample_rate": 1}]"#;
    for (exporter, rules, account) in [
        ("local", "", "0 delivered, 11 not sampled"),
        ("local", one_of_them, "1 delivered, 10 not sampled"),
        ("otlp", "", "0 delivered, 11 not sampled"),
        ("otlp,local", one_of_them, "1 delivered, 10 not sampled"),
        ("datadog", "", "11 delivered"),
        ("datadog,local", "", "11 delivered"),
    ] {
        let mut sandbox = sandbox(receiver.port);
        sandbox.set("DD_TRACE_EXPORTER", exporter).set("DD_TRACE_SAMPLE_RATE", "0");
        sandbox.set("DD_SPAN_SAMPLING_RULES", rules);
        sandbox.set("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url());
        sandbox.set("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json");
        let program = dying_program(&sandbox);
        let ledger = sandbox.work().join("ledger");
        let path = ledger.to_str().expect("a path of UTF-8");
        let words = ["--debug", "--supervise", "--shutdown-timeout=25s", &program, "return", path, "10"];
        let outcome = sandbox.run_traced(words);
        let account = format!("recorded 11 spans: {account}, 0 dropped, 0 waiting; records lost in processes 0");
        assert!(outcome.err().contains(&account), "{exporter} {rules}: {outcome:?}");
        sandbox.settle();
        assert!(log(&sandbox).contains(&account), "{exporter} {rules}: {}", log(&sandbox));
    }
}

#[test]
fn what_is_not_sampled_is_told_by_status_and_by_flush() {
    const SPANS: u64 = 2000;
    let nobody = Nobody::listens();
    let mut sandbox = sandbox(nobody.port);
    sandbox.set("DD_TRACE_EXPORTER", "local").set("DD_TRACE_SAMPLE_RATE", "0");
    let program = dying_program(&sandbox);
    let ledger = sandbox.work().join("ledger");
    let path = ledger.to_str().expect("a path of UTF-8");
    let words = [program.as_str(), "wait", path, &SPANS.to_string()];
    let mut command = sandbox.traced(words);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the launcher starts");
    let counter = |name: &str| status(&sandbox)["runs"][0]["counters"][name].as_u64();
    let sampled_out =
        wait_for("spans that are not sampled", || counter("spans_sampled_out").filter(|count| *count > 0));
    assert_eq!(counter("spans_delivered"), Some(0));
    wait_for("all of them", || (counter("spans_recorded") > Some(SPANS)).then_some(()));
    let metrics = sandbox.run_traced(["status", "--metrics"]).out();
    let metric = metrics.lines().find_map(|line| line.strip_prefix("ddtrace_run_sidecar_spans_sampled_out_total{"));
    let value = metric.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    assert!(value >= Some(sampled_out), "{metrics}");
    let text = sandbox.run_traced(["status"]).out();
    assert!(text.contains("spans: 0 delivered, ") && text.contains(" not sampled, 0 dropped, "), "{text}");

    let sidecar = sandbox.sidecar().to_string();
    assert_eq!(sandbox.run_bare(["kill", "-KILL", &sidecar]).code, Some(0));
    let killed = wait_for("the sidecar to be gone", || {
        let run = &status(&sandbox)["runs"][0];
        (run["running"] == false).then(|| run.clone())
    });
    let counted = killed["counters"]["spans_sampled_out"].as_u64().expect("a number");
    let left = SPANS + 1 - counted;
    assert_eq!(killed["spans_waiting"], left, "{killed:#}");
    let spans = if left == 1 { "1 span".to_owned() } else { format!("{left} spans") };
    assert_eq!(flush(&sandbox).out(), format!("delivered 0 spans, {spans} not sampled, 0 still waiting\n"));
    std::fs::write(ledger.with_extension("go"), "").expect("a file");
    assert!(child.wait().expect("it is a child").success());
}

#[test]
fn an_answer_that_breaks_off_behind_its_status_is_an_answer() {
    let receiver = Receiver::start(Manner::BreaksOff);
    for exporter in ["datadog", "otlp"] {
        let mut sandbox = sandbox(receiver.port);
        sandbox.set("DD_TRACE_EXPORTER", exporter).set("DD_TRACE_SHUTDOWN_TIMEOUT_SECONDS", "25");
        sandbox.set("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url()).set("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json");
        let before = receiver.spans().len();
        let ids = record(&sandbox, 10);
        assert_all(&receiver.spans()[before..], &ids);
        assert!(log(&sandbox).contains("recorded 11 spans: 11 delivered, 0 dropped, 0 waiting"), "{}", log(&sandbox));
    }
}

/// It takes each request, and would be sent the same one for ever.
#[test]
fn a_receiver_that_is_a_little_slower_than_is_waited_for_is_not_sent_the_same_for_ever() {
    let receiver = Receiver::start(Manner::IsSlow(200));
    for exporter in ["datadog", "otlp"] {
        let mut sandbox = sandbox(receiver.port);
        sandbox.set("DD_TRACE_EXPORTER", exporter).set("DD_TRACE_SHUTDOWN_TIMEOUT_SECONDS", "25");
        sandbox.set("DD_TRACE_AGENT_TIMEOUT_SECONDS", "0.1").set("OTEL_EXPORTER_OTLP_TIMEOUT", "100");
        sandbox.set("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url()).set("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json");
        let ids = record(&sandbox, 10);
        let log = log(&sandbox);
        assert!(log.contains("recorded 11 spans: 11 delivered, 0 dropped, 0 waiting"), "{exporter}: {log}");
        assert!(log.contains("no answer within 100ms"), "{exporter}: {log}");
        let received: BTreeSet<u64> = receiver.spans().into_iter().collect();
        assert!(ids.iter().all(|id| received.contains(id)), "{exporter}");
    }
}

#[test]
fn a_single_span_waits() {
    let nobody = Nobody::listens();
    let sandbox = sandbox(nobody.port);
    record(&sandbox, 0);
    let text = sandbox.run_traced(["status"]).out();
    assert!(text.starts_with("1 span waits in "), "{text}");
    assert!(log(&sandbox).contains("1 span waits in "), "{}", log(&sandbox));
    assert!(log(&sandbox).contains("recorded 1 span: 0 delivered, 0 dropped, 1 waiting"), "{}", log(&sandbox));
    record(&sandbox, 1);
    let text = sandbox.run_traced(["status"]).out();
    assert!(text.starts_with("3 spans wait in "), "{text}");
}

/// Each makes something else of the gRPC library's errors, none of which is the receiver's word.
const BROKEN: [Manner; 18] = [
    Manner::Breaks(Moment::Connected, b"", false),
    Manner::Breaks(Moment::Connected, b"", true),
    Manner::Breaks(Moment::Spoken, b"", false),
    Manner::Breaks(Moment::Spoken, b"", true),
    Manner::Breaks(Moment::Spoken, b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", false),
    Manner::Breaks(Moment::Spoken, b"this is something else altogether\n", false),
    Manner::Breaks(Moment::Asked, b"", false),
    Manner::Breaks(Moment::Asked, b"", true),
    // GOAWAY, without an error and with an internal one.
    Manner::Breaks(Moment::Asked, b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0", false),
    Manner::Breaks(Moment::Asked, b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x02", false),
    // RST_STREAM: no error, protocol, internal, refused, cancel, calm down.
    Manner::Breaks(Moment::Asked, b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\0", false),
    Manner::Breaks(Moment::Asked, b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x01", false),
    Manner::Breaks(Moment::Asked, b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x02", false),
    Manner::Breaks(Moment::Asked, b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x07", false),
    Manner::Breaks(Moment::Asked, b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08", false),
    Manner::Breaks(Moment::Asked, b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x0b", false),
    // The status 200 of HTTP and nothing behind it, or the end.
    Manner::Breaks(Moment::Asked, b"\0\0\x01\x01\x04\0\0\0\x01\x88", false),
    Manner::Breaks(Moment::Asked, b"\0\0\x01\x01\x05\0\0\0\x01\x88", false),
];

#[test]
fn over_grpc_what_no_receiver_has_answered_waits() {
    for manner in BROKEN.into_iter().chain([502, 503].map(Manner::Refuses)).chain([Manner::TalksGarbage]) {
        let receiver = Receiver::start(manner);
        let mut sandbox = sandbox(receiver.port);
        sandbox.unset("DD_TRACE_AGENT_URL").set("DD_TRACE_EXPORTER", "otlp");
        sandbox.set("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url()).set("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        let ids = record(&sandbox, 3);
        let waiting = status(&sandbox);
        assert_eq!(waiting["spans_waiting"], ids.len(), "{manner:?}: {waiting:#}{}", log(&sandbox));
        receiver.be(Manner::Takes);
        assert_eq!(flush(&sandbox).out(), "delivered 4 spans, 0 still waiting\n", "{manner:?}");
        assert_all(&receiver.spans(), &ids);
    }
}
