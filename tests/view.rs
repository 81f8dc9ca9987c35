//! The waterfall: after the program's end, on stderr, readable with and without colours, at any width.

use ddtrace_test_support::terminal::{self, plain};
use ddtrace_test_support::{Outcome, Sandbox};

const WORK: [&str; 3] =
    ["sh", "-c", "echo out; echo err >&2; /bin/true; sh -c '/bin/false; exit 7'; sh -c 'kill -9 $$'; exit 3"];

fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    // The view switches the process spans on by itself.
    sandbox.unset("DD_TRACE_PROCESS_SPANS");
    sandbox
}

fn viewed(sandbox: &Sandbox) -> Outcome {
    sandbox.run_traced(["--view"].into_iter().chain(WORK))
}

/// How far the line of a program is indented.
#[track_caller]
fn depth_of(view: &str, program: &str) -> usize {
    let found = view.lines().find_map(|line| line.find(&format!("─ {program}")));
    found.unwrap_or_else(|| panic!("{program} is not shown:\n{view}"))
}

#[track_caller]
fn assert_shows_the_work(view: &str) {
    assert!(depth_of(view, "false") > depth_of(view, "true"), "{view}");
    for text in ["SIGKILL", "exit 7", "exit 3", "5 processes"] {
        assert!(view.contains(text), "{text} is not shown:\n{view}");
    }
}

#[test]
fn it_comes_after_the_programs_own_output_and_not_on_stdout() {
    let sandbox = sandbox();
    let bare = sandbox.run_bare(WORK);
    let outcome = viewed(&sandbox);
    assert_eq!((outcome.code, &outcome.stdout), (Some(3), &bare.stdout));
    let err = outcome.err();
    let view =
        err.strip_prefix(bare.err().as_str()).unwrap_or_else(|| panic!("the program's stderr comes first:\n{err}"));
    assert_shows_the_work(view);
    assert!(!view.contains('\x1b'), "no colours where there is no terminal:\n{view}");
    sandbox.settle();
}

#[test]
fn it_ends_as_the_program_does() {
    let sandbox = sandbox();
    for (script, code, signal) in
        [("exit 0", Some(0), None), ("exit 200", Some(200), None), ("kill -TERM $$", None, Some(15))]
    {
        let outcome = sandbox.run_traced(["--view", "sh", "-c", script]);
        assert_eq!((outcome.code, outcome.signal), (code, signal), "{script}: {outcome:?}");
    }
}

#[test]
fn colours_only_on_a_terminal_and_by_the_rules() {
    let mut sandbox = sandbox();
    let screen = |sandbox: &Sandbox| terminal::run(sandbox.traced(["--view"].into_iter().chain(WORK)), 100).err();
    sandbox.set("TERM", "xterm-256color");
    let coloured = screen(&sandbox);
    assert!(coloured.contains("\x1b["), "{coloured}");
    assert_shows_the_work(&plain(&coloured));
    sandbox.set("NO_COLOR", "");
    assert!(screen(&sandbox).contains("\x1b["), "an empty NO_COLOR does not count");
    sandbox.set("NO_COLOR", "1");
    let colourless = screen(&sandbox);
    assert!(!colourless.contains('\x1b'), "{colourless}");
    assert_shows_the_work(&colourless);
    sandbox.unset("NO_COLOR").set("TERM", "dumb");
    assert!(!screen(&sandbox).contains('\x1b'), "a dumb terminal has no colours");
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let sandbox = sandbox();
    for columns in [40, 60, 80, 200] {
        let screen = terminal::run(sandbox.traced(["--view"].into_iter().chain(WORK)), columns).err();
        let wide: Vec<_> = plain(&screen)
            .lines()
            .map(str::to_owned)
            .filter(|line| line.chars().count() > usize::from(columns))
            .collect();
        assert!(wide.is_empty(), "wider than {columns}: {wide:#?}");
        assert!(screen.contains("SIGKILL"), "{screen}");
    }
}

#[test]
fn a_stored_trace_can_be_looked_at_later() {
    let mut sandbox = sandbox();
    sandbox.set("DD_TRACE_PROCESS_SPANS", "true");
    assert_eq!(sandbox.run_traced(WORK).code, Some(3));
    sandbox.settle();
    let store = sandbox.local_store();
    for argv in [vec!["view"], vec!["view", store.to_str().expect("UTF-8")]] {
        let outcome = sandbox.run_traced(&argv);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert_shows_the_work(&(outcome.out() + &outcome.err()));
    }
}

#[test]
fn a_file_that_is_none_of_ours_is_an_error() {
    let sandbox = sandbox();
    let file = sandbox.write("other.jsonl", "not a trace\n");
    for (name, code) in [("/nonexistent/traces.jsonl", 125), (file.to_str().expect("UTF-8"), 125)] {
        let outcome = sandbox.run_traced(["view", name]);
        assert_eq!(outcome.code, Some(code), "{outcome:?}");
        outcome.assert_err_names(&[name]);
    }
}

#[test]
fn a_reader_that_goes_early_is_no_failure_and_a_full_disk_is() {
    let sandbox = sandbox();
    // More than a pipe holds, so that writing does meet the reader's end.
    let spans: Vec<_> = (1..2_000u32)
        .map(|id| {
            format!(
                r#"{{"traceId":"{:032x}","spanId":"{id:016x}","name":"{}","startTimeUnixNano":"{id}","endTimeUnixNano":"9999"}}"#,
                7,
                "x".repeat(60)
            )
        })
        .collect();
    let line = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}]}}]}}]}}"#, spans.join(","));
    let file = sandbox.write("traces.jsonl", line);
    let script = |sink: &str| {
        let view = format!("'{}' view --all '{}'", sandbox.launcher(), file.display());
        sandbox.run_bare(["bash", "-c", &format!("{view} {sink}; echo \"${{PIPESTATUS[0]}}\"")])
    };
    let early = script("| true");
    assert_eq!((early.out().trim(), early.err().as_str()), ("0", ""));
    let full = script("> /dev/full");
    assert_eq!(full.out().trim(), "125");
    full.assert_err_names(&["cannot write to stdout", "No space left on device"]);
}

#[test]
fn what_outlives_the_command_is_shown_as_running_and_not_as_failed() {
    let sandbox = sandbox();
    let outcome = sandbox.run_traced(["--view", "sh", "-c", "sleep 3 >/dev/null 2>&1 & sleep 0.1"]);
    assert_eq!(outcome.code, Some(0));
    let view = outcome.err();
    let row = view.lines().find(|line| line.contains("─ sleep 3")).unwrap_or_else(|| panic!("{view}"));
    assert!(row.contains("running") && row.trim_end().ends_with('▸'), "{view}");
    assert!(view.contains("1 still running") && !view.contains("ailed"), "{view}");
}

#[test]
fn an_end_that_somebody_wanted_is_no_failure() {
    let sandbox = sandbox();
    let outcome = sandbox.run_traced(["--view", "sh", "-c", "yes | head -n 1; true"]);
    let view = outcome.err();
    assert!(view.contains("SIGPIPE") && view.contains("1 interrupted") && !view.contains("ailed"), "{view}");
}

#[test]
fn a_run_with_nothing_to_show_says_so() {
    let outcome = sandbox().run_traced(["--view", "--process-spans=false", "true"]);
    assert_eq!(
        (outcome.code, outcome.err().trim()),
        (Some(0), "ddtrace-run: no spans were recorded, so there is nothing to show")
    );
}
