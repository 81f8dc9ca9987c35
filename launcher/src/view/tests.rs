//! The whole picture: as files that people have looked at, and for any spans at all.

use super::fixture::{broken_build, make_build, span, trace};
use super::model::{Trace, ViewSpan};
use super::options::ViewOptions;
use super::style::Style;
use super::text::width;
use super::waterfall::render;
use ddtrace::ids::{SpanId, TraceId};
use proptest::prelude::*;
use std::path::Path;

const PLAIN: Style = Style { width: 100, colour: false, unicode: true };

/// Compares with the file of this name; with `UPDATE_SNAPSHOTS` set, writes it.
fn assert_snapshot(name: &str, picture: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/view/snapshots").join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, picture).expect("the snapshot is writable");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(picture, expected, "differs from {name}; if that is meant, run with UPDATE_SNAPSHOTS=1 and look at it");
}

#[test]
fn a_build_in_several_widths() {
    let traces = Trace::build(make_build().spans);
    for width in [40, 60, 80, 100, 160] {
        let picture = render(&traces, &Style { width, ..PLAIN }, &ViewOptions::default());
        assert_snapshot(&format!("build-{width}.txt"), &picture);
    }
}

#[test]
fn a_build_in_colours() {
    let traces = Trace::build(make_build().spans);
    let picture = render(&traces, &Style { colour: true, ..PLAIN }, &ViewOptions::default());
    assert_snapshot("build-colour.txt", &picture);
}

#[test]
fn a_build_in_ascii() {
    let traces = Trace::build(make_build().spans);
    let picture = render(&traces, &Style { unicode: false, ..PLAIN }, &ViewOptions::default());
    assert!(picture.is_ascii());
    assert_snapshot("build-ascii.txt", &picture);
}

#[test]
fn a_build_unfolded() {
    let traces = Trace::build(make_build().spans);
    let picture = render(&traces, &PLAIN, &ViewOptions { all: true, ..ViewOptions::default() });
    assert_snapshot("build-all.txt", &picture);
}

#[test]
fn a_broken_build() {
    let traces = Trace::build(broken_build().spans);
    assert_snapshot("broken.txt", &render(&traces, &PLAIN, &ViewOptions::default()));
    let colour = Style { colour: true, ..PLAIN };
    assert_snapshot("broken-colour.txt", &render(&traces, &colour, &ViewOptions::default()));
}

#[test]
fn one_process_needs_few_words() {
    let mut build = super::fixture::Build::default();
    build.run(0, 0.0, 1.25, "/usr/bin/true");
    assert_snapshot("true.txt", &render(&Trace::build(build.spans), &PLAIN, &ViewOptions::default()));
}

#[test]
fn a_service_with_requests_below_a_process() {
    let mut spans = vec![
        ViewSpan {
            name: "python3".into(),
            args: vec!["python3".into(), "app.py".into()],
            is_process: true,
            ..span(1, 0, 0, 0)
        },
        ViewSpan { name: "GET /orders/{id}".into(), detail: "/orders/7".into(), ..span(2, 1, 20, 95) },
        ViewSpan {
            name: "SELECT orders".into(),
            detail: "SELECT * FROM orders WHERE id = ?".into(),
            ..span(3, 2, 25, 40)
        },
        ViewSpan { name: "POST".into(), detail: "http://billing/charge".into(), ..span(4, 2, 42, 90) },
        ViewSpan { name: "POST /charge".into(), service: "billing".into(), ..span(5, 4, 45, 88) },
    ];
    for span in &mut spans {
        span.start_ns *= 1_000_000;
        span.end_ns *= 1_000_000;
        if span.service.is_empty() {
            span.service = "shop".into();
        }
    }
    spans[0].still_running = true;
    for at in [3, 4] {
        spans[at].failed = true;
        spans[at].error = Some("503".into());
    }
    assert_snapshot("service.txt", &render(&[trace(spans)], &PLAIN, &ViewOptions::default()));
}

#[test]
fn nothing_recorded_is_said() {
    assert_eq!(render(&[], &PLAIN, &ViewOptions::default()), "No spans were recorded.\n");
}

#[test]
fn ten_thousand_processes_are_quick_and_stay_short() {
    let mut build = super::fixture::Build::default();
    let make = build.run(0, 0.0, 900_000.0, "make -j8");
    for n in 0..3_000 {
        let start = f64::from(n) * 290.0;
        let shell = build.run(make, start, start + 280.0, "sh -c 'libtool --mode=compile gcc'");
        let gcc = build.run(shell, start + 5.0, start + 270.0, &format!("gcc -c file{n}.c"));
        build.run(gcc, start + 7.0, start + 260.0, &format!("cc1 file{n}.c"));
    }
    let begin = std::time::Instant::now();
    let picture = render(&Trace::build(build.spans), &PLAIN, &ViewOptions::default());
    // Without optimisation; a release build is ten times as fast.
    assert!(begin.elapsed().as_secs_f64() < 10.0, "{:?}", begin.elapsed());
    assert!(picture.lines().count() <= 60, "{picture}");
}

