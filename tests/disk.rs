//! A disk that is full for a moment, small, or taken away: what waits comes to it as far as it has room, once, and of the
//! rest it is said that it is lost.

use ddtrace_test_support::programs::dying_program;
use ddtrace_test_support::{Manner, Nobody, Outcome, Receiver, Sandbox, wait_for};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

/// A sandbox whose spans go to the Agent at this port.
fn sandbox(port: u16) -> Sandbox {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.unset("DD_TRACE_EXPORTER").set("DD_TRACE_PROCESS_SPANS", "false").set("DD_TRACE_LOG_LEVEL", "info");
    sandbox.set("DD_TRACE_AGENT_URL", format!("http://127.0.0.1:{port}"));
    sandbox.set("DD_TRACE_SHUTDOWN_TIMEOUT_SECONDS", "0.3");
    std::fs::create_dir_all(state(&sandbox)).expect("a directory");
    sandbox
}

fn state(sandbox: &Sandbox) -> PathBuf {
    sandbox.local_store().parent().expect("it is in the state directory").to_owned()
}

fn ids(sandbox: &Sandbox) -> Vec<u64> {
    let ledger = std::fs::read_to_string(sandbox.work().join("ledger")).expect("the program noted its spans");
    ledger.lines().map(|line| u64::from_str_radix(line, 16).expect("an id")).collect()
}

/// What each script begins with: its variables, and what it uses.
const BEGIN: &str = r#"
state=$1 ddtrace=$2 program=$3 ledger=$4 elsewhere=$5
export state ddtrace program ledger
records() { until [ "$(wc -l < "$ledger")" -ge "$1" ] 2> /dev/null; do sleep 0.02; done; }
reads() { until "$ddtrace" status | grep -q "recorded $1 spans"; do sleep 0.02; done; }
begins() { until "$ddtrace" status --json | grep -q '"running": '; do sleep 0.02; done; }
full() { head -c 200M /dev/zero > "$state/filler" 2> /dev/null; :; }
"#;

/// What each script ends with: what is said, what waits, and its delivery.
const END: &str = r#"
while "$ddtrace" status --json | grep -q '"running": true'; do sleep 0.05; done
echo ---; cat "$state/sidecar.log"
echo ---; "$ddtrace" status --json
echo ---; "$ddtrace" flush --wait 25 --agent-url "$elsewhere" 2>&1
"#;

/// What came of a script.
struct Told {
    said: String,
    log: String,
    run: serde_json::Value,
    flushed: String,
}

impl Told {
    fn number(&self, name: &str) -> u64 {
        self.run["counters"][name].as_u64().unwrap_or_else(|| panic!("{name}: {:#}\n{}", self.run, self.log))
    }
}

/// Runs a script with mounts of its own. `None` on a machine on which only root may have these.
fn run(sandbox: &Sandbox, elsewhere: &str, script: &str) -> Option<Told> {
    let script = format!("{BEGIN}{script}{END}");
    let paths =
        [state(sandbox), sandbox.launcher().into(), dying_program(sandbox).into(), sandbox.work().join("ledger")];
    let paths = paths.map(|path| path.to_str().expect("a path of UTF-8").to_owned());
    let words = ["unshare", "-rm", "sh", "-c", &script, "sh"].into_iter().map(str::to_owned);
    let outcome: Outcome = sandbox.run_bare(words.chain(paths).chain([elsewhere.to_owned()]));
    if outcome.err().contains("unshare") {
        return None;
    }
    let out = outcome.out();
    let parts: Vec<&str> = out.split("---\n").collect();
    let [said, log, status, flushed] = parts[..] else { panic!("{outcome:?}") };
    let status: serde_json::Value = serde_json::from_str(status).unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
    let [said, log, flushed] = [said, log, flushed].map(str::to_owned);
    Some(Told { said, log, run: status["runs"][0].clone(), flushed })
}

