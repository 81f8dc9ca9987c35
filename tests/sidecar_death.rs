//! The sidecar is ended from outside: what it had read is delivered by the next one, once, and all of it is accounted for.

use ddtrace_test_support::programs::{compile_strictly, dying_program};
use ddtrace_test_support::{Manner, Outcome, Receiver, Sandbox, repository, wait_for};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Child, Stdio};
use std::time::Duration;

/// A program that has recorded so many spans (and one that is open) and waits, and its sidecar.
struct Scene {
    sandbox: Sandbox,
    receiver: Receiver,
    child: Child,
    sidecar: u32,
    ledger: std::path::PathBuf,
}

const SPANS: usize = 500;

impl Scene {
    fn new(manner: Manner) -> Scene {
        let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
        let receiver = Receiver::start(manner);
        sandbox.unset("DD_TRACE_EXPORTER").set("DD_TRACE_PROCESS_SPANS", "false");
        sandbox.set("DD_TRACE_AGENT_URL", receiver.url()).set("DD_TRACE_SHUTDOWN_TIMEOUT_SECONDS", "0.3");
        let program = dying_program(&sandbox);
        let ledger = sandbox.work().join("ledger");
        let path = ledger.to_str().expect("a path of UTF-8");
        let mut command = sandbox.traced([program.as_str(), "wait", path, &SPANS.to_string()]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the launcher starts");
        let sidecar = sandbox.sidecar();
        Scene { sandbox, receiver, child, sidecar, ledger }
    }

    fn noted(&self) -> BTreeSet<u64> {
        let ledger = std::fs::read_to_string(&self.ledger).unwrap_or_default();
        let lines = ledger.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        lines.map(|line| u64::from_str_radix(line, 16).expect("an id")).collect()
    }

    fn wait_until_recorded(&self) {
        wait_for("the program to have recorded", || (self.noted().len() > SPANS).then_some(()));
    }

    /// Ends the sidecar, and gives what its account says then.
    fn end_sidecar(&self, signal: &str) -> Value {
        let pid = self.sidecar.to_string();
        assert_eq!(self.sandbox.run_bare(["kill", signal, &pid]).code, Some(0));
        // The first SIGTERM lets it wait for its processes' last words, the second one does not.
        let gone = || {
            let is_gone = !std::path::Path::new("/proc").join(&pid).exists();
            if !is_gone && signal == "-TERM" {
                self.sandbox.run_bare(["kill", signal, &pid]);
            }
            is_gone.then_some(())
        };
        wait_for("the sidecar to be gone", gone);
        run(&self.sandbox).unwrap_or_default()
    }

    /// Lets the program go on to its end, and delivers what is left.
    fn finish(mut self) -> (BTreeSet<u64>, Vec<u64>) {
        std::fs::write(self.ledger.with_extension("go"), "").expect("a file");
        let child = std::mem::replace(&mut self.child, idle());
        let outcome = Outcome::finish(child, "the program whose sidecar was ended");
        assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "it runs on as if nothing had happened");
        self.sandbox.settle();
        self.receiver.be(Manner::Takes);
        let flushed = self.sandbox.run_traced(["flush", "--wait", "25"]);
        assert_eq!(flushed.code, Some(0), "{flushed:?}");
        assert!(flushed.out().ends_with(", 0 still waiting\n"), "{flushed:?}");
        assert!(!flushed.err().contains("cannot be found any more"), "nothing was damaged: {flushed:?}");
        (self.noted(), self.receiver.spans())
    }
}

fn idle() -> Child {
    std::process::Command::new("true").spawn().expect("true can be run")
}

/// The one run in the spool.
fn run(sandbox: &Sandbox) -> Option<Value> {
    let status: Value = serde_json::from_str(&sandbox.run_traced(["status", "--json"]).out()).ok()?;
    status["runs"].get(0).cloned()
}

