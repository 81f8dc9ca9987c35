//! Spans that are no processes, from records to chunks, all told through one `Story`: what spans are made of is here.

mod decisions;
mod handing_on;
mod processes;

use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;

use ddtrace::ids::{SpanId, TraceId};
use ddtrace::record::{
    EndBody, Name, RecordWriter, SPAN_DATADOG_TAGS, SPAN_LOCAL_ROOT, SPAN_TAKES_OVER, SpanBody, SpanFields,
};
use ddtrace::sampling::{AgentRateTable, SamplingConfig};
use ddtrace::semconv::{self, Key};
use ddtrace::span::{Attribute, Resource, Status, TraceChunk, Value};
use proptest::prelude::*;

use super::assemble::{Assembler, Policy};
use super::death::Death;
use super::judge::Judge;
use super::traces::HandOn;
use crate::spool::{Frame, FrameKind};

const SECOND: u64 = 1_000_000_000;

struct Story {
    assembler: Assembler,
    recorded: u64,
}

impl Story {
    fn new() -> Story {
        Story::with(None, &SamplingConfig::default(), "{}")
    }

    fn with(partial_flush: Option<usize>, sampling: &SamplingConfig, rates: &str) -> Story {
        let mut table = AgentRateTable::default();
        table.update(rates.as_bytes(), None);
        let judge = Judge::new(sampling, Rc::new(table.into()));
        let name: Attribute = (semconv::SERVICE.into(), "run".into());
        let resource = Arc::new(Resource { attributes: vec![name] });
        let assembler = Assembler::new(Policy { partial_flush, hold_processes: false }, 0, resource, judge);
        Story { assembler, recorded: 0 }
    }

    fn record(&mut self, process: u64, write: impl FnOnce(&mut RecordWriter)) -> &mut Story {
        let bytes = record(write);
        self.feed(process, &bytes)
    }

    fn feed(&mut self, process: u64, bytes: &[u8]) -> &mut Story {
        self.recorded += self.assembler.feed(Frame { kind: FrameKind::Records, producer: process, payload: bytes });
        self
    }

    fn died(&mut self, process: u64, time_ns: u64, status: Option<u32>) -> &mut Story {
        let death = Death { span_id: 999, time_ns, status, usage: None }.format();
        self.assembler.feed(Frame { kind: FrameKind::Death, producer: process, payload: &death });
        self
    }

    /// All rings of a process were looked at.
    fn pass(&mut self, process: u64) {
        self.assembler.feed(Frame { kind: FrameKind::Pass, producer: process, payload: b"" });
    }

    /// What is handed on when all that was said has been read.
    fn chunks(&mut self, now_ns: u64) -> Vec<TraceChunk> {
        for process in [1, 2, 1, 2] {
            self.pass(process);
        }
        self.assembler.collect(now_ns)
    }
}

fn record(write: impl FnOnce(&mut RecordWriter)) -> Vec<u8> {
    let mut bytes = vec![0u8; 4096];
    // SAFETY: the vector's bytes, used by nobody else meanwhile.
    let mut writer = unsafe { RecordWriter::new(NonNull::new(bytes.as_mut_ptr()).unwrap(), 4096) };
    write(&mut writer);
    bytes.truncate(writer.finish().unwrap() as usize);
    bytes
}

fn body(trace: u128, parent: u64, flags: u8) -> SpanBody {
    SpanBody {
        trace_id: TraceId(trace),
        parent_id: SpanId(parent),
        start_unix_ns: SECOND + parent,
        kind: 2,
        trace_flags: 1,
        flags,
    }
}

fn root(trace: u128) -> SpanBody {
    body(trace, 0, SPAN_LOCAL_ROOT)
}

const END: EndBody = EndBody { end_unix_ns: 2 * SECOND, status: 0 };

fn ids(chunk: &TraceChunk) -> Vec<u64> {
    chunk.spans.iter().map(|span| span.span_id.0).collect()
}

