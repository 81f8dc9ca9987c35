//! When spans are handed on, and how many at once.

use super::*;

#[test]
fn a_trace_is_handed_on_when_its_local_root_has_ended() {
    let mut story = Story::new();
    story.record(1, |record| record.span_start(SpanId(1), &root(7)));
    story.record(1, |record| {
        record.span(SpanId(2), &body(7, 1, 0), &END);
        record.text(Key::Name, b"query");
    });
    assert_eq!(story.chunks(SECOND), []);
    story.record(1, |record| {
        record.amend(SpanId(1));
        record.text(Key::Name, b"GET /");
        record.attribute_text(Name(b"a"), b"1");
        record.attribute_text(Name(b"b"), b"x");
    });
    story.record(1, |record| {
        record.span_end(SpanId(1), &EndBody { end_unix_ns: 3 * SECOND, status: 2 });
        record.text(Key::StatusMessage, b"broken");
        record.attribute_text_continued(Name(b"a"), b"2");
        record.attribute_removed(Name(b"b"));
        record.event(5, Name(b"exception"), |event| event.attribute_bool(Name(b"escaped"), true));
        record.text(Key::ScopeName, b"web");
    });
    let chunks = story.chunks(SECOND);
    let [chunk] = &chunks[..] else { panic!("{chunks:?}") };
    assert_eq!(ids(chunk), [1, 2]);
    assert!(chunk.has_local_root);
    assert_eq!(story.recorded, 2);
    let span = &chunk.spans[0];
    assert_eq!((span.name.as_ref(), span.end_unix_nano), ("GET /", 3 * SECOND));
    assert_eq!(span.status, Status::Error("broken".into()));
    assert_eq!(span.attributes, [("a".into(), Value::from("12"))]);
    assert_eq!(span.events[0].attributes, [("escaped".into(), Value::Bool(true))]);
    assert_eq!(span.scope.as_ref().map(|scope| scope.name.as_str()), Some("web"));
    assert_eq!((chunk.sampling_priority, chunk.decision_maker.as_ref()), (1, "-0"));
}

#[test]
fn enough_finished_spans_are_sent_ahead_under_one_decision() {
    let mut story = Story::with(Some(2), &SamplingConfig::default(), "{}");
    story.record(1, |record| record.span_start(SpanId(1), &root(7)));
    for id in 2..4 {
        story.record(1, |record| record.span(SpanId(id), &body(7, 1, 0), &END));
    }
    assert_eq!(story.chunks(0), [], "the process decides about a trace of which a part is to be sent");
    story.record(1, |record| {
        record.amend(SpanId(1));
        record.integer(Key::SamplingPriority, -1);
    });
    let ahead = story.chunks(0);
    assert_eq!((ids(&ahead[0]), ahead[0].has_local_root, ahead[0].sampling_priority), (vec![2, 3], false, -1));
    story.record(1, |record| record.span_end(SpanId(1), &END));
    let rest = story.chunks(0);
    assert_eq!((ids(&rest[0]), rest[0].has_local_root, rest[0].sampling_priority), (vec![1], true, -1));
}