#[test]
fn told_to_go_it_stores_everything_at_once() {
    for manner in [Manner::Takes, Manner::Refuses(503), Manner::IsMute] {
        let scene = Scene::new(manner);
        scene.wait_until_recorded();
        let before = scene.noted();
        scene.end_sidecar("-TERM");
        let (_, received) = scene.finish();
        let took: BTreeSet<u64> = received.iter().copied().collect();
        assert_eq!(before.difference(&took).count(), 0, "{manner:?}");
        assert_eq!(received.len(), took.len(), "{manner:?}: nothing comes twice");
    }
}

/// Whoever stops a job tells all of its processes, and a program that stops in an orderly way records what it does meanwhile.
#[test]
fn told_to_go_with_its_job_it_takes_in_the_last_words() {
    let receiver = Receiver::start(Manner::Takes);
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.unset("DD_TRACE_EXPORTER").set("DD_TRACE_PROCESS_SPANS", "false");
    sandbox.set("DD_TRACE_AGENT_URL", receiver.url());
    let program = compile_strictly(&sandbox, &repository().join("tests/apps/bursts.c"), "cc", &[]);
    let mut child = sandbox.traced([program.as_str(), "2", "500"]).spawn().expect("the launcher starts");
    let sidecar = wait_for("the sidecar", || run(&sandbox)?["sidecar_pid"].as_u64());
    // It records nothing before half a second is over.
    assert_eq!(sandbox.run_bare(["kill", "-TERM", &sidecar.to_string()]).code, Some(0));
    assert!(child.wait().expect("it is a child").success());
    sandbox.settle();
    assert_eq!(sandbox.run_traced(["flush", "--wait", "25"]).code, Some(0));
    let received: BTreeSet<u64> = receiver.spans().into_iter().collect();
    assert_eq!((received.len(), receiver.spans().len()), (1000, 1000));
}

#[test]
fn killed_it_has_lost_nothing_that_it_had_read() {
    for manner in [Manner::Takes, Manner::Refuses(503)] {
        let scene = Scene::new(manner);
        scene.wait_until_recorded();
        // All of it has been read, and is delivered but for the root that is open, or waits.
        let all = SPANS as u64 + 1;
        let count = |run: &Value| run["counters"]["spans_recorded"].as_u64() >= Some(all);
        wait_for("the sidecar to have read", || count(&run(&scene.sandbox)?).then_some(()));
        let before = scene.noted();
        scene.end_sidecar("-KILL");
        let (_, received) = scene.finish();
        let took: BTreeSet<u64> = received.iter().copied().collect();
        assert_eq!(before.difference(&took).count(), 0, "{manner:?}");
        assert_eq!(received.len(), took.len(), "{manner:?}: nothing comes twice");
    }
}

#[test]
fn killed_in_the_midst_of_what_was_too_large_it_has_settled_each_part() {
    let scene = Scene::new(Manner::Refuses(503));
    scene.wait_until_recorded();
    let all = SPANS as u64 + 1;
    let count = |run: &Value| run["counters"]["spans_recorded"].as_u64() >= Some(all);
    wait_for("the sidecar to have read", || count(&run(&scene.sandbox)?).then_some(()));
    scene.receiver.be(Manner::TakesOnePart(20));
    // That it asks for the next part says that it knows of the answer to the one before.
    wait_for("the next part", || (scene.receiver.unanswered() > 0).then_some(()));
    let before = scene.noted();
    scene.end_sidecar("-KILL");
    assert!(!scene.receiver.spans().is_empty());
    let (_, received) = scene.finish();
    let took: BTreeSet<u64> = received.iter().copied().collect();
    assert_eq!(before.difference(&took).count(), 0);
    assert_eq!(received.len(), took.len(), "nothing comes twice");
}