/// Begins spans of a process, each a trace of its own, and does not end them.
fn begin_many(story: &mut Story, process: u64, spans: std::ops::Range<u64>) {
    for id in spans {
        story.record(process, |record| {
            record.span_start(SpanId(id), &body(u128::from(id), 0, SPAN_LOCAL_ROOT));
            record.text(Key::Name, b"request");
        });
    }
}

/// Whichever of the two is read first, as a thread may have written them into two chunks.
#[test]
fn a_request_is_what_its_own_tracer_says_and_the_rest_is_the_connections() {
    let connection = record(|record| {
        record.span_start(SpanId(1), &body(7, 5, SPAN_LOCAL_ROOT));
        record.text(Key::Name, b"GET");
        record.attribute_text(Name(b"client.address"), b"::1");
        record.attribute_text(Name(b"http.request.method"), b"GET");
        record.attribute_text(Name(b"url.path"), b"/1");
    });
    let tracer = record(|record| {
        let flags = SPAN_LOCAL_ROOT | SPAN_TAKES_OVER | SPAN_DATADOG_TAGS;
        record.span_start(SpanId(1), &SpanBody { kind: 1, start_unix_ns: SECOND + 9, ..body(7, 5, flags) });
        record.text(Key::Name, b"index");
        record.attribute_text(Name(b"http.method"), b"get");
    });
    let end = record(|record| {
        record.span_end(SpanId(1), &END);
        record.attribute_text(Name(b"url.path"), b"/2");
    });
    for order in [[&connection, &tracer, &end], [&tracer, &connection, &end], [&connection, &end, &tracer]] {
        let mut story = Story::new();
        for record in order {
            story.feed(1, record);
        }
        let chunks = story.chunks(SECOND);
        assert_eq!((chunks.len(), chunks[0].spans.len(), story.recorded), (1, 1, 1));
        let span = &chunks[0].spans[0];
        let [name, parent] = [span.name.to_string(), span.parent_id.0.to_string()];
        assert_eq!((name.as_str(), parent.as_str(), span.kind as u8), ("index", "5", 2));
        assert_eq!((span.start_unix_nano, span.end_unix_nano), (SECOND + 9, 2 * SECOND));
        let mut attributes: Vec<_> = span.attributes.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        attributes.sort();
        let expected = ["http.client_ip=String(\"::1\")", "http.method=String(\"get\")", "url.path=String(\"/2\")"];
        assert_eq!(attributes, expected);
    }
}

#[test]
fn what_another_thread_says_of_a_span_may_be_read_after_its_end() {
    let said = record(|record| {
        record.amend(SpanId(1));
        record.attribute_text(Name(b"who"), b"helper");
        record.integer(Key::SamplingPriority, -1);
        record.text(Key::StatusMessage, b"broken");
    });
    // In the pass in which the end was read, or in the next one; and a process that dies has no next one.
    for passes_before in 0..=2 {
        let mut story = Story::new();
        story.record(1, |record| record.span_start(SpanId(1), &root(7)));
        story.pass(1);
        story.record(1, |record| record.span_end(SpanId(1), &EndBody { status: 2, ..END }));
        (0..passes_before).for_each(|_| story.pass(1));
        assert_eq!(story.assembler.collect(0).len(), usize::from(passes_before == 2));
        if passes_before < 2 {
            story.feed(1, &said);
            story.died(1, 3 * SECOND, Some(9));
            let chunks = story.assembler.collect(0);
            let span = &chunks[0].spans[0];
            assert_eq!(span.attribute("who"), Some(&Value::from("helper")));
            assert_eq!((span.end_unix_nano, &span.status), (2 * SECOND, &Status::Error("broken".into())));
            assert_eq!(chunks[0].sampling_priority, -1);
        }
    }
}

