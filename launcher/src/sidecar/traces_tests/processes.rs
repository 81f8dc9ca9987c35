//! Several processes, and their ends.

use super::*;

#[test]
fn processes_do_not_share_a_chunk_and_each_has_its_resource() {
    let mut story = Story::new();
    story.record(2, |record| {
        record.resource(SpanId(50));
        record.attribute_text(Name(b"service.name"), b"billing");
    });
    for process in [1, 2] {
        story.record(process, |record| record.span_start(SpanId(process), &root(7)));
        story.record(process, |record| record.span_end(SpanId(process), &END));
    }
    let mut services: Vec<_> =
        story.chunks(0).iter().map(|chunk| chunk.resource.text("service.name").unwrap().to_owned()).collect();
    services.sort();
    assert_eq!(services, ["billing", "run"]);
}

#[test]
fn a_process_that_is_killed_ends_its_open_spans() {
    let mut story = Story::new();
    story.record(1, |record| record.span_start(SpanId(1), &root(7)));
    story.record(1, |record| record.span(SpanId(2), &body(7, 1, 0), &END));
    story.died(1, 5 * SECOND, None);
    assert_eq!(story.chunks(5 * SECOND), [], "the kernel may still tell how");
    story.died(1, 5 * SECOND, Some(9));
    let chunks = story.chunks(5 * SECOND);
    assert_eq!(ids(&chunks[0]), [1, 2]);
    let span = &chunks[0].spans[0];
    assert_eq!(span.end_unix_nano, 5 * SECOND);
    assert_eq!(span.status, Status::Error("the process was killed by SIGKILL".into()));
    assert_eq!(span.attribute("error.type"), Some(&Value::from("SIGKILL")));
}

#[test]
fn a_process_that_ends_without_ending_its_spans_fails_them() {
    let mut story = Story::new();
    story.record(1, |record| record.span_start(SpanId(1), &root(7)));
    story.died(1, 5 * SECOND, Some(3 << 8));
    let chunks = story.chunks(5 * SECOND);
    let span = &chunks[0].spans[0];
    assert_eq!(span.status, Status::Error("the process exited with code 3 before the span ended".into()));
    assert_eq!(span.attribute(semconv::ERROR_TYPE), Some(&Value::from("process_exit")));
    assert_eq!(span.attribute(semconv::PROCESS_UNFINISHED), None, "nothing runs any more");
}

#[test]
fn another_program_in_the_same_process_ends_what_was_open() {
    let mut story = Story::new();
    story.record(1, |record| record.span_start(SpanId(1), &root(7)));
    let open = ddtrace::record::OpenBody {
        trace_id: TraceId(1),
        parent_id: SpanId(0),
        start_ns: 4,
        pid: 10,
        ppid: 1,
        trace_flags: 1,
        role: ddtrace::record::ROLE_SELF,
        remote_parent: false,
    };
    story.record(1, |record| record.open(SpanId(999), &open));
    let chunks = story.chunks(0);
    assert_eq!(ids(&chunks[0]), [1]);
    assert_eq!(chunks[0].spans[0].attribute(semconv::ERROR_TYPE), Some(&Value::from("process_exec")));
}

#[test]
fn a_process_is_known_by_its_id_and_by_that_of_its_runtime() {
    let mut story = Story::new();
    let open = ddtrace::record::OpenBody {
        trace_id: TraceId(1),
        parent_id: SpanId(0),
        start_ns: 4,
        pid: 10,
        ppid: 1,
        trace_flags: 1,
        role: ddtrace::record::ROLE_SELF,
        remote_parent: false,
    };
    story.record(1, |record| record.open(SpanId(999), &open));
    for (process, id) in [(1, 10), (2, 20)] {
        story.record(process, |record| {
            record.resource(SpanId(999));
            record.attribute_text(Name(b"runtime-id"), b"cafe");
            if process == 2 {
                record.attribute_integer(Name(b"process.pid"), 20);
            }
        });
        story.record(process, |record| record.span(SpanId(process), &root(7), &END));
        let chunks = story.chunks(0);
        let attributes = &chunks[0].resource.attributes;
        assert!(attributes.contains(&("process.pid".into(), Value::I64(id))), "{attributes:?}");
        assert_eq!(chunks[0].resource.text("service.instance.id"), Some("cafe"));
    }
}

proptest! {
    /// Records of one process keep their order; how those of several mix changes nothing.
    #[test]
    fn processes_do_not_disturb_each_other(order in proptest::collection::vec(0usize..3, 0..60), seed: u64) {
        let mut stories: Vec<std::collections::VecDeque<Vec<u8>>> = Vec::new();
        for process in 0..3u64 {
            let mut records = std::collections::VecDeque::new();
            for number in 0..4u64 {
                let id = process * 100 + number * 10 + 1;
                let trace = u128::from(seed % 2 * number + 1);
                records.push_back(record(|record| record.span_start(SpanId(id), &root(trace))));
                records.push_back(record(|record| record.span(SpanId(id + 1), &body(trace, id, 0), &END)));
                records.push_back(record(|record| {
                    record.amend(SpanId(id));
                    record.attribute_integer(Name(b"n"), number as i64);
                }));
                records.push_back(record(|record| record.span_end(SpanId(id), &END)));
            }
            stories.push(records);
        }
        let mut story = Story::new();
        let mut chunks = Vec::new();
        for process in order.into_iter().chain((0..3).flat_map(|process| std::iter::repeat_n(process, 16))) {
            if let Some(bytes) = stories[process].pop_front() {
                story.feed(process as u64, &bytes);
                chunks.extend(story.chunks(0));
            }
        }
        chunks.extend(story.assembler.end());
        let mut spans: Vec<_> = chunks.into_iter().flat_map(|chunk| chunk.spans).collect();
        spans.sort_by_key(|span| span.span_id);
        prop_assert_eq!(story.recorded, 24);
        prop_assert_eq!(spans.len(), 24);
        for span in spans.iter().filter(|span| span.span_id.0 % 10 == 1) {
            let number = (span.span_id.0 % 100 / 10) as i64;
            prop_assert_eq!(span.attribute("n"), Some(&Value::I64(number)));
        }
    }
}