#[test]
fn killed_at_any_time_it_leaves_an_account_that_is_exact() {
    for round in 0..12u64 {
        let scene = Scene::new(if round % 3 == 0 { Manner::Refuses(503) } else { Manner::Takes });
        // Neither evenly spaced nor the same in each run of the test.
        std::thread::sleep(Duration::from_micros(round * 9_000 + u64::from(std::process::id() % 7_000)));
        scene.end_sidecar("-KILL");
        let by_then = scene.receiver.spans().len();
        let (noted, received) = scene.finish();
        let took: BTreeSet<u64> = received.iter().copied().collect();
        assert!(took.is_subset(&noted), "round {round}: nothing is made up");
        // One request may have been under way.
        assert!(received.len() - took.len() <= by_then, "round {round}: what was settled is not sent again");
    }
}

/// A disk that has lost some of the records, before anything else was made of them.
#[test]
fn what_is_damaged_of_the_records_is_told_and_counted() {
    for damage in ["scribbled over", "a frame's head", "cut", "gone"] {
        let scene = Scene::new(Manner::Refuses(503));
        scene.wait_until_recorded();
        let all = SPANS as u64 + 1;
        let count = |run: &Value| run["counters"]["spans_recorded"].as_u64() >= Some(all);
        wait_for("the sidecar to have read", || count(&run(&scene.sandbox)?).then_some(()));
        let recorded = scene.noted().len();
        let killed = scene.end_sidecar("-KILL");
        let directory = std::path::PathBuf::from(killed["directory"].as_str().expect("a path"));
        for entry in std::fs::read_dir(&directory).expect("a run") {
            let path = entry.expect("an entry").path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("payloads-")) {
                std::fs::remove_file(path).expect("a file");
            }
        }
        let path = directory.join("records-00000001.seg");
        let mut bytes = std::fs::read(&path).expect("a segment");
        let committed = u64::from_le_bytes(*bytes[16..].first_chunk().expect("a header")) as usize;
        let half = committed / 2;
        match damage {
            "scribbled over" => bytes[half..half + 400].fill(0x5a),
            // Behind the first frame, which says who records.
            "a frame's head" => {
                let first = u32::from_le_bytes(*bytes[4096..].first_chunk().expect("a frame")) as usize;
                bytes[4096 + first.next_multiple_of(8)..][..16].fill(0x5a);
            }
            "cut" => bytes.truncate(half),
            _ => bytes.fill(0),
        }
        std::fs::write(&path, bytes).expect("a segment");

        let sandbox = scene.sandbox;
        let status = run(&sandbox).expect("a run");
        let number = |name: &str| status[name].as_u64().expect("a number") as usize;
        let lost = number("spans_lost");
        assert!(lost > 0 && number("spans_waiting") + lost == recorded, "{damage}: {status:#}");
        let text = sandbox.run_traced(["status"]).out();
        assert!(text.contains(&format!("{lost} spans more that it had recorded cannot be found any more")), "{text}");

        scene.receiver.be(Manner::Takes);
        let flushed = sandbox.run_traced(["flush", "--wait", "25"]);
        let delivered = format!("delivered {} spans, dropped {lost} spans, 0 still waiting\n", recorded - lost);
        assert_eq!(flushed.out(), delivered, "{damage}: {flushed:?}");
        assert_eq!(scene.receiver.spans().len(), recorded - lost, "{damage}");
        let told = format!(": {lost} spans that were recorded cannot be found any more; they are dropped");
        assert!(flushed.err().contains(&told), "{damage}: {flushed:?}");
        let log = std::fs::read_to_string(sandbox.local_store().with_file_name("sidecar.log")).expect("a log");
        for text in [flushed.err(), log] {
            let said =
                text.matches("the sidecar of an earlier run was ended from outside; what its processes ").count();
            assert_eq!(said, 1, "{damage}: {text}");
        }
        let of_the_file = format!("{}: it is damaged from byte ", path.display());
        let is_named = flushed.err().contains(&of_the_file) && text.contains(&of_the_file);
        assert_eq!(is_named, matches!(damage, "a frame's head" | "cut"), "{damage}: {flushed:?} {text}");
        std::fs::write(scene.ledger.with_extension("go"), "").expect("a file");
        let outcome = Outcome::finish(scene.child, "the program whose sidecar was ended");
        assert_eq!(outcome.code, Some(0));
    }
}

