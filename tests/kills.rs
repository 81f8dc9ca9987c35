//! Processes that are killed at random moments: of each thread every span arrives that it had ended, and at most the one
//! more that it was about to count, and everything is accounted for.

use ddtrace_test_support::programs::compile_strictly;
use ddtrace_test_support::{Sandbox, repository};
use std::collections::BTreeMap;
use std::fs;

/// As in `tests/apps/kills.c`.
const THREADS: usize = 3;

/// How many processes are killed. `DDTRACE_TEST_KILLS` makes it more: `cargo xtask hosts` takes thousands.
fn rounds() -> usize {
    std::env::var("DDTRACE_TEST_KILLS").map_or(400, |text| text.parse().expect("DDTRACE_TEST_KILLS is a number"))
}

#[test]
fn what_was_ended_before_the_kill_arrives_and_nothing_else() {
    let rounds = rounds();
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.set("DD_TRACE_PROCESS_SPANS", "false").set("DD_TRACE_LOG_LEVEL", "info");
    let program = compile_strictly(&sandbox, &repository().join("tests/apps/kills.c"), "cc", &[]);
    let counts = sandbox.work().join("counts");
    // Another seed in each run; a failure names it.
    let seed = std::process::id().to_string();
    let file = counts.to_str().expect("a plain path");
    let settings = ["--set", "local.max_bytes=8GiB", "--set", "spool.max_bytes=8GiB"];
    let number = rounds.to_string();
    let arguments = [&settings[..], &[&program, file, &number, &seed]].concat();
    assert_eq!(sandbox.run_traced(arguments).code, Some(0), "seed {seed}");
    let mut delivered: BTreeMap<(usize, usize), Vec<(u32, bool)>> = BTreeMap::new();
    for span in sandbox.spans() {
        let numbers: Vec<u32> = span.name.split('/').filter_map(|number| number.parse().ok()).collect();
        let [round, thread, number] = numbers[..] else { panic!("a span that nobody recorded: {span:?}") };
        let is_killed = span.attributes.get("error.type").is_some_and(|kind| kind == "SIGKILL");
        delivered.entry((round as usize, thread as usize)).or_default().push((number, is_killed));
    }
    let bytes = fs::read(&counts).expect("the program made it");
    let (mut ended, mut arrived) = (0, 0);
    for (index, count) in bytes.chunks_exact(4).enumerate() {
        let count = u32::from_ne_bytes(count.try_into().expect("four bytes"));
        let place = (index / THREADS, index % THREADS);
        let mut spans = delivered.remove(&place).unwrap_or_default();
        spans.sort_unstable();
        let numbers = spans.iter().map(|(number, _)| *number);
        let last = numbers.clone().next_back().unwrap_or(0);
        assert!(numbers.eq(1..=last), "{place:?} of seed {seed}: {spans:?}");
        assert!(
            last == count || last == count + 1,
            "{place:?} of seed {seed}: {last} spans of {count} that were ended"
        );
        // The kill ends what was open, and nothing that was not.
        let by_kill: Vec<u32> = spans.iter().filter(|(_, is_killed)| *is_killed).map(|(number, _)| *number).collect();
        assert!(by_kill.iter().all(|number| *number == count + 1), "{place:?} of seed {seed}: {count}, {by_kill:?}");
        ended += u64::from(count);
        arrived += u64::from(last);
    }
    assert!(delivered.is_empty(), "spans of threads that there were not: {delivered:?}");
    assert!(ended > rounds as u64, "they did record: {ended}");
    let log = fs::read_to_string(sandbox.local_store().with_file_name("sidecar.log")).expect("the log");
    let account = format!(
        "recorded {arrived} spans: {arrived} delivered, 0 dropped, 0 waiting; records lost in processes 0, in the spool 0"
    );
    assert!(log.contains(&account), "seed {seed}: {account}\n{log}");
}