#[test]
fn a_process_that_never_decides_is_not_waited_for_for_ever() {
    let (rules, _) = ddtrace::sampling::rules::parse_json(r#"[{"resource":"late","sample_rate":0},{"sample_rate":1}]"#);
    let sampling = SamplingConfig { rules, rate_limit: -1, ..SamplingConfig::default() };
    let mut story = Story::with(Some(2), &sampling, "{}");
    story.record(1, |record| record.span_start(SpanId(1), &root(7)));
    let many = u64::from(2 * ddtrace::record::DECIDE_AFTER);
    for id in 2..2 + many {
        story.record(1, |record| record.span(SpanId(id), &body(7, 1, 0), &END));
    }
    let ahead = story.chunks(0);
    assert_eq!((ahead[0].spans.len() as u64, ahead[0].has_local_root, ahead[0].sampling_priority), (many, false, 2));
    story.record(1, |record| {
        record.span_end(SpanId(1), &END);
        record.text(Key::Name, b"late");
    });
    assert_eq!(story.chunks(0)[0].sampling_priority, 2, "what was said of the first part holds for all");
}

#[test]
fn spans_without_a_word_of_their_root_wait_a_moment() {
    let mut story = Story::new();
    story.record(1, |record| record.span(SpanId(2), &body(7, 1, 0), &END));
    assert_eq!(story.chunks(SECOND), []);
    story.record(1, |record| record.span_start(SpanId(1), &root(7)));
    assert_eq!(story.chunks(3 * SECOND), [], "the root has come, and is open");
    story.record(1, |record| record.span_end(SpanId(1), &END));
    assert_eq!(ids(&story.chunks(3 * SECOND)[0]), [1, 2]);
    story.record(1, |record| record.span(SpanId(3), &body(8, 1, 0), &END));
    assert_eq!(story.chunks(4 * SECOND), []);
    assert_eq!(ids(&story.chunks(5 * SECOND)[0]), [3]);
}

fn all_ids(chunks: &[TraceChunk]) -> Vec<u64> {
    let mut ids: Vec<u64> = chunks.iter().flat_map(|chunk| chunk.spans.iter().map(|span| span.span_id.0)).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn where_memory_is_short_the_heaviest_process_gives_up_its_oldest_spans() {
    let mut story = Story::new();
    begin_many(&mut story, 1, 1..11);
    begin_many(&mut story, 2, 101..901);
    assert_eq!(story.assembler.cut_oldest(SECOND), Some(100));
    let chunks = story.assembler.hand_on_finished(SECOND);
    assert_eq!(all_ids(&chunks), (101..201).collect::<Vec<_>>());
    let unfinished = chunks[0].spans[0].attribute(semconv::PROCESS_UNFINISHED);
    assert_eq!(unfinished, Some(&Value::Bool(true)));
    let mut cut = 100;
    while let Some(more) = story.assembler.cut_oldest(SECOND) {
        cut += more;
    }
    assert_eq!((cut, story.recorded), (810, 810));
    assert_eq!(all_ids(&story.assembler.hand_on_finished(SECOND)).len(), 710);
    assert!(story.assembler.segments().is_empty(), "nothing is left");
}

#[test]
fn where_memory_is_short_what_is_finished_does_not_wait_for_its_trace() {
    let mut story = Story::new();
    begin_many(&mut story, 1, 1..2);
    story.record(1, |record| record.span(SpanId(2), &body(1, 1, 0), &END));
    assert!(story.chunks(SECOND).is_empty());
    assert_eq!(all_ids(&story.assembler.hand_on_finished(SECOND)), [2]);
    story.record(1, |record| record.span_end(SpanId(1), &END));
    assert_eq!(all_ids(&story.chunks(SECOND)), [1]);
}

/// Traces are handed on in portions. One of which all was withdrawn gives nothing, and is no sign that there is no more.
#[test]
fn what_is_withdrawn_hides_nothing_that_comes_after_it() {
    for is_over in [false, true] {
        let mut story = Story::new();
        for id in 1..=1000 {
            story.record(1, |record| record.span_start(SpanId(id), &root(id.into())));
            story.record(1, |record| {
                record.span_end(SpanId(id), &END);
                if id % 4 == 0 {
                    record.boolean(Key::Withdrawn, true);
                }
            });
        }
        if is_over {
            story.died(1, 3 * SECOND, Some(0));
        }
        for _ in 0..2 {
            story.pass(1);
        }
        let (mut handed_on, mut portions) = (0, 0);
        loop {
            let (chunks, is_more) = story.assembler.portion(4 * SECOND, HandOn::Ready);
            handed_on += chunks.len();
            portions += 1;
            if !is_more {
                break;
            }
        }
        assert_eq!((handed_on, portions, story.assembler.take_withdrawn()), (750, 4, 250), "{is_over}");
    }
}