/// What was given up, as the command has left a service behind, stays so for whoever takes the run over.
#[test]
fn killed_after_it_has_given_up_a_process_that_does_not_come_back() {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    let receiver = Receiver::start(Manner::Takes);
    sandbox.unset("DD_TRACE_EXPORTER").unset("DD_TRACE_PROCESS_SPANS").set("DD_TRACE_AGENT_URL", receiver.url());
    let script = "setsid sh -c 'echo $$ > service; exec sleep 100' > /dev/null 2>&1 & exit 0";
    assert_eq!(sandbox.run_traced(["sh", "-c", script]).code, Some(0));
    let service = sandbox.wait_for_file(&sandbox.work().join("service"));
    // A run that has just begun has none.
    let count = |run: &Value, name: &str| run["counters"][name].as_u64();
    let before = wait_for("the service to be given up, and the rest to be delivered", || {
        let run = run(&sandbox)?;
        let is_over = count(&run, "spans_dropped") == Some(1) && count(&run, "spans_delivered") > Some(0);
        (is_over && run["spans_waiting"] == 0).then_some(run)
    });
    let recorded = count(&before, "spans_recorded").expect("a number");
    let sidecar = before["sidecar_pid"].as_u64().expect("a sidecar").to_string();
    assert_eq!(sandbox.run_bare(["kill", "-KILL", &sidecar]).code, Some(0));
    let killed = wait_for("the sidecar to be gone", || run(&sandbox).filter(|run| run["running"] == false));
    assert_eq!((&killed["spans_waiting"], &killed["spans_lost"]), (&0.into(), &0.into()), "{killed:#}");
    let flushed = sandbox.run_traced(["flush", "--wait", "25"]);
    assert_eq!(
        (flushed.code, flushed.out().as_str()),
        (Some(0), "delivered 0 spans, 0 still waiting\n"),
        "{flushed:?}"
    );
    assert_eq!(receiver.spans().len() as u64, recorded - 1);
    assert_eq!(sandbox.run_bare(["kill", service.trim()]).code, Some(0));
}

/// Whoever waits for a child knows better than a sidecar that finds no processor.
#[test]
fn what_a_sidecar_sees_late_of_a_death_is_told_by_the_parent() {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.set("DD_TRACE_PROCESS_SPANS", "true");
    let program = dying_program(&sandbox);
    let script = format!("read go; {program} kill ledger 1; date +%s%N > dead; read go; exit 3");
    let mut command = sandbox.traced(["bash", "-c", &script]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the launcher starts");
    let sidecar = sandbox.sidecar().to_string();
    let signal = |signal: &str| assert_eq!(sandbox.run_bare(["kill", signal, &sidecar]).code, Some(0));
    signal("-STOP");
    let mut input = child.stdin.take().expect("a pipe");
    writeln!(input, "go").expect("it reads");
    let dead: u64 = wait_for("the program to be dead", || {
        std::fs::read_to_string(sandbox.work().join("dead")).ok()?.trim().parse().ok()
    });
    std::thread::sleep(Duration::from_millis(500));
    signal("-CONT");
    std::thread::sleep(Duration::from_millis(500));
    drop(input);
    assert_eq!(Outcome::finish(child, "a shell").code, Some(3));
    let spans = sandbox.spans();
    let killed: Vec<_> = spans.iter().filter(|span| span.error_type() == Some("SIGKILL")).collect();
    assert_eq!(killed.len(), 2, "the process and its root: {spans:?}");
    assert!(killed.iter().all(|span| span.end <= dead), "{dead}: {killed:?}");
}
