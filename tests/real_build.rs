//! A real project's build: bzip2 by its own makefile, tests included.

use ddtrace_test_support::process::outline;
use ddtrace_test_support::{Agent, Outcome, Sandbox, Span, spans, target_dir, witness};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const MAKE: [&str; 2] = ["make", "-j2"];

fn sandbox() -> Sandbox {
    Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"))
}

/// Puts fresh sources at the one place where all the builds are made, since debug information has paths in it.
fn unpack(sandbox: &Sandbox) {
    let sources = target_dir().join("test-sources/bzip2-sys-0.1.13+1.0.8/bzip2-1.0.8");
    assert!(sources.join("Makefile").exists(), "{} is not there: run `cargo xtask setup`", sources.display());
    fs::remove_dir_all(sandbox.work()).expect("the working directory can be removed");
    fs::create_dir(sandbox.work()).expect("and made again");
    for entry in fs::read_dir(sources).expect("the sources can be listed").flatten() {
        fs::copy(entry.path(), sandbox.work().join(entry.file_name())).expect("a source can be copied");
    }
}

/// All files of a directory by name.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).expect("the directory can be listed").flatten();
    let read = |entry: fs::DirEntry| {
        (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).expect("a file can be read"))
    };
    entries.map(read).collect()
}

/// Lines in the order of their text: two jobs at once do not finish in the same order each time.
fn sorted_lines(bytes: &[u8]) -> Vec<String> {
    let mut lines: Vec<_> = String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[track_caller]
fn assert_same_files(left: &BTreeMap<String, Vec<u8>>, right: &BTreeMap<String, Vec<u8>>) {
    assert_eq!(left.keys().collect::<Vec<_>>(), right.keys().collect::<Vec<_>>());
    let different: Vec<_> = left.iter().filter(|(name, bytes)| right[*name] != **bytes).map(|(name, _)| name).collect();
    assert!(different.is_empty(), "these files differ: {different:?}");
}

#[test]
fn a_build_is_the_same_and_every_process_of_it_is_a_span() {
    let mut sandbox = sandbox();
    unpack(&sandbox);
    let (bare, witness) = witness::watch(&sandbox, &sandbox.bare(MAKE));
    assert_eq!(bare.code, Some(0), "{bare:?}");
    let built = files(&sandbox.work());

    unpack(&sandbox);
    // The view switches the process spans on by itself.
    sandbox.unset("DD_TRACE_PROCESS_SPANS");
    let traced = sandbox.run_traced(["--view"].into_iter().chain(MAKE));
    assert_eq!(traced.code, Some(0), "{traced:?}");
    assert_same_files(&files(&sandbox.work()), &built);
    assert_eq!(sorted_lines(&traced.stdout), sorted_lines(&bare.stdout));
    let compiler_said = sorted_lines(&bare.stderr);
    let all = sorted_lines(&traced.stderr);
    assert!(compiler_said.iter().all(|line| all.contains(line)), "{compiler_said:#?} is not all in {all:#?}");

    let spans = sandbox.spans();
    let seen = witness.processes();
    for text in [format!("{} processes", seen.len()), "make -j2".to_owned(), "cc1".to_owned()] {
        assert!(traced.err().contains(&text), "{text} is not in the waterfall:\n{}", traced.err());
    }
    assert!(seen.len() > 40, "a real build makes more processes than {}", seen.len());
    assert_eq!(outline(&spans::processes(&spans)), outline(&seen), "left are the spans, right is the witness");
}

#[test]
fn a_build_without_the_view_says_what_a_bare_build_says() {
    let sandbox = sandbox();
    let build = |argv: &[&str]| -> (Outcome, BTreeMap<String, Vec<u8>>) {
        unpack(&sandbox);
        (Outcome::of(&mut sandbox.bare(argv)), files(&sandbox.work()))
    };
    // One job at a time, so that the order of the output can be compared.
    let (bare, built) = build(&["make"]);
    let (traced, built_traced) = build(&[sandbox.launcher(), "make"]);
    assert_eq!(bare.code, Some(0), "{bare:?}");
    assert_eq!(traced, bare, "left is under the launcher, right is bare");
    assert_same_files(&built_traced, &built);
    sandbox.settle();
}

#[test]
fn a_failing_build_fails_as_ever() {
    let sandbox = sandbox();
    unpack(&sandbox);
    sandbox.write("compress.c", "#error broken on purpose\n");
    let bare = sandbox.run_bare(["make", "compress.o"]);
    assert_eq!(bare.code, Some(2));
    assert_eq!(sandbox.run_traced(["make", "compress.o"]), bare, "left is under the launcher, right is bare");
    let spans = sandbox.spans();
    assert_eq!(spans::only(&spans, "cc1").exit_code(), Some(1));
    assert_eq!(spans::only(&spans, "make").exit_code(), Some(2));
}

#[test]
fn a_build_reaches_an_agent_and_an_otlp_receiver_alike() {
    let (agent, mut sandbox) = (Agent::start(), sandbox());
    unpack(&sandbox);
    sandbox.set("DD_TRACE_EXPORTER", "datadog,otlp").set("DD_TRACE_AGENT_URL", agent.url());
    sandbox.set("OTEL_EXPORTER_OTLP_ENDPOINT", agent.otlp_http_url());
    let (outcome, witness) = witness::watch(&sandbox, &sandbox.traced(MAKE));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    sandbox.settle();
    agent.assert_no_failed_check();
    let (datadog, otlp) = (agent.datadog_spans(), agent.otlp_spans());
    assert_eq!(datadog.len(), witness.processes_of_target().len());
    assert_eq!(outline(&spans::processes(&datadog)), outline(&witness.processes_of_target()));
    // The same spans, whatever the wire: by id, parent, name and times.
    let essence = |spans: &[Span]| -> Vec<(String, Option<String>, String, u64, u64)> {
        let mut all: Vec<_> = spans
            .iter()
            .map(|span| (span.span_id.clone(), span.parent_id.clone(), span.name.clone(), span.start, span.end))
            .collect();
        all.sort();
        all
    };
    assert_eq!(essence(&datadog), essence(&otlp));
}