/// All that was recorded waited, nothing was dropped, and then it came, once.
#[track_caller]
fn assert_all_waited(told: &Told, receiver: &Receiver, ids: &[u64], what: &str) {
    let count = ids.len();
    let account = format!("recorded {count} spans: 0 delivered, 0 dropped, {count} waiting");
    assert!(told.log.contains(&account), "{what}: {}{}", told.said, told.log);
    assert_eq!(told.run["spans_waiting"], count, "{what}: {:#}", told.run);
    assert_eq!((told.number("spans_recorded"), told.number("spans_dropped")), (count as u64, 0), "{what}");
    assert_eq!(told.flushed, format!("delivered {count} spans, 0 still waiting\n"), "{what}");
    assert_once(receiver, ids, what);
}

#[track_caller]
fn assert_once(receiver: &Receiver, ids: &[u64], what: &str) {
    let received = receiver.spans();
    let (took, noted): (BTreeSet<u64>, BTreeSet<u64>) =
        (received.iter().copied().collect(), ids.iter().copied().collect());
    assert_eq!((received.len(), noted.difference(&took).count()), (noted.len(), 0), "{what}");
}

#[test]
fn a_disk_that_is_full_for_a_moment_is_used_when_it_has_room() {
    let (nobody, receiver) = (Nobody::listens(), Receiver::start(Manner::Takes));
    let sandbox = sandbox(nobody.port);
    // At the start there is no room for anything, the account and the log included.
    let script = r#"
mount -t tmpfs -o size=64m none "$state"; full
"$ddtrace" sh -c '"$program" return "$ledger" 2000
    until "$ddtrace" status | grep "^a sidecar without room"; do sleep 0.1; done; "$ddtrace" status --metrics
    rm "$state/filler"; until "$ddtrace" status | grep "^sidecar .*recorded 2001 spans"; do sleep 0.1; done
    "$program" return "$ledger" 2000; until ls "$state"/spool/*/payloads-*; do sleep 0.1; done' 2> /dev/null
"#;
    let Some(told) = run(&sandbox, &receiver.url(), script) else { return };
    let without = "a sidecar without room for its account on disk: 0 spans seen\n";
    assert!(told.said.contains(without), "it is there all the same: {}", told.said);
    assert!(!told.said.contains("spans_waiting{"), "nobody knows how many wait: {}", told.said);
    // The log could not be opened, or not be written at first.
    let recorded = ids(&sandbox);
    assert_eq!(told.run["spans_waiting"], recorded.len(), "{:#}", told.run);
    assert_eq!((told.number("spans_recorded"), told.number("spans_dropped")), (4002, 0));
    assert_eq!(told.flushed, "delivered 4002 spans, 0 still waiting\n");
    assert_once(&receiver, &recorded, "");
}

/// As ext2, ext3 and older NFS are: they know no call that holds room.
#[test]
fn a_file_system_that_cannot_hold_room_is_a_spool_as_any() {
    let (nobody, receiver) = (Nobody::listens(), Receiver::start(Manner::Takes));
    let sandbox = sandbox(nobody.port);
    let script = r#"
mount -t ramfs none "$state"
"$ddtrace" --supervise "$program" return "$ledger" 2000 2> /dev/null; ls "$state"/spool/*/payloads-*
"#;
    let Some(told) = run(&sandbox, &receiver.url(), script) else { return };
    assert!(!told.log.contains("in memory"), "{}", told.log);
    assert!(told.said.contains("payloads-"), "{}", told.said);
    assert_all_waited(&told, &receiver, &ids(&sandbox), "");
}