#[test]
fn what_another_thread_says_of_a_span_may_be_read_before_the_span_begins() {
    let start = record(|record| {
        record.span_start(SpanId(1), &root(7));
        record.attribute_text(Name(b"a"), b"first");
    });
    let amend = record(|record| {
        record.amend(SpanId(1));
        record.attribute_text(Name(b"a"), b"second");
    });
    let end = record(|record| record.span_end(SpanId(1), &END));
    for order in [[&start, &amend, &end], [&amend, &start, &end], [&amend, &end, &start]] {
        let mut story = Story::new();
        for bytes in order {
            story.feed(1, bytes);
            // Another process's span of that number is another span.
            story.feed(2, &amend);
        }
        let chunks = story.chunks(0);
        assert_eq!(chunks.len(), 1);
        assert_eq!(chunks[0].spans[0].attributes, [("a".into(), Value::from("second"))]);
        assert_eq!(story.recorded, 1);
    }
}

#[test]
fn what_is_said_of_a_span_that_never_begins_is_forgotten() {
    let mut story = Story::new();
    story.record(1, |record| record.span_end(SpanId(1), &END));
    assert_eq!(story.chunks(0), []);
    assert_eq!(story.chunks(10 * SECOND), []);
    story.record(1, |record| record.span_start(SpanId(1), &root(7)));
    assert_eq!(story.chunks(11 * SECOND), [], "it is another span, and open");
}

#[test]
fn more_than_any_receiver_takes_is_not_kept_of_a_span() {
    let mut story = Story::new();
    begin_many(&mut story, 1, 1..2);
    let text = vec![b'x'; 3000];
    for number in 0..2000u32 {
        story.record(1, |record| {
            record.amend(SpanId(1));
            record.attribute_text(Name(format!("name{number}").as_bytes()), &text);
        });
    }
    story.record(1, |record| record.span_end(SpanId(1), &END));
    let chunks = story.chunks(SECOND);
    let span = &chunks[0].spans[0];
    assert!((1000..1500).contains(&span.attributes.len()), "{}", span.attributes.len());
    assert_eq!(span.attributes.len() + span.dropped_attributes as usize, 2000);
}

#[test]
fn what_is_withdrawn_is_not_seen() {
    let mut story = Story::new();
    story.record(1, |record| record.span_start(SpanId(1), &root(7)));
    story.record(1, |record| record.span(SpanId(2), &body(7, 1, 0), &END));
    story.record(1, |record| {
        record.span_end(SpanId(1), &END);
        record.boolean(Key::Withdrawn, true);
        record.integer(Key::SamplingPriority, 2);
    });
    let chunks = story.chunks(SECOND);
    let [chunk] = &chunks[..] else { panic!("{chunks:?}") };
    // What the local root has said of the trace holds all the same.
    assert_eq!((ids(chunk), chunk.has_local_root, chunk.sampling_priority), (vec![2], false, 2));
    assert_eq!((story.recorded, story.assembler.take_withdrawn(), story.assembler.take_withdrawn()), (2, 1, 0));

    story.record(1, |record| record.span_start(SpanId(3), &root(8)));
    story.record(1, |record| {
        record.span_end(SpanId(3), &END);
        record.boolean(Key::Withdrawn, true);
    });
    assert_eq!(story.chunks(SECOND), []);
    assert_eq!(story.assembler.take_withdrawn(), 1);
    story.died(1, 3 * SECOND, Some(0));
    assert_eq!(story.chunks(4 * SECOND), []);
}

#[test]
fn a_span_may_turn_out_to_have_started_earlier() {
    let mut story = Story::new();
    story.record(1, |record| record.span_start(SpanId(1), &root(7)));
    story.record(1, |record| {
        record.span_end(SpanId(1), &END);
        record.integer(Key::StartTime, 5);
    });
    let chunks = story.chunks(SECOND);
    let span = &chunks[0].spans[0];
    assert_eq!((span.start_unix_nano, span.end_unix_nano), (5, 2 * SECOND));
}