#[test]
fn names_cannot_give_orders_to_the_terminal() {
    let evil = "\x1b]0;owned\x07\u{9b}2J\r\n\u{202e}x";
    let mut spans = vec![span(1, 0, 0, 100), span(2, 1, 1, 50)];
    for span in &mut spans {
        span.name = evil.into();
        span.args = vec![evil.into(), evil.into()];
        span.service = format!("{evil}{}", span.span_id);
        span.error = Some(evil.into());
        span.working_directory = Some(evil.into());
        span.failed = true;
    }
    let picture = render(&[trace(spans)], &PLAIN, &ViewOptions::default());
    assert!(!picture.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{picture:?}");
}

/// The text without the escapes that [`Style`] adds, of which there must be no others.
fn without_colours(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        out.push_str(before);
        let (codes, after) = after.split_once('m').expect("an escape has an end");
        assert!(codes.chars().all(|c| c.is_ascii_digit() || c == ';'), "{codes:?}");
        rest = after;
    }
    out + rest
}

prop_compose! {
    /// Spans with few ids, so that cycles, duplicates and missing parents are common.
    fn any_span()(
        trace_id in 0u128..3, span_id in 0u64..12, parent_id in 0u64..12,
        name in ".{0,20}", args in proptest::collection::vec(".{0,30}", 0..6), detail in ".{0,20}", service in ".{0,8}",
        start_ns in prop_oneof![0u64..1000, any::<u64>(), Just(u64::MAX)],
        end_ns in prop_oneof![0u64..1000, any::<u64>(), Just(u64::MAX)],
        (exit_code, error) in (proptest::option::of(any::<i64>()), proptest::option::of(".{0,20}")),
        (failed, interrupted, still_running, is_process) in any::<(bool, bool, bool, bool)>(),
        (cpu_ns, max_rss_bytes) in any::<(Option<u64>, Option<u64>)>(),
        (untraceable, execs) in (proptest::option::of(".{0,12}"), prop_oneof![3 => Just(0u64), 1 => any::<u64>()]),
    ) -> ViewSpan {
        ViewSpan {
            trace_id: TraceId(trace_id), span_id: SpanId(span_id), parent_id: SpanId(parent_id), name, args, detail,
            service, start_ns, end_ns, exit_code, error, failed, interrupted, cpu_ns, max_rss_bytes, still_running,
            is_process, pid: None, working_directory: None, untraceable, execs,
        }
    }
}

proptest! {
    #[test]
    fn any_spans_are_drawn_within_the_width(
        spans in proptest::collection::vec(any_span(), 0..40),
        (columns, colour, unicode) in (40usize..=300, any::<bool>(), any::<bool>()),
        (all, limit, min_duration) in (any::<bool>(), 0usize..50, prop_oneof![Just(0u64), any::<u64>()]),
    ) {
        let style = Style { width: columns, colour, unicode };
        let options = ViewOptions { all, limit, min_duration, ..ViewOptions::default() };
        let picture = render(&Trace::build(spans), &style, &options);
        for line in picture.lines() {
            let text = without_colours(line);
            prop_assert!(width(&text) <= columns, "{} columns: {text:?}", width(&text));
            prop_assert!(!text.chars().any(char::is_control), "{text:?}");
            prop_assert!(unicode || text.is_ascii(), "{text:?}");
        }
    }

    #[test]
    fn the_critical_path_is_no_longer_than_the_trace(spans in proptest::collection::vec(any_span(), 1..40)) {
        for trace in Trace::build(spans) {
            let analysis = super::analysis::Analysis::of(&trace);
            let critical: u128 = analysis.critical_ns.iter().map(|&time| u128::from(time)).sum();
            prop_assert!(critical <= u128::from(trace.duration()));
        }
    }

    #[test]
    fn no_span_is_lost(spans in proptest::collection::vec(any_span(), 1..40), limit in 1usize..20) {
        for trace in Trace::build(spans) {
            let analysis = super::analysis::Analysis::of(&trace);
            let options = ViewOptions { limit, ..ViewOptions::default() };
            let counted: usize = super::fold::rows(&trace, &analysis, &options).into_iter().map(|row| match row.content {
                super::fold::Content::Span { inside, .. } => 1 + inside,
                super::fold::Content::Group { members, inside } => members.len() + inside,
            }).sum();
            prop_assert_eq!(counted, trace.spans.len());
        }
    }
}