/// However the sidecar comes to its end.
#[test]
fn on_a_small_disk_what_waits_comes_before_the_records() {
    let ways = [
        ("left alone", r#""$ddtrace" "$program" return "$ledger" 9000; begins"#),
        ("attended", r#""$ddtrace" --supervise "$program" return "$ledger" 9000 2> /dev/null"#),
        (
            "told to go",
            r#""$ddtrace" "$program" wait "$ledger" 9000 > /dev/null 2>&1 & records 9001; reads 9001
pid=$(echo "$state"/spool/*); pid=${pid##*-}
while kill -TERM $pid; do sleep 0.1; done 2> /dev/null
touch "${ledger%.*}.go""#,
        ),
    ];
    for (way, script) in ways {
        let (nobody, receiver) = (Nobody::listens(), Receiver::start(Manner::Takes));
        let sandbox = sandbox(nobody.port);
        let script = format!("mount -t tmpfs -o size=4m none \"$state\"\n{script}\n");
        let Some(told) = run(&sandbox, &receiver.url(), &script) else { return };
        assert!(told.log.contains("the spool cannot grow: "), "it was too small: {}", told.log);
        // What is recorded behind the back of a sidecar that was told to go is lost.
        assert_all_waited(&told, &receiver, &ids(&sandbox)[..9001], way);
    }
}

#[test]
fn what_a_disk_has_no_room_for_at_the_end_is_counted_and_the_rest_is_delivered() {
    let (nobody, receiver) = (Nobody::listens(), Receiver::start(Manner::Takes));
    let sandbox = sandbox(nobody.port);
    let script =
        "mount -t tmpfs -o size=2m none \"$state\"\n\"$ddtrace\" \"$program\" return \"$ledger\" 9000; begins\n";
    let Some(told) = run(&sandbox, &receiver.url(), script) else { return };
    let (waiting, dropped) = (told.run["spans_waiting"].as_u64().expect("a number"), told.number("spans_dropped"));
    assert!(waiting > 1000 && dropped > 1000 && waiting + dropped == 9001, "{:#}{}", told.run, told.log);
    let account = format!("recorded 9001 spans: 0 delivered, {dropped} dropped, {waiting} waiting");
    assert!(told.log.contains(&account), "{}", told.log);
    assert_eq!(told.flushed, format!("delivered {waiting} spans, 0 still waiting\n"));
    let received = receiver.spans();
    let took: BTreeSet<u64> = received.iter().copied().collect();
    assert_eq!((received.len() as u64, took.len() as u64), (waiting, waiting));
}

#[test]
fn what_was_sent_from_memory_is_not_sent_again_from_the_records() {
    let receiver = Receiver::start(Manner::Takes);
    let sandbox = sandbox(receiver.port);
    let go = sandbox.work().join("refused");
    let script = r#"
mount -t tmpfs -o size=1200k none "$state"
"$ddtrace" sh -c '"$program" return "$ledger" 3000; until [ -e refused ]; do sleep 0.02; done; "$program" return "$ledger" 500'
"#;
    let told = std::thread::scope(|scope| {
        let told = scope.spawn(|| run(&sandbox, &receiver.url(), script));
        // Where only root may mount, it is over at once.
        wait_for("the receiver to have them", || (told.is_finished() || receiver.spans().len() == 3001).then_some(()));
        receiver.be(Manner::Refuses(503));
        std::fs::write(&go, "").expect("a file");
        wait_for("the rest to wait", || {
            let is_there =
                std::fs::read_to_string(sandbox.work().join("ledger")).is_ok_and(|l| l.lines().count() == 3502);
            (told.is_finished()
                || is_there && sandbox.processes().iter().all(|(_, line)| !line.contains("ddtrace-run sh")))
            .then_some(())
        });
        receiver.be(Manner::Takes);
        told.join().expect("it does not panic")
    });
    let Some(told) = told else { return };
    assert!(told.log.contains("the spool cannot grow: "), "it was too small: {}", told.log);
    assert_once(&receiver, &ids(&sandbox), &told.log);
}

#[test]
fn files_that_are_deleted_meanwhile_are_written_anew() {
    for deleting in
        [r#"rm -rf "$state""#, r#"rm -rf "$state"/spool/*"#, r#"rm "$state"/spool/*/*"#, r#"umount -l "$state""#]
    {
        let (nobody, receiver) = (Nobody::listens(), Receiver::start(Manner::Takes));
        let sandbox = sandbox(nobody.port);
        let script = format!(
            r#"
case '{deleting}' in umount*) mount -t tmpfs none "$state";; esac
"$ddtrace" --set "log.file=$ledger.log" "$program" wait "$ledger" 2500 > /dev/null 2>&1 & records 2501; reads 2501
until [ -e "$(echo "$state"/spool/*/payloads-*)" ]; do sleep 0.02; done
pid=$(echo "$state"/spool/*); pid=${{pid##*-}}
{deleting}
touch "${{ledger%.*}}.go"; wait; while [ -e /proc/$pid ]; do sleep 0.02; done
mkdir -p "$state"; cp "$ledger.log" "$state/sidecar.log"
"#
        );
        let Some(told) = run(&sandbox, &receiver.url(), &script) else { return };
        assert!(
            told.log.contains("were deleted while the sidecar was at work; what waits is written anew"),
            "{}",
            told.log
        );
        assert_all_waited(&told, &receiver, &ids(&sandbox), deleting);
    }
}

#[test]
fn what_was_deleted_and_finds_no_place_is_dropped_and_told() {
    let nobody = Nobody::listens();
    let sandbox = sandbox(nobody.port);
    let script = r#"
"$ddtrace" --set "log.file=$ledger.log" "$program" wait "$ledger" 2500 > /dev/null 2>&1 & records 2501; reads 2501
until [ -e "$(echo "$state"/spool/*/payloads-*)" ]; do sleep 0.02; done
pid=$(echo "$state"/spool/*); pid=${pid##*-}
mv "$state/spool" "$state/gone"; touch "$state/spool"; rm -r "$state/gone"
touch "${ledger%.*}.go"; wait; while [ -e /proc/$pid ]; do sleep 0.02; done
rm "$state/spool"; cp "$ledger.log" "$state/sidecar.log"
"#;
    let Some(told) = run(&sandbox, &nobody.url(), script) else { return };
    assert!(told.log.contains("recorded 5002 spans: 0 delivered, 5002 dropped, 0 waiting"), "{}", told.log);
    assert!(told.log.contains("5002 spans that no receiver took were in memory alone and are dropped"), "{}", told.log);
    assert_eq!(told.run, serde_json::Value::Null);
}

/// Whatever a full disk has left of a segment that was just begun: who looks at it lives.
/// A log need not be a file on a disk: a pipe that nobody reads, or not any more, holds nothing up.
#[test]
fn a_log_that_is_a_pipe_is_not_waited_for() {
    for is_open in [false, true] {
        let receiver = Receiver::start(Manner::Takes);
        let mut sandbox = sandbox(receiver.port);
        sandbox.set("DD_TRACE_LOG_LEVEL", "trace");
        let pipe = sandbox.work().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        // Full, but for what a line is longer than.
        let reader = is_open.then(|| {
            let mut both = std::fs::OpenOptions::new().read(true).write(true).open(&pipe).expect("it is opened");
            both.write_all(&[b'x'; 65_536 - 16]).expect("it has room");
            both
        });
        sandbox.set("DD_TRACE_LOG_FILE", pipe.display().to_string());
        let program = dying_program(&sandbox);
        assert_eq!(sandbox.run_traced([&program, "return", "ledger", "100"]).code, Some(0));
        wait_for("all to be delivered", || (receiver.spans().len() == ids(&sandbox).len()).then_some(()));
        sandbox.settle();
        drop(reader);
    }
}

#[test]
fn a_file_that_nothing_was_written_to_can_be_looked_at_on_a_full_disk() {
    let nobody = Nobody::listens();
    let sandbox = sandbox(nobody.port);
    let script = r#"
mount -t tmpfs -o size=256k none "$state"; mkdir -p "$state/spool/1-1"; touch "$state/sidecar.log"
for series in records payloads; do truncate -s 1M "$state/spool/1-1/$series-00000001.seg"; done; full
"$ddtrace" status
"#;
    let Some(told) = run(&sandbox, &nobody.url(), script) else { return };
    assert!(told.said.starts_with("nothing waits in "), "{}", told.said);
    assert_eq!(told.flushed, "delivered 0 spans, 0 still waiting\n");
}
