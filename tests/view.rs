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
